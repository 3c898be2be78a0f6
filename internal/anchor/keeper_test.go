package anchor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// spot is a place that does what it is told.
type spot struct {
	name string

	mu    sync.Mutex
	err   error
	stuck chan struct{} // when not nil: it hangs until this is closed, whatever its caller does
	at    []time.Time
}

func (s *spot) Kind() string { return KindWitness }
func (s *spot) Name() string { return s.name }

func (s *spot) Anchor(context.Context, Ask) ([]byte, error) {
	s.mu.Lock()
	s.at = append(s.at, time.Now())
	stuck, err := s.stuck, s.err
	s.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	return []byte("proof of " + s.name), err
}

func (s *spot) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *spot) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.at)
}

// watched is a keeper, and what it told.
type watched struct {
	*Keeper
	book *Book

	mu    sync.Mutex
	told  []string
	held  bool
	fails error
}

func (w *watched) tell(what string) func(context.Context, string, string) {
	return func(_ context.Context, kind, name string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told = append(w.told, what+" "+kind+" "+name)
	}
}

func (w *watched) heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.told
	w.told = nil
	return out
}

func watch(t *testing.T, l *tree, book *Book, places ...Place) *watched {
	w := &watched{book: book}
	seq := uint64(100)
	w.Keeper = NewKeeper(Options{
		Log: l, Key: l.key, Places: places, Every: time.Hour, Book: book,
		Record: func(_ context.Context, b Body) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.fails != nil {
				return w.fails
			}
			text, err := json.Marshal(b)
			if err != nil {
				t.Error(err)
			}
			seq++
			return book.Apply(archive.Record{Leaf: proof.Leaf{Seq: seq}, Body: text})
		},
		Held: func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.held
		},
		Refused: w.tell("refused"), Silent: w.tell("silent"), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	return w
}

func TestKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTree(t, "a", "b")
		good, bad := &spot{name: "good"}, &spot{name: "bad", err: errors.New("no")}
		w := watch(t, l, NewBook(), good, bad)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		// Every hour, and sooner where it failed; silence is told after three hours without one.
		time.Sleep(3*time.Hour - time.Second)
		synctest.Wait()
		if good.times() != 3 || bad.times() != 36 || len(w.heard()) != 0 {
			t.Errorf("%d and %d attempts", good.times(), bad.times())
		}
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if told := w.heard(); !slices.Equal(told, []string{"silent witness bad"}) {
			t.Errorf("told %q", told)
		}
		s := w.Standings()
		if s[0].Failing != "" || s[0].Last == nil || s[0].Last.Size != 2 || string(s[0].Last.Proof) != "proof of good" || s[1].Failing != FailedOther || s[1].Last != nil {
			t.Errorf("%+v", s)
		}
		// A refusal is told at once.
		bad.set(nil)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		w.heard()
		good.set(ErrRefused)
		time.Sleep(time.Hour)
		synctest.Wait()
		if told := w.heard(); len(told) == 0 || told[0] != "refused witness good" || slices.Contains(told, "silent witness good") {
			t.Errorf("told %q", told)
		}
		// An anchor of which the log could not be told is none.
		good.set(nil)
		w.mu.Lock()
		w.fails = errors.New("the disk is full")
		w.mu.Unlock()
		for _, r := range w.Make(ctx) {
			if r.Failed != FailedOther {
				t.Errorf("%+v", r)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A place that hangs keeps no other from being asked, nor the daemon from
// stopping.
func TestKeeperHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTree(t, "a")
		good, hung := &spot{name: "good"}, &spot{name: "hung", stuck: make(chan struct{})}
		w := watch(t, l, NewBook(), hung, good)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		time.Sleep(10*time.Hour + time.Minute)
		synctest.Wait()
		if good.times() != 11 || hung.times() != 1 {
			t.Errorf("%d and %d attempts", good.times(), hung.times())
		}
		if told := w.heard(); len(told) == 0 || told[0] != "silent witness hung" {
			t.Errorf("told %q", told)
		}
		if s := w.Standings(); s[0].Failing != FailedTimeout {
			t.Errorf("%+v", s)
		}
		stop()
		began := time.Now()
		if err := <-done; err != nil || time.Since(began) > 2*stopGrace {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		close(hung.stuck)
	})
}

// A daemon that starts again goes on where it was, and a restored log is not
// anchored before two people said so.
func TestKeeperStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTree(t, "a")
		book, place := NewBook(), &spot{name: "w"}
		w := watch(t, l, book, place)
		w.held = true
		run := func(w *watched, d time.Duration) {
			ctx, stop := context.WithTimeout(t.Context(), d)
			defer stop()
			if err := w.Run(ctx); err != nil {
				t.Error(err)
			}
		}
		run(w, 5*time.Hour)
		if s := w.Standings()[0]; place.times() != 0 || s.Failing != FailedHeld || len(w.heard()) != 0 {
			t.Errorf("%d attempts, %+v", place.times(), s)
		}
		w.held = false
		run(w, 20*time.Minute)
		run(watch(t, l, book, place), 35*time.Minute)
		if place.times() != 1 {
			t.Errorf("%d attempts within an hour", place.times())
		}
		run(watch(t, l, book, place), 20*time.Minute)
		if place.times() != 2 {
			t.Errorf("%d attempts after an hour", place.times())
		}
	})
}

func TestBookIsStrict(t *testing.T) {
	for _, text := range []string{
		`{"v":2,"anchor":"file","size":1,"root":"","at":"2026-01-01T00:00:00Z","checkpoint":""}`,
		`{"v":1,"anchor":"relay","size":1,"root":"","at":"2026-01-01T00:00:00Z","checkpoint":""}`,
		`{"v":1,"anchor":"file","who":1,"size":1,"root":"","at":"2026-01-01T00:00:00Z","checkpoint":""}`,
		`{}`, ``,
	} {
		b := NewBook()
		if err := b.Apply(archive.Record{Body: []byte(text)}); !errors.Is(err, archive.ErrDamaged) || len(b.All()) != 0 {
			t.Errorf("%s: %v", text, err)
		}
	}
}
