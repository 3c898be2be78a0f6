package archive

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"holdfast/archive/seal"
)

// The kit opens the archive under a new master key; the old one opens nothing
// from then on.
func TestRecover(t *testing.T) {
	k := newKeyringTest(t)
	old := k.keys.master
	mustAppend(t, k.Archive, control("before"))
	master := seal.NewKey()
	if err := Recover(k.dir, k.recovery, master); !errors.Is(err, ErrLocked) {
		t.Fatalf("recovered under a process that holds the archive: %v", err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(keyringPath(k.dir))
	if err != nil {
		t.Fatal(err)
	}
	held := holding(t, keyringPath(k.dir))
	if err := Recover(k.dir, k.recovery, master); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(held(), before[:64]) {
		t.Error("the former keyring was not overwritten")
	}
	if err := OpensWith(k.dir, old); !errors.Is(err, ErrKeys) {
		t.Errorf("the former master key: %v", err)
	}
	if err := OpensWith(k.dir, master); err != nil {
		t.Errorf("the new master key: %v", err)
	}
	k.open(Options{Master: master})
	if r := mustCheck(t, k.Archive); !r.OK() {
		t.Errorf("%+v", r)
	}
}

// holding keeps a file's blocks in view after its name is gone.
func holding(t *testing.T, path string) func() []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return func() []byte {
		b := make([]byte, 1<<16)
		n, err := f.ReadAt(b, 0)
		if n == 0 {
			t.Fatal(err)
		}
		return b[:n]
	}
}

// A restored folder has no keyring.
func TestRecoverWithoutKeyring(t *testing.T) {
	k := newKeyringTest(t)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(keyringPath(k.dir)); err != nil {
		t.Fatal(err)
	}
	master := seal.NewKey()
	if err := Recover(k.dir, k.recovery, master); err != nil {
		t.Fatal(err)
	}
	k.open(Options{Master: master})
}

func TestRecoverRefused(t *testing.T) {
	k, other := newKeyringTest(t), newKeyringTest(t)
	if err := errors.Join(k.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(keyringPath(k.dir))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		do   func()
		key  *seal.RecoveryKey
		want error
	}{
		"another archive's kit":    {func() {}, other.recovery, ErrKit},
		"another archive's copy":   {func() { swap(t, other, k) }, k.recovery, seal.ErrKey},
		"another archive's keys":   {func() { forge(t, k, other) }, k.recovery, ErrForeign},
		"no copy":                  {func() { remove(t, recoveryPath(k.dir)) }, k.recovery, os.ErrNotExist},
		"a folder with no archive": {func() { remove(t, k.dir+"/identity.json") }, k.recovery, ErrNoStore},
	} {
		sealed, err := os.ReadFile(recoveryPath(k.dir))
		if err != nil {
			t.Fatal(err)
		}
		id, err := os.ReadFile(k.dir + "/identity.json")
		if err != nil {
			t.Fatal(err)
		}
		c.do()
		if err := Recover(k.dir, c.key, seal.NewKey()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := CheckKit(k.dir, c.key); !errors.Is(err, c.want) {
			t.Errorf("check, %s: %v", name, err)
		}
		if err := errors.Join(os.WriteFile(recoveryPath(k.dir), sealed, 0o600), os.WriteFile(k.dir+"/identity.json", id, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := os.ReadFile(keyringPath(k.dir)); err != nil || !bytes.Equal(after, before) {
		t.Errorf("a refused recovery changed the keyring: %v", err)
	}
	if err := CheckKit(k.dir, k.recovery); err != nil {
		t.Error(err)
	}
}

// forge seals another archive's keys to this archive's kit.
func forge(t *testing.T, k, other *keyring) {
	t.Helper()
	id, err := ReadIdentity(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := other.keys.ring.SealForRecovery(k.recovery.Public(), id.Origin)
	if err == nil {
		err = os.WriteFile(recoveryPath(k.dir), sealed, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func swap(t *testing.T, from, to *keyring) {
	t.Helper()
	if err := copyFile(recoveryPath(from.dir), recoveryPath(to.dir)); err != nil {
		t.Fatal(err)
	}
}
