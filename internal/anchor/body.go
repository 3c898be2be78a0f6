package anchor

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
)

// Body is the body of a KindAnchor entry: a checkpoint was put somewhere
// outside the machine.
type Body struct {
	Version    int       `json:"v"`              // 1
	Anchor     string    `json:"anchor"`         // KindFile, KindWitness or KindTimestamp
	Name       string    `json:"name,omitempty"` // the witness's key name, the authority's host
	Size       uint64    `json:"size"`           // the checkpoint's
	Root       string    `json:"root"`           // the checkpoint's, standard base64
	At         time.Time `json:"at"`             // UTC, whole seconds, by the daemon's clock
	Checkpoint string    `json:"checkpoint"`     // the signed note, verbatim
	Proof      []byte    `json:"proof,omitempty"`
}

// MaxName bounds a place's name, in bytes.
const MaxName = 256

func newBody(p Place, a Ask, of []byte) Body {
	return Body{
		Version: 1, Anchor: p.Kind(), Name: p.Name(), Size: a.Checkpoint.Size, Root: base64.StdEncoding.EncodeToString(a.Checkpoint.Root[:]),
		At: a.At.UTC().Truncate(time.Second), Checkpoint: string(a.Signed), Proof: of,
	}
}

// ParseBody reads one.
func ParseBody(b []byte) (*Body, error) {
	var body Body
	if err := ijson.UnmarshalStrict(b, &body); err != nil {
		return nil, err
	}
	switch {
	case body.Version != 1:
		return nil, fmt.Errorf("an anchor of version %d", body.Version)
	case body.Anchor != KindFile && body.Anchor != KindWitness && body.Anchor != KindTimestamp:
		return nil, errors.New("an anchor of a kind that this version does not know")
	case len(body.Name) > MaxName || len(body.Checkpoint) > proof.MaxCheckpoint || len(body.Proof) > MaxToken:
		return nil, errors.New("an anchor longer than one")
	}
	return &body, nil
}

// Cosigned returns the checkpoint with the witness's line under it; nil for an
// anchor that is no witness's.
func (b *Body) Cosigned() []byte {
	if b.Anchor != KindWitness {
		return nil
	}
	return Cosigned([]byte(b.Checkpoint), b.Proof)
}

// Placed is an anchor that stands in the log.
type Placed struct {
	Seq uint64 // of its entry
	Body
}

// Book knows the last anchor of each place. It implements state.Applier for
// KindAnchor, and is safe for concurrent use.
type Book struct {
	mu   sync.Mutex
	last map[string]Placed // by kind and name
}

// NewBook returns the book of an empty log.
func NewBook() *Book { return &Book{last: map[string]Placed{}} }

// Apply takes in an entry.
func (b *Book) Apply(rec archive.Record) error {
	body, err := ParseBody(rec.Body)
	if err != nil {
		return fmt.Errorf("entry %d: %w: %w", rec.Leaf.Seq, archive.ErrDamaged, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last[placeOf(body.Anchor, body.Name)] = Placed{Seq: rec.Leaf.Seq, Body: *body}
	return nil
}

// placeOf is a place's key: no kind has a space in it.
func placeOf(kind, name string) string { return kind + " " + name }

// Last returns a place's last anchor.
func (b *Book) Last(kind, name string) (Placed, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.last[placeOf(kind, name)]
	return p, ok
}

// All returns the last anchor of each place that ever had one, by kind and
// name.
func (b *Book) All() []Placed {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := slices.Collect(maps.Values(b.last))
	slices.SortFunc(out, func(x, y Placed) int {
		return strings.Compare(placeOf(x.Anchor, x.Name), placeOf(y.Anchor, y.Name))
	})
	return out
}
