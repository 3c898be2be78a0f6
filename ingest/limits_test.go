package ingest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"

	"github.com/prometheus/client_golang/prometheus"
)

// fullLog has no room for pages while it is full; alarms go into the reserve.
type fullLog struct {
	Log
	full  atomic.Bool
	tries atomic.Int64
}

func (l *fullLog) Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	if b.Cursor != nil && l.full.Load() {
		l.tries.Add(1)
		return nil, archive.ErrDiskFull
	}
	return l.Log.Append(ctx, b)
}

func TestDiskFull(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		for range 98 {
			r.st.say(ann, "waits for room")
		}
		log := &fullLog{Log: r.archive}
		log.full.Store(true)
		r.log = log
		stop := r.start(func(o *Options) { o.PageLimit = 5 })
		check(t, sleep(t.Context(), 10*time.Minute))
		if r.lastAck() != 0 {
			t.Error("acked without room")
		}
		if n := log.tries.Load(); n < 59 || n > 61 {
			t.Errorf("%d tries in ten minutes; want one each 10 s", n)
		}
		if r.relay.polls > 6 {
			t.Errorf("%d pages pulled without room", r.relay.polls)
		}
		if got := r.alarmNames(); !slices.Equal(got, []string{AlarmDiskFull}) {
			t.Errorf("alarms %v; want one", got)
		}
		if s := r.client.Status(); s.LastError != classDiskFull {
			t.Errorf("status %+v", s)
		}
		log.full.Store(false)
		room := time.Now()
		r.untilAcked(100)
		if took := time.Since(room); took > time.Minute {
			t.Errorf("resumed after %v", took)
		}
		stop()
		r.wantOnce(r.st)
		if s := r.client.Status(); s.LastError != "" {
			t.Errorf("status %+v", s)
		}
	})
}

func TestIndexLagHoldsThePollsBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		speed uint64 // entries a second that the index comes nearer
		least time.Duration
		most  time.Duration
	}{
		{"slow", 1000, 10 * time.Second, 11 * time.Second},
		{"broken", 0, indexPatience, indexPatience + time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.st.join("u-ann", jws.EdDSA)
				began := time.Now()
				lag := func() uint64 { return 60_000 - c.speed*uint64(time.Since(began)/time.Second) }
				var polled time.Duration
				r.relay.onEvents = func(poll int, _ wire.Expect) (*wire.Page, error, bool) {
					if poll == 1 {
						polled = time.Since(began)
					}
					return nil, nil, false
				}
				stop := r.start(func(o *Options) { o.Lag = lag })
				r.untilAcked(2)
				stop()
				if polled < c.least || polled > c.most {
					t.Errorf("first poll after %v; want %v", polled, c.least)
				}
			})
		})
	}
}

func TestKeyset(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		began := time.Now()
		stop := r.start()
		check(t, sleep(t.Context(), 25*time.Hour))
		stop()
		r.reopen()
		stop = r.start()
		check(t, sleep(t.Context(), time.Second))
		stop()
		sets := r.relay.keysets
		if len(sets) != 3 {
			t.Fatalf("%d keysets in 25 hours and a restart", len(sets))
		}
		if sets[0].Time.Sub(began) > time.Minute {
			t.Errorf("the first one came after %v", sets[0].Time.Sub(began))
		}
		for i, k := range sets {
			if i > 0 && (k.Version <= sets[i-1].Version || k.Time.After(sets[i-1].Expires)) {
				t.Errorf("keyset %d: version %d after %d, at %v", i, k.Version, sets[i-1].Version, k.Time)
			}
			if k.Expires.Sub(k.Time) > wire.MaxKeysetLife || len(k.Keys) != 2 {
				t.Errorf("keyset %d lives %v with %d keys", i, k.Expires.Sub(k.Time), len(k.Keys))
			}
			for _, key := range k.Keys {
				if (envelope.PublicKey{KEM: envelope.KEM(key.KEM), Bytes: key.PK}).KID() != key.Kid {
					t.Errorf("kid %s does not fit its key", key.Kid)
				}
			}
		}
	})
}

// changingKeys can be given other keys while a client runs.
type changingKeys struct {
	*archive.Archive
	mu   sync.Mutex
	keys []archive.RecipientKey
}

func (k *changingKeys) RecipientKeys() []archive.RecipientKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.keys)
}

