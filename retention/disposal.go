package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
)

// Log is what the Book needs of the archive.
type Log interface {
	Ledger
	Vault
}

// Vault is what disposition needs of the archive. *archive.Archive has it all.
type Vault interface {
	Scan(ctx context.Context, from, to uint64) iter.Seq2[proof.Leaf, error]
	ClassRecords(ctx context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error]
	RecordOf(ctx context.Context, leaf proof.Leaf) (archive.Record, error)
	ClassMonths(ctx context.Context) ([]archive.Generation, error)
	MonthRange(month string) (from, to uint64, err error)

	Reseal(ctx context.Context, cm archive.ClassMonth, o archive.ResealOptions) (*archive.Resealed, error)
	Discard(cms []archive.ClassMonth) error
	Switch(ctx context.Context, rs []*archive.Resealed, b archive.Batch) ([]archive.Placed, error)
	SwitchBack(ctx context.Context, cms []archive.ClassMonth, b archive.Batch) ([]archive.Placed, error)
	Unkept(ctx context.Context, cm archive.ClassMonth) iter.Seq2[archive.Record, error]
	Destroy(ctx context.Context, cms []archive.ClassMonth, g *archive.Guard) (*archive.Destruction, error)
	PendingDisposals() []archive.ClassMonth
	Checkpoint(ctx context.Context) ([]byte, error)

	Clock() archive.Clock
	ReleaseClock(ctx context.Context, b archive.Batch) ([]archive.Placed, error)
	RecipientKeys() []archive.RecipientKey
}

// disposal is what the entries of kinds plan, intent, abandoned, certificate,
// clock, copy and reclass add up to. It takes them in in the log's order, and
// holds nothing that they do not say. The Book's mu guards it, but for running.
type disposal struct {
	running sync.Mutex // held by the one run, resumption or completion there is; nobody waits for it

	plans    []*planState // in order of seq, as all that follows
	intents  []*intentState
	certs    []*certificateState
	copies   []*Copy
	reclass  map[uint64]string // seq to the class that counts
	months   map[string]bool   // months of which entries were reclassified
	faults   []Fault
	reckoned reckoning
}

type planState struct {
	seq     uint64
	at      time.Time
	digest  string
	text    planText
	request uint64
	intent  uint64 // the intent or reclass entry that carried it out, 0 if none
}

type intentState struct {
	seq   uint64
	at    time.Time
	body  intentBody
	lines []*intentLine
	plan  *planState
}

type intentLine struct {
	*intentLineBody
	spans     spans
	certified uint64 // seq of its certificate
	newest    uint64 // seq of the newest certificate about it
	abandoned uint64 // seq of the entry that undid it
}

type certificateState struct {
	seq    uint64
	intent uint64
	jws    string
	says   Statement
}

// apply takes in one entry. One that cannot be read is an error and changes
// nothing; one that breaks a rule is kept as a fault.
func (d *disposal) apply(rec archive.Record) error {
	switch rec.Leaf.Kind {
	case proof.KindPlan:
		return d.applyPlan(rec)
	case proof.KindIntent:
		return d.applyIntent(rec)
	case proof.KindAbandoned:
		return d.applyAbandoned(rec)
	case proof.KindCertificate:
		return d.applyCertificate(rec)
	case proof.KindCopy:
		return d.applyCopy(rec)
	case proof.KindReclass:
		return d.applyReclass(rec)
	}
	return fmt.Errorf("not an entry of disposition")
}

// fault keeps an entry that broke a rule. It gave nobody anything.
func (d *disposal) fault(rec archive.Record, code string) error {
	d.faults = append(d.faults, Fault{Seq: rec.Leaf.Seq, Kind: rec.Leaf.Kind, Code: code})
	return nil
}

func (d *disposal) applyPlan(rec archive.Record) error {
	var body planBody
	if err := readDisposal(rec, &body, &body.Version); err != nil {
		return err
	}
	p := &planState{seq: rec.Leaf.Seq, at: rec.Leaf.ReceivedTime(), digest: planDigest(body.Plan), request: body.Request}
	if err := ijson.Unmarshal(body.Plan, &p.text); err != nil {
		return err
	}
	if p.text.Kind != PlanCutoff && p.text.Kind != PlanErase && p.text.Kind != PlanReclass {
		return errors.New("a plan of no known kind")
	}
	for i := range p.text.Lines {
		if _, err := parseSpansText(p.text.Lines[i].Seqs); err != nil {
			return err
		}
	}
	d.plans = append(d.plans, p)
	return nil
}

func (d *disposal) applyIntent(rec archive.Record) error {
	i := &intentState{seq: rec.Leaf.Seq, at: rec.Leaf.ReceivedTime()}
	if err := readDisposal(rec, &i.body, &i.body.Version); err != nil {
		return err
	}
	for n := range i.body.Lines {
		s, err := parseSpansText(i.body.Lines[n].Ranges)
		if err != nil {
			return err
		}
		i.lines = append(i.lines, &intentLine{intentLineBody: &i.body.Lines[n], spans: s})
	}
	i.plan = d.plan(i.body.Plan)
	if i.plan == nil || i.plan.intent != 0 || i.plan.text.Kind == PlanReclass {
		return d.fault(rec, "no-plan")
	}
	i.plan.intent = i.seq
	d.intents = append(d.intents, i)
	return nil
}

