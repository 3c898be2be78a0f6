package anchor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sync/errgroup"

	"holdfast/archive/proof"
)

// Log is the log that is anchored. *archive.Archive is one.
type Log interface {
	// Checkpoint returns a signed checkpoint of the log's present size.
	Checkpoint(ctx context.Context) ([]byte, error)
	Root(size uint64) (proof.Hash, error)
	ProveConsistency(ctx context.Context, older, newer uint64) ([]proof.Hash, error)
}

// Options says what a Keeper anchors, and where.
type Options struct {
	Log    Log
	Key    note.Verifier // the log's
	Places []Place
	Every  time.Duration // at least a minute
	Book   *Book
	// Record puts an anchor into the log and has the book know it when it returns.
	Record func(ctx context.Context, b Body) error
	// Held reports that no anchor is to be made: the log was restored from an
	// older one, and nobody has approved yet that it goes on. May be nil.
	Held func() bool
	// Refused is told of a place that holds an anchor of another log, Silent of one
	// that has taken none for long. Each is told again at every attempt.
	Refused, Silent func(ctx context.Context, kind, name string)
	Logger          *slog.Logger
}

// How patient a Keeper is.
const (
	minEvery     = time.Minute     // each anchor is an entry for ever
	retryAfter   = 5 * time.Minute // after a failure, unless anchors are made more often
	attemptLimit = 2 * time.Minute // for one place
	silentTimes  = 3               // so many times Every without an anchor is silence
	stopGrace    = 2 * time.Second // at the end, for what is under way
)

// The classes of failures: they name neither the place nor what it said.
const (
	FailedRefused = "refused"
	FailedUnknown = "unknown-log"
	FailedAnswer  = "bad-answer"
	FailedHeld    = "restored-waits"
	FailedTimeout = "timeout"
	FailedOther   = "unreachable"
)

// ErrHeld is returned while no anchor is to be made.
var ErrHeld = errors.New("the log was restored from an older one, and nobody has approved yet that it goes on")

// A Keeper anchors a log at all its places, each by itself: one that hangs
// holds up no other.
type Keeper struct {
	o      Options
	places []*kept
}

// kept is a place and how it stands.
type kept struct {
	Place
	busy chan struct{} // capacity 1: held while the place is asked

	mu      sync.Mutex
	failing string    // class of the newest failure since the last success
	since   time.Time // from when silence counts
}

// NewKeeper returns one. It anchors nothing before Run or Make.
func NewKeeper(o Options) *Keeper {
	o.Every = max(o.Every, minEvery)
	k := &Keeper{o: o}
	for _, p := range o.Places {
		k.places = append(k.places, &kept{Place: p, busy: make(chan struct{}, 1), since: time.Now()})
	}
	return k
}

// Run anchors until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	var g errgroup.Group
	for _, p := range k.places {
		g.Go(func() error {
			k.keep(ctx, p)
			return nil
		})
	}
	return g.Wait()
}

// keep anchors at one place until ctx ends.
func (k *Keeper) keep(ctx context.Context, p *kept) {
	next := time.NewTimer(k.first(p))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		wait := k.o.Every
		if err := k.try(ctx, p); err != nil {
			wait = min(wait, retryAfter)
		}
		next.Reset(wait)
	}
}

// first returns after how long the first anchor is due: a daemon that starts
// often does not anchor more often.
func (k *Keeper) first(p *kept) time.Duration {
	last, ok := k.o.Book.Last(p.Kind(), p.Name())
	if !ok {
		return 0
	}
	return min(max(time.Until(last.At.Add(k.o.Every)), 0), k.o.Every)
}

// Result is what became of an anchor at one place.
type Result struct {
	Kind, Name string
	Failed     string // class; "": it is anchored
}

