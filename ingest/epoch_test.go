package ingest

import (
	"slices"
	"testing"
	"time"

	"holdfast/archive/proof"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"
)

func TestEpochChange(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		old := r.st
		ann := old.join("u-ann", jws.EdDSA)
		old.say(ann, "in the old epoch")
		stop := r.start()
		r.untilAcked(3)
		r.relay.mu.Lock()
		r.st = old.next("e2")
		r.st.say(ann, "in the new one")
		r.relay.now, r.relay.acked = r.st, 0
		r.relay.mu.Unlock()
		r.until("acked in the new epoch", func() bool {
			r.relay.mu.Lock()
			defer r.relay.mu.Unlock()
			return len(r.relay.acks) > 0 && r.relay.acks[len(r.relay.acks)-1].Epoch == "e2"
		})
		stop()
		r.wantOnce(old)
		r.wantOnce(r.st)
		cur, _ := r.archive.Cursor()
		if cur.Epoch != "e2" || cur.Ordinal != 1 || cur.Seq != 1 {
			t.Errorf("cursor %+v", cur)
		}
		if n, known, err := r.Ordinal(t.Context(), "e2"); err != nil || !known || n != 1 {
			t.Errorf("ordinal %d %v %v", n, known, err)
		}
		if n := len(r.records(proof.KindMessage)); n != 2 {
			t.Errorf("%d messages; the device of the old epoch must hold in the new", n)
		}
		if got := r.alarmNames(); !slices.Equal(got, []string{AlarmEpochChanged}) {
			t.Errorf("alarms %v", got)
		}
	})
}

func TestEpochChangeWithNothingInItYet(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.st.join("u-ann", jws.EdDSA)
		stop := r.start()
		r.untilAcked(2)
		r.relay.mu.Lock()
		r.st = r.st.next("e2")
		r.relay.now = r.st
		r.relay.mu.Unlock()
		r.until("told", func() bool { return len(r.alarmNames()) == 1 })
		stop()
		if cur, _ := r.archive.Cursor(); cur.Epoch != "e2" || cur.Seq != 0 || cur.Head != r.st.heads[0] {
			t.Errorf("cursor %+v", cur)
		}
		r.reopen()
		r.st.add(wire.KindDelivered, "{}")
		r.relay.acked = 0
		stop = r.start()
		r.untilAcked(1)
		stop()
		if got := r.alarmNames(); !slices.Equal(got, []string{AlarmEpochChanged}) {
			t.Errorf("alarms %v after a restart", got)
		}
	})
}

// A relay that lost the end of an epoch cannot chain the next one to what this archive holds, nor may it come back to an old name.
func TestEpochThatDoesNotContinue(t *testing.T) {
	for _, c := range []struct {
		name, alarm string
		next        func(old *stream) *stream
	}{
		{"unknown previous", AlarmEpochUnknown, func(old *stream) *stream {
			n := old.next("e3")
			n.previous = "e2"
			return n
		}},
		{"lost its tail", AlarmPageRefused, func(old *stream) *stream {
			short := *old
			short.heads = short.heads[:2]
			return short.next("e2")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.st.join("u-ann", jws.EdDSA)
				stop := r.start()
				r.untilAcked(2)
				r.relay.mu.Lock()
				r.relay.now = c.next(r.st)
				r.relay.now.add(wire.KindDelivered, "{}")
				r.relay.mu.Unlock()
				r.until("told", func() bool { return len(r.alarmNames()) > 0 })
				check(t, sleep(t.Context(), time.Hour))
				stop()
				if got := r.alarmNames(); !slices.Equal(got, []string{c.alarm}) {
					t.Errorf("alarms %v", got)
				}
				if cur, _ := r.archive.Cursor(); cur.Epoch != "e1" || cur.Seq != 2 {
					t.Errorf("cursor %+v", cur)
				}
			})
		})
	}
}

func TestEpochThatComesBackToAnOldName(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.st.join("u-ann", jws.EdDSA)
		stop := r.start()
		r.untilAcked(2)
		second := r.st.next("e2")
		for _, st := range []*stream{second, second.next("e1")} {
			r.until("caught up", func() bool { s := r.client.Status(); return s.Connected && s.Cursor.Epoch == r.relay.now.epoch })
			r.relay.mu.Lock()
			r.relay.now = st
			r.relay.mu.Unlock()
			check(t, sleep(t.Context(), 10*time.Minute))
		}
		stop()
		if cur, _ := r.archive.Cursor(); cur.Epoch != "e2" || !slices.Equal(r.alarmNames(), []string{AlarmEpochChanged, AlarmEpochUnknown}) {
			t.Errorf("cursor %+v, alarms %v", cur, r.alarmNames())
		}
	})
}

func TestFirstContactInALaterEpoch(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.relay.now = r.st.next("e2")
		stop := r.start()
		r.until("told", func() bool { return len(r.alarmNames()) > 0 })
		stop()
		if _, known := r.archive.Cursor(); known || r.alarmNames()[0] != AlarmEpochUnknown {
			t.Errorf("alarms %v", r.alarmNames())
		}
	})
}
