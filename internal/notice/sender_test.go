package notice

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// door is a way that does what it is told.
type door struct {
	name string

	mu    sync.Mutex
	err   error
	stuck bool
	took  []Parcel
	tried int
}

func (d *door) Name() string { return d.name }

func (d *door) Send(ctx context.Context, p Parcel) error {
	d.mu.Lock()
	d.tried++
	stuck, err := d.stuck, d.err
	if !stuck && err == nil {
		d.took = append(d.took, p)
	}
	d.mu.Unlock()
	if stuck {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (d *door) set(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// came returns the seqs of each parcel since the last call.
func (d *door) came() (out [][]uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.took {
		var seqs []uint64
		for _, a := range p.Alarms {
			seqs = append(seqs, a.Seq)
		}
		out = append(out, seqs)
	}
	d.took = nil
	return out
}

// board is where alarms stand.
type board struct {
	mu   sync.Mutex
	open []Alarm
}

func (b *board) set(open ...Alarm) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = open
}

func (b *board) Open(context.Context) ([]Alarm, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.open), nil
}

// sending runs a sender over the ways until the test is over.
func sending(t *testing.T, b *board, ways ...Way) *Sender {
	s := NewSender(Options{ArchiveID: "a", Ways: ways, Open: b.Open, Repeat: 4 * time.Hour, Logger: quiet})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func want(t *testing.T, when string, got [][]uint64, want ...[]uint64) {
	t.Helper()
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%s: %v was sent, want %v", when, got, want)
	}
}

func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// An alarm goes out at once, and again every four hours until somebody
// acknowledges it.
func TestRepeatedUntilAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, d := &board{}, &door{name: WaySMTP}
		sending(t, b, d)
		after(time.Hour)
		want(t, "nothing is open", d.came())
		b.set(Alarm{Seq: 5, Severity: "warning"}, Alarm{Seq: 3, Severity: "critical"}, Alarm{Seq: 9, Severity: "warning"})
		after(lookEvery)
		want(t, "at once, the worst first", d.came(), []uint64{3, 9, 5})
		after(4*time.Hour - 2*lookEvery)
		want(t, "within four hours", d.came())
		after(2 * lookEvery)
		d.mu.Lock()
		if len(d.took) != 1 || d.took[0].Alarms[0].Repeat != 1 {
			t.Errorf("%+v", d.took)
		}
		d.mu.Unlock()
		want(t, "after four hours", d.came(), []uint64{3, 9, 5})
		b.set(Alarm{Seq: 9})
		after(8*time.Hour + 3*lookEvery)
		want(t, "two are acknowledged", d.came(), []uint64{9}, []uint64{9})
		b.set()
		after(24 * time.Hour)
		want(t, "all are acknowledged", d.came())
		// A burst becomes one parcel a minute.
		for seq := range uint64(30) {
			b.set(append(b.open, Alarm{Seq: 100 + seq})...)
			after(lookEvery)
		}
		if n := len(d.came()); n < 4 || n > 6 {
			t.Errorf("%d parcels in five minutes", n)
		}
	})
}

// A way that fails is tried again, keeps no other from sending, and makes no
// alarm.
func TestFailingWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, good, bad, stuck := &board{}, &door{name: WaySMTP}, &door{name: WayWebhook, err: errors.New("no")}, &door{name: WaySyslog, stuck: true}
		s := sending(t, b, good, bad, stuck)
		b.set(Alarm{Seq: 1})
		after(time.Hour)
		want(t, "the good one", good.came(), []uint64{1})
		if bad.tried < 5 || bad.tried > 9 || stuck.tried != 1 {
			t.Errorf("%d and %d attempts", bad.tried, stuck.tried)
		}
		if f := s.Failing(); f[WaySMTP] != "" || f[WayWebhook] != FailedOther {
			t.Errorf("%v", f)
		}
		bad.set(nil)
		after(maxWait + lookEvery)
		want(t, "it is back", bad.came(), []uint64{1})
		if f := s.Failing(); f[WayWebhook] != "" {
			t.Errorf("%v", f)
		}
	})
}

// What is open when the daemon starts is sent, whatever an earlier one sent.
func TestSentAgainAfterStart(t *testing.T) {
	b, d := &board{}, &door{name: WaySMTP}
	b.set(Alarm{Seq: 1})
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			sending(t, b, d)
			after(time.Second)
		})
	}
	want(t, "two starts", d.came(), []uint64{1}, []uint64{1})
}

func TestTest(t *testing.T) {
	good, bad := &door{name: WaySMTP}, &door{name: WayMirror, err: ErrNotTaken}
	got := Test(t.Context(), "a", []Way{good, bad}, quiet)
	if !slices.Equal(got, []Result{{WaySMTP, ""}, {WayMirror, FailedNotTaken}}) {
		t.Errorf("%+v", got)
	}
	if len(good.took) != 1 || !good.took[0].Test || good.took[0].title() != "[holdfast a] test of the alarms' way out" {
		t.Errorf("%+v", good.took)
	}
}
