package export

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"holdfast/archive/proof"
	"holdfast/archive/render"
	"holdfast/ingest/envelope"
)

// Limits of one unit: what is larger has several parts.
const (
	maxUnit      = 5000     // entries
	maxUnitBytes = 32 << 20 // of their bodies
)

// A member is one seq that is to be produced.
type member struct {
	seq  uint64
	head uint64 // the message that it hangs at, by the request's word; 0: none
}

// root is the message at which the member hangs, or itself.
func (m member) root() uint64 {
	if m.head != 0 {
		return m.head
	}
	return m.seq
}

// A planned member knows its place in the production. Where units are
// conversations, days or custodians', a production keeps one for each entry.
type planned struct {
	member
	group uint32 // of conversation
	day   int32  // days since 1970 in the production's zone
	owner uint32 // of custodian, from 0
	size  uint32 // bytes of the body, rounded up to 256
}

// eachMember goes over what matched and what hangs at it, ascending by seq.
// What hangs at a message is awaited, so that it comes in its place, once.
func (p *producer) eachMember(ctx context.Context, visit func(member) error) error {
	var waiting waits
	step := func(m member) error {
		family, err := p.family(ctx, m.seq)
		if err != nil {
			return err
		}
		for _, follower := range family {
			waiting.add(member{seq: follower, head: m.root()})
		}
		return visit(m)
	}
	upTo := func(below uint64) error {
		for {
			m, ok := waiting.below(below)
			if !ok {
				return nil
			}
			if err := step(m); err != nil {
				return err
			}
		}
	}
	err := p.eachMatch(ctx, func(seq uint64) error {
		if err := upTo(seq); err != nil {
			return err
		}
		return step(member{seq: seq, head: waiting.take(seq)})
	})
	if err != nil {
		return err
	}
	return upTo(p.req.At)
}

// eachFamily goes over what matched, ascending by seq, each with all that
// hangs at it, whether or not that matched as well.
func (p *producer) eachFamily(ctx context.Context, visit func([]member) error) error {
	var gone waits
	return p.eachMatch(ctx, func(seq uint64) error {
		for _, ok := gone.below(seq); ok; _, ok = gone.below(seq) {
			continue
		}
		if gone.take(seq) != 0 {
			return nil
		}
		var found waits
		found.add(member{seq: seq})
		for i := 0; i < len(found); i++ {
			family, err := p.family(ctx, found[i].seq)
			if err != nil {
				return err
			}
			for _, follower := range family {
				found.add(member{seq: follower, head: seq})
				gone.add(member{seq: follower, head: seq})
			}
		}
		return visit(found)
	})
}

// eachMatch goes over what matched.
func (p *producer) eachMatch(ctx context.Context, visit func(seq uint64) error) error {
	next := p.req.First
	for seq, err := range p.req.Seqs {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if seq < next || seq > p.req.Last {
			return fmt.Errorf("%w: seq %d is out of order, repeated, or outside the range examined", ErrRequest, seq)
		}
		next = seq + 1
		if err := visit(seq); err != nil {
			return err
		}
	}
	return nil
}

// family returns what hangs at the entry seq, below the size of the log that
// the production is as of.
func (p *producer) family(ctx context.Context, seq uint64) ([]uint64, error) {
	if p.req.Family == nil {
		return nil, nil
	}
	rec, err := p.entries.record(ctx, seq)
	if lost(err) || err == nil && rec.Leaf.Kind != proof.KindMessage {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read entry %d: %w", seq, err)
	}
	seqs, err := p.req.Family(ctx, rec)
	if err != nil {
		return nil, fmt.Errorf("what hangs at entry %d: %w", seq, err)
	}
	return slices.DeleteFunc(slices.Clone(seqs), func(s uint64) bool { return s <= seq || s >= p.req.At }), nil
}

// plan decides on the place of every entry, where it is not that of its seq.
func (p *producer) plan(ctx context.Context) error {
	if p.unit == render.Message && !p.req.Split.Custodian {
		return nil
	}
	seed := maphash.MakeSeed()
	groups, owners := map[uint64]uint32{}, map[string]uint32{}
	err := p.eachMember(ctx, func(m member) error {
		pl := planned{member: m}
		if head, ok := p.placed(m.head); ok {
			pl.group, pl.day, pl.owner, pl.size = head.group, head.day, head.owner, 256
			p.planned = append(p.planned, pl)
			return nil
		}
		it, err := p.read(ctx, m.seq)
		if err != nil {
			return err
		}
		pl.size = it.rec.Leaf.BodyLen
		pl.day = dayOf(when(it), p.zone)
		if p.cover.withholds(p, it) {
			pl.day = dayOf(it.rec.Leaf.ReceivedTime(), p.zone)
		}
		id := uint64(0)
		if c := it.row.Conversation; c != nil && it.reason == "" {
			id = maphash.String(seed, c.ID)
		}
		pl.group = number(groups, id)
		if p.req.Split.Custodian {
			pl.owner = p.owner(owners, it)
		}
		p.planned = append(p.planned, pl)
		return nil
	})
	if err != nil {
		return err
	}
	p.order(owners)
	return nil
}