func (d *disposal) applyAbandoned(rec archive.Record) error {
	var body abandonedBody
	if err := readDisposal(rec, &body, &body.Version); err != nil {
		return err
	}
	i := d.intent(body.Intent)
	if i == nil {
		return d.fault(rec, "no-intent")
	}
	for _, cm := range body.Months {
		l := i.line(cm)
		if l == nil || l.certified != 0 || l.abandoned != 0 {
			return d.fault(rec, "not-pending")
		}
	}
	for _, cm := range body.Months {
		i.line(cm).abandoned = rec.Leaf.Seq
	}
	return nil
}

func (d *disposal) applyCertificate(rec archive.Record) error {
	var body certificateBody
	if err := readDisposal(rec, &body, &body.Version); err != nil {
		return err
	}
	says, err := parseCertificate([]byte(body.JWS))
	if err != nil {
		return err
	}
	i := d.intent(body.Intent)
	if i == nil || says.Intent != body.Intent {
		return d.fault(rec, "no-intent")
	}
	l := i.line(archive.ClassMonth{Class: says.Class, Month: says.Month})
	if l == nil || l.abandoned != 0 || (says.Of == 0) != (l.certified == 0) || says.Of != 0 && says.Of != l.certified {
		return d.fault(rec, "not-outstanding")
	}
	if l.certified == 0 {
		l.certified = rec.Leaf.Seq
	}
	l.newest = rec.Leaf.Seq
	d.certs = append(d.certs, &certificateState{seq: rec.Leaf.Seq, intent: body.Intent, jws: body.JWS, says: *says})
	return nil
}

func (d *disposal) applyCopy(rec archive.Record) error {
	var body copyBody
	if err := readDisposal(rec, &body, &body.Version); err != nil {
		return err
	}
	c := d.copy(body.ID)
	switch {
	case body.Op == copyMade && c == nil:
		d.copies = append(d.copies, &Copy{ID: body.ID, What: body.What, Where: body.Where, Keyring: body.Keyring, Keyless: body.Keyless, Noted: rec.Leaf.ReceivedTime(), Seq: rec.Leaf.Seq})
	case body.Op == copyMade:
		return d.fault(rec, "known-copy")
	case body.Op == copyGone && c != nil && c.Gone == nil:
		at := rec.Leaf.ReceivedTime()
		c.Gone = &at
	case body.Op == copyGone:
		return d.fault(rec, "unknown-copy")
	default:
		return errors.New("an unknown act on a copy")
	}
	return nil
}

func (d *disposal) applyReclass(rec archive.Record) error {
	var body reclassBody
	if err := readDisposal(rec, &body, &body.Version); err != nil {
		return err
	}
	s, err := parseSpansText(body.Seqs)
	if err != nil {
		return err
	}
	p := d.plan(body.Plan)
	if p == nil || p.intent != 0 || p.text.Kind != PlanReclass || p.text.Class != body.Class {
		return d.fault(rec, "no-plan")
	}
	for _, r := range s {
		if r.from != r.to {
			return errors.New("a reclassification names its entries one by one")
		}
	}
	p.intent = rec.Leaf.Seq
	if d.reclass == nil {
		d.reclass = map[uint64]string{}
	}
	for _, r := range s {
		d.reclass[r.from] = body.Class
	}
	if d.months == nil {
		d.months = map[string]bool{}
	}
	for i := range p.text.Lines {
		d.months[p.text.Lines[i].Month] = true
	}
	return nil
}

// plan, intent, certificate and copy return the state's own, nil when there is none.
// mu is held.
func (d *disposal) plan(seq uint64) *planState {
	i, ok := slices.BinarySearchFunc(d.plans, seq, func(p *planState, seq uint64) int { return cmp.Compare(p.seq, seq) })
	if !ok {
		return nil
	}
	return d.plans[i]
}

func (d *disposal) intent(seq uint64) *intentState {
	i, ok := slices.BinarySearchFunc(d.intents, seq, func(p *intentState, seq uint64) int { return cmp.Compare(p.seq, seq) })
	if !ok {
		return nil
	}
	return d.intents[i]
}

func (d *disposal) certificate(seq uint64) *certificateState {
	i, ok := slices.BinarySearchFunc(d.certs, seq, func(c *certificateState, seq uint64) int { return cmp.Compare(c.seq, seq) })
	if !ok {
		return nil
	}
	return d.certs[i]
}

func (d *disposal) copy(id string) *Copy {
	for _, c := range d.copies {
		if c.ID == id {
			return c
		}
	}
	return nil
}

func (i *intentState) line(cm archive.ClassMonth) *intentLine {
	for _, l := range i.lines {
		if l.Class == cm.Class && l.Month == cm.Month {
			return l
		}
	}
	return nil
}

// open returns the lines that are neither certified nor undone.
func (i *intentState) open() []*intentLine {
	var out []*intentLine
	for _, l := range i.lines {
		if l.certified == 0 && l.abandoned == 0 {
			out = append(out, l)
		}
	}
	return out
}

// classOf returns the class that counts for an entry: its leaf's, unless it was
// given another one. The Book's mu is held.
func (d *disposal) classOf(leaf proof.Leaf) string {
	if c, ok := d.reclass[leaf.Seq]; ok {
		return c
	}
	return leaf.Class
}
