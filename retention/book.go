package retention

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
	"holdfast/retention/hold"
)

// Limits of what people write.
const (
	MaxText   = 500      // reason and name, in runes each
	MaxNotice = 64 << 10 // text of a notice, in bytes
)

// maxBody bounds the bodies of kinds matter and hold, in bytes: a scope has at
// most hold.MaxEncoded.
const maxBody = hold.MaxEncoded + 256<<10

// Book is what the entries of kinds matter, hold, schedule, plan, intent,
// abandoned, certificate, clock, copy and reclass add up to. It is safe for
// concurrent use.
//
// A reader first brings the state up to the log's size (Options.CatchUp); the
// methods that write do so by themselves.
type Book struct {
	options Options
	reads   hold.Readings
	survey  *survey

	doubts atomic.Pointer[[]doubt] // when the clock was doubted, in the log's order; replaced whole

	judge chan struct{} // capacity 1: held from judging the rules until the entries are applied

	// mu guards what follows. It is never held while the log is read or written:
	// Apply takes it on behalf of whoever catches up.
	mu       sync.RWMutex
	matters  map[string]*matter // by folded id
	holds    []*held            // in order of seq
	asked    map[string]*asked  // releases that were asked for, by digest
	inForce  inForce            // the schedule
	disposal disposal
	faults   []Fault
	// need is the size of the log on which rules may be judged: past its present
	// size when nobody knows whether an entry is in it, which the next will show.
	need uint64
}

// Fault is an entry that broke a rule. The Book writes none; each is something
// for an auditor to look into.
type Fault struct {
	Seq  uint64     `json:"seq"`
	Kind proof.Kind `json:"kind"`
	Code string     `json:"code"`
}

// New returns the book of an empty log; the state that it is an Applier of
// fills it.
func New(o Options) *Book {
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Book{
		options: o, reads: hold.Languages(o.People), survey: newSurvey(), judge: make(chan struct{}, 1),
		matters: map[string]*matter{}, asked: map[string]*asked{},
	}
}

// Applier takes in entries in the log's order.
type Applier interface {
	Apply(rec archive.Record) error
}

// Appliers returns the Book under each kind of entry that it takes in.
func (b *Book) Appliers() map[proof.Kind]Applier {
	out := map[proof.Kind]Applier{}
	for _, k := range []proof.Kind{
		proof.KindMatter, proof.KindHold, proof.KindSchedule, proof.KindPlan, proof.KindIntent,
		proof.KindAbandoned, proof.KindCertificate, proof.KindClock, proof.KindCopy, proof.KindReclass,
	} {
		out[k] = b
	}
	return out
}

// Apply takes in one entry. One that cannot be read is an error and changes
// nothing. One that breaks a rule is kept as a Fault: it gives nobody anything,
// but what it would have held is held.
func (b *Book) Apply(rec archive.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch rec.Leaf.Kind {
	case proof.KindMatter:
		return b.applyMatter(rec)
	case proof.KindHold:
		return b.applyHold(rec)
	case proof.KindSchedule:
		return b.applySchedule(rec)
	case proof.KindClock:
		return b.applyClock(rec)
	}
	return b.disposal.apply(rec)
}

// Faults returns the entries that broke a rule, in the log's order.
func (b *Book) Faults() []Fault {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := slices.Concat(b.faults, b.disposal.faults)
	slices.SortFunc(out, func(x, y Fault) int { return cmp.Compare(x.Seq, y.Seq) })
	return out
}

// codes name in Faults the rules that were broken.
var codes = []struct {
	err  error
	code string
}{
	{ErrUnknownMatter, "unknown-matter"}, {ErrMatterExists, "matter-exists"}, {ErrMatterClosed, "matter-closed"},
	{ErrMatterHeld, "matter-held"}, {ErrNotMember, "not-member"}, {ErrLastMember, "last-member"},
	{ErrUnknownHold, "unknown-hold"}, {ErrReleasing, "releasing"}, {ErrReleased, "released"},
	{ErrNotReleasing, "not-releasing"}, {ErrNotAsked, "not-approved"}, {ErrUnreadable, "unreadable"},
	{ErrChangedSchedule, "changed"},
}

// fault notes that an entry broke a rule. mu is held.
func (b *Book) fault(rec archive.Record, err error) {
	code := "invalid"
	for _, c := range codes {
		if errors.Is(err, c.err) {
			code = c.code
		}
	}
	b.faults = append(b.faults, Fault{Seq: rec.Leaf.Seq, Kind: rec.Leaf.Kind, Code: code})
}

