package docket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
)

// Book is what the entries of kinds tag, production, clawback and search add
// up to. It is safe for concurrent use.
//
// A reader first brings the state up to the log's size (Options.CatchUp); the
// methods that write do so by themselves.
type Book struct {
	options Options
	length  int // of a part, in bytes, at about which the next begins

	judge chan struct{} // capacity 1: held from judging the rules until the entries are applied

	// mu guards what follows. It is never held while the log is read or written:
	// Apply takes it on behalf of whoever catches up.
	mu           sync.RWMutex
	tags         tags
	numbers      map[numbering]*taken    // Bates numbers that were given out
	reservations map[uint64]*reservation // by seq
	productions  []*production           // in order of seq
	clawbacks    []*Clawback             // in order of seq
	searches     map[string]map[string]*SavedSearch
	faults       []Fault
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
	return &Book{
		options: o, length: partLength, judge: make(chan struct{}, 1), tags: newTags(), numbers: map[numbering]*taken{},
		reservations: map[uint64]*reservation{}, searches: map[string]map[string]*SavedSearch{},
	}
}

// Applier takes in entries in the log's order.
type Applier interface {
	Apply(rec archive.Record) error
}

// Appliers returns the Book under each kind of entry that it takes in.
func (b *Book) Appliers() map[proof.Kind]Applier {
	return map[proof.Kind]Applier{proof.KindTag: b, proof.KindProduction: b, proof.KindClawback: b, proof.KindSearch: b}
}

// Apply takes in one entry. One that cannot be read is an error and changes
// nothing. One that breaks a rule is kept as a Fault.
func (b *Book) Apply(rec archive.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch rec.Leaf.Kind {
	case proof.KindTag:
		return b.applyTag(rec)
	case proof.KindProduction:
		return b.applyProduction(rec)
	case proof.KindClawback:
		return b.applyClawback(rec)
	case proof.KindSearch:
		return b.applySearch(rec)
	}
	return errors.New("not an entry of the docket")
}

// Faults returns the entries that broke a rule, in the log's order.
func (b *Book) Faults() []Fault {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Clone(b.faults)
}

// codes name in Faults the rules that were broken.
var codes = []struct {
	err  error
	code string
}{
	{ErrUnknownMatter, "unknown-matter"}, {ErrMatterClosed, "matter-closed"}, {ErrNotTagged, "not-tagged"},
	{ErrBatesTaken, "bates-taken"}, {ErrNoReservation, "no-reservation"}, {ErrUnknownProduction, "unknown-production"},
	{ErrEnded, "ended"}, {ErrNotProduced, "not-produced"}, {ErrSearchExists, "search-exists"},
	{ErrUnknownSearch, "unknown-search"}, {ErrParts, "parts"}, {ErrUnreadable, "unreadable"},
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

// broken returns the rule that an entry from first through last broke, if any:
// time passes between judging and appending.
func (b *Book) broken(first, last uint64) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, f := range slices.Backward(b.faults) {
		if f.Seq < first || f.Seq > last {
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

// matter returns the id of a matter as it was opened with; open asks for one
// that is open.
func (b *Book) matter(id string, open bool) (string, error) {
	canonical, isOpen, ok := b.options.Matters.Matter(id)
	switch {
	case !ok:
		return "", ErrUnknownMatter
	case open && !isOpen:
		return "", ErrMatterClosed
	}
	return canonical, nil
}

// matterKey is under what a matter is found: ids that differ in case alone are
// one.
func matterKey(id string) string { return strings.ToLower(id) }

// entry makes the entry of a body, class control.
func entry(kind proof.Kind, body any) (archive.Entry, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return archive.Entry{}, err
	}
	if len(b) > maxBody {
		return archive.Entry{}, fmt.Errorf("%w: its entry would have more than %d bytes", ErrInvalid, maxBody)
	}
	return archive.Entry{Kind: kind, Class: proof.ClassControl, Body: b}, nil
}

// read reads a body of at most maxBody bytes and of version 1 into v.
func read(rec archive.Record, v any, version *int) error {
	if len(rec.Body) > maxBody {
		return fmt.Errorf("a body of more than %d bytes", maxBody)
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
			return fmt.Errorf("read tags and productions: %w", err)
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

// change judges with rules and then writes the entries that make gives; it
// returns the seq of the first.
func (b *Book) change(ctx context.Context, rules func(now time.Time) error, make func() ([]archive.Entry, error)) (uint64, error) {
	done, err := b.turn(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	if err := b.judged(ctx, rules); err != nil {
		return 0, err
	}
	entries, err := make()
	if err != nil {
		return 0, err
	}
	return b.write(ctx, entries...)
}

// write makes entries durable in one batch and applies them; it returns the
// seq of the first. The turn is held. A crash before it leaves nothing, a crash
// after it all of them, in force at the next start.
func (b *Book) write(ctx context.Context, entries ...archive.Entry) (uint64, error) {
	placed, err := b.options.Log.Append(ctx, archive.Batch{Entries: entries})
	b.given(err)
	if err != nil {
		return 0, fmt.Errorf("record it: %w", err)
	}
	if len(placed) != len(entries) {
		return 0, fmt.Errorf("record it: the log placed %d entries for %d", len(placed), len(entries))
	}
	first, last := placed[0].Seq, placed[len(placed)-1].Seq
	if err := b.options.CatchUp(context.WithoutCancel(ctx), last+1); err != nil {
		return 0, fmt.Errorf("it is in the log as entry %d but could not be read back: %w", first, err)
	}
	return first, b.broken(first, last)
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
