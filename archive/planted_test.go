package archive

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"holdfast/archive/seal"
)

// Root recovers an archive in a folder of the daemon's account. Whatever stands
// there under our names, root writes to nothing outside of it.
func TestRecoverWritesToNothingPlanted(t *testing.T) {
	for _, name := range []string{"lock", "keyring.old", "keyring.tmp", "keyring.recovery.old", "keyring.recovery.tmp"} {
		k := newKeyringTest(t)
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		elsewhere := filepath.Join(t.TempDir(), "shadow")
		if err := os.WriteFile(elsewhere, []byte("root's own"), 0o600); err != nil {
			t.Fatal(err)
		}
		planted := filepath.Join(k.dir, name)
		if err := os.RemoveAll(planted); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(elsewhere, planted); err != nil {
			t.Fatal(err)
		}
		err := Recover(k.dir, k.recovery, seal.NewKey())
		if (err != nil) != (name == "lock") {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(elsewhere); err != nil || string(got) != "root's own" {
			t.Errorf("%s: the file that the link led to is %q (%v)", name, got, err)
		}
	}
}

// Root looks at an archive, checks its kit and recovers it. A pipe in place of
// one of its files keeps nobody waiting: there is no other end.
func TestPlantedPipesAreRefused(t *testing.T) {
	for _, name := range []string{"identity.json", "keyring", "keyring.recovery", "log/000000.db"} {
		k := newKeyringTest(t)
		master := k.keys.master
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(k.dir, name)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		look := func(o Options) func() error {
			return func() error {
				a, err := Open(t.Context(), k.dir, o)
				if err == nil {
					err = a.Close()
				}
				return err
			}
		}
		refused := 0
		for what, f := range map[string]func() error{
			"ReadIdentity": func() error { _, err := ReadIdentity(k.dir); return err },
			"OpensWith":    func() error { return OpensWith(k.dir, master) },
			"CheckKit":     func() error { return CheckKit(k.dir, k.recovery) },
			"doctor":       look(Options{ReadOnly: true, Keyless: true}),
			"verify":       look(Options{ReadOnly: true, Master: master}),
			"bbolt": func() error {
				db, err := bbolt.Open(path, 0o600, boltOptions(true))
				if err == nil {
					err = db.Close()
				}
				return err
			},
		} {
			err := atOnce(t, path, f)
			if errors.Is(err, ErrDamaged) {
				refused++
			} else if what == "bbolt" {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		if refused < 2 {
			t.Errorf("%s: nobody says that it is no file", name)
		}
	}
}

// atOnce runs f, which must not wait for anybody at the other end of a pipe.
func atOnce(t *testing.T, pipe string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(5 * time.Second):
		t.Errorf("it waits at a pipe")
		end, err := os.OpenFile(pipe, os.O_RDWR, 0) // lets go whoever waits
		if err != nil {
			t.Fatal(err)
		}
		defer end.Close()
		return <-done
	}
}
