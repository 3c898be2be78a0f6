package retention

import (
	"context"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/retention/schedule"
)

// heldBy returns the holds that keep an entry, by seq, each once. It asks every
// scope that counts of the entry itself, so that a hold counts from its entry
// on; of the entry's family it knows what the survey has come to.
func (b *Book) heldBy(f *entryFacts) []HeldBy {
	if f.class == proof.ClassControl {
		return nil // never disposed of, by whatever hold
	}
	now := b.options.Log.Now()
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []HeldBy
	for _, h := range b.holds {
		covers := h.live(now)
		if len(covers) == 0 {
			continue
		}
		by := HeldBy{Hold: h.seq, Matter: h.matter.id}
		for _, c := range covers {
			if why, held := c.covers(f); held {
				by.Why = why
				break
			}
		}
		if by.Why == "" && b.survey.family(f, covers) {
			by.Why = WhyFamily
		}
		if by.Why != "" {
			out = append(out, by)
		}
	}
	return out
}

// dueOf says when the schedule lets an entry go, held or not.
func (b *Book) dueOf(f *entryFacts) schedule.Due {
	b.mu.RLock()
	s := b.inForce.schedule
	b.mu.RUnlock()
	switch {
	case f.class == proof.ClassControl:
		return schedule.Due{Why: "kept for ever: the archive's own record"}
	case s == nil:
		return schedule.Due{Why: "no schedule is in force"}
	case f.doubted:
		return schedule.Due{Why: "the clock was doubted when it came, and nobody has released it"}
	}
	class, ok := s.Class(f.class)
	switch {
	case !ok && f.class == proof.ClassAudit:
		return schedule.Due{Why: "kept for ever: the schedule says nothing of looking"}
	case !ok:
		return schedule.Due{Why: "the schedule in force has no such class"}
	case f.bereft && !f.looked && b.Survey().behind():
		return schedule.Due{Why: "what it is about has not been looked for yet"}
	case f.bereft:
		class.Trigger = schedule.Received
	}
	return class.Due(f.due)
}

// behind reports whether there are entries that were not surveyed.
func (s SurveyState) behind() bool { return s.Through < s.Size }

// Standing returns how an entry stands: its class, what holds it, and when it
// is due. It brings the Book up to the entry.
func (b *Book) Standing(ctx context.Context, rec archive.Record) (*Standing, error) {
	if err := b.options.CatchUp(ctx, rec.Leaf.Seq+1); err != nil {
		return nil, err
	}
	f, err := b.facts(ctx, rec)
	if err != nil {
		return nil, err
	}
	due := b.dueOf(f)
	s := &Standing{Class: f.class, Rule: f.rule, HeldBy: b.heldBy(f), Why: due.Why, Through: b.Survey().Through}
	if due.Known {
		s.DisposeAfter = &due.At
	}
	if s.HeldBy == nil {
		s.HeldBy = []HeldBy{}
	}
	return s, nil
}
