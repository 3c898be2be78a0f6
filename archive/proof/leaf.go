package proof

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"math"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a SHA-256 value; in a Merkle tree, that of RFC 6962 section 2.1.
type Hash = tlog.Hash

// ErrLeaf is returned for bytes that are not exactly one canonical leaf.
var ErrLeaf = errors.New("not a canonical leaf")

// LeafVersion is the first byte of every leaf.
const LeafVersion = 1

// BodyUnit is the number of bytes to which a leaf rounds a body's length up,
// so that a leaf, which outlives its body, does not tell the exact length.
const BodyUnit = 256

// MaxClass and MaxEpoch bound a leaf's two strings, in bytes.
const (
	MaxClass = 32
	MaxEpoch = 64
)

// MinLeaf and MaxLeaf bound a leaf's canonical bytes.
const (
	MinLeaf = 1 + 8 + 1 + 2 + 8 + 1 + 8 + 3*32 + 4 + 32
	MaxLeaf = MinLeaf - 1 + MaxClass + MaxEpoch
)

// A Leaf is one record's place in the log: everything about an entry that may
// outlive its body. It names no person and holds no text. Its canonical bytes
// are those of Marshal (archive/FORMAT.md section 2).
type Leaf struct {
	Seq      uint64 // index in the tree, from 0
	Kind     Kind
	Class    string // record class: [a-z0-9-]{1,32}
	Received int64  // milliseconds since the Unix epoch, never less than the leaf's before
	Epoch    string // relay epoch, "" for control entries
	RelaySeq uint64 // relay seq, 0 for control entries
	Envelope Hash   // SHA-256 of the envelope as received; zero unless HPKE opened it
	Content  Hash   // ContentCommitment of the body
	Note     Hash   // NoteCommitment of the note; zero when there is none
	BodyLen  uint32 // length of the body in bytes, rounded up to BodyUnit
	Prev     Hash   // leaf hash of the leaf before; GenesisPrev for leaf 0
}

// ReceivedTime returns l.Received as a time in UTC.
func (l *Leaf) ReceivedTime() time.Time { return time.UnixMilli(l.Received).UTC() }

// Month returns the month received, as YYYY-MM in UTC: with the class it names
// the body file.
func (l *Leaf) Month() string { return l.ReceivedTime().Format("2006-01") }

// RoundBody returns a body length in bytes as a leaf states it.
func RoundBody(n int) uint32 {
	return uint32((n + BodyUnit - 1) / BodyUnit * BodyUnit) // #nosec G115 -- a body is at most archive.MaxBody
}

