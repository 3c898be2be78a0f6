package ingest

import (
	"sync"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"
)

// While the client runs, the archive makes new keys: senders learn of them at
// once, and what was sealed to the old ones is opened as before.
func TestRotatedKeysArePublished(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		check(t, sleep(t.Context(), archive.RecipientLife-archive.RecipientOverlap+time.Hour))
		ann := r.st.join("u-ann", jws.EdDSA)
		stop := r.start()
		r.untilAcked(2)
		first := len(r.archive.RecipientKeys())
		rotation, err := r.archive.RotateRecipients(t.Context(), nil)
		check(t, err)
		if len(rotation.Made) != first || len(rotation.Destroyed) != 0 {
			t.Fatalf("%+v", rotation)
		}
		r.until("published", func() bool {
			r.relay.mu.Lock()
			defer r.relay.mu.Unlock()
			return len(r.relay.keysets[len(r.relay.keysets)-1].Keys) == 2*first
		})
		r.relay.mu.Lock()
		r.st.say(ann, "under the old key")
		r.relay.mu.Unlock()
		r.untilAcked(3)
		stop()
		if n := len(r.records(proof.KindMessage)); n != 1 {
			t.Errorf("%d messages opened", n)
		}
	})
}

// slowKeys says another received time than the machine's clock.
type slowKeys struct {
	*archive.Archive
	lag time.Duration
}

func (k slowKeys) Now() time.Time { return time.Now().Add(-k.lag) }

// A keyset's version is received time's; when the relay has seen a later one,
// the clock's follows, and nobody is alarmed.
func TestKeysetVersion(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		const lag = 100 * 24 * time.Hour
		var mu sync.Mutex
		var versions []uint64
		seen := uint64(time.Now().Add(-lag / 2).UnixMilli())
		r.relay.onKeyset = func(k *wire.Keyset) error {
			mu.Lock()
			defer mu.Unlock()
			versions = append(versions, k.Version)
			if k.Version <= seen {
				return &wire.Problem{Status: 409, Code: wire.CodeKeysetVersion}
			}
			seen = k.Version
			return nil
		}
		start := time.Now()
		stop := r.start(func(o *Options) { o.Keys = slowKeys{r.archive, lag} })
		check(t, sleep(t.Context(), time.Hour))
		stop()
		if len(versions) != 2 || versions[0] != uint64(start.Add(-lag).UnixMilli()) || versions[1] < uint64(start.UnixMilli()) {
			t.Errorf("versions %v at %d", versions, start.UnixMilli())
		}
		if got := r.alarmNames(); len(got) != 0 {
			t.Errorf("alarms %v", got)
		}
	})
}
