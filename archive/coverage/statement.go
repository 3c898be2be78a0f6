package coverage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// StatementType is the typ of a statement's JWS.
const StatementType = "holdfast+coverage"

// maxStatement bounds a statement's JWS, in bytes.
const maxStatement = 64 << 20

// Statement is what is certified. Times are YYYY-MM-DDTHH:MM:SS.mmmZ.
type Statement struct {
	V          int       `json:"v"` // 1
	Archive    string    `json:"archive"`
	Origin     string    `json:"origin"`
	Checkpoint string    `json:"checkpoint"` // C2SP signed note: the state of the log that was examined
	Size       uint64    `json:"size"`       // entries of that state
	Made       string    `json:"made"`
	Tool       string    `json:"tool"`
	By         string    `json:"by"` // who asked
	Custodian  Custodian `json:"custodian"`
	From       string    `json:"from"` // the period: From ≤ received < To
	To         string    `json:"to"`
	First      uint64    `json:"first"` // the entries received in it: First ≤ seq < Next
	Next       uint64    `json:"next"`

	Streams     []Stream     `json:"streams"`
	Devices     []Device     `json:"devices"` // the custodian's
	Others      Others       `json:"others"`  // whoever else sent in the period
	Quarantined []Quarantine `json:"quarantined"`
	Unreadable  []uint64     `json:"unreadable"` // seqs of messages in the period that are damaged: whose they are cannot be told
	Disposed    Disposed     `json:"disposed"`   // messages of the period, of everybody
	CannotShow  []string     `json:"cannot_show"`
}

// Custodian is whom a statement is about.
type Custodian struct {
	Person string   `json:"person,omitempty"` // objectGUID
	Name   string   `json:"name"`
	Usrs   []string `json:"usrs"`
}

// Stream is what the log has of one epoch of the relay's stream in the period.
type Stream struct {
	Epoch   string `json:"epoch"`
	First   uint64 `json:"first"` // relay seqs
	Last    uint64 `json:"last"`
	Entries uint64 `json:"entries"`
	Missing []Gap  `json:"missing"` // between First and Last
	Lost    []Gap  `json:"lost"`    // that the relay says it lost
	// Ended says that the relay began another epoch behind Last: what the old one
	// had above it, if anything, is not in the log.
	Ended bool `json:"ended,omitempty"`
}

// Gap is a run of numbers.
type Gap struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"` // the last
}

// The standings of a device. None says that all is there.
const (
	Sealed  = "sealed"  // all numbers up to its last checkpoint are accounted for; after it: unknown
	Open    = "open"    // all numbers that came are accounted for, and no checkpoint closes them; after the last: unknown
	Gaps    = "gaps"    // numbers are missing, stand for two messages, or do not follow from one another
	Unknown = "unknown" // the log has no message of it
)

// Device is what the log has of one device.
type Device struct {
	Usr      string        `json:"usr"`
	Dev      string        `json:"dev"`
	Keys     []DeviceKey   `json:"keys"`
	Standing string        `json:"standing"`
	First    uint64        `json:"first"` // numbers in the period; 0: none
	Last     uint64        `json:"last"`
	Present  uint64        `json:"present"`  // messages in the period that can be read
	Disposed uint64        `json:"disposed"` // numbers up to Last that were disposed of
	By       []uint64      `json:"certificates,omitempty"`
	Missing  []Gap         `json:"missing"`
	Twice    []uint64      `json:"twice"`  // numbers that stand for two messages
	Broken   []uint64      `json:"broken"` // numbers whose message names another one before it than is there
	Newest   uint64        `json:"newest"` // highest number in the log, in the period or not
	Sealed   *Checkpointed `json:"sealed,omitempty"`
	After    string        `json:"after"` // always "unknown": what the device sent after Sealed, or after Newest where there is none
}

// DeviceKey is a key that a device signs with.
type DeviceKey struct {
	Kid       string `json:"kid"`
	Added     uint64 `json:"added"`
	Assurance string `json:"assurance"`
	Revoked   bool   `json:"revoked,omitempty"`
}

// Checkpointed is a device's last checkpoint: what it sent before is numbered
// through N.
type Checkpointed struct {
	N        uint64 `json:"n"`
	Seq      uint64 `json:"seq"`
	Sent     string `json:"sent"` // as the device says
	Received string `json:"received"`
}

// Others counts the devices of other people that sent in the period, by their
// standings: what they sent to the custodian is among theirs.
type Others struct {
	Devices uint64 `json:"devices"`
	Sealed  uint64 `json:"sealed"`
	Open    uint64 `json:"open"`
	Gaps    uint64 `json:"gaps"`
}

// Quarantine is an event of the relay's in the period that could not be opened
// or trusted: whose it is cannot be told.
type Quarantine struct {
	Seq      uint64 `json:"seq"`
	Epoch    string `json:"epoch"`
	RelaySeq uint64 `json:"relay_seq"`
	Code     string `json:"code"` // AMX/1 section 5
}

// Disposed counts messages that were disposed of.
type Disposed struct {
	Messages     uint64   `json:"messages"`
	Certificates []uint64 `json:"certificates"` // seqs
}

func marshal(s *Statement) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// ErrStatement is returned for what is not a statement of the archive that it
// is checked against.
var ErrStatement = errors.New("not a completeness certificate of this archive")

// Verify checks a certificate (a compact JWS, white space around it allowed)
// against the identity of the archive that is said to have issued it. It needs
// neither the archive nor its keys.
func Verify(compact []byte, id *proof.Identity) (*Statement, error) {
	compact = bytes.TrimSpace(compact)
	if len(compact) > maxStatement {
		return nil, fmt.Errorf("%w: too long", ErrStatement)
	}
	c, err := jws.Parse(compact, StatementType)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	key, err := id.Key()
	if err != nil {
		return nil, err
	}
	kid, err := jws.Thumbprint(key)
	if err != nil {
		return nil, err
	}
	if c.Header.Kid != kid {
		return nil, fmt.Errorf("%w: it is signed by another key", ErrStatement)
	}
	if err := c.Verify(key); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	var s Statement
	if err := ijson.UnmarshalStrict(c.Payload, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	return &s, s.check(id)
}

func (s *Statement) check(id *proof.Identity) error {
	if s.V != 1 {
		return fmt.Errorf("%w: version %d; this program knows version 1", ErrStatement, s.V)
	}
	if s.Archive != id.ArchiveID || s.Origin != id.Origin {
		return fmt.Errorf("%w: it is of another archive", ErrStatement)
	}
	verifier, err := id.LogVerifier()
	if err != nil {
		return err
	}
	point, err := proof.OpenCheckpoint([]byte(s.Checkpoint), verifier)
	if err != nil {
		return fmt.Errorf("%w: its checkpoint: %w", ErrStatement, err)
	}
	_, err1 := envelope.ParseTime(s.From)
	_, err2 := envelope.ParseTime(s.To)
	if point.Size != s.Size || s.First > s.Next || s.Next > s.Size || err1 != nil || err2 != nil || len(s.CannotShow) == 0 {
		return fmt.Errorf("%w: its parts contradict each other", ErrStatement)
	}
	return nil
}
