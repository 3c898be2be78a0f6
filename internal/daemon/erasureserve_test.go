package daemon

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/archive"
	"holdfast/internal/config"
	"holdfast/internal/role"
	"holdfast/retention"
	"holdfast/retention/hold"
)

// serving is the archive with the daemon's parts over it.
type serving struct {
	*parts
	w    *erasureWard
	stop func()
}

// serve opens the archive as the daemon does, and has its followers run.
func (w *erasureWard) serve() *serving {
	w.t.Helper()
	var err error
	w.log, err = archive.Open(w.t.Context(), w.dir, w.opts)
	w.must(err)
	logger := slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p, err := newParts(w.t.Context(), w.log, Options{Config: &config.Config{Data: w.dir, Backup: w.backup}, Version: "test", Extract: extractor, Logger: logger})
	w.must(err)
	w.must(p.book.Resume(w.t.Context()))
	ctx, cancel := context.WithCancel(context.Background())
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return ended(running, p.index.Follow(whileReading(running))) })
	g.Go(func() error { return ended(running, p.book.Follow(running)) })
	if w.backup.KeysTo != "" && !w.still {
		g.Go(func() error { return ended(running, p.backups.run(running)) })
		g.Go(func() error { return p.housekeep(running) })
	}
	stopped := false
	s := &serving{parts: p, w: w, stop: func() {
		w.t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		w.must(errors.Join(g.Wait(), p.index.Close(), w.log.Close()))
	}}
	w.t.Cleanup(s.stop)
	return s
}

// indexedAll waits until the index has seen everything.
func (s *serving) indexedAll() {
	s.w.t.Helper()
	ctx, cancel := context.WithTimeout(s.w.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.index.Lag() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.w.t.Fatalf("the index lags by %d", s.index.Lag())
		}
	}
}

func erasurePerson(uid uint32, name string) role.Principal {
	return role.Principal{UID: &uid, Name: name, Via: role.ViaSocket}
}

var (
	planner  = erasurePerson(1001, "rita")
	approver = erasurePerson(1002, "omar")
)

// begin makes people believe the clock again and puts the schedule and a hold
// into force.
func (s *serving) begin() {
	s.w.t.Helper()
	ctx := s.w.t.Context()
	s.w.must(s.book.ReleaseClock(ctx, planner, "the archive stood still"))
	_, err := s.book.ApplySchedule(ctx, planner, []byte(erasureSchedule), "begin", false)
	s.w.must(err)
	_, err = s.book.OpenMatter(ctx, planner, retention.NewMatter{ID: "M-1", Reason: "a lawsuit"})
	s.w.must(err)
	from := time.Date(2019, 2, 1, 0, 0, 0, 0, time.UTC)
	_, err = s.book.PlaceHold(ctx, planner, retention.NewHold{
		Matter: "M-1", Reason: "preserve", Scope: hold.Scope{Custodians: []string{"usr:" + erasureSender}, From: &from},
	})
	s.w.must(err)
}

// run approves a plan by the second person and carries it out.
func (s *serving) run(p *retention.Plan, err error) *retention.Ran {
	s.w.t.Helper()
	s.w.must(err)
	s.w.must(s.requests.Decide(s.w.t.Context(), s.archive, approver, p.Request, true, "as it should be"))
	ran, err := s.book.Run(s.w.t.Context(), planner, p.Seq, nil)
	s.w.must(err)
	return ran
}

// dispose disposes of everything that is due and not held.
func (s *serving) dispose() *retention.Ran {
	s.w.t.Helper()
	return s.run(s.book.PlanDisposition(s.w.t.Context(), planner, retention.PlanOptions{Reason: "due"}))
}

// erase erases sayings by order of a court.
func (s *serving) erase(said ...*saying) *retention.Ran {
	s.w.t.Helper()
	var seqs []uint64
	for _, x := range said {
		seqs = append(seqs, x.seq)
	}
	return s.run(s.book.PlanErasure(s.w.t.Context(), planner, seqs, "a court's order"))
}
