package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// guardKinds are the kinds of entries that can change whether something may
// go. When one of them reaches the log between the judging and the switch, the
// switch is refused and everything is judged anew.
var guardKinds = []proof.Kind{
	proof.KindHold, proof.KindMatter, proof.KindSchedule, proof.KindPerson, proof.KindGroup, proof.KindMatch,
	proof.KindSync, proof.KindClock, proof.KindReclass,
}

// maxTries bounds how often a run judges anew.
const maxTries = 5

// The steps of a run, as its progress names them.
const (
	StepJudge   = "judge"   // what was planned, as it stands now
	StepReseal  = "reseal"  // what stays, under a new key
	StepSwitch  = "switch"  // the intent is in the log
	StepRecheck = "recheck" // the holds, once more
	StepDestroy = "destroy" // keys, then files
	StepCertify = "certify"
)

// Run carries out an approved plan, once. Of what was planned it takes out
// what is held now or not due any more; it adds nothing. When nothing is left
// the error is ErrNothing, with what was taken out and why, and the approval is
// used up all the same: nobody waits with it for a hold to end.
//
// A crash before the switch leaves everything as it was and the approval good;
// after it, Resume finishes or undoes the run at the next start.
func (b *Book) Run(ctx context.Context, who role.Principal, plan uint64, progress func(step string, done, total uint64)) (*Ran, error) {
	if progress == nil {
		progress = func(string, uint64, uint64) {}
	}
	if !b.disposal.running.TryLock() {
		return nil, ErrRunning
	}
	defer b.disposal.running.Unlock()
	if err := b.finishAll(ctx, progress); err != nil {
		return nil, fmt.Errorf("finish the run before: %w", err)
	}
	r := &run{book: b, who: who, progress: progress}
	for range maxTries {
		err := r.attempt(ctx, plan)
		if !errors.Is(err, archive.ErrChanged) {
			return r.outcome(ctx, err)
		}
	}
	r.discard()
	return nil, ErrUnsettled
}

// discard removes what was resealed and not switched to: it takes room, and may
// be why there is none.
func (r *run) discard() {
	if err := r.book.options.Log.Discard(r.resealed); err != nil {
		r.book.options.Logger.Warn("body files that were resealed for nothing are still there; the next start removes them", "err", err)
	}
}

// run is one attempt to carry out a plan.
type run struct {
	book     *Book
	who      role.Principal
	progress func(step string, done, total uint64)

	plan     *planState
	approver role.Principal
	since    uint64     // log size on which everything is judged
	parts    []part     // of the plan, what may go now
	out      []TakenOut //
	intent   uint64     // seq of the intent, or reclass entry

	resealed []archive.ClassMonth // of which a resealed file may lie there
}

// part is one class-month of a run.
type part struct {
	cm       archive.ClassMonth
	leaves   spans
	count    uint64
	resealed *archive.Resealed
}

// approved finds the plan and who approved it.
func (r *run) approved(seq uint64) error {
	b := r.book
	b.mu.RLock()
	defer b.mu.RUnlock()
	if r.plan = b.disposal.plan(seq); r.plan == nil {
		return ErrNoPlan
	}
	switch state := b.planStanding(r.plan); state {
	case PlanApproved:
	case PlanWaiting:
		return ErrWaiting
	default:
		return fmt.Errorf("%w (it is %s)", ErrPlanUsed, state)
	}
	if q, ok := b.options.Requests.Request(r.plan.request); ok && q.Approver != nil {
		r.approver = *q.Approver
	}
	return nil
}

// attempt judges, reseals and switches. After archive.ErrChanged nothing has
// happened and it may be tried again.
func (r *run) attempt(ctx context.Context, plan uint64) error {
	if r.book.options.Log.Clock().Suspect {
		return ErrFrozen
	}
	var err error
	if r.since, err = r.book.steady(ctx); err != nil {
		return err
	}
	if err := r.approved(plan); err != nil {
		return err
	}
	r.parts, r.out = nil, nil
	if err := r.judge(ctx); err != nil {
		return err
	}
	if r.plan.text.Kind == PlanReclass {
		return r.reclassify(ctx)
	}
	if err := r.reseal(ctx); err != nil {
		return err
	}
	if len(r.parts) == 0 {
		return r.spend(ctx)
	}
	return r.switchOver(ctx)
}

// judge goes through every entry that was planned and decides whether it may
// go now.
func (r *run) judge(ctx context.Context) error {
	j := r.book.judging(r.plan.text.Kind, r.book.options.Log.Now())
	done := uint64(0)
	for i := range r.plan.text.Lines {
		line := &r.plan.text.Lines[i]
		planned, err := parseSpansText(line.Seqs)
		if err != nil {
			return err
		}
		if len(planned) == 0 {
			continue
		}
		cm := archive.ClassMonth{Class: line.Class, Month: line.Month}
		t, err := r.judgeLine(ctx, j, cm, planned)
		if err != nil {
			return err
		}
		if t.line.Entries > 0 {
			r.parts = append(r.parts, part{cm: cm, leaves: t.spans, count: t.line.Entries})
		}
		done += line.Entries
		r.progress(StepJudge, done, r.plan.text.Total)
	}
	return nil
}

