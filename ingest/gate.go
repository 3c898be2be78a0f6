package ingest

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// A Gate holds ingest back for as long as anybody has a reason to: a person who
// paused it, a restored log that waits for approval. Nothing is pulled or acked
// meanwhile; the relay buffers. It is safe for concurrent use, and its zero
// value is open.
type Gate struct {
	mu      sync.Mutex
	reasons map[string]struct{}
	changed chan struct{} // closed and replaced at each change; nil until somebody waits
}

// Close holds ingest back for a reason, a word for the status. A page under way
// is thrown away or committed whole.
func (g *Gate) Close(reason string) { g.change(reason, true) }

// Open takes a reason away. Ingest goes on when there is none left.
func (g *Gate) Open(reason string) { g.change(reason, false) }

func (g *Gate) change(reason string, closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reasons == nil {
		g.reasons = map[string]struct{}{}
	}
	if closed {
		g.reasons[reason] = struct{}{}
	} else {
		delete(g.reasons, reason)
	}
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// Reasons returns why ingest is held back, sorted; none if it is not.
func (g *Gate) Reasons() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.reasons))
}

func (g *Gate) look() (open bool, changed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	return len(g.reasons) == 0, g.changed
}

// wait returns when the gate is open, and whether it was closed before.
func (g *Gate) wait(ctx context.Context) (waited bool, err error) {
	for {
		open, changed := g.look()
		if open {
			return waited, nil
		}
		waited = true
		select {
		case <-changed:
		case <-ctx.Done():
			return true, ctx.Err()
		}
	}
}

// through runs f with a context that ends when the gate closes.
func (g *Gate) through(ctx context.Context, f func(context.Context) error) error {
	inside, leave := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			open, changed := g.look()
			if !open {
				leave()
				return
			}
			select {
			case <-changed:
			case <-inside.Done():
				return
			}
		}
	}()
	err := f(inside)
	leave()
	<-stopped
	return err
}
