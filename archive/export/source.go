package export

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/render"
	"holdfast/ingest/envelope"
)

// ErrRequest is returned for a request that cannot be produced as it stands.
var ErrRequest = errors.New("this production cannot be made")

// ErrChanged is returned when the entries read differently the second time:
// nothing whole was produced, and the request can be repeated.
var ErrChanged = errors.New("the entries changed while they were being produced; export again")

// Log is what a production reads of the archive.
type Log interface {
	// Size returns the number of entries in the log.
	Size() uint64
	// Record returns one entry. archive.ErrNoBody says that its body is gone,
	// archive.ErrDamaged that it is not what the leaf commits to.
	Record(ctx context.Context, seq uint64) (archive.Record, error)
	// Scan yields the leaves from seq from up to, not including, to.
	Scan(ctx context.Context, from, to uint64) iter.Seq2[proof.Leaf, error]
	// Checkpoint returns a signed checkpoint of the present size.
	Checkpoint(ctx context.Context) ([]byte, error)
	// Prove returns the inclusion path of seq in the tree of the given size.
	Prove(ctx context.Context, seq, size uint64) ([]proof.Hash, error)
	// IdentityJSON returns identity.json, the body of leaf 0.
	IdentityJSON() []byte
	// IdentitySigner returns the identity key, Ed25519.
	IdentitySigner() crypto.Signer
}

// Places says which entries of the log tell something about another entry, as
// of that entry's place: what came later has no say. All answers are seqs.
type Places interface {
	// UserEntry returns the accepted user.upsert entry that was in force for
	// the relay user usr at the place of the message at.
	UserEntry(usr string, at proof.Leaf) (seq uint64, ok bool)
	// DeviceEntry returns the accepted device.add entry of the key with RFC
	// 7638 thumbprint kid that stands before at.
	DeviceEntry(kid string, at proof.Leaf) (seq uint64, ok bool)
	// BlobEntry returns the last blob entry below seq below that says what
	// became of attachment bid of the message at; false if there is none.
	BlobEntry(at proof.Leaf, bid string, below uint64) (seq uint64, ok bool)
}

// Source is where a production comes from: the archive, and the directory of
// its entries that the floor above keeps.
type Source struct {
	Log    Log
	Places Places
}

// Sink takes the files of a production, one at a time: each is closed before
// the next is created. manifest.json comes last, so what has none is not a
// production. Names are slash-separated and known in advance (Names).
type Sink interface {
	Create(name string) (io.WriteCloser, error)
}

// An Exclusion is a seq that matched and is not produced.
type Exclusion struct {
	Seq    uint64     `json:"seq"`
	Kind   proof.Kind `json:"kind"`
	Reason string     `json:"reason"` // [a-z0-9-]{1,64}
}

// The reasons that Produce finds by itself.
const (
	ReasonQuarantined = "quarantined" // listed in records.jsonl without its data
	ReasonDisposed    = "disposed"    // it was disposed of; its certificate says when and why
	ReasonNoBody      = "no-body"     // its body is missing
	ReasonDamaged     = "damaged"     // its body is not what its leaf commits to
	ReasonInternal    = "internal"    // an entry about the archive's own running: work product
	ReasonTooLarge    = "too-large"   // its row would exceed MaxLine
	ReasonEvidence    = "no-evidence" // a directory entry that it rests on is damaged
	ReasonUnreadable  = "unreadable"  // its body or note is not of its kind's form
)

var reasonForm = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// Name is whom a name in the query was taken for: everybody who ever had it.
type Name struct {
	Value  string   `json:"value"`  // as typed
	People []string `json:"people"` // objectGUIDs
	Usrs   []string `json:"usrs"`   // their relay users, by whom the query was widened
}

// A Request says what to produce. Exclusions, Query, Parsed, Names, Scope, Matter
// and Reason stand in the annex alone, but the manifest says whether there is a
// Scope.
type Request struct {
	Seqs       iter.Seq2[uint64, error]    // strictly ascending; ranged over two or three times, the same each time
	At         uint64                      // size of the log that the production is as of; 0 is the present size
	First      uint64                      // first seq that the query examined
	Last       uint64                      // last seq that the query examined; 0 is At-1
	Through    uint64                      // the seq up to which the search had seen everything; 0 is Last
	Total      uint64                      // how many seqs there are, for Progress alone; 0 is unknown
	Principal  string                      // who produces; stands in custody.csv too
	Tool       string                      // name and version of the program
	Exclusions iter.Seq2[Exclusion, error] // what matched and is not in Seqs; may be nil; ranged over once
	Query      string                      // as typed
	Parsed     string                      // as understood
	Names      []Name                      // whom its names were taken for
	Scope      []string                    // whose messages whoever produces may work on; nil: everybody's
	Matter     string
	Reason     string
	Progress   func(done, total uint64) // may be nil; entries written over all passes

	Format string          // one of Formats; "" is jsonl
	Unit   render.UnitKind // "" is the format's own
	Zone   *time.Location  // of days and local times; nil is UTC
	Legend string          // stamped on what people read
	Split  Split
	Bates  Bates
	// Recipient gets the production: named in the manifest. Purpose stands in the annex alone.
	Recipient string
	Purpose   string

	// Anchor is a signed checkpoint to prove against, and Created when the
	// production was made: with those of an earlier one all its files are the same
	// to the byte. Without them: the present ones.
	Anchor  []byte
	Created time.Time

	// Family returns the seqs of the entries that hang at a message, ascending;
	// nil: nothing hangs. They are produced with it.
	Family func(ctx context.Context, rec archive.Record) ([]uint64, error)
	// Withhold says why an entry is not produced; nil: nothing is withheld.
	Withhold func(seq uint64) (Withheld, bool)
	// Tagged are all seqs that Withhold may withhold, those that did not match
	// included, so that nothing that names them leaves; nil: those among Seqs.
	Tagged []uint64
	Redact []Redaction
	// Custodians returns the names of the custodians among relay users, sorted.
	Custodians func(usrs []string) []string
	// Holds returns the names of this matter's holds that hold the entry, sorted.
	Holds func(seq uint64) []string
	// Attachment opens a stored attachment's content; nil: none is produced.
	Attachment func(ctx context.Context, a *envelope.Attachment) (io.ReadCloser, error)
	// FileText returns what could be read of an attachment; nil: nothing.
	FileText func(a *envelope.Attachment) string
}