func TestNewKeyIsPublishedAndOpens(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		old := r.archive.RecipientKeys()
		old[0].NotAfter = time.Now().Add(-time.Hour) // its envelopes may still be under way
		keys := &changingKeys{Archive: r.archive, keys: old}
		r.st.say(ann, "under the old key")
		stop := r.start(func(o *Options) { o.Keys = keys })
		r.untilAcked(3)
		fresh, err := envelope.GenerateKey(envelope.P256)
		check(t, err)
		private, err := fresh.Bytes()
		check(t, err)
		keys.mu.Lock()
		keys.keys = append(keys.keys, archive.RecipientKey{KID: fresh.KID(), KEM: uint16(envelope.P256), Private: private, NotAfter: time.Now().Add(24 * time.Hour)})
		keys.mu.Unlock()
		r.relay.mu.Lock()
		r.keys[envelope.P256] = fresh.Public()
		r.st.say(ann, "under the new key")
		r.relay.mu.Unlock()
		r.untilAcked(4)
		r.until("published", func() bool {
			r.relay.mu.Lock()
			defer r.relay.mu.Unlock()
			return len(r.relay.keysets) == 2
		})
		stop()
		if n := len(r.records(proof.KindMessage)); n != 2 {
			t.Errorf("%d messages opened", n)
		}
		if a, b := len(r.relay.keysets[0].Keys), len(r.relay.keysets[1].Keys); a != 1 || b != 2 {
			t.Errorf("keysets of %d and %d keys; a key past its not_after is not offered", a, b)
		}
	})
}

func TestKeysetRefused(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.relay.onKeyset = func(*wire.Keyset) error { return &wire.Problem{Status: 409, Code: wire.CodeKeysetVersion} }
		stop := r.start()
		check(t, sleep(t.Context(), time.Hour))
		stop()
		if got := r.alarmNames(); !slices.Equal(got, []string{AlarmKeysetRefused}) {
			t.Errorf("alarms %v", got)
		}
	})
}

// brokenLog takes no alarm until it is mended: what is owed comes then.
func TestAlarmThatCouldNotBeAppendedIsOwed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		r.st.say(ann, "x")
		var broken atomic.Bool
		broken.Store(true)
		r.log = logFunc{r.archive, func(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
			if broken.Load() {
				return nil, archive.ErrFailed
			}
			return r.archive.Append(ctx, b)
		}}
		stop := r.start()
		check(t, sleep(t.Context(), 10*time.Minute))
		broken.Store(false)
		r.untilAcked(3)
		stop()
		if got := r.alarmNames(); !slices.Equal(got, []string{AlarmWriteFailed}) {
			t.Errorf("alarms %v", got)
		}
	})
}

type logFunc struct {
	Log
	append func(context.Context, archive.Batch) ([]archive.Placed, error)
}

func (l logFunc) Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	return l.append(ctx, b)
}

func TestMetricsCount(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		registry := prometheus.NewRegistry()
		m, err := NewMetrics(registry)
		check(t, err)
		ann := r.st.join("u-ann", jws.EdDSA)
		first := r.st.message(ann, "once")
		r.st.add(wire.KindEnv, first)
		r.st.add(wire.KindEnv, first)
		r.st.add(wire.KindEnv, "nothing")
		r.st.add("a kind with a name like u-ann", "{}")
		stop := r.start(func(o *Options) { o.Metrics = m })
		r.untilAcked(6)
		stop()
		got := map[string]float64{}
		families, err := registry.Gather()
		check(t, err)
		for _, f := range families {
			for _, s := range f.GetMetric() {
				name := f.GetName()
				for _, l := range s.GetLabel() {
					name += " " + l.GetValue()
				}
				got[name] = s.GetCounter().GetValue() + s.GetGauge().GetValue()
			}
		}
		for name, want := range map[string]float64{
			"holdfast_ingest_events_total env": 3, "holdfast_ingest_events_total dir": 2, "holdfast_ingest_events_total other": 1,
			"holdfast_ingest_messages_total": 1, "holdfast_ingest_redelivered_total": 1, "holdfast_ingest_quarantined_total malformed": 1,
			"holdfast_ingest_cursor_seq": 6, "holdfast_ingest_acked_seq": 6, "holdfast_ingest_lag_events": 0, "holdfast_ingest_connected": 1,
		} {
			if got[name] != want {
				t.Errorf("%s is %v; want %v", name, got[name], want)
			}
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	s := newSite(t)
	good := func() Options {
		return Options{Log: s.archive, Blobs: s.archive, Keys: s.archive, State: s, HeadKey: make([]byte, 32), URL: "https://relay"}
	}
	for name, spoil := range map[string]func(*Options){
		"no log": func(o *Options) { o.Log = nil }, "no head key": func(o *Options) { o.HeadKey = nil },
		"a page of 1001": func(o *Options) { o.PageLimit = 1001 }, "a wait of 56 s": func(o *Options) { o.Wait = 56 * time.Second },
		"http": func(o *Options) { o.URL = "http://relay" }, "no CA file": func(o *Options) { o.CA = "/nonexistent" },
	} {
		o := good()
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestInParallelCallsEachOnce(t *testing.T) {
	for _, n := range []int{0, 1, 3, 4, 5, 1000} {
		for _, workers := range []int{1, 2, 7} {
			calls := make([]atomic.Int32, n)
			inParallel(n, workers, func(i int) { calls[i].Add(1) })
			for i := range calls {
				if calls[i].Load() != 1 {
					t.Fatalf("n=%d workers=%d: %d called %d times", n, workers, i, calls[i].Load())
				}
			}
		}
	}
}