func (r *run) judgeLine(ctx context.Context, j *judgement, cm archive.ClassMonth, planned spans) (*tally, error) {
	t, err := j.tally(ctx, cm, r.planned(ctx, cm, planned), j.again)
	if err != nil {
		return nil, err
	}
	if t.disposed > 0 {
		r.takeOut(cm, TakenOut{Why: "disposed of before", Entries: t.disposed})
	}
	r.tell(cm, t)
	return t, nil
}

// planned yields the entries of a class-month that were planned, and for the
// others between them errUnplanned.
func (r *run) planned(ctx context.Context, cm archive.ClassMonth, planned spans) iter.Seq2[archive.Record, error] {
	log := r.book.options.Log
	return func(yield func(archive.Record, error) bool) {
		for leaf, err := range log.Scan(ctx, planned[0].from, planned[len(planned)-1].to+1) {
			if err == nil && (leaf.Class != cm.Class || leaf.Month() != cm.Month) {
				continue
			}
			rec := archive.Record{Leaf: leaf}
			switch {
			case err != nil:
			case !planned.has(leaf.Seq):
				err = errUnplanned
			default:
				rec, err = log.RecordOf(ctx, leaf)
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// again decides once more about an entry that was planned.
func (j *judgement) again(f *fact) ruling {
	if j.kind == PlanReclass {
		return ruling{goes: true}
	}
	return decide(j.kind, j.asOf, f)
}

// tell notes what of a class-month was planned and stays.
func (r *run) tell(cm archive.ClassMonth, t *tally) {
	line, s := t.close("")
	t.line, t.spans = line, s
	for _, h := range line.HeldBack {
		r.takeOut(cm, TakenOut{Hold: h.Hold, Matter: h.Matter, Why: h.Why, Entries: h.Entries})
	}
	if line.NotDue > 0 {
		r.takeOut(cm, TakenOut{Why: "not due any more", Entries: line.NotDue})
	}
}

func (r *run) takeOut(cm archive.ClassMonth, t TakenOut) {
	t.Class, t.Month = cm.Class, cm.Month
	for i := range r.out {
		if o := &r.out[i]; o.Class == t.Class && o.Month == t.Month && o.Hold == t.Hold && o.Why == t.Why {
			o.Entries += t.Entries
			return
		}
	}
	r.out = append(r.out, t)
}

// reseal writes the survivors of every class-month under a new key (steps 1
// and 2). Nobody reads the new files yet: a crash here leaves the approval
// good, and the next start sweeps them away.
func (r *run) reseal(ctx context.Context) error {
	for {
		kept, err := r.resealAll(ctx)
		if err != nil {
			return err
		}
		// Which attachments go was decided as if all class-months went: when one drops out, the others are looked at again.
		all := len(kept) == len(r.parts)
		if r.parts = kept; all {
			return nil
		}
	}
}

// resealAll returns those class-months of which every survivor could be read.
func (r *run) resealAll(ctx context.Context) (kept []part, err error) {
	for _, p := range r.parts {
		p.resealed, err = r.book.options.Log.Reseal(ctx, p.cm, archive.ResealOptions{
			Keep:     func(rec archive.Record) (bool, error) { return !p.leaves.has(rec.Leaf.Seq), nil },
			Shared:   r.shared,
			Progress: func(done, total uint64) { r.progress(StepReseal, done, total) },
		})
		if err == nil {
			r.resealed = append(r.resealed, p.cm)
		}
		switch {
		case err == nil && p.resealed.Left != p.count:
			return nil, fmt.Errorf("%s: %d entries would go where %d were judged: %w", p.cm, p.resealed.Left, p.count, ErrUnsettled)
		case err == nil:
			kept = append(kept, p)
		case ctx.Err() == nil && aboutOne(err):
			r.takeOut(p.cm, TakenOut{Why: whyDamage, Entries: p.count})
		default:
			return nil, fmt.Errorf("reseal %s: %w", p.cm, err)
		}
	}
	return kept, nil
}

// maxRanges bounds what of one class-month is named in an intent, in bytes: its
// certificate, whose signed form takes more, has to fit into an entry.
const maxRanges = 8 << 20

// switchOver logs the execution of the approval and the intent, and with them
// in one transaction the switch of files (step 3). After it the run is begun
// for good.
func (r *run) switchOver(ctx context.Context) error {
	log := r.book.options.Log
	before, err := log.Checkpoint(ctx)
	if err != nil {
		return fmt.Errorf("sign the checkpoint before: %w", err)
	}
	body := intentBody{
		Version: 1, Plan: r.plan.seq, Request: r.plan.request, By: r.who, Approver: r.approver, Since: r.since, Checkpoint: string(before),
	}
	var resealed []*archive.Resealed
	for _, p := range r.parts {
		if len(p.leaves.text()) > maxRanges {
			return fmt.Errorf("%s: %w", p.cm, ErrRanges)
		}
		body.Lines = append(body.Lines, intentLineBody{
			Class: p.cm.Class, Month: p.cm.Month, From: p.resealed.From, To: p.resealed.To, Count: p.count,
			First: p.leaves[0].from, Last: p.leaves[len(p.leaves)-1].to, Ranges: p.leaves.text(), Survivors: p.resealed.Kept,
		})
		resealed = append(resealed, p.resealed)
	}
	intent, err := controlEntry(proof.KindIntent, body)
	if err != nil {
		return err
	}
	r.progress(StepSwitch, 0, 1)
	return r.execute(ctx, func(batch archive.Batch) ([]archive.Placed, error) { return log.Switch(ctx, resealed, batch) }, intent)
}

// reclassify logs the execution of the approval and the new class.
func (r *run) reclassify(ctx context.Context) error {
	body := reclassBody{Version: 1, Plan: r.plan.seq, Request: r.plan.request, By: r.who, Class: r.plan.text.Class}
	var all spans
	for _, p := range r.parts {
		all = append(all, p.leaves...)
	}
	if len(all) == 0 {
		return r.spend(ctx)
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	body.Seqs = all.text()
	e, err := controlEntry(proof.KindReclass, body)
	if err != nil {
		return err
	}
	return r.execute(ctx, r.append(ctx), e)
}

// spend uses up the approval of a plan of which nothing can go.
func (r *run) spend(ctx context.Context) error {
	if err := r.execute(ctx, r.append(ctx)); err != nil {
		return err
	}
	r.intent = 0
	return ErrNothing
}

func (r *run) append(ctx context.Context) func(archive.Batch) ([]archive.Placed, error) {
	return func(batch archive.Batch) ([]archive.Placed, error) { return r.book.options.Log.Append(ctx, batch) }
}

// execute makes one batch of the execution and of what is done durable, unless
// the log has an entry since the judging that may change its outcome.
func (r *run) execute(ctx context.Context, commit func(archive.Batch) ([]archive.Placed, error), done ...archive.Entry) error {
	b := r.book
	execution, settle, err := b.options.Requests.Executing(ctx, r.who, r.plan.request, ActDisposition, r.plan.digest)
	if err != nil {
		return err
	}
	placed, err := commit(archive.Batch{
		Entries: append([]archive.Entry{execution}, done...),
		Guard:   &archive.Guard{Since: r.since, Kinds: guardKinds},
	})
	if errors.Is(err, archive.ErrChanged) {
		settle(context.Canceled) // refused, and certainly not in the log
		return err
	}
	settle(err)
	if err != nil {
		return fmt.Errorf("record the execution: %w", err)
	}
	r.intent = placed[len(placed)-1].Seq
	return b.options.CatchUp(context.WithoutCancel(ctx), r.intent+1)
}

// outcome finishes what was switched and says what became of the plan.
func (r *run) outcome(ctx context.Context, err error) (*Ran, error) {
	if err != nil {
		r.discard()
	}
	if r.plan == nil {
		return nil, err
	}
	out := &Ran{Plan: r.plan.seq, Kind: r.plan.text.Kind, Intent: r.intent, TakenOut: r.out}
	if errors.Is(err, ErrNothing) {
		return out, err
	}
	if err != nil {
		return nil, err
	}
	if r.plan.text.Kind == PlanReclass {
		for _, p := range r.parts {
			out.Gone += p.count
		}
		return out, nil
	}
	undone, err := r.book.finish(ctx, r.intent, true, r.progress)
	if err != nil {
		return nil, fmt.Errorf("intent %d is in the log and will be finished at the next run or start: %w", r.intent, err)
	}
	out.TakenOut = append(out.TakenOut, undone...)
	r.book.mu.RLock()
	defer r.book.mu.RUnlock()
	for _, l := range r.book.disposal.intent(r.intent).lines {
		if l.certified == 0 {
			out.Abandoned = append(out.Abandoned, PlanLine{Class: l.Class, Month: l.Month, Due: l.Count, First: l.First, Last: l.Last, Why: "held since the switch"})
			continue
		}
		out.Gone += l.Count
		out.Certificates = append(out.Certificates, *r.book.certificateView(r.book.disposal.certificate(l.certified)))
	}
	return out, nil
}