// broken returns the rule that the entry at seq broke, if any: time passes
// between judging and appending.
func (b *Book) broken(seq uint64) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, f := range slices.Backward(b.faults) {
		if f.Seq != seq {
			continue
		}
		for _, c := range codes {
			if c.code == f.Code {
				return c.err
			}
		}
		return ErrInvalid
	}
	return nil
}

// entry makes the entry of a body, class control.
func entry(kind proof.Kind, body any) (archive.Entry, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return archive.Entry{}, err
	}
	return archive.Entry{Kind: kind, Class: proof.ClassControl, Body: b}, nil
}

// read reads a body of at most limit bytes and of version 1 into v.
func read(rec archive.Record, limit int, v any, version *int) error {
	if len(rec.Body) > limit {
		return fmt.Errorf("a body of more than %d bytes", limit)
	}
	if err := ijson.Unmarshal(rec.Body, v); err != nil {
		return err
	}
	if *version != 1 {
		return fmt.Errorf("a body of version %d, which this version cannot read", *version)
	}
	return nil
}

// words checks that a text has 1..MaxText runes.
func words(what, s string) error {
	if strings.TrimSpace(s) == "" {
		return fmt.Errorf("%w: it needs a %s", ErrInvalid, what)
	}
	return short(what, s)
}

// short checks that a text has at most MaxText runes.
func short(what, s string) error {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > MaxText {
		return fmt.Errorf("%w: a %s is text of at most %d characters", ErrInvalid, what, MaxText)
	}
	return nil
}

// turn waits for the right to judge and write.
func (b *Book) turn(ctx context.Context) (done func(), err error) {
	select {
	case b.judge <- struct{}{}:
		return func() { <-b.judge }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// judged brings the book up to the log's newest state and runs rules on it,
// with mu held for reading.
func (b *Book) judged(ctx context.Context, rules func(now time.Time) error) error {
	for {
		size := b.options.Log.Size()
		if err := b.options.CatchUp(ctx, size); err != nil {
			return fmt.Errorf("read holds and schedules: %w", err)
		}
		now := b.options.Log.Now()
		judged, err := b.judgedAt(size, now, rules)
		if judged {
			return err
		}
		if b.options.Log.Size() == size {
			return ErrBusy // the fate of an entry is unknown, and shows with the next
		}
	}
}

func (b *Book) judgedAt(size uint64, now time.Time, rules func(time.Time) error) (judged bool, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if size < b.need {
		return false, nil
	}
	return true, rules(now)
}

// write makes entries durable in one batch and applies them; it returns the
// seq of the last. The turn is held. A crash before it leaves nothing, a crash
// after it all of them, in force at the next start.
func (b *Book) write(ctx context.Context, entries ...archive.Entry) (uint64, error) {
	seq, err := b.appended(ctx, entries...)
	if err != nil {
		return 0, err
	}
	return seq, b.landed(ctx, seq)
}

func (b *Book) appended(ctx context.Context, entries ...archive.Entry) (uint64, error) {
	placed, err := b.options.Log.Append(ctx, archive.Batch{Entries: entries})
	b.given(err)
	if err != nil {
		return 0, fmt.Errorf("record it: %w", err)
	}
	if len(placed) != len(entries) {
		return 0, fmt.Errorf("record it: the log placed %d entries for %d", len(placed), len(entries))
	}
	return placed[len(placed)-1].Seq, nil
}

// landed applies the entries through seq and returns the rule that the one at
// seq turned out to break.
func (b *Book) landed(ctx context.Context, seq uint64) error {
	if err := b.options.CatchUp(context.WithoutCancel(ctx), seq+1); err != nil {
		return fmt.Errorf("it is in the log as entry %d but could not be read back: %w", seq, err)
	}
	return b.broken(seq)
}

// given notes that entries were given to the log and what came of them, so that
// nothing is judged on a state that might lack them.
func (b *Book) given(err error) {
	need := b.options.Log.Size()
	if err != nil && unknown(err) {
		need++
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.need = max(b.need, need)
}

// unknown reports whether entries may be in the log in spite of the error, as
// any error leaves it that does not say otherwise.
func unknown(err error) bool {
	refused := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, archive.ErrInvalid) || errors.Is(err, archive.ErrDiskFull)
	return errors.Is(err, archive.ErrFailed) || !refused
}
