package export

import (
	"context"
	"fmt"

	"holdfast/archive/render"
)

// eachUnit makes every unit in the order of rendering, and tells of every item,
// those that are not in one included. The same log gives the same each time.
func (p *producer) eachUnit(ctx context.Context, told func(*item), visit func(*unit) error) error {
	switch {
	case p.planned != nil || p.unit != render.Message || p.req.Split.Custodian:
		return p.eachPlanned(ctx, told, visit)
	case p.lines:
		return p.eachMember(ctx, func(m member) error {
			return p.makeUnit(ctx, []member{m}, placement{Part: 1, Parts: 1}, 0, told, visit)
		})
	}
	return p.eachFamily(ctx, func(ms []member) error { return p.parts(ctx, ms, nil, 0, told, visit) })
}

// eachPlanned is eachUnit for what was planned.
func (p *producer) eachPlanned(ctx context.Context, told func(*item), visit func(*unit) error) error {
	all := p.planned
	for len(all) > 0 {
		n := 1
		for n < len(all) && p.together(all[0], all[n]) {
			n++
		}
		if p.lines {
			n = 1
		}
		ms := make([]member, 0, min(n, maxUnit))
		sizes := make([]uint32, 0, min(n, maxUnit))
		for _, pl := range all[:n] {
			ms, sizes = append(ms, pl.member), append(sizes, pl.size)
		}
		first := all[0]
		all = all[n:]
		p.day = first.day
		if err := p.parts(ctx, ms, sizes, int(first.owner), told, visit); err != nil {
			return err
		}
	}
	return nil
}

// together reports whether two planned members belong to one unit.
func (p *producer) together(a, b planned) bool {
	if a.owner != b.owner || a.day != b.day || a.group != b.group {
		return false
	}
	return p.unit != render.Message || a.root() == b.root()
}

// parts makes one unit of members, or several where they are too many for one.
func (p *producer) parts(ctx context.Context, ms []member, sizes []uint32, owner int, told func(*item), visit func(*unit) error) error {
	cuts := []int{0}
	bytes := uint64(0)
	for i := range ms {
		size := uint64(0)
		if sizes != nil {
			size = uint64(sizes[i])
		}
		if i-cuts[len(cuts)-1] >= maxUnit || bytes+size > maxUnitBytes && bytes > 0 {
			cuts, bytes = append(cuts, i), 0
		}
		bytes += size
	}
	cuts = append(cuts, len(ms))
	for i := range len(cuts) - 1 {
		some := ms[cuts[i]:cuts[i+1]]
		place := placement{Part: i + 1, Parts: len(cuts) - 1}
		if p.unit == render.ConversationDay {
			place.Day = dayName(p.day)
		}
		place.Stem = stemOf(p.unit, place.Day, some[0].seq)
		if err := p.makeUnit(ctx, some, place, owner, told, visit); err != nil {
			return err
		}
	}
	return nil
}

// stemOf returns the name of the unit that begins with the member seq.
func stemOf(kind render.UnitKind, day string, seq uint64) string {
	stem := fmt.Sprintf("%012d", seq)
	switch kind {
	case render.ConversationDay:
		return day + "-" + stem
	case render.AConversation:
		return "conversation-" + stem
	}
	return stem
}

// makeUnit reads the members of one unit.
func (p *producer) makeUnit(ctx context.Context, ms []member, place placement, owner int, told func(*item), visit func(*unit) error) error {
	u := &unit{place: place, owner: owner, first: ms[0].seq}
	for _, m := range ms {
		it, err := p.decide(ctx, m)
		if err != nil {
			return err
		}
		told(it)
		if it.shown {
			u.items = append(u.items, it)
		}
	}
	p.target(u)
	if len(u.items) == 0 {
		return nil
	}
	return visit(u)
}

// target names, for what hangs at a message of the same unit, which version it
// hangs at; for the rest it stays what the request said.
func (p *producer) target(u *unit) {
	if p.lines || len(u.items) < 2 {
		return
	}
	at := map[string]uint64{}
	for _, it := range u.items {
		if it.payload == nil {
			continue
		}
		if it.payload.Ref != nil {
			if seq, ok := at[it.payload.Ref.Digest]; ok {
				it.says.Target = &seq
			}
		}
		at[digestOf(it.rec.Body)] = it.rec.Leaf.Seq
	}
}
