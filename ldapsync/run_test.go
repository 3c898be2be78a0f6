package ldapsync

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/archive"
	"holdfast/archive/people"
)

// clockwork is a Syncer in a bubble of time, whose directory is outcome.
type clockwork struct {
	s       *Syncer
	log     *memory
	outcome func() (*people.Snapshot, error)
	tries   []time.Time
}

func newClockwork(t *testing.T, outcome func() (*people.Snapshot, error)) *clockwork {
	c := &clockwork{log: &memory{history: people.NewHistory()}, outcome: outcome}
	o := Options{
		URLs: []string{"ldaps://dc.test"}, CA: "testdata/ca.pem", Bind: "x", Password: func() (string, error) { return "x", nil }, Base: []string{"DC=x"},
		Log: c.log, History: c.log.history, CatchUp: c.log.CatchUp, MaxLoss: 2,
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.read = func(context.Context) (*people.Snapshot, string, error) {
		c.tries = append(c.tries, time.Now())
		snap, err := c.outcome()
		return snap, "dc.test", err
	}
	c.s = s
	return c
}

// run runs the Syncer for d.
func (c *clockwork) run(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := c.s.Run(ctx); err != nil {
		t.Error(err)
	}
}

var errDown = &Failure{Class: ClassUnreachable, What: "connect", Err: errors.New("refused")}

func TestIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClockwork(t, func() (*people.Snapshot, error) { return snapshot(3), nil })
		start := time.Now()
		c.run(t, time.Hour)
		if c.tries[0] != start || len(c.tries) < 12 || len(c.tries) > 14 {
			t.Errorf("%d synchronisations in an hour, the first after %v", len(c.tries), c.tries[0].Sub(start))
		}
		for i := range len(c.tries) - 1 {
			if d := c.tries[i+1].Sub(c.tries[i]); d > 5*time.Minute || d < 4*time.Minute {
				t.Errorf("%v between two", d)
			}
		}
		if len(c.log.alarms(t)) != 0 || c.log.Size() != 4 {
			t.Errorf("%d entries", c.log.Size())
		}
	})
}

// TestOutage: tries become rarer, one alarm is raised when an hour is over, and
// the next outage has one of its own.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := false
		c := newClockwork(t, func() (*people.Snapshot, error) {
			if up {
				return snapshot(3), nil
			}
			return nil, errDown
		})
		c.run(t, 59*time.Minute)
		if n := len(c.tries); n < 12 || n > 25 || c.tries[1].Sub(c.tries[0]) > backoffMin {
			t.Errorf("%d tries, the second after %v", n, c.tries[1].Sub(c.tries[0]))
		}
		if got := c.log.alarms(t); len(got) != 0 {
			t.Errorf("alarms after 59 minutes: %q", got)
		}
		if st := c.s.Status(); st.Failing != ClassUnreachable || st.Fix == "" || !st.LastSuccess.IsZero() {
			t.Errorf("%+v", st)
		}
		c.run(t, 2*time.Minute)
		if got := c.log.alarms(t); !slices.Equal(got, []string{AlarmUnreachable}) {
			t.Errorf("alarms after 61 minutes: %q", got)
		}
		c.run(t, 5*time.Hour)
		if got := c.log.alarms(t); len(got) != 1 {
			t.Errorf("alarms after 6 hours: %q", got)
		}
		up = true
		c.run(t, time.Minute)
		up = false
		c.run(t, 50*time.Minute)
		if got := c.log.alarms(t); len(got) != 1 {
			t.Errorf("alarms of the second outage: %q", got)
		}
		c.run(t, 12*time.Minute)
		if got := c.log.alarms(t); len(got) != 2 {
			t.Errorf("alarms of the second outage: %q", got)
		}
	})
}

// TestAlarmOwed: an alarm that the log did not take is raised by the next failure.
func TestAlarmOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClockwork(t, func() (*people.Snapshot, error) { return nil, errDown })
		c.log.fault = func(n int) (bool, error) {
			if n < 3 {
				return false, archive.ErrFailed
			}
			return true, nil
		}
		c.run(t, 2*time.Hour)
		if got := c.log.alarms(t); len(got) != 1 || c.log.tries != 4 {
			t.Errorf("%q after %d tries", got, c.log.tries)
		}
	})
}

// TestRefusedForHours: one alarm, one entry, and every interval another look.
func TestRefusedForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 10
		c := newClockwork(t, func() (*people.Snapshot, error) { return snapshot(n), nil })
		c.run(t, time.Minute)
		n = 5
		before := c.log.Size()
		c.run(t, 3*time.Hour)
		if got := c.log.alarms(t); !slices.Equal(got, []string{AlarmRefused}) || c.log.Size() != before+2 || len(c.tries) < 36 {
			t.Errorf("%q, %d entries, %d tries", got, c.log.Size()-before, len(c.tries))
		}
		p := c.s.PendingDiff()
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- c.s.Run(ctx) }()
		synctest.Wait()
		tries, at := len(c.tries), time.Now()
		if _, err := c.s.Apply(t.Context(), p.Digest, execution); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(c.tries) != tries+2 || !time.Now().Equal(at) {
			t.Error("Apply did not look, or Run not at once after an approved diff")
		}
		if st := c.s.Status(); st.Failing != "" || st.Pending != nil {
			t.Errorf("%+v", st)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestRefusedReader: an account whose password is refused is left alone for
// longer and longer.
func TestRefusedReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClockwork(t, nil)
		c.outcome = func() (*people.Snapshot, error) {
			err := &Failure{Class: ClassBind, Code: 49, What: "bind"}
			c.s.servers.settle(0, err)
			return nil, err
		}
		c.run(t, 4*time.Hour)
		if n := len(c.tries); n > 8 {
			t.Errorf("%d binds in 4 hours", n)
		}
		if got := c.log.alarms(t); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}

// TestMetrics have classes for labels, and nothing else.
func TestMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	m, err := NewMetrics(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewMetrics(r); err == nil {
		t.Error("registered twice")
	}
	synctest.Test(t, func(t *testing.T) {
		fail := true
		c := newClockwork(t, func() (*people.Snapshot, error) {
			if fail {
				return nil, errDown
			}
			return snapshot(3), nil
		})
		c.s.o.Metrics = m
		c.run(t, time.Second)
		fail = false
		c.run(t, time.Second)
	})
	got := map[string]float64{}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, x := range f.GetMetric() {
			got[f.GetName()] += x.GetGauge().GetValue() + x.GetCounter().GetValue()
			for _, l := range x.GetLabel() {
				if l.GetName() != "class" || l.GetValue() != string(ClassUnreachable) {
					t.Errorf("%s has the label %v", f.GetName(), l)
				}
			}
		}
	}
	if got["holdfast_directory_people"] != 3 || got["holdfast_directory_failures_total"] != 1 || got["holdfast_directory_last_success_timestamp_seconds"] == 0 {
		t.Errorf("%v", got)
	}
}
