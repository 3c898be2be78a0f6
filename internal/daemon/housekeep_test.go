package daemon

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"holdfast/archive"
	"holdfast/archive/state"
	"holdfast/internal/role"
	"holdfast/retention"
)

// What fails again and again is told of once until somebody acknowledges it, and
// keeps nothing else from being looked after.
func TestChores(t *testing.T) {
	w := newWard(t)
	w.config.Relay = nil
	master, err := ReadMaster(w.path("cred"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(t.Context(), w.config.Data, archive.Options{Master: master})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newParts(t.Context(), a, Options{Config: w.config, Logger: slog.New(slog.NewTextHandler(w.logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(p.index.Close(), a.Close()); err != nil {
			t.Error(err)
		}
	}()
	open := func(want int) []state.Alarm {
		t.Helper()
		if err := p.caughtUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		open := p.state.Alarms(false)
		if len(open) != want {
			t.Errorf("%d alarms stand, want %d: %+v", len(open), want, open)
		}
		return open
	}
	chores := p.chores()
	p.tend(t.Context(), chores)
	open(0)

	done, failure := 0, errors.New("a disk that fails")
	chores[0].do = func(context.Context) error { return failure }
	chores[1].do = func(context.Context) error { done++; return nil }
	chores[3].do = func(context.Context) error { return retention.ErrRunning }
	p.tend(t.Context(), chores)
	p.tend(t.Context(), chores)
	if alarm := open(1)[0]; alarm.Name != AlarmUnfinished || alarm.Severity != "critical" || done != 2 {
		t.Errorf("%+v, the next was done %d times", alarm, done)
	}
	chores[3].do = chores[0].do
	p.tend(t.Context(), chores)
	if alarms := open(2); alarms[0].Name != AlarmHousekeeping && alarms[1].Name != AlarmHousekeeping {
		t.Errorf("%+v", alarms)
	}
	// A stop is no failure.
	chores[0].alarm.Name = "another"
	stopped, stop := context.WithCancel(t.Context())
	stop()
	p.tend(stopped, chores)
	open(2)
	if p.book.Gauges().AsOf == nil {
		t.Error("what is due was not looked at")
	}
	if _, err := p.book.PlanDisposition(t.Context(), role.Daemon(), retention.PlanOptions{Reason: "r"}); !errors.Is(err, retention.ErrNothing) {
		t.Errorf("%v", err)
	}
}