// Make anchors at all places now, and returns what became of each.
func (k *Keeper) Make(ctx context.Context) []Result {
	out := make([]Result, len(k.places))
	var g errgroup.Group
	for i, p := range k.places {
		g.Go(func() error {
			out[i] = Result{Kind: p.Kind(), Name: p.Name(), Failed: classOf(k.try(ctx, p))}
			return nil
		})
	}
	_ = g.Wait() // what failed is in the results
	return out
}

// try anchors at one place, and tells what has to be told.
func (k *Keeper) try(ctx context.Context, p *kept) error {
	limited, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	err := k.attempt(limited, p)
	if err != nil && ctx.Err() != nil {
		return err // the daemon stops, or nobody waits any more
	}
	silent := p.note(err, silentTimes*k.o.Every)
	switch {
	case err == nil || errors.Is(err, ErrHeld):
		return err
	case errors.Is(err, ErrRefused):
		k.o.Logger.Error("an anchor is of another log", "anchor", p.Kind(), "name", p.Name(), "error", err)
		k.o.Refused(ctx, p.Kind(), p.Name())
	default:
		k.o.Logger.Warn("the log could not be anchored", "anchor", p.Kind(), "name", p.Name(), "class", classOf(err), "error", err)
	}
	if silent {
		k.o.Silent(ctx, p.Kind(), p.Name())
	}
	return err
}

// note keeps how an attempt went and says whether the place has been silent
// for longer than it may.
func (p *kept) note(err error, longest time.Duration) (silent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing = classOf(err)
	if err == nil || errors.Is(err, ErrHeld) {
		p.since = time.Now()
	}
	return time.Since(p.since) > longest
}

// attempt anchors at one place. What hangs beyond the end of ctx goes on by
// itself, and keeps its place busy.
func (k *Keeper) attempt(ctx context.Context, p *kept) error {
	if k.o.Held != nil && k.o.Held() {
		return ErrHeld
	}
	select {
	case p.busy <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-p.busy }()
		done <- k.put(ctx, p)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// What obeys ctx is waited for, so that the log is not closed under it.
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case err := <-done:
		return err
	case <-grace.C:
		return ctx.Err()
	}
}

// put makes a checkpoint and takes it there.
func (k *Keeper) put(ctx context.Context, p *kept) error {
	signed, err := k.o.Log.Checkpoint(ctx)
	if err != nil {
		return err
	}
	c, err := proof.OpenCheckpoint(signed, k.o.Key)
	if err != nil {
		return fmt.Errorf("the log's own checkpoint: %w", err)
	}
	ask := Ask{
		Checkpoint: c, Signed: signed, At: time.Now(), Root: k.o.Log.Root,
		Consistency: func(ctx context.Context, older uint64) ([]proof.Hash, error) {
			return k.o.Log.ProveConsistency(ctx, older, c.Size)
		},
	}
	got, err := p.Anchor(ctx, ask)
	if err != nil {
		return err
	}
	// A crash here leaves an anchor of which the log does not know: the place knows, and the next one is noted.
	return k.o.Record(ctx, newBody(p, ask, got))
}

func classOf(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrRefused):
		return FailedRefused
	case errors.Is(err, ErrUnknown):
		return FailedUnknown
	case errors.Is(err, ErrAnswer), errors.Is(err, ErrToken), errors.Is(err, ErrLine):
		return FailedAnswer
	case errors.Is(err, ErrHeld):
		return FailedHeld
	case errors.Is(err, context.DeadlineExceeded):
		return FailedTimeout
	}
	return FailedOther
}

// Standing is how one place stands.
type Standing struct {
	Kind, Name string
	Failing    string  // class of the newest failure since the last success
	Last       *Placed // nil: never
}

// Standings returns how the places stand, in the configuration's order.
func (k *Keeper) Standings() []Standing {
	var out []Standing
	for _, p := range k.places {
		p.mu.Lock()
		s := Standing{Kind: p.Kind(), Name: p.Name(), Failing: p.failing}
		p.mu.Unlock()
		if last, ok := k.o.Book.Last(s.Kind, s.Name); ok {
			s.Last = &last
		}
		out = append(out, s)
	}
	return out
}
