package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// Resume finishes what a crash left behind a switch of files: what is held now
// is switched back, and the rest destroyed and certified. What a crash left
// before the switch the archive itself has swept away. It is called at start,
// before anything else is done with the Book.
func (b *Book) Resume(ctx context.Context) error {
	if !b.disposal.running.TryLock() {
		return ErrRunning
	}
	defer b.disposal.running.Unlock()
	return b.finishAll(ctx, func(string, uint64, uint64) {})
}

// finishAll finishes every intent that is not. running is held.
func (b *Book) finishAll(ctx context.Context, progress func(string, uint64, uint64)) error {
	if err := b.options.CatchUp(ctx, b.options.Log.Size()); err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	for _, seq := range b.unfinished() {
		if _, err := b.finish(ctx, seq, false, progress); err != nil {
			return fmt.Errorf("intent %d: %w", seq, err)
		}
	}
	return nil
}

// unfinished returns the seqs of the intents with lines that are neither
// certified nor undone.
func (b *Book) unfinished() []uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []uint64
	for _, i := range b.disposal.intents {
		if len(i.open()) > 0 {
			out = append(out, i.seq)
		}
	}
	return out
}

// finish takes an intent through the steps after the switch. Each of them may
// be taken again: a crash after any of them leaves an intent that the next
// call finishes from there. It returns what was switched back, and why. fresh
// says that the survey saw everything before the switch.
func (b *Book) finish(ctx context.Context, seq uint64, fresh bool, progress func(string, uint64, uint64)) ([]TakenOut, error) {
	b.mu.RLock()
	i := b.disposal.intent(seq)
	var open []archive.ClassMonth
	if i != nil {
		for _, l := range i.open() {
			open = append(open, archive.ClassMonth{Class: l.Class, Month: l.Month})
		}
	}
	b.mu.RUnlock()
	if i == nil {
		return nil, fmt.Errorf("entry %d is not an intent: %w", seq, ErrNoPlan)
	}
	var why []TakenOut
	for range maxTries {
		since, undone, out, err := b.recheck(ctx, i, open, fresh, progress)
		if err != nil {
			return nil, err
		}
		if why = append(why, out...); len(undone) > 0 {
			if err := b.abandon(ctx, seq, undone, out); err != nil {
				return nil, err
			}
			open = slices.DeleteFunc(open, func(cm archive.ClassMonth) bool { return slices.Contains(undone, cm) })
		}
		if len(open) == 0 {
			return why, nil
		}
		if since != 0 && b.options.Log.Clock().Suspect { // there may be keys left
			return nil, ErrFrozen
		}
		progress(StepDestroy, 0, uint64(len(open)))
		// From here on a crash leaves keys that are gone, or about to go: the next call goes on. What has come in since the second look
		// began, a hold say, has the archive refuse, and there is another look.
		gone, err := b.options.Log.Destroy(ctx, open, &archive.Guard{Since: since, Kinds: guardKinds})
		if err == nil {
			return why, b.conclude(ctx, i, open, gone, progress)
		}
		if !errors.Is(err, archive.ErrChanged) {
			return nil, fmt.Errorf("destroy the keys: %w", err)
		}
	}
	return nil, ErrUnsettled
}

// conclude has the index forget what was destroyed, and certifies it.
func (b *Book) conclude(ctx context.Context, i *intentState, cms []archive.ClassMonth, gone *archive.Destruction, progress func(string, uint64, uint64)) error {
	if err := b.options.Forget(ctx, gone.IndexFiles); err != nil {
		return fmt.Errorf("have the index forget: %w", err)
	}
	progress(StepCertify, uint64(len(cms)), uint64(len(cms)))
	return b.certify(ctx, i, cms)
}

// recheck judges once more everything that a switch left behind, on the log as
// it stands now: a hold may have come in, or a message that makes a family of
// it. It returns the log's size that it rests on, and the class-months of which
// something has to stay. Those whose keys are destroyed already have nothing
// left to judge.
func (b *Book) recheck(ctx context.Context, i *intentState, open []archive.ClassMonth, fresh bool, progress func(string, uint64, uint64)) (since uint64, undone []archive.ClassMonth, why []TakenOut, err error) {
	pending := slices.DeleteFunc(b.options.Log.PendingDisposals(), func(cm archive.ClassMonth) bool { return !slices.Contains(open, cm) })
	if len(pending) == 0 {
		return 0, nil, nil, nil
	}
	if since, err = b.steady(ctx); err != nil {
		return 0, nil, nil, err
	}
	if !fresh {
		if err := b.relearn(ctx, pending); err != nil {
			return 0, nil, nil, err
		}
	}
	j, r := b.judging(i.plan.text.Kind, b.options.Log.Now()), &run{book: b}
	attached := map[archive.ClassMonth]uint64{}
	for n, cm := range pending {
		progress(StepRecheck, uint64(n), uint64(len(pending)))
		t, err := j.tally(ctx, cm, b.options.Log.Unkept(ctx, cm), func(f *fact) ruling { return decide(j.kind, j.asOf, f) })
		if err != nil {
			return 0, nil, nil, err
		}
		if t.line.Due > t.line.Entries || t.line.NotDue > 0 {
			undone = append(undone, cm)
			r.tell(cm, t)
		} else if t.attached {
			attached[cm] = t.line.Entries
		}
	}
	if len(undone) == 0 {
		return since, nil, nil, nil
	}
	// Which attachments go was decided as if all of them went: an attachment of what stays after all may be among them.
	for _, cm := range pending {
		if n := attached[cm]; n > 0 {
			undone = append(undone, cm)
			r.takeOut(cm, TakenOut{Why: "attachments that may be those of what stays", Entries: n})
		}
	}
	return since, undone, r.out, nil
}

// relearn tells a survey that was made since a switch what the switch left
// behind: families may hang together by it, and periods begin with it.
func (b *Book) relearn(ctx context.Context, pending []archive.ClassMonth) error {
	for _, cm := range pending {
		for rec, err := range b.options.Log.Unkept(ctx, cm) {
			var f *entryFacts
			if err == nil {
				f, err = b.facts(ctx, rec)
			}
			if err != nil && (ctx.Err() != nil || !aboutOne(err)) {
				return err
			}
			if err == nil {
				b.survey.relearn(f)
			}
		}
	}
	return nil
}

func (s *survey) relearn(f *entryFacts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.kin.has(f.leaf.Seq) {
		return
	}
	s.kin.meet(f.leaf.Seq, f, s.join)
	talk := s.hear(f)
	for _, c := range s.covers {
		if _, held := c.covers(f); held || talk != nil && f.anchors() && has(c.talks, talk) {
			s.mark(c, f.leaf.Seq, talk)
		}
	}
}

// abandon switches class-months back to the files that hold everything. A
// crash before it leaves the intent to be judged once more.
func (b *Book) abandon(ctx context.Context, intent uint64, cms []archive.ClassMonth, why []TakenOut) error {
	e, err := controlEntry(proof.KindAbandoned, abandonedBody{Version: 1, Intent: intent, Months: cms, Why: why})
	if err != nil {
		return err
	}
	placed, err := b.options.Log.SwitchBack(ctx, cms, archive.Batch{Entries: []archive.Entry{e}})
	if err != nil {
		return fmt.Errorf("switch back: %w", err)
	}
	if len(placed) == 0 {
		return errors.New("switch back: the log placed nothing")
	}
	return b.options.CatchUp(context.WithoutCancel(ctx), placed[len(placed)-1].Seq+1)
}
