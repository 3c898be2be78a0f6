package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/render"
	"holdfast/ingest/envelope"
)

// An Exclusion is a seq that matched and is not produced, or not as it is.
type Exclusion struct {
	Seq    uint64     `json:"seq"`
	Kind   proof.Kind `json:"kind"`
	Reason string     `json:"reason"`       // [a-z0-9-]{1,64}
	By     string     `json:"by,omitempty"` // who withheld it
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

	// Patient makes it a patient's own package; nil: it is none. Near are the
	// messages for whoever produces to review, in any order; ranged over once.
	Patient *Patient
	Near    iter.Seq2[Near, error]
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
	Near       uint64            `json:"near,omitempty"`       // messages in annex/near.csv
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
	return errors.Join(r.checkFormat(), r.checkBates(), r.checkRedact(), r.checkPatient())
}

// checkFormat fills in how the production is rendered.
func (r *Request) checkFormat() error {
	if r.Zone == nil {
		r.Zone = time.UTC
	}
	if r.Zone.String() == "Local" {
		return fmt.Errorf("%w: its time zone has no name that another machine knows", ErrRequest)
	}
	if r.Format == "" {
		r.Format = JSONL
	}
	if r.Format == JSONL {
		if r.Unit != "" && r.Unit != render.Message {
			return fmt.Errorf("%w: JSON lines have no units but entries", ErrRequest)
		}
		r.Unit = render.Message
		return nil
	}
	f, ok := formatOf(r.Format)
	if !ok {
		return fmt.Errorf("%w: there is no format %q; there are %s", ErrRequest, r.Format, strings.Join(FormatNames(), ", "))
	}
	if r.Unit == "" {
		r.Unit = f.Units[0]
	}
	if !slices.Contains(f.Units, r.Unit) {
		return fmt.Errorf("%w: the format %s has no unit %q", ErrRequest, r.Format, r.Unit)
	}
	return nil
}

// Form and limits of Bates numbers.
var batesForm = regexp.MustCompile(`^[A-Z0-9-]{1,16}$`)

const (
	batesDigits    = 7
	maxBatesDigits = 15
	maxBatesStart  = 1 << 50
)

func (r *Request) checkBates() error {
	b := &r.Bates
	if b.Prefix == "" {
		return nil
	}
	if b.Start == 0 {
		b.Start = 1
	}
	if b.Digits == 0 {
		b.Digits = batesDigits
	}
	if !b.valid() {
		return fmt.Errorf("%w: Bates numbers have a prefix of A to Z, 0 to 9 and -, at most 16 long, and at most %d digits", ErrRequest, maxBatesDigits)
	}
	return nil
}

func (b *Bates) valid() bool {
	return batesForm.MatchString(b.Prefix) && b.Digits >= 1 && b.Digits <= maxBatesDigits && b.Start >= 1 && b.Start <= maxBatesStart
}

func (r *Request) checkRedact() error {
	for i, red := range r.Redact {
		switch {
		case red.Seq == nil && red.Pattern == nil:
			return fmt.Errorf("%w: redaction %d has neither a seq nor a pattern", ErrRequest, i+1)
		case red.Pattern != nil && red.Pattern.MatchString(""):
			return fmt.Errorf("%w: the pattern of redaction %d fits where there is nothing", ErrRequest, i+1)
		case red.Reason == "":
			return fmt.Errorf("%w: redaction %d has no reason", ErrRequest, i+1)
		}
	}
	return nil
}

// parse reads a number as format writes it.
func (b *Bates) parse(s string) (uint64, bool) {
	digits, ok := strings.CutPrefix(s, b.Prefix)
	n, err := strconv.ParseUint(digits, 10, 53)
	return n, ok && err == nil && b.format(n) == s
}
