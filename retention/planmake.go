package retention

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
	"holdfast/retention/schedule"
)

// MaxSeqs bounds the entries that one plan erases or reclassifies by number.
const MaxSeqs = 1000

// PlanDisposition finds what is due by the schedule, on the log as it stands,
// and what of that holds keep. Unless o.Dry it logs the plan and asks the
// second person for it. It waits for the survey, and is refused while the
// clock is suspect.
func (b *Book) PlanDisposition(ctx context.Context, who role.Principal, o PlanOptions) (*Plan, error) {
	if o.Month != "" {
		if _, _, err := monthOf(o.Month); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	if !o.Dry {
		if err := words("reason", o.Reason); err != nil {
			return nil, err
		}
	}
	if s, _, _ := b.Schedule(); s != nil && o.Class != "" {
		if _, ok := s.Class(o.Class); !ok {
			return nil, fmt.Errorf("%w: the schedule has no class of that name; `holdfast schedule show` lists them", ErrInvalid)
		}
	}
	if b.options.Log.Clock().Suspect {
		return nil, ErrFrozen
	}
	size, err := b.steady(ctx)
	if err != nil {
		return nil, err
	}
	text := planText{Kind: PlanCutoff, AsOf: b.options.Log.Now(), Through: size, By: who, Reason: o.Reason}
	j := b.judging(PlanCutoff, text.AsOf)
	text.Schedule = j.seq
	if text.Lines, err = j.dueLines(ctx, o, size); err != nil {
		return nil, err
	}
	for i := range text.Lines {
		text.Total += text.Lines[i].Entries
	}
	if o.Class == "" && o.Month == "" {
		b.noteReckoning(text.AsOf, text.Lines, j.next)
	}
	if o.Dry {
		return text.view(), nil
	}
	if text.Total == 0 {
		return nil, ErrNothing
	}
	return b.propose(ctx, who, text)
}

// PlanErasure plans the erasure of single entries, due or not: a court's
// order. Nothing that is held, and nothing of classes control and audit, can
// be erased.
func (b *Book) PlanErasure(ctx context.Context, who role.Principal, seqs []uint64, reason string) (*Plan, error) {
	return b.planSingle(ctx, who, planText{Kind: PlanErase, By: who, Reason: reason}, seqs)
}

// PlanReclass plans to give single entries another class of the schedule.
// Their bodies stay where they are.
func (b *Book) PlanReclass(ctx context.Context, who role.Principal, seqs []uint64, class, reason string) (*Plan, error) {
	s, _, _ := b.Schedule()
	if s == nil {
		return nil, fmt.Errorf("%w: there is no schedule; apply one with `holdfast schedule apply`", ErrInvalid)
	}
	if _, ok := s.Class(class); !ok || class == proof.ClassControl || class == proof.ClassAudit {
		return nil, fmt.Errorf("%w: the schedule has no class of that name for messages; `holdfast schedule show` lists them", ErrInvalid)
	}
	return b.planSingle(ctx, who, planText{Kind: PlanReclass, By: who, Reason: reason, Class: class}, seqs)
}

func (b *Book) planSingle(ctx context.Context, who role.Principal, text planText, seqs []uint64) (*Plan, error) {
	if err := words("reason", text.Reason); err != nil {
		return nil, err
	}
	if len(seqs) == 0 || len(seqs) > MaxSeqs {
		return nil, fmt.Errorf("%w: name 1 to %d entries", ErrInvalid, MaxSeqs)
	}
	if text.Kind == PlanErase && b.options.Log.Clock().Suspect {
		return nil, ErrFrozen
	}
	size, err := b.steady(ctx)
	if err != nil {
		return nil, err
	}
	text.AsOf, text.Through = b.options.Log.Now(), size
	j := b.judging(text.Kind, text.AsOf)
	text.Schedule = j.seq
	tallies := map[archive.ClassMonth]*tally{}
	for _, seq := range slices.Compact(slices.Sorted(slices.Values(seqs))) {
		if err := j.single(ctx, seq, text.Class, tallies); err != nil {
			return nil, &archive.SeqError{Seq: seq, Err: err}
		}
	}
	why := "erased by order"
	if text.Kind == PlanReclass {
		why = "gets class " + text.Class
	}
	for _, t := range tallies {
		line, s := t.close(why)
		text.Lines = append(text.Lines, planLineBody{PlanLine: line, Seqs: s.text()})
		text.Total += line.Entries
	}
	sortLines(text.Lines)
	return b.propose(ctx, who, text)
}

// single judges one entry that was named by its number; to is the class that
// it is to get, if any.
func (j *judgement) single(ctx context.Context, seq uint64, to string, tallies map[archive.ClassMonth]*tally) error {
	rec, err := j.book.options.Log.Record(ctx, seq)
	if err != nil {
		return err
	}
	cm := archive.ClassMonth{Class: rec.Leaf.Class, Month: rec.Leaf.Month()}
	if !rec.Leaf.Kind.FromRelay() || cm.Class == proof.ClassControl || cm.Class == proof.ClassAudit {
		return ErrNotPlain
	}
	f, err := j.assess(ctx, rec)
	if err != nil {
		return err
	}
	if j.kind == PlanReclass && f.class == to {
		return fmt.Errorf("%w: it is of that class already", ErrInvalid)
	}
	r := ruling{goes: true}
	if j.kind == PlanErase {
		if r = decide(PlanErase, j.asOf, f); len(r.held) > 0 {
			return heldError(r.held)
		}
	}
	if tallies[cm] == nil {
		tallies[cm] = newTally(cm)
	}
	t := tallies[cm]
	t.gap()
	t.add(f, r)
	return nil
}

func heldError(held []HeldBy) error {
	var by []string
	for _, h := range held {
		by = append(by, fmt.Sprintf("hold %d of matter %s (%s)", h.Hold, h.Matter, h.Why))
	}
	return fmt.Errorf("%w by %s; nothing held can be erased: a court that orders it has to have the hold released first", ErrIsHeld, strings.Join(by, ", "))
}

// propose asks the second person and logs the plan. A crash between the two
// leaves a request that nothing can use; it lapses by itself.
func (b *Book) propose(ctx context.Context, who role.Principal, text planText) (*Plan, error) {
	raw, err := json.Marshal(text)
	if err != nil {
		return nil, err
	}
	if _, err := controlEntry(proof.KindPlan, planBody{Version: 1, Plan: raw}); err != nil {
		return nil, err
	}
	request, err := b.options.Requests.Ask(ctx, who, ActDisposition, planDigest(raw), text.summary(), text.Reason)
	if err != nil {
		return nil, err
	}
	e, err := controlEntry(proof.KindPlan, planBody{Version: 1, Request: request, Plan: raw})
	if err != nil {
		return nil, err
	}
	placed, err := b.options.Log.Append(ctx, archive.Batch{Entries: []archive.Entry{e}})
	if err != nil {
		return nil, fmt.Errorf("record the plan: %w", err)
	}
	if err := b.options.CatchUp(context.WithoutCancel(ctx), placed[0].Seq+1); err != nil {
		return nil, err
	}
	p, ok := b.Plan(placed[0].Seq)
	if !ok {
		return nil, fmt.Errorf("plan %d: %w", placed[0].Seq, ErrNoPlan)
	}
	return p, nil
}

// summary says what is planned, for the list of requests.
func (t *planText) summary() string {
	verb := map[PlanKind]string{PlanCutoff: "dispose of", PlanErase: "erase", PlanReclass: "reclassify"}[t.Kind]
	bytes := uint64(0)
	for i := range t.Lines {
		bytes += t.Lines[i].Bytes
	}
	s := fmt.Sprintf("%s %d entries of %d class-months, %d bytes, as of %s", verb, t.Total, len(t.Lines), bytes, t.AsOf.Format(time.RFC3339))
	if t.Kind == PlanReclass {
		s += ", into class " + t.Class
	}
	return s
}

// steady brings the book and the survey up to the log's present size, on which
// it returns that judging may rest.
func (b *Book) steady(ctx context.Context) (uint64, error) {
	size := b.options.Log.Size()
	if err := b.options.CatchUp(ctx, size); err != nil {
		return 0, fmt.Errorf("read the log: %w", err)
	}
	return size, b.settled(ctx)
}

// dueLines judges every class-month that may have something due.
func (j *judgement) dueLines(ctx context.Context, o PlanOptions, size uint64) ([]planLineBody, error) {
	files, err := j.book.options.Log.ClassMonths(ctx)
	if err != nil {
		return nil, err
	}
	type part struct {
		cm       archive.ClassMonth
		from, to uint64
	}
	var parts []part
	var done, total uint64
	for _, g := range files {
		if o.Class != "" && o.Class != g.Class || o.Month != "" && o.Month != g.Month {
			continue
		}
		from, to, err := j.book.options.Log.MonthRange(g.Month)
		if err != nil {
			return nil, err
		}
		may, err := j.mayBeDue(ctx, g.ClassMonth, from, min(to, size))
		if err != nil {
			return nil, err
		}
		if may {
			parts = append(parts, part{g.ClassMonth, from, min(to, size)})
			total += min(to, size) - from
		}
	}
	var out []planLineBody
	for _, p := range parts {
		line, s, err := j.line(ctx, p.cm, p.from, p.to)
		if err != nil {
			return nil, err
		}
		if line.Due+line.NotDue > 0 {
			out = append(out, planLineBody{PlanLine: line, Seqs: s.text()})
		}
		if done += p.to - p.from; o.Progress != nil {
			o.Progress(done, total)
		}
	}
	sortLines(out)
	return out, nil
}

// mayBeDue reports whether the bodies of a class-month have to be opened: its
// month is over, and not all of it is certain to be kept. It notes when what
// is certain to be kept becomes due.
func (j *judgement) mayBeDue(ctx context.Context, cm archive.ClassMonth, from, to uint64) (bool, error) {
	_, end, err := monthOf(cm.Month)
	if err != nil || cm.Class == proof.ClassControl || j.rules == nil {
		return false, err
	}
	if j.book.reclassifiedIn(cm.Month) {
		return !j.asOf.Before(end), nil
	}
	c, ok := j.rules.Class(cm.Class)
	if !ok && cm.Class != proof.ClassAudit {
		return !j.asOf.Before(end), nil // kept, and not unnoticed: the plan has a line that says so
	}
	if !ok || c.Period.Forever {
		return false, nil
	}
	for leaf, err := range j.book.options.Log.Scan(ctx, from, to) {
		if err != nil {
			return false, err
		}
		if leaf.Class != cm.Class {
			continue
		}
		// No trigger comes before the entry was received, so this is the earliest for all that came after it.
		first, cut := c.Due(schedule.Facts{Received: leaf.ReceivedTime()}), j.cutoff(cm.Class, leaf.ReceivedTime())
		at := cut
		if c.Trigger == schedule.Received && first.Known && first.At.After(cut) {
			at = first.At
		}
		if j.asOf.Before(at) {
			j.earliest(at)
			return false, nil
		}
		return true, nil
	}
	return false, nil
}

func (j *judgement) earliest(at time.Time) {
	if j.next == nil || at.Before(*j.next) {
		j.next = &at
	}
}

// line judges one class-month.
func (j *judgement) line(ctx context.Context, cm archive.ClassMonth, from, to uint64) (PlanLine, spans, error) {
	t, err := j.tally(ctx, cm, j.book.options.Log.ClassRecords(ctx, cm.Class, from, to), func(f *fact) ruling { return decide(j.kind, j.asOf, f) })
	if err != nil {
		return PlanLine{}, nil, err
	}
	line, s := t.close(j.reason(cm))
	if line.NextDue != nil {
		j.earliest(*line.NextDue)
	}
	return line, s, nil
}

// reason says by which rule the entries of a class-month become due.
func (j *judgement) reason(cm archive.ClassMonth) string {
	c, ok := j.rules.Class(cm.Class)
	if !ok {
		return "the schedule does not have this class"
	}
	text := fmt.Sprintf("class %s: %s from %s", c.Name, c.Period, c.Trigger)
	if j.rules.Yearly(cm.Class) {
		return text + ", cut off yearly"
	}
	return text + ", cut off monthly"
}
