package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"
)

// damagedLog cannot read the bodies of one kind's first entries back.
type damagedLog struct {
	Log
	kind proof.Kind
	left int // undamaged ones at the end are not counted
	err  error
	hit  map[uint64]bool
}

func (l *damagedLog) Record(ctx context.Context, seq uint64) (archive.Record, error) {
	rec, err := l.Log.Record(ctx, seq)
	if err != nil || rec.Leaf.Kind != l.kind || len(l.hit) >= l.left && !l.hit[seq] {
		return rec, err
	}
	l.hit[seq] = true
	return archive.Record{Leaf: rec.Leaf}, fmt.Errorf("CANARY: %w", l.err)
}

// damage makes the next client read through a log whose first n entries of a kind are damaged.
func (r *rig) damage(kind proof.Kind, n int) *damagedLog {
	l := &damagedLog{Log: r.archive, kind: kind, left: n, err: archive.ErrDamaged, hit: map[uint64]bool{}}
	r.log = l
	return l
}

// wantDamage checks that entries were told of once, without a word of what they hold.
func (r *rig) wantDamage(what string, l *damagedLog) {
	r.t.Helper()
	if got := r.alarmNames(); !slices.Equal(got, []string{AlarmBacklogDamaged}) {
		r.t.Fatalf("alarms %v", got)
	}
	rec := r.records(proof.KindAlarm)[0]
	facts := alarmOf(r.t, rec).Facts
	if facts["needed_for"] != what || facts["entries"] != decimal(uint64(len(l.hit))) || facts["class"] != classLog || facts["first_entry"] == "" {
		r.t.Errorf("facts %v of %d damaged entries", facts, len(l.hit))
	}
	if strings.Contains(string(rec.Body), "CANARY") {
		r.t.Errorf("alarm %s", rec.Body)
	}
}

// One message that cannot be read must stop neither the other attachments nor the stream, however often a session begins.
func TestDamagedMessageWithAPendingBlob(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		r.withBlob(ann, 5000)
		bid, ct := r.withBlob(ann, 5000)
		stop := r.start(func(o *Options) { o.BlobDeadline = -1 })
		r.untilAcked(4)
		stop()
		log := r.damage(proof.KindMessage, 1)
		r.relay.blobs[bid] = ct
		r.st.say(ann, "the stream goes on")
		stop = r.start()
		r.untilAcked(5)
		r.until("the other one stored", func() bool { return len(r.records(proof.KindBlob)) == 3 })
		check(t, r.client.blobs.resume(t.Context())) // as the next session does
		stop()
		r.wantDamage("attachments", log)
		if pending, err := r.PendingBlobs(t.Context()); err != nil || len(pending) != 1 {
			t.Errorf("pending: %v %v; what may yet be restored from a backup is not given up", pending, err)
		}
	})
}

func TestDamagedQuarantineEntryIsAckedWithoutItsCode(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.st.join("u-ann", jws.EdDSA)
		for _, data := range []string{"AMX1.a.b", "AMX7.a.b", "AMX9.a.b"} {
			r.st.add(wire.KindEnv, data)
		}
		r.relay.onAck = func(*wire.Ack) error { return errors.New("the line is dead") }
		stop := r.start()
		r.until("durable", func() bool { c, _ := r.archive.Cursor(); return c.Seq == 5 })
		stop()
		log := r.damage(proof.KindQuarantine, 2)
		r.relay.onAck = nil
		stop = r.start()
		r.untilAcked(5)
		stop()
		if a := r.relay.acks[0]; a.Seq != 5 || !slices.Equal(a.Quarantined, []wire.Quarantined{{Seq: 5, Code: "unsupported_version"}}) {
			t.Errorf("ack up to %d with %v", a.Seq, a.Quarantined)
		}
		r.wantDamage("acks", log)
	})
}

