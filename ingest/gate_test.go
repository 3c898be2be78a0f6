package ingest

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/jws"
)

// While the gate is closed nothing is pulled, for however many reasons; then
// everything comes, each message once, and the silence was nobody's fault.
func TestGate(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		say := func(n int) {
			for range n {
				r.st.say(ann, "a message")
			}
		}
		say(5)
		gate := &Gate{}
		stop := r.start(func(o *Options) { o.Gate, o.PageLimit, o.UnreachableAfter = gate, 3, time.Minute })
		defer stop()
		r.untilAcked(7)

		gate.Close("paused")
		gate.Close("restored")
		synctest.Wait()
		say(5)
		time.Sleep(2 * time.Hour)
		if cur, _ := r.archive.Cursor(); cur.Seq != 7 || !slices.Equal(gate.Reasons(), []string{"paused", "restored"}) {
			t.Fatalf("the cursor moved to %d while held back for %v", cur.Seq, gate.Reasons())
		}
		gate.Open("paused")
		time.Sleep(time.Hour)
		if cur, _ := r.archive.Cursor(); cur.Seq != 7 {
			t.Fatalf("one of two reasons is left, and the cursor moved to %d", cur.Seq)
		}
		gate.Open("restored")
		r.untilAcked(12)
		r.wantOnce(r.st)
		for _, a := range r.alarmNames() {
			if a == AlarmUnreachable {
				t.Error("who was not asked was called unreachable")
			}
		}
		if s := r.client.Status(); s.LastError != "" || s.Cursor.Seq != 12 {
			t.Errorf("status %+v", s)
		}
	})
}
