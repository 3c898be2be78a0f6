package ingest

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/internal/jws"
)

// The relay hears how far its stream is backed up: with each ack, never past
// what is acked, and at once when a backup was made.
func TestAcksTellWhatIsBackedUp(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ann := r.st.join("u-ann", jws.EdDSA)
		r.st.say(ann, "one")
		r.st.say(ann, "two")
		var seq atomic.Uint64
		var epoch atomic.Value
		epoch.Store("another epoch")
		stop := r.start(func(o *Options) {
			o.BackedUp = func() (string, uint64) { return epoch.Load().(string), seq.Load() }
		})
		defer stop()
		high := uint64(len(r.st.events))
		seq.Store(high)
		r.untilAcked(high)
		last := func() (n int, seq, backedUp uint64) {
			r.relay.mu.Lock()
			defer r.relay.mu.Unlock()
			n = len(r.relay.acks)
			return n, r.relay.acks[n-1].Seq, r.relay.acks[n-1].BackedUp
		}
		if _, _, got := last(); got != 0 {
			t.Errorf("a backup of another epoch counts for %d", got)
		}
		epoch.Store(r.st.epoch)
		seq.Store(high - 1)
		before, _, _ := last()
		r.client.TellBackedUp()
		<-time.After(time.Second)
		synctest.Wait()
		if n, acked, got := last(); n != before+1 || acked != high || got != high-1 {
			t.Errorf("after a backup: %d acks more, acked %d, backed up %d; want %d and %d", n-before, acked, got, high, high-1)
		}
		seq.Store(high + 100)
		r.client.TellBackedUp()
		<-time.After(time.Second)
		synctest.Wait()
		if _, acked, got := last(); acked != high || got != high {
			t.Errorf("backed up past what is acked: %d of %d", got, acked)
		}
	})
}

// A page waits for the key of its body file to be copied, and somebody hears of
// it when that takes long; then it goes on by itself.
func TestPagesWaitForTheKeysBackup(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.archive.HoldForKeys()
		r.st.say(r.st.join("u-ann", jws.EdDSA), "one")
		stop := r.start()
		defer stop()
		<-time.After(keysPatience / 2)
		synctest.Wait()
		if names := r.alarmNames(); len(names) != 0 {
			t.Errorf("alarms at once: %v", names)
		}
		<-time.After(keysPatience)
		synctest.Wait()
		if names := r.alarmNames(); len(names) != 1 || names[0] != AlarmKeysBehind {
			t.Errorf("alarms: %v", names)
		}
		if s := r.client.Status(); s.LastError != ClassKeysBehind {
			t.Errorf("status says %q", s.LastError)
		}
		if c, ok := r.archive.Cursor(); ok && c.Seq > 0 {
			t.Errorf("taken up to %d", c.Seq)
		}
		copied(t, r.archive)
		r.untilAcked(uint64(len(r.st.events)))
	})
}

func copied(t *testing.T, a *archive.Archive) {
	t.Helper()
	c, err := a.CopyKeys()
	check(t, err)
	a.KeysCopied(c.Keys)
}