func TestOneUnreadableEntryIsNotALogThatFailed(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want bool
	}{
		{t.Context(), nil, false}, {t.Context(), archive.ErrDamaged, false}, {t.Context(), io.ErrUnexpectedEOF, false},
		{t.Context(), archive.ErrFailed, true}, {t.Context(), archive.ErrClosed, true}, {ended, context.Canceled, true},
	} {
		if got := fatal(c.ctx, c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

// deadState is a log whose control entries cannot be read while it is dead.
type deadState struct {
	State
	dead atomic.Bool
}

func (s *deadState) Directory(ctx context.Context) (*envelope.Directory, error) {
	if s.dead.Load() {
		return nil, archive.ErrDamaged
	}
	return s.State.Directory(ctx)
}

// The relay answers all the while: nobody must be sent to look at the network.
func TestLogThatCannotBeReadIsToldAndNotTheRelaysSilence(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.st.join("u-ann", jws.EdDSA)
		state := &deadState{State: r.site}
		state.dead.Store(true)
		stop := r.start(func(o *Options) { o.State = state })
		check(t, sleep(t.Context(), 3*time.Hour))
		if got := r.alarmNames(); !slices.Equal(got, []string{AlarmLogFailing}) {
			t.Errorf("alarms %v", got)
		}
		if s := r.client.Status(); s.LastError != ClassLog {
			t.Errorf("status %+v", s)
		}
		state.dead.Store(false)
		r.untilAcked(2)
		stop()
	})
}

func TestSilenceIsCountedFromTheLogsLastFailure(t *testing.T) {
	bubble(t, func(t *testing.T, _ *rig) {
		for _, own := range []string{ClassLog, ClassDiskFull} {
			tr := newTracker(newMetrics())
			tr.failed(classNetwork)
			check(t, sleep(t.Context(), time.Hour))
			tr.failed(own)
			check(t, sleep(t.Context(), time.Hour))
			if s := tr.silence(); s != 0 {
				t.Errorf("%s: the relay's silence is %v", own, s)
			}
			tr.failed(classNetwork)
			check(t, sleep(t.Context(), time.Minute))
			if s := tr.silence(); s != time.Hour+time.Minute {
				t.Errorf("%s, then the network: the relay's silence is %v", own, s)
			}
		}
	})
}

// blindLog cannot sign a checkpoint: nothing is acked.
type blindLog struct{ Log }

func (blindLog) Checkpoint(context.Context) ([]byte, error) { return nil, archive.ErrDamaged }

func TestLogThatCannotSignIsTold(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.st.join("u-ann", jws.EdDSA)
		r.log = blindLog{r.archive}
		stop := r.start()
		check(t, sleep(t.Context(), time.Hour))
		stop()
		if got := r.alarmNames(); !slices.Equal(got, []string{AlarmLogFailing}) || r.lastAck() != 0 {
			t.Errorf("alarms %v, acked %d", got, r.lastAck())
		}
	})
}

// TestLastKeyEnds: a year in which nobody makes new keys, and then somebody does.
func TestLastKeyEnds(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		old := r.archive.RecipientKeys()
		began, end := time.Now(), old[0].NotAfter
		for i := range old {
			old[i].NotAfter = began.Add(40 * 24 * time.Hour)
		}
		old[0].NotAfter = began.Add(24 * time.Hour) // not the last of all
		keys := &changingKeys{Archive: r.archive, keys: old}
		// The keyset's goroutine alone: six weeks of polls would take long even by this clock.
		o := Options{HeadKey: make([]byte, 32), Log: r.archive, Blobs: r.archive, Keys: keys, State: r.site}
		check(t, o.defaults())
		r.client = newClient(o, testArc, r.relay)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.client.publishKeyset(ctx) }()
		for _, step := range []struct {
			day  int
			want []string
		}{
			{9, nil}, {12, []string{"warning"}}, {32, []string{"warning"}}, {35, []string{"warning", "critical"}},
			{42, []string{"warning", "critical", "critical"}}, {44, []string{"warning", "critical", "critical"}},
		} {
			check(t, sleep(t.Context(), time.Until(began.AddDate(0, 0, step.day))))
			var got []string
			for _, rec := range r.records(proof.KindAlarm) {
				if body := alarmOf(t, rec); body.Name == AlarmKeysEnding {
					got = append(got, body.Severity)
				}
			}
			if !slices.Equal(got, step.want) {
				t.Errorf("day %d: told %v; want %v", step.day, got, step.want)
			}
		}
		keys.mu.Lock()
		keys.keys[0].NotAfter = end
		keys.mu.Unlock()
		sets := func() []wire.Keyset {
			r.relay.mu.Lock()
			defer r.relay.mu.Unlock()
			return slices.Clone(r.relay.keysets)
		}
		before := len(sets())
		r.until("published again", func() bool { return len(sets()) > before })
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		for i, k := range sets() {
			if len(k.Keys) == 0 {
				t.Errorf("keyset %d is empty", i)
			}
		}
		if last := sets()[before]; !last.Keys[0].NotAfter.Equal(end.Truncate(time.Millisecond)) {
			t.Errorf("the new set ends at %v", last.Keys[0].NotAfter)
		}
	})
}

