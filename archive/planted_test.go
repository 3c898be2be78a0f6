package archive

import (
	"os"
	"path/filepath"
	"testing"

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
