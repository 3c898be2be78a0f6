package retention

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/retention/hold"
)

// nothing, nobody and noRequests are an empty world.
type nothing struct{ Log }

func (nothing) Now() time.Time { return time.Unix(0, 0) }

type nobody struct{}

func (nobody) MembersEver(string, time.Time) []string  { return nil }
func (nobody) Usrs(string) []string                    { return nil }
func (nobody) Names(string) []string                   { return nil }
func (nobody) PersonOf(string) (string, bool)          { return "", false }
func (nobody) EverOf(string) []string                  { return nil }
func (nobody) Departed(string) (time.Time, bool)       { return time.Time{}, false }
func (nobody) Group(name string) (string, bool, error) { return "", false, nil }

type noRequests struct{ Requests }

func (noRequests) Request(uint64) (Request, bool) { return Request{}, false }

// Holds are placed while the survey runs and messages come in.
func TestPlacingWhileSurveyingWhileAppending(t *testing.T) {
	w := newWorld(t)
	w.matter()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	all.Go(func() {
		if err := w.book.Follow(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	var writers sync.WaitGroup
	var entries []archive.Entry
	for i := range 600 {
		e, _ := w.message(msg{from: "ann", to: []string{"bob"}, conv: fmt.Sprintf("c%d", i%3)})
		entries = append(entries, e)
	}
	writers.Go(func() {
		for len(entries) > 0 {
			w.append(entries[:20]...)
			entries = entries[20:]
		}
	})
	var mu sync.Mutex
	var holds []uint64
	for i := range 3 {
		writers.Go(func() {
			for range 3 {
				h, err := w.book.PlaceHold(ctx, officer, NewHold{Matter: "M", Scope: hold.Scope{Conversations: []string{fmt.Sprintf("c%d", i)}}, Reason: "r"})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				holds = append(holds, h.Seq)
				mu.Unlock()
				w.book.Holds()
				w.book.Survey()
			}
		})
	}
	writers.Go(func() {
		for range 20 {
			for rec, err := range w.archive.Records(ctx, 0, w.archive.Size()) {
				if err != nil {
					t.Error(err)
					return
				}
				if rec.Leaf.Kind == proof.KindMessage {
					if _, err := w.book.Standing(ctx, rec); err != nil {
						t.Error(err)
					}
					break
				}
			}
		}
	})
	writers.Wait()
	if err := w.book.settled(ctx); err != nil {
		t.Fatal(err)
	}
	for _, seq := range holds {
		if h, ok := w.book.Hold(seq); !ok || h.Held != 200 || h.Through != w.archive.Size() {
			t.Errorf("%d: held %d through %d", seq, h.Held, h.Through)
		}
	}
	if len(holds) != 9 {
		t.Errorf("%d holds", len(holds))
	}
	stop()
	all.Wait()
}

// flaky is a log whose next append fails: refused, lost, or in the log all the same.
type flaky struct {
	Log
	fail func(context.Context, archive.Batch) ([]archive.Placed, error)
}

func (f *flaky) Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	if fail := f.fail; fail != nil {
		f.fail = nil
		return fail(ctx, b)
	}
	return f.Log.Append(ctx, b)
}

func TestAFailedWriteGivesNobodyAnything(t *testing.T) {
	inTime(t, func(w *world) {
		w.matter()
		log := &flaky{Log: w.archive}
		w.book.options.Log = log
		place := func() (*Hold, error) {
			return w.book.PlaceHold(w.ctx(), officer, NewHold{Matter: "M", Scope: hold.Scope{All: true}, Reason: "r"})
		}
		log.fail = func(context.Context, archive.Batch) ([]archive.Placed, error) { return nil, archive.ErrDiskFull }
		if _, err := place(); !errors.Is(err, archive.ErrDiskFull) || len(w.book.Holds()) != 0 {
			t.Errorf("a full disk: %v", err)
		}
		log.fail = func(context.Context, archive.Batch) ([]archive.Placed, error) { return nil, archive.ErrFailed }
		if _, err := place(); !errors.Is(err, archive.ErrFailed) || len(w.book.Holds()) != 0 {
			t.Errorf("a failed write: %v", err)
		}
		if _, err := place(); !errors.Is(err, ErrBusy) {
			t.Errorf("before its fate was known: %v", err)
		}
		w.say(msg{}) // shows that the entry is not there
		if _, err := place(); err != nil {
			t.Error(err)
		}
		log.fail = func(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
			_, err := w.archive.Append(ctx, b)
			w.no(err)
			return nil, archive.ErrFailed
		}
		request, _, err := w.book.AskRelease(w.ctx(), officer, 99, nil, "r")
		if !errors.Is(err, ErrUnknownHold) || request != 0 {
			t.Error(err)
		}
		if _, err := place(); !errors.Is(err, archive.ErrFailed) {
			t.Error(err)
		}
		w.say(msg{})
		w.no(w.state.CatchUp(w.ctx(), w.archive.Size()))
		if len(w.book.Holds()) != 2 {
			t.Error("what was written is not in force")
		}
	})
}

// A survey that fails to read goes on where it was.
func TestASurveyGoesOnAfterAFailedRead(t *testing.T) {
	inTime(t, func(w *world) {
		w.say(msg{})
		log := &unread{Log: w.archive}
		log.fail.Store(true)
		w.book.options.Log = log
		if err := w.book.settled(w.ctx()); !errors.Is(err, errRead) {
			t.Error(err)
		}
		if w.book.Survey().Through != 0 {
			t.Error("it went past what it could not read")
		}
		ctx, stop := context.WithCancel(w.ctx())
		done := make(chan error)
		go func() { done <- w.book.Follow(ctx) }()
		pass(time.Second)
		log.fail.Store(false)
		pass(2 * time.Minute)
		if s := w.book.Survey(); s.Through != s.Size {
			t.Errorf("%+v", s)
		}
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

var errRead = errors.New("read")

type unread struct {
	Log
	fail atomic.Bool
}

func (u *unread) Records(ctx context.Context, from, to uint64) iter.Seq2[archive.Record, error] {
	if u.fail.Load() {
		return func(yield func(archive.Record, error) bool) { yield(archive.Record{}, errRead) }
	}
	return u.Log.Records(ctx, from, to)
}
