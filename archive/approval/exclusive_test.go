package approval

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// However many ask to execute at once, one does.
func TestOneOfManyExecutes(t *testing.T) {
	for _, batch := range []bool{false, true} {
		l := newLog(true)
		seq := approved(t, l)
		l.delay = runtime.Gosched
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 32 {
			wg.Go(func() {
				var err error
				if batch {
					err = executeBatch(t.Context(), l, seq)
				} else {
					err = l.book.Execute(t.Context(), l, person(1), seq, DirectoryDiff, digest)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, ErrUsed) && !errors.Is(err, ErrBusy) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := l.executions(seq); won != 1 || n != 1 {
			t.Errorf("%d executed, %d entries", won, n)
		}
	}
}

// executeBatch executes with the act's own entry in the same batch.
func executeBatch(ctx context.Context, l *memoryLog, seq uint64) error {
	e, done, err := l.book.Executing(ctx, l, person(1), seq, DirectoryDiff, digest)
	if err != nil {
		return err
	}
	_, err = l.Append(ctx, archive.Batch{Entries: []archive.Entry{{Kind: proof.KindSync, Class: proof.ClassControl}, e}})
	done(err)
	return err
}

// However many decide at once, one does.
func TestOneOfManyDecides(t *testing.T) {
	l := newLog(true)
	seq, err := l.book.Ask(t.Context(), l, person(1), asking())
	want(t, "Ask", err, nil)
	l.delay = func() { // gives the others the time to judge
		for range 100 {
			runtime.Gosched()
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for n := range byte(16) {
		wg.Go(func() {
			err := l.book.Decide(t.Context(), l, person(n+2), seq, n%2 == 0, "compared")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, ErrDecided) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 || len(l.records) != 3 {
		t.Errorf("%d decided, %d entries", won, len(l.records)-2)
	}
}

// While a caller holds the execution entry nobody else gets it; when the
// caller gives up it is there again.
func TestExecutingIsExclusive(t *testing.T) {
	l := newLog(true)
	ctx := t.Context()
	seq := approved(t, l)
	_, done, err := l.book.Executing(ctx, l, person(1), seq, DirectoryDiff, digest)
	want(t, "first", err, nil)
	_, _, err = l.book.Executing(ctx, l, person(1), seq, DirectoryDiff, digest)
	want(t, "second", err, ErrBusy)
	done(context.Canceled)
	_, again, err := l.book.Executing(ctx, l, person(1), seq, DirectoryDiff, digest)
	want(t, "after giving up", err, nil)
	done(context.Canceled) // a second time: it is not the caller's any more
	_, _, err = l.book.Executing(ctx, l, person(1), seq, DirectoryDiff, digest)
	want(t, "after done twice", err, ErrBusy)
	again(nil)
}

// After a failure nobody knows whether the execution is in the log, so nothing
// is executed before the log has grown and told.
func TestUnknownFate(t *testing.T) {
	for _, f := range []fault{lost, persisted} {
		for name, execute := range map[string]func(context.Context, *memoryLog, uint64) error{
			"batch": executeBatch,
			"alone": func(ctx context.Context, l *memoryLog, seq uint64) error {
				return l.book.Execute(ctx, l, person(1), seq, DirectoryDiff, digest)
			},
		} {
			l := newLog(true)
			seq := approved(t, l)
			l.fault = f
			want(t, name, execute(t.Context(), l, seq), archive.ErrFailed)
			want(t, name+" at once", execute(t.Context(), l, seq), ErrBusy)
			l.look()
			err := execute(t.Context(), l, seq)
			if f == persisted {
				want(t, name+" after it persisted", err, ErrUsed)
			} else {
				want(t, name+" after it was lost", err, nil)
			}
			if n := l.executions(seq); n != 1 {
				t.Errorf("%s: %d executions", name, n)
			}
		}
	}
}

// A caller who appended and failed later may report any error: the log says.
func TestDoneWithALaterError(t *testing.T) {
	l := newLog(true)
	seq := approved(t, l)
	e, done, err := l.book.Executing(t.Context(), l, person(1), seq, DirectoryDiff, digest)
	want(t, "Executing", err, nil)
	if _, err := l.Append(t.Context(), archive.Batch{Entries: []archive.Entry{e}}); err != nil {
		t.Fatal(err)
	}
	done(context.Canceled)
	want(t, "again", l.book.Execute(t.Context(), l, person(1), seq, DirectoryDiff, digest), ErrUsed)
}

func TestRefusedAppendsLeaveEverythingAsItWas(t *testing.T) {
	l := newLog(true)
	ctx := t.Context()
	l.fault = refused
	_, err := l.book.Ask(ctx, l, person(1), asking())
	want(t, "Ask", err, archive.ErrDiskFull)
	seq, err := l.book.Ask(ctx, l, person(1), asking())
	want(t, "Ask", err, nil)
	l.fault = refused
	want(t, "Decide", l.book.Decide(ctx, l, person(2), seq, true, "compared"), archive.ErrDiskFull)
	want(t, "Decide", l.book.Decide(ctx, l, person(2), seq, true, "compared"), nil)
	l.fault = refused
	want(t, "Execute", l.book.Execute(ctx, l, person(1), seq, DirectoryDiff, digest), archive.ErrDiskFull)
	want(t, "Execute", l.book.Execute(ctx, l, person(1), seq, DirectoryDiff, digest), nil)
}

// Rules are not judged on a state that cannot be read.
func TestFailsClosed(t *testing.T) {
	l := newLog(true)
	seq := approved(t, l)
	broken := errors.New("the log cannot be read")
	l.book.options.CatchUp = func(context.Context, uint64) error { return broken }
	want(t, "Execute", l.book.Execute(t.Context(), l, person(1), seq, DirectoryDiff, digest), broken)
	want(t, "Decide", l.book.Decide(t.Context(), l, person(2), seq, true, "compared"), broken)
	_, err := l.book.Ask(t.Context(), l, person(1), asking())
	want(t, "Ask", err, broken)
}

// A caller who hangs up while waiting for the turn gives up.
func TestHangUp(t *testing.T) {
	l := newLog(true)
	l.book.judge <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.book.Ask(ctx, l, person(1), asking())
	want(t, "Ask", err, context.Canceled)
}
