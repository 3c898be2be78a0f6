package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/ingest/envelope"
)

// keyring is an archive whose clocks and recovery key the test has.
type keyring struct {
	*Archive
	t        *testing.T
	dir      string
	clocks   *clocks
	recovery *seal.RecoveryKey
}

func newKeyringTest(t *testing.T) *keyring {
	t.Helper()
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	k := &keyring{t: t, dir: t.TempDir(), clocks: newClocks(), recovery: recovery}
	master := seal.NewKey()
	if _, err := Create(t.Context(), k.dir, CreateOptions{ArchiveID: "ward.test", Master: master, Recovery: recovery.Public()}); err != nil {
		t.Fatal(err)
	}
	k.open(Options{Master: master, reading: k.clocks.reading})
	return k
}

func (k *keyring) open(o Options) {
	k.t.Helper()
	a, err := Open(k.t.Context(), k.dir, o)
	if err != nil {
		k.t.Fatal(err)
	}
	k.Archive = a
	k.t.Cleanup(func() {
		if err := a.Close(); err != nil {
			k.t.Error(err)
		}
	})
}

func (k *keyring) rotate(needed func(string) bool) *Rotation {
	k.t.Helper()
	r, err := k.RotateRecipients(k.t.Context(), needed)
	if err != nil {
		k.t.Fatal(err)
	}
	return r
}

// named returns the kids that entries of the log say were made and destroyed.
func (k *keyring) named() (made, destroyed map[string]KeyBody) {
	k.t.Helper()
	made, destroyed = map[string]KeyBody{}, map[string]KeyBody{}
	for _, r := range ofKind(k.t, k.Archive, proof.KindKey) {
		var b KeyBody
		if err := json.Unmarshal(r.Body, &b); err != nil || b.Version != 1 || r.Leaf.Class != proof.ClassControl {
			k.t.Fatalf("entry %d: %+v, %v", r.Leaf.Seq, b, err)
		}
		switch b.Op {
		case KeyMade:
			made[b.KID] = b
		case KeyDestroyed:
			destroyed[b.KID] = b
		default:
			k.t.Fatalf("entry %d: %+v", r.Leaf.Seq, b)
		}
	}
	return made, destroyed
}

// private returns the private keys that either copy of the keyring on disk has.
func (k *keyring) private() map[string]bool {
	k.t.Helper()
	out := map[string]bool{}
	wrapped, err := os.ReadFile(keyringPath(k.dir))
	if err != nil {
		k.t.Fatal(err)
	}
	ring, err := seal.Unwrap(wrapped, k.opts.Master, k.id.Origin)
	if err != nil {
		k.t.Fatal(err)
	}
	sealed, err := os.ReadFile(recoveryPath(k.dir))
	if err != nil {
		k.t.Fatal(err)
	}
	other, err := seal.Recover(sealed, k.recovery, k.id.Origin)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, r := range append(ring.Recipients, other.Recipients...) {
		if len(r.Private) > 0 {
			out[r.KID] = true
		}
	}
	return out
}

// truthful checks that the log says nothing of keys that is not so, and leaves
// out no key that anybody may seal to. first are those of the archive's making.
func (k *keyring) truthful(first []RecipientKey) {
	k.t.Helper()
	made, destroyed := k.named()
	private := k.private()
	for kid := range made {
		if _, ended := destroyed[kid]; !ended && !private[kid] && !slices.ContainsFunc(k.keys.snapshot().Recipients, func(r seal.Recipient) bool { return r.KID == kid && gone(r) }) {
			k.t.Errorf("key %s was made, says the log, and is nowhere", kid)
		}
	}
	for kid := range destroyed {
		if private[kid] {
			k.t.Errorf("key %s was destroyed, says the log, and is there", kid)
		}
	}
	for _, r := range k.RecipientKeys() {
		initial := slices.ContainsFunc(first, func(f RecipientKey) bool { return f.KID == r.KID })
		if b, ok := made[r.KID]; !initial && (!ok || b.KEM != r.KEM) {
			k.t.Errorf("key %s is offered and in no entry: %+v", r.KID, b)
		}
		if r.NotAfter.IsZero() || len(r.Private) == 0 || !r.Made.Equal(r.NotAfter.Add(-RecipientLife)) {
			k.t.Errorf("a key that cannot be used is offered: %s, %v, %v", r.KID, r.Made, r.NotAfter)
		}
	}
}