// Split says how a production is cut into volumes: vol-0001, or custodian-0001.
type Split struct {
	Bytes     uint64 `json:"bytes,omitempty"`     // a volume ends behind the unit with which it has so many; 0: there is one
	Custodian bool   `json:"custodian,omitempty"` // one or more for each custodian, named in custodians.csv
}

// Bates says how what is produced is numbered: PREFIX0000001, the entries and
// their attachments in the order of rendering. Without a Prefix it is not.
type Bates struct {
	Prefix string `json:"prefix"` // [A-Z0-9-]{1,16}
	Start  uint64 `json:"start"`  // first number; 0 is 1
	Digits int    `json:"digits"` // at least so many; 0 is 7
}

// BatesRange is the first and last Bates number of a production; both are "" if
// nothing was produced.
type BatesRange struct {
	First string `json:"first"`
	Last  string `json:"last"`
}

// Span is a run of entries with consecutive seqs that have one Bates number
// each, or one entry, which has more with its attachments.
type Span struct {
	Seq, Entries uint64 // first seq, how many entries
	Bates, Count uint64 // first number, how many numbers
}

// Withheld says why an entry is not produced: a line of the privilege log
// (FRCP 26(b)(5)(A)).
type Withheld struct {
	Tag         string // [a-z0-9-]{1,64}
	Basis       string // by what right, for the recipient to read
	Description string // of the message, such that it can be judged and tells nothing of what it says
	By          string // who tagged it; stands in the annex alone
}

// Redaction covers text. Without a Seq it is for every entry; without a Pattern
// it covers the whole text.
type Redaction struct {
	Seq     *uint64
	Pattern *regexp.Regexp
	Reason  string
}

// A Summary is what was produced.
type Summary struct {
	Manifest   Manifest          `json:"manifest"`
	Excluded   map[string]uint64 `json:"excluded"`             // by reason
	Digest     string            `json:"digest"`               // SHA-256 of manifest.json, hex
	Files      uint64            `json:"files"`                // of the outward part
	Bytes      uint64            `json:"bytes"`                // in them
	Bates      *BatesRange       `json:"bates,omitempty"`      // nil: there are no Bates numbers
	Redacted   uint64            `json:"redacted,omitempty"`   // entries with covered text
	WithheldBy map[string]uint64 `json:"withheld_by,omitzero"` // entries withheld, by tag
	Usrs       []string          `json:"-"`                    // relay users who sent or got what was written, sorted
	MRNs       []string          `json:"-"`                    // of the patients that what was written is about, sorted
	Spans      []Span            `json:"-"`                    // which Bates numbers which entries have, in their order
}

// check fills in the defaults of r and refuses what contradicts itself.
func (r *Request) check(size uint64) error {
	if r.At == 0 {
		r.At = size
	}
	if r.At > size {
		return fmt.Errorf("%w: it is as of %d entries, and the log has %d", ErrRequest, r.At, size)
	}
	if r.Last == 0 {
		r.Last = r.At - 1
	}
	if r.Through == 0 {
		r.Through = r.Last
	}
	switch {
	case r.Seqs == nil:
		return fmt.Errorf("%w: no seqs are given", ErrRequest)
	case r.First > r.Last || r.Last >= r.At:
		return fmt.Errorf("%w: the range examined, %d to %d, is not within %d entries", ErrRequest, r.First, r.Last, r.At)
	case r.Principal == "":
		return fmt.Errorf("%w: it has to say who makes it", ErrRequest)
	case r.Matter == "" && r.Reason == "":
		return fmt.Errorf("%w: give a reason or a matter", ErrRequest)
	}
	return nil
}

// clock is the one reading of the time for a production, in UTC.
func clock() time.Time { return time.Now().UTC() }