// ValidClass reports whether s can name a record class.
func ValidClass(s string) bool {
	if len(s) == 0 || len(s) > MaxClass {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// Marshal returns the canonical bytes of l. It fails only when a field is out
// of its range.
func (l *Leaf) Marshal() ([]byte, error) {
	if err := l.validate(); err != nil {
		return nil, err
	}
	return l.AppendTo(make([]byte, 0, 256)), nil
}

// AppendTo appends the canonical bytes of l, whose fields the caller has
// checked, to b.
func (l *Leaf) AppendTo(b []byte) []byte {
	w := cryptobyte.NewBuilder(b)
	w.AddUint8(LeafVersion)
	w.AddUint64(l.Seq)
	w.AddUint8(uint8(l.Kind))
	w.AddUint8LengthPrefixed(func(w *cryptobyte.Builder) { w.AddBytes([]byte(l.Class)) })
	w.AddUint64(uint64(l.Received)) // #nosec G115 -- validate refuses a negative time
	w.AddUint8LengthPrefixed(func(w *cryptobyte.Builder) { w.AddBytes([]byte(l.Epoch)) })
	w.AddUint64(l.RelaySeq)
	w.AddBytes(l.Envelope[:])
	w.AddBytes(l.Content[:])
	w.AddBytes(l.Note[:])
	w.AddUint32(l.BodyLen)
	w.AddBytes(l.Prev[:])
	return w.BytesOrPanic()
}

// ParseLeaf reads the canonical bytes of one leaf, all of b. What it accepts,
// Marshal returns to the byte.
func ParseLeaf(b []byte) (Leaf, error) {
	var l Leaf
	var version, kind uint8
	var received uint64
	var class, epoch cryptobyte.String
	s := cryptobyte.String(b)
	ok := s.ReadUint8(&version) && version == LeafVersion &&
		s.ReadUint64(&l.Seq) &&
		s.ReadUint8(&kind) &&
		s.ReadUint8LengthPrefixed(&class) &&
		s.ReadUint64(&received) && received <= math.MaxInt64 &&
		s.ReadUint8LengthPrefixed(&epoch) &&
		s.ReadUint64(&l.RelaySeq) &&
		s.CopyBytes(l.Envelope[:]) && s.CopyBytes(l.Content[:]) && s.CopyBytes(l.Note[:]) &&
		s.ReadUint32(&l.BodyLen) &&
		s.CopyBytes(l.Prev[:]) &&
		s.Empty()
	if !ok {
		return Leaf{}, ErrLeaf
	}
	l.Kind, l.Received = Kind(kind), int64(received) // #nosec G115 -- bounded above
	l.Class, l.Epoch = internClass(class), string(epoch)
	if err := l.validate(); err != nil {
		return Leaf{}, err
	}
	return l, nil
}

// internClass spares an allocation for the two built-in classes, which most
// scans meet most often.
func internClass(b []byte) string {
	switch string(b) {
	case ClassControl:
		return ClassControl
	case ClassAudit:
		return ClassAudit
	}
	return string(b)
}

func (l *Leaf) validate() error {
	switch {
	case !l.Kind.Valid():
		return fmt.Errorf("%w: kind %d", ErrLeaf, l.Kind)
	case !ValidClass(l.Class):
		return fmt.Errorf("%w: class", ErrLeaf)
	case len(l.Epoch) > MaxEpoch:
		return fmt.Errorf("%w: epoch longer than %d bytes", ErrLeaf, MaxEpoch)
	case (l.Epoch == "") != (l.RelaySeq == 0):
		return fmt.Errorf("%w: a relay epoch goes with a relay seq", ErrLeaf)
	case l.Received < 0:
		return fmt.Errorf("%w: received before 1970", ErrLeaf)
	case l.BodyLen%BodyUnit != 0:
		return fmt.Errorf("%w: body length not rounded", ErrLeaf)
	}
	return nil
}

// LeafHash returns SHA-256(0x00 ‖ leaf), the leaf hash of RFC 6962 section 2.1.
func LeafHash(leaf []byte) Hash {
	// The same as tlog.RecordHash, without allocating: Check spends its time in hashes.
	var buf [1 + MaxLeaf]byte
	return sha256.Sum256(append(buf[:1], leaf...))
}

// GenesisPrev returns the prev of leaf 0: SHA-256("holdfast genesis v1\0" ‖
// identity.json).
func GenesisPrev(identity []byte) Hash {
	return sum("holdfast genesis v1\x00", nil, identity)
}

// ContentCommitment returns SHA-256("holdfast body v1\0" ‖ random ‖ body). The
// random bytes are stored beside the body and destroyed with it, so that a
// commitment tells nothing once its body is erased.
func ContentCommitment(random *[32]byte, body []byte) Hash {
	return sum("holdfast body v1\x00", random, body)
}

// NoteCommitment returns SHA-256("holdfast note v1\0" ‖ random ‖ note), or
// zero for an empty note. A note is what the archive concluded when it took
// the entry in; committing to it keeps root from rewriting those conclusions.
func NoteCommitment(random *[32]byte, note []byte) Hash {
	if len(note) == 0 {
		return Hash{}
	}
	return sum("holdfast note v1\x00", random, note)
}

// hashers spares an allocation for each commitment.
var hashers sync.Pool

type hasher struct {
	hash.Hash
	buf [64]byte // label and random bytes go in from here: what is passed to an interface escapes
	out [sha256.Size]byte
}

func sum(label string, random *[32]byte, text []byte) Hash {
	h, ok := hashers.Get().(*hasher)
	if !ok {
		h = &hasher{Hash: sha256.New()}
	}
	h.Reset()
	head := append(h.buf[:0], label...)
	if random != nil {
		head = append(head, random[:]...)
	}
	h.Write(head) // #nosec G104 -- a hash takes every write
	h.Write(text) // #nosec G104 -- a hash takes every write
	h.Sum(h.out[:0])
	out := Hash(h.out)
	clear(h.buf[:])
	hashers.Put(h)
	return out
}