// Day by day for four years: somebody may always seal under each suite for two
// months more, nothing is destroyed before its time, and the log says all of it.
func TestRotateForYears(t *testing.T) {
	k := newKeyringTest(t)
	first := k.RecipientKeys()
	if len(first) != 2 {
		t.Fatalf("%d keys", len(first))
	}
	ends := map[string]time.Time{}
	made, destroyed := 0, 0
	for d := range 4 * 365 {
		k.clocks.pass(day)
		if d%5 != 0 && d > 400 { // the first year every day, to see the days
			continue
		}
		r := k.rotate(nil)
		if made += len(r.Made); len(r.Made) > 0 && made == 2 && d != 304 {
			t.Errorf("the second pair was made on day %d", d)
		}
		now := k.Now()
		lasts := map[uint16]bool{}
		for _, key := range k.RecipientKeys() {
			ends[key.KID] = key.NotAfter
			if key.NotAfter.Sub(now) > RecipientOverlap-day {
				lasts[key.KEM] = true
			}
			if now.After(key.NotAfter.Add(RelayBuffering)) {
				t.Fatalf("day %d: a key is still there %v after its end", d, now.Sub(key.NotAfter))
			}
		}
		if !lasts[uint16(envelope.XWing)] || !lasts[uint16(envelope.P256)] {
			t.Fatalf("day %d: no key that lasts", d)
		}
		for _, kid := range r.Destroyed {
			destroyed++
			if end := ends[kid]; now.Before(end.Add(RelayBuffering)) {
				t.Fatalf("day %d: a key that ended %v was destroyed", d, end)
			}
		}
	}
	k.truthful(first)
	gotMade, gotDestroyed := k.named()
	if len(gotMade) != made || len(gotDestroyed) != destroyed || made < 8 || destroyed < 6 || len(k.RecipientKeys()) != 2+made-destroyed {
		t.Errorf("%d made, %d destroyed; the log has %d and %d; %d are left", made, destroyed, len(gotMade), len(gotDestroyed), len(k.RecipientKeys()))
	}
	mustCheck(t, k.Archive)
}

// A key that quarantined envelopes may need stays until they do not.
func TestRotateKeepsWhatIsNeeded(t *testing.T) {
	k := newKeyringTest(t)
	first := k.RecipientKeys()
	k.clocks.pass(RecipientLife + RelayBuffering + time.Hour)
	r := k.rotate(func(kid string) bool { return kid == first[0].KID })
	if len(r.Made) != 2 || !slices.Equal(r.Destroyed, []string{first[1].KID}) {
		t.Errorf("%+v", r)
	}
	if private := k.private(); !private[first[0].KID] || private[first[1].KID] {
		t.Error("the wrong key is gone")
	}
	if r = k.rotate(func(string) bool { return false }); len(r.Made) != 0 || !slices.Equal(r.Destroyed, []string{first[0].KID}) {
		t.Errorf("%+v", r)
	}
	if r = k.rotate(nil); len(r.Made)+len(r.Destroyed) != 0 {
		t.Errorf("nothing was due: %+v", r)
	}
	k.truthful(first)
}

// A clock that nobody believes makes and destroys no key.
func TestRotateUnderSuspicion(t *testing.T) {
	k := newKeyringTest(t)
	first := k.RecipientKeys()
	mustAppend(t, k.Archive, page(1, 1))
	k.clocks.jump(years)
	k.clocks.pass(RecipientLife + RelayBuffering + time.Hour) // much would be due
	for range 2 {                                             // before the jump is in the log, and after
		if r := k.rotate(nil); len(r.Made)+len(r.Destroyed) != 0 {
			t.Errorf("%+v", r)
		}
		mustAppend(t, k.Archive, control("meets the jump"))
	}
	if len(k.private()) != len(first) || len(ofKind(t, k.Archive, proof.KindKey)) != 0 {
		t.Error("keys changed")
	}
	if err := release(t, k.Archive); err != nil {
		t.Fatal(err)
	}
	if r := k.rotate(nil); len(r.Made) != 2 || len(r.Destroyed) != 2 {
		t.Errorf("after the release: %+v", r)
	}
}

// The machine stops after each step of a rotation: what the log says is true
// then, and the next call finishes.
func TestCrashWhileRotating(t *testing.T) {
	for _, step := range []string{"key made", "before bodies", "after log", "key named", "key destroyed", "key's end named"} {
		t.Run(step, func(t *testing.T) {
			k := newKeyringTest(t)
			first := k.RecipientKeys()
			k.clocks.pass(RecipientLife + RelayBuffering + time.Hour)
			mustAppend(t, k.Archive, control("the clock is known to be right"))
			k.fault = func(s string) error {
				if s == step {
					return fmt.Errorf("injected %s", step)
				}
				return nil
			}
			if _, err := k.RotateRecipients(t.Context(), nil); err == nil {
				t.Fatal("nothing was injected")
			}
			k.truthful(first)
			o := k.opts
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
			k.clocks.pass(day)
			k.open(o)
			k.truthful(first)
			k.rotate(nil)
			k.truthful(first)
			made, destroyed := k.named()
			if keys := k.RecipientKeys(); len(made) != 2 || len(destroyed) != 2 || len(keys) != 2 || len(k.private()) != 2 || len(k.keys.snapshot().Recipients) != 2 {
				t.Errorf("%d made, %d destroyed, %d left", len(made), len(destroyed), len(keys))
			}
			if r := k.rotate(nil); len(r.Made)+len(r.Destroyed) != 0 {
				t.Errorf("once more: %+v", r)
			}
			mustCheck(t, k.Archive)
		})
	}
}

func TestRotateReadOnly(t *testing.T) {
	k := newKeyringTest(t)
	o := k.opts
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	o.ReadOnly = true
	k.open(o)
	if _, err := k.RotateRecipients(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