// placed returns the place of a message that was planned already.
func (p *producer) placed(seq uint64) (planned, bool) {
	i, ok := slices.BinarySearchFunc(p.planned, seq, func(pl planned, seq uint64) int { return cmp.Compare(pl.seq, seq) })
	if !ok {
		return planned{}, false
	}
	return p.planned[i], true
}

func number[K comparable](known map[K]uint32, k K) uint32 {
	n, ok := known[k]
	if !ok {
		n = uint32(len(known)) // #nosec G115 -- a number for each of fewer than 2^32 things
		known[k] = n
	}
	return n
}

// owner returns the number of the custodian in whose volume the item stands:
// the first of those that it has; 0 is nobody.
func (p *producer) owner(owners map[string]uint32, it *item) uint32 {
	number(owners, "")
	if p.req.Custodians == nil || it.reason != "" || it.row.From == nil {
		return 0
	}
	names := p.req.Custodians(it.row.usrs())
	if len(names) == 0 {
		return 0
	}
	return number(owners, names[0])
}

// order sorts what is planned: by custodian in the order of their names, by
// day, by conversation in the order of their first message, by seq.
func (p *producer) order(owners map[string]uint32) {
	names := make([]string, len(owners))
	for name, n := range owners {
		names[n] = name
	}
	p.owners = slices.Sorted(slices.Values(names))
	rank := make([]uint32, len(names))
	for i, name := range p.owners {
		rank[owners[name]] = uint32(i) // #nosec G115 -- as in number
	}
	for i := range p.planned {
		if len(rank) > 0 {
			p.planned[i].owner = rank[p.planned[i].owner]
		}
		switch p.unit {
		case render.Message:
			p.planned[i].day, p.planned[i].group = 0, 0
		case render.AConversation:
			p.planned[i].day = 0
		}
	}
	slices.SortFunc(p.planned, func(a, b planned) int {
		return cmp.Or(cmp.Compare(a.owner, b.owner), cmp.Compare(a.day, b.day), cmp.Compare(a.group, b.group), p.within(a.member, b.member), cmp.Compare(a.seq, b.seq))
	})
}

// within orders members of one group: what hangs at a message stands behind it
// where that makes a unit.
func (p *producer) within(a, b member) int {
	if p.unit == render.Message && !p.lines {
		return cmp.Compare(a.root(), b.root())
	}
	return 0
}

// when returns the time by which an entry belongs to a day: the one that a
// reader sees beside it, the sender's own. Of what is withheld that may tell too
// much: it goes by when it was received.
func when(it *item) time.Time {
	if it.reason != "" {
		return it.rec.Leaf.ReceivedTime()
	}
	for _, text := range []string{it.row.Sent, it.row.Relayed} {
		if t, err := envelope.ParseTime(text); err == nil {
			return t
		}
	}
	return it.rec.Leaf.ReceivedTime()
}

// dayOf returns the day of t in zone, in days since 1970.
func dayOf(t time.Time, zone *time.Location) int32 {
	y, m, d := t.In(zone).Date()
	return int32(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400) // #nosec G115 -- years of four digits
}

// dayName returns the day as YYYY-MM-DD.
func dayName(day int32) string {
	return time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly)
}

// waits are the members that hang at what was visited and come later.
type waits []member

// add awaits a member; one that is awaited already hangs where it did.
func (w *waits) add(m member) {
	i, found := slices.BinarySearchFunc(*w, m, func(a, b member) int { return cmp.Compare(a.seq, b.seq) })
	if !found {
		*w = slices.Insert(*w, i, m)
	}
}

// below takes the first member with a seq below the given one.
func (w *waits) below(seq uint64) (member, bool) {
	if len(*w) == 0 || (*w)[0].seq >= seq {
		return member{}, false
	}
	m := (*w)[0]
	*w = (*w)[1:]
	return m, true
}

// take takes the member with the given seq, which none is below, and returns
// its head.
func (w *waits) take(seq uint64) uint64 {
	if len(*w) == 0 || (*w)[0].seq != seq {
		return 0
	}
	head := (*w)[0].head
	*w = (*w)[1:]
	return head
}