// drip gives a byte every ten seconds for ever: it is never silent for long.
type drip struct{}

func (drip) Read(p []byte) (int, error) {
	if err := sleep(context.Background(), 10*time.Second); err != nil {
		return 0, err
	}
	return copy(p, "x"), nil
}

func (drip) Close() error { return nil }

func TestDrippingBlobGivesItsFetcherBack(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		for range blobConnections {
			r.withBlob(ann, 400_000)
		}
		bid, ct := r.withBlob(ann, 4000)
		r.relay.onBlob = func(which string, _ int64) (*blobPart, error, bool) {
			return &blobPart{body: drip{}}, nil, which != bid
		}
		r.relay.blobs[bid] = ct
		began := time.Now()
		stop := r.start(func(o *Options) { o.BlobDeadline, o.BlobGiveUp = -1, 30*time.Minute })
		r.until("the good one stored", func() bool { return len(r.records(proof.KindBlob)) == 4 })
		if took := time.Since(began); took > 5*time.Minute {
			t.Errorf("the good one came after %v", took)
		}
		r.until("the others given up", func() bool { return len(r.records(proof.KindBlob)) == 6 })
		stop()
		if took := time.Since(began); took < 30*time.Minute || took > 50*time.Minute {
			t.Errorf("given up after %v", took)
		}
		if _, later := r.blobStates(); !slices.Equal(later[3:], []string{archive.BlobStored, archive.BlobMissing, archive.BlobMissing}) {
			t.Errorf("states %v", later)
		}
	})
}

func TestPatienceHasABound(t *testing.T) {
	for size, want := range map[int64]time.Duration{
		0: blobPatience, 6 << 20: blobPatience + 96*time.Second, 1 << 53: blobPatience + mostBlobTime,
	} {
		if got := (&blobJob{size: size}).patience(); got != want {
			t.Errorf("%d bytes: %v; want %v", size, got, want)
		}
	}
}

// An attachment's loss must be told if and only if the entry that says it is there: a crash right behind the append takes nothing away.
func TestLostBlobsAlarmIsInTheBatchOfItsEntry(t *testing.T) {
	for name, problem := range map[string]*wire.Problem{
		"at once": {Status: 410, Code: wire.CodeGone}, "later": {Status: 404, Code: wire.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				ann := r.st.join("u-ann", jws.EdDSA)
				for range 3 {
					r.withBlob(ann, 5000)
				}
				r.relay.onBlob = func(string, int64) (*blobPart, error, bool) { return nil, problem, true }
				batches := map[string]int{}
				r.log = logFunc{r.archive, func(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
					if slices.ContainsFunc(b.Entries, func(e archive.Entry) bool { return e.Kind == proof.KindAlarm }) {
						batches[fmt.Sprintf("cursor %v, of %v", b.Cursor != nil, b.Entries[0].Kind)]++
					}
					return r.archive.Append(ctx, b)
				}}
				stop := r.start()
				r.untilAcked(5)
				check(t, sleep(t.Context(), time.Hour))
				r.relay.mu.Lock()
				r.withBlob(ann, 5000) // while the alarm stands
				r.relay.mu.Unlock()
				r.untilAcked(6)
				check(t, sleep(t.Context(), time.Hour))
				stop()
				want := map[string]int{fmt.Sprintf("cursor true, of %v", proof.KindEpoch): 1}
				if name == "later" {
					want = map[string]int{fmt.Sprintf("cursor false, of %v", proof.KindBlob): 1}
				}
				if !maps.Equal(batches, want) {
					t.Errorf("batches with alarms: %v; want %v", batches, want)
				}
				if got := r.alarmNames(); !slices.Equal(got, []string{AlarmBlobLost}) {
					t.Errorf("alarms %v", got)
				}
			})
		})
	}
}
