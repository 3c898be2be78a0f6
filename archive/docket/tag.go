package docket

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// Tag says why an entry is withheld from productions.
type Tag string

// The tags, the strongest first: of several the first one is what a privilege
// log names.
const (
	Privileged    Tag = "privileged"    // attorney-client privilege or work product
	Psychotherapy Tag = "psychotherapy" // psychotherapy notes, 45 CFR 164.501
	Part2         Tag = "part2"         // substance use disorder records, 42 CFR Part 2
)

var allTags = []Tag{Privileged, Psychotherapy, Part2}

// Tags returns every tag.
func Tags() []Tag { return slices.Clone(allTags) }

// Valid reports whether t is one of the tags.
func (t Tag) Valid() bool { return slices.Contains(allTags, t) }

// basis is what a privilege log gives as the ground when nobody said another.
func (t Tag) basis() string {
	switch t {
	case Privileged:
		return "attorney-client privilege or work-product protection"
	case Psychotherapy:
		return "psychotherapy notes, 45 CFR 164.508(a)(2)"
	case Part2:
		return "substance use disorder patient records, 42 CFR Part 2"
	}
	return "withheld"
}

// description is what a privilege log tells of the entry when nobody said more.
func (t Tag) description() string {
	switch t {
	case Privileged:
		return "message withheld as privileged or protected"
	case Psychotherapy:
		return "message withheld as psychotherapy notes"
	case Part2:
		return "message withheld as a substance use disorder record"
	}
	return "message withheld"
}

const (
	opAdd    = "add"
	opRemove = "remove"
)

type tagBody struct {
	Version     int            `json:"v"` // 1
	Op          string         `json:"op"`
	Tag         Tag            `json:"tag"`
	Matter      string         `json:"matter"`
	Seqs        []span         `json:"seqs"`
	Basis       string         `json:"basis,omitempty"`       // add: for the privilege log
	Description string         `json:"description,omitempty"` // add: for the privilege log
	Clawback    bool           `json:"clawback,omitempty"`    // add: by the clawback before it in its batch
	By          role.Principal `json:"by"`
	Reason      string         `json:"reason"`
}

// tagging is one entry of kind tag; Book.mu guards it.
type tagging struct {
	seq  uint64
	at   time.Time
	body tagBody
}

// tags are the tags as they stand, and how they came about.
type tags struct {
	said    []*tagging // in order of seq
	now     map[tagKey]*roaring64.Bitmap
	current *roaring64.Bitmap // entries with any tag by any matter
}

type tagKey struct {
	matter string // folded
	tag    Tag
}

func newTags() tags {
	return tags{now: map[tagKey]*roaring64.Bitmap{}, current: roaring64.New()}
}

// TagChange is what somebody asks to be tagged, or to have a tag taken off.
type TagChange struct {
	Tag         Tag
	Matter      string
	Seqs        []uint64 // 1..MaxTagged, of entries that came from the relay
	Remove      bool
	Basis       string // for the privilege log, when it is not the usual of the tag; of no use to Remove
	Description string // likewise: what is withheld, told so that the privilege stands (FRCP 26(b)(5)(A)(ii))
	Reason      string // for the house
}

// Tagged is one tag that an entry has, or had.
type Tagged struct {
	Tag         Tag
	Matter      string
	Basis       string
	Description string
	Clawback    bool   // by a clawback
	Seq         uint64 // of the entry that tagged it
	At          time.Time
	By          role.Principal
	Reason      string
	Removed     *Untagged // nil while it has it
}

// Untagged says who took a tag off.
type Untagged struct {
	Seq    uint64
	At     time.Time
	By     role.Principal
	Reason string
}

// SetTag puts a tag on entries for a matter, or takes one off that the matter
// put there. A closed matter may: what was privileged stays so.
func (b *Book) SetTag(ctx context.Context, who role.Principal, c TagChange) error {
	body := tagBody{Version: 1, Op: opAdd, Tag: c.Tag, Matter: c.Matter, Seqs: spansOf(c.Seqs), Basis: c.Basis, Description: c.Description, By: who, Reason: c.Reason}
	if c.Remove {
		body.Op = opRemove
	}
	if err := c.check(); err != nil {
		return err
	}
	_, err := b.change(ctx, func(time.Time) error {
		if err := b.fromRelay(c.Seqs); err != nil {
			return err
		}
		var err error
		if body.Matter, err = b.matter(c.Matter, false); err != nil {
			return err
		}
		return b.tags.judge(&body)
	}, func() ([]archive.Entry, error) { return one(proof.KindTag, body) })
	return err
}

