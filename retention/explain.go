package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/retention/schedule"
)

// The states of an entry, as Explain names them.
const (
	EntryHeld     = "held"
	EntryKept     = "kept" // not due, or never
	EntryDue      = "due"  // and in no open plan
	EntryPlanned  = "planned"
	EntryDisposed = "disposed"
)

// Explanation says why one entry is kept, until when, by what, and what would
// have to happen for it to go. It is free of content.
type Explanation struct {
	Seq         uint64     `json:"seq"`
	Class       string     `json:"class"`          // the one that counts
	Rule        string     `json:"rule,omitempty"` // by which its class was given when it was appended
	Schedule    uint64     `json:"schedule_seq"`
	Trigger     string     `json:"trigger,omitempty"`
	Period      string     `json:"period,omitempty"`
	Due         *time.Time `json:"due,omitempty"` // with the cutoff; nil: not known, or never
	State       string     `json:"state"`
	HeldBy      []HeldBy   `json:"held_by"`
	Family      []uint64   `json:"family"`          // others that are held with it: versions, recalls, receipts, reactions
	Plans       []uint64   `json:"plans,omitempty"` // open ones that it is in
	Certificate uint64     `json:"certificate,omitempty"`
	Text        []string   `json:"text"` // what would have to happen for it to go
}

// maxFamily bounds the members of a family that an Explanation lists.
const maxFamily = 1000

// Explain says why the entry at seq is kept. It waits for the survey.
func (b *Book) Explain(ctx context.Context, seq uint64) (*Explanation, error) {
	if _, err := b.steady(ctx); err != nil {
		return nil, err
	}
	rec, err := b.options.Log.Record(ctx, seq)
	if errors.Is(err, archive.ErrDisposed) {
		return b.explainDisposed(rec.Leaf), nil
	}
	var f *entryFacts
	if err == nil {
		f, err = b.facts(ctx, rec)
	} else if aboutOne(err) && !errors.Is(err, archive.ErrNotFound) {
		f, err = b.unreadable(rec.Leaf), nil
	}
	if err != nil {
		return nil, err
	}
	j := b.judging(PlanCutoff, b.options.Log.Now())
	out := &Explanation{Seq: seq, Class: f.class, Rule: f.rule, Schedule: j.seq, HeldBy: b.heldBy(f), Family: b.survey.relatives(f)}
	if j.rules != nil {
		if c, ok := j.rules.Class(f.class); ok {
			out.Trigger, out.Period = string(c.Trigger), c.Period.String()
		}
	}
	f.looked = true
	due, cut := b.dueOf(f), j.cutoff(f.class, f.due.Received)
	r := decide(PlanCutoff, j.asOf, &fact{seq: seq, class: f.class, kind: rec.Leaf.Kind, due: due, cut: cut, held: func() []HeldBy { return out.HeldBy }})
	if at := later(due.At, cut); due.Known && f.class != proof.ClassControl {
		out.Due = &at
	}
	out.Plans = b.openPlansWith(rec.Leaf)
	out.conclude(r, due, b.endings(out.HeldBy))
	return out, nil
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// endings returns when those holds end of which a release is in its grace.
func (b *Book) endings(by []HeldBy) map[uint64]time.Time {
	out := map[uint64]time.Time{}
	for _, h := range by {
		v, ok := b.Hold(h.Hold)
		stays := func(s HoldScope) bool { return s.Until == nil && s.Lapses == nil } // what a narrowing keeps
		if ok && v.State == StateReleasing && v.Release != nil && !slices.ContainsFunc(v.Scopes, stays) {
			out[h.Hold] = v.Release.Ends
		}
	}
	return out
}

// conclude fills in the state and the text; ending is when holds end that are
// being released.
func (e *Explanation) conclude(r ruling, due schedule.Due, ending map[uint64]time.Time) {
	tell := func(format string, args ...any) { e.Text = append(e.Text, fmt.Sprintf(format, args...)) }
	if e.Class == proof.ClassControl {
		e.State, e.Text = EntryKept, []string{"nothing: class control is never disposed of"}
		return
	}
	for _, h := range e.HeldBy {
		if ends, releasing := ending[h.Hold]; releasing {
			tell("the release of hold %d of matter %s (%s) has to take effect on %s, unless it is cancelled", h.Hold, h.Matter, h.Why, ends.Format(time.RFC3339))
			continue
		}
		tell("hold %d of matter %s (%s) has to be released, by two people, and its grace period to end", h.Hold, h.Matter, h.Why)
	}
	switch {
	case e.Due == nil:
		tell("it has to become due: %s", due.Why)
	case r.at != nil:
		tell("%s has to come: %s", e.Due.Format(time.RFC3339), due.Why)
	}
	switch {
	case len(e.Plans) == 0:
		tell("it has to be planned with `holdfast disposition plan`, approved by another person, and the plan run")
	default:
		tell("plan %d has to be run, once another person has approved it", e.Plans[0])
	}
	switch {
	case len(e.HeldBy) > 0:
		e.State = EntryHeld
	case len(e.Plans) > 0:
		e.State = EntryPlanned
	case r.goes:
		e.State = EntryDue
	default:
		e.State = EntryKept
	}
}

func (b *Book) explainDisposed(leaf proof.Leaf) *Explanation {
	out := &Explanation{Seq: leaf.Seq, Class: leaf.Class, State: EntryDisposed, HeldBy: []HeldBy{}, Family: []uint64{}}
	c, ok := b.CertificateFor(leaf.Seq, leaf)
	if !ok {
		out.Text = []string{"it was disposed of; its certificate is not written yet"}
		return out
	}
	out.Certificate = c.Seq
	out.Text = []string{fmt.Sprintf("it was disposed of; certificate %d says when and why", c.Seq)}
	return out
}

// openPlansWith returns the plans, waiting or approved, that an entry is in.
func (b *Book) openPlansWith(leaf proof.Leaf) []uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []uint64
	for _, p := range b.disposal.plans {
		if s := b.planStanding(p); s != PlanWaiting && s != PlanApproved || p.text.Kind == PlanReclass {
			continue
		}
		for i := range p.text.Lines {
			l := &p.text.Lines[i]
			if l.Class != leaf.Class || l.Month != leaf.Month() {
				continue
			}
			if planned, err := parseSpansText(l.Seqs); err == nil && planned.has(leaf.Seq) {
				out = append(out, p.seq)
			}
		}
	}
	return out
}

// relatives returns the other members of an entry's family.
func (s *survey) relatives(f *entryFacts) []uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := []uint64{}
	if !s.kin.has(f.leaf.Seq) {
		return out
	}
	root := s.kin.root(f.leaf.Seq)
	want := int(min(s.kin.size(root)-1, maxFamily)) // #nosec G115 -- bounded
	for seq := uint64(0); len(out) < want; seq++ {
		if seq != f.leaf.Seq && s.kin.root(seq) == root {
			out = append(out, seq)
		}
	}
	return out
}
