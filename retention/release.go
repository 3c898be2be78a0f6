package retention

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
	"holdfast/retention/hold"
)

// PreviewRelease says what the release of a hold would let go, but for what
// keep would go on holding. It waits for the survey, and reads what the hold
// alone holds.
func (b *Book) PreviewRelease(ctx context.Context, seq uint64, keep *hold.Scope) (*Preview, error) {
	kept := &coverage{}
	if keep != nil {
		if err := keep.Check(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	if err := b.settled(ctx); err != nil {
		return nil, err
	}
	own, others, err := b.apart(seq)
	if err != nil {
		return nil, err
	}
	if keep != nil {
		h, _ := b.Hold(seq)
		kept = newCoverage(h.Matter, keep.Frozen(), b.options.People, b.reads)
	}
	p := &Preview{Through: b.Survey().Through}
	if len(own) > 0 {
		err = b.preview(ctx, p, own, others, kept, keep != nil)
	}
	return p, err
}

// apart returns what is known of a hold's scopes that count, and of all others'.
func (b *Book) apart(seq uint64) (own, others []*coverage, err error) {
	now := b.options.Log.Now()
	b.mu.RLock()
	defer b.mu.RUnlock()
	if _, err := b.findHold(seq); err != nil {
		return nil, nil, err
	}
	for _, h := range b.holds {
		if h.seq == seq {
			own = h.live(now)
		} else {
			others = append(others, h.live(now)...)
		}
	}
	return own, others, nil
}

// alone returns, from seq from on, the first of the entries that only own
// scopes hold, with the root of its family; false when there is none.
func (s *survey) alone(from uint64, own, others []*coverage) (seq, root uint64, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for seq := from; s.kin.has(seq); seq++ {
		if root := s.kin.root(seq); s.heldIn(root, own) && !s.heldIn(root, others) {
			return seq, root, true
		}
	}
	return 0, 0, false
}

// let is an entry that would be let go unless its family is kept.
type let struct {
	root  uint64
	class string
	month string
	due   bool
}

func (b *Book) preview(ctx context.Context, p *Preview, own, others []*coverage, kept *coverage, keeps bool) error {
	now := b.options.Log.Now()
	roots := map[uint64]bool{} // families that stay
	var lets []let
	for seq, root, ok := b.survey.alone(0, own, others); ok; seq, root, ok = b.survey.alone(seq+1, own, others) {
		rec, err := b.options.Log.Record(ctx, seq)
		switch {
		case gone(err):
			continue
		case err != nil && (ctx.Err() != nil || !lost(err)):
			return err
		case err != nil:
			roots[root] = true // unknown, and so kept by every hold whose range it is in, and by damage in any case
			continue
		}
		f, err := b.facts(ctx, rec)
		if err != nil {
			return err
		}
		if f.class == proof.ClassControl {
			continue
		}
		if keeps {
			if _, held := kept.covers(f); held {
				roots[root] = true
			}
		}
		f.looked = true
		due := b.dueOf(f)
		lets = append(lets, let{root, f.class, rec.Leaf.ReceivedTime().Format("2006-01"), due.Known && !now.Before(due.At)})
	}
	months := map[[2]string]*PreviewMonth{}
	for _, l := range lets {
		if roots[l.root] {
			continue
		}
		m := months[[2]string{l.month, l.class}]
		if m == nil {
			m = &PreviewMonth{Class: l.class, Month: l.month}
			months[[2]string{l.month, l.class}] = m
		}
		p.Entries, m.Entries = p.Entries+1, m.Entries+1
		if l.due {
			p.DueNow, m.Due = p.DueNow+1, m.Due+1
		}
	}
	p.ClassMonths = make([]PreviewMonth, 0, len(months))
	for _, m := range months {
		p.ClassMonths = append(p.ClassMonths, *m)
	}
	slices.SortFunc(p.ClassMonths, func(a, b PreviewMonth) int {
		return cmp.Or(cmp.Compare(a.Month, b.Month), cmp.Compare(a.Class, b.Class))
	})
	return nil
}

// AskRelease asks for the release of a hold, or for its narrowing to keep. A
// second person has to approve it.
func (b *Book) AskRelease(ctx context.Context, who role.Principal, seq uint64, keep *hold.Scope, reason string) (request uint64, p *Preview, err error) {
	if err := words("reason", reason); err != nil {
		return 0, nil, err
	}
	if keep != nil {
		keep = new(keep.Frozen())
	}
	if p, err = b.PreviewRelease(ctx, seq, keep); err != nil {
		return 0, nil, err
	}
	a := &asked{hold: seq, keep: keep}
	body := holdBody{Version: 1, Op: opAsk, Of: seq, Keep: keep, By: who, Reason: reason}
	_, err = b.changeHold(ctx, &body, func(h *held, now time.Time) error {
		a.last, body.Last = h.last, h.last
		if err := h.active(now); err != nil {
			return err
		}
		_, err := b.workable(h.matter.id, who)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	digest, err := a.digest()
	if err != nil {
		return 0, nil, err
	}
	what := "release hold"
	if keep != nil {
		what = "narrow hold"
	}
	// A crash before the request leaves what was meant without anybody's asking for it: it does nothing.
	summary := fmt.Sprintf("%s %d: nothing else holds %d entries, of which %d are due now", what, seq, p.Entries, p.DueNow)
	request, err = b.options.Requests.Ask(ctx, who, ActHoldRelease, digest, summary, reason)
	return request, p, err
}

// ReleaseHold does what was asked for by a request that another person
// approved. The hold goes on holding until the grace period ends.
func (b *Book) ReleaseHold(ctx context.Context, who role.Principal, request uint64) (*Hold, error) {
	done, err := b.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var a *asked
	var digest string
	if err := b.judged(ctx, func(now time.Time) error {
		r, ok := b.options.Requests.Request(request)
		if a = b.asked[r.Digest]; !ok || r.Act != ActHoldRelease || a == nil {
			return ErrNotAsked
		}
		digest = r.Digest
		h, err := b.findHold(a.hold)
		if err != nil {
			return err
		}
		if err := h.active(now); err != nil {
			return err
		}
		if h.last != a.last {
			return ErrNotAsked
		}
		_, err = b.workable(h.matter.id, who)
		return err
	}); err != nil {
		return nil, err
	}
	body := holdBody{
		Version: 1, Op: opRelease, Of: a.hold, Keep: a.keep, Last: a.last, Request: request,
		Grace: int64((b.options.Grace + time.Second - 1) / time.Second), By: who, Reason: a.reason,
	}
	if err := b.execute(ctx, who, request, ActHoldRelease, digest, proof.KindHold, &body); err != nil {
		return nil, err
	}
	h, _ := b.Hold(a.hold)
	return h, nil
}

// execute writes an act's entry together with the use of its approval: both
// are durable or neither. The turn is held.
func (b *Book) execute(ctx context.Context, who role.Principal, request uint64, act, digest string, kind proof.Kind, body any) error {
	e, err := entry(kind, body)
	if err != nil {
		return err
	}
	execution, used, err := b.options.Requests.Executing(ctx, who, request, act, digest)
	if err != nil {
		return err
	}
	// A crash before it leaves the approval good for one use, a crash after it the act done.
	seq, err := b.appended(ctx, []archive.Entry{execution, e}...)
	used(err)
	if err != nil {
		return err
	}
	return b.landed(ctx, seq)
}

// CancelRelease takes back a release in its grace period. One person does: it
// holds more.
func (b *Book) CancelRelease(ctx context.Context, who role.Principal, seq uint64, reason string) (*Hold, error) {
	body := holdBody{Version: 1, Op: opCancel, Of: seq, By: who, Reason: reason}
	return b.changeHold(ctx, &body, func(h *held, now time.Time) error {
		if h.stateAt(now) != StateReleasing || h.release == nil {
			return ErrNotReleasing
		}
		_, err := b.workable(h.matter.id, who)
		return err
	})
}