// one makes the one entry of a body.
func one(kind proof.Kind, body any) ([]archive.Entry, error) {
	e, err := entry(kind, body)
	return []archive.Entry{e}, err
}

func (c *TagChange) check() error {
	switch {
	case !c.Tag.Valid():
		return fmt.Errorf("%w: tags are %v", ErrInvalid, allTags)
	case len(c.Seqs) == 0 || len(c.Seqs) > MaxTagged:
		return fmt.Errorf("%w: 1 to %d entries are tagged at once", ErrInvalid, MaxTagged)
	case c.Remove && (c.Basis != "" || c.Description != ""):
		return fmt.Errorf("%w: basis and description are of a tag that is put on", ErrInvalid)
	}
	if err := short("basis", c.Basis); err != nil {
		return err
	}
	if err := short("description", c.Description); err != nil {
		return err
	}
	return words("reason", c.Reason)
}

// fromRelay refuses entries that are none of the relay's: nothing else is
// produced.
func (b *Book) fromRelay(seqs []uint64) error {
	size := b.options.Log.Size()
	for _, seq := range seqs {
		if seq >= size {
			return ErrNotMessage
		}
		leaf, err := b.options.Log.Leaf(seq)
		if err != nil {
			return fmt.Errorf("read the entry to be tagged: %w", err)
		}
		if !leaf.Kind.FromRelay() {
			return ErrNotMessage
		}
	}
	return nil
}

// judge says which rule a change breaks, its matter aside. mu is held.
func (t *tags) judge(body *tagBody) error {
	if body.Op == opAdd {
		return nil
	}
	set := t.now[tagKey{matterKey(body.Matter), body.Tag}]
	for _, s := range body.Seqs {
		if set != nil && overlaps(set, s) {
			return nil
		}
	}
	return ErrNotTagged
}

// overlaps reports whether set has any of the span.
func overlaps(set *roaring64.Bitmap, s span) bool {
	it := set.Iterator()
	it.AdvanceIfNeeded(s[0])
	return it.HasNext() && it.PeekNext()-s[0] < s[1]
}

// applyTag takes in a tag. One that is put on withholds whatever rule it
// breaks; one that is taken off against a rule stays.
func (b *Book) applyTag(rec archive.Record) error {
	var body tagBody
	if err := read(rec, &body, &body.Version); err != nil {
		return err
	}
	if err := checkSpans(body.Seqs, rec.Leaf.Seq); err != nil {
		return err
	}
	_, broken := b.matter(body.Matter, false)
	switch {
	case !body.Tag.Valid() || body.Op != opAdd && body.Op != opRemove:
		broken = ErrUnreadable
	case broken == nil:
		broken = b.tags.judge(&body)
	}
	if broken != nil {
		b.fault(rec, broken)
		if body.Op == opRemove {
			return nil
		}
	}
	b.tags.take(&tagging{seq: rec.Leaf.Seq, at: rec.Leaf.ReceivedTime(), body: body})
	return nil
}

// take makes a tagging count.
func (t *tags) take(said *tagging) {
	t.said = append(t.said, said)
	key := tagKey{matterKey(said.body.Matter), said.body.Tag}
	set := t.now[key]
	if set == nil {
		set = roaring64.New()
		t.now[key] = set
	}
	for _, s := range said.body.Seqs {
		if said.body.Op == opRemove {
			set.RemoveRange(s[0], s[0]+s[1])
			continue
		}
		set.AddRange(s[0], s[0]+s[1])
		t.current.AddRange(s[0], s[0]+s[1])
	}
	if said.body.Op == opRemove {
		t.current = roaring64.New()
		for _, set := range t.now {
			t.current.Or(set)
		}
	}
}

// history returns every tag that seq ever had, in the order in which they were
// put on. A tag that is put on anew while it is there replaces its words.
func (t *tags) history(seq uint64) []Tagged {
	var out []Tagged
	for _, said := range t.said {
		if !within(said.body.Seqs, seq) {
			continue
		}
		body := &said.body
		for i := range out {
			if h := &out[i]; h.Removed == nil && h.Tag == body.Tag && matterKey(h.Matter) == matterKey(body.Matter) {
				h.Removed = &Untagged{Seq: said.seq, At: said.at, By: body.By, Reason: body.Reason}
			}
		}
		if body.Op != opRemove {
			out = append(out, Tagged{
				Tag: body.Tag, Matter: body.Matter, Basis: cmp.Or(body.Basis, body.Tag.basis()), Description: cmp.Or(body.Description, body.Tag.description()),
				Clawback: body.Clawback, Seq: said.seq, At: said.at, By: body.By, Reason: body.Reason,
			})
		}
	}
	return out
}

// Tagged returns the tags that an entry has now, by any matter.
func (b *Book) Tagged(seq uint64) []Tagged {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if !b.tags.current.Contains(seq) {
		return nil
	}
	return slices.DeleteFunc(b.tags.history(seq), func(t Tagged) bool { return t.Removed != nil })
}

// TagHistory returns every tag that an entry has or ever had, in the order in
// which they were put on.
func (b *Book) TagHistory(seq uint64) []Tagged {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.tags.history(seq)
}

// TaggedBy returns the entries that have a tag by a matter now, ascending: at
// most limit of them, those above after first; and how many there are in all.
func (b *Book) TaggedBy(matter string, t Tag, after uint64, limit int) (seqs []uint64, total uint64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	set := b.tags.now[tagKey{matterKey(matter), t}]
	if set == nil {
		return nil, 0
	}
	it := set.Iterator()
	it.AdvanceIfNeeded(after + 1)
	for it.HasNext() && len(seqs) < limit {
		seqs = append(seqs, it.Next())
	}
	return seqs, set.GetCardinality()
}

// AllTagged returns the entries that have a tag now, by whatever matter,
// ascending.
func (b *Book) AllTagged() []uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.tags.current.ToArray()
}

// Withheld is why an entry is not produced, in words that a privilege log may
// have.
type Withheld struct {
	Tag         Tag
	Basis       string
	Description string
	// By is who tagged it, for the house alone; empty when another matter than
	// the production's did.
	By string
}

// Withheld says why an entry is not produced for a matter; false when no tag
// withholds it. Every matter's tags withhold: what is privileged in one is so
// in all. Of another matter's tag the usual words of the tag stand and nothing
// that tells of that matter. matter may be "". The tags of include do not
// withhold.
//
// What hangs at a message, its versions above all, is tagged with nothing but
// the message: whoever produces asks for the message too.
func (b *Book) Withheld(matter string, seq uint64, include ...Tag) (Withheld, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if !b.tags.current.Contains(seq) {
		return Withheld{}, false
	}
	for _, t := range allTags {
		if slices.Contains(include, t) {
			continue
		}
		if set := b.tags.now[tagKey{matterKey(matter), t}]; set == nil || !set.Contains(seq) {
			continue
		}
		for _, h := range slices.Backward(b.tags.history(seq)) {
			if h.Removed == nil && h.Tag == t && matterKey(h.Matter) == matterKey(matter) {
				return Withheld{Tag: t, Basis: h.Basis, Description: h.Description, By: h.By.String()}, true
			}
		}
	}
	var found []Tag
	for key, set := range b.tags.now {
		if !slices.Contains(include, key.tag) && set.Contains(seq) {
			found = append(found, key.tag)
		}
	}
	if len(found) == 0 {
		return Withheld{}, false
	}
	// A tag that this version does not know withholds as well, after those that it does.
	rank := func(t Tag) int { return (slices.Index(allTags, t) + len(allTags) + 1) % (len(allTags) + 1) }
	t := slices.MinFunc(found, func(x, y Tag) int { return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(x, y)) })
	return Withheld{Tag: t, Basis: t.basis(), Description: t.description()}, true
}
