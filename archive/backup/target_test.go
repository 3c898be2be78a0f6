package backup

import (
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"holdfast/archive/proof"
)

// A destination that cannot be begun says so, and is not held for ever.
func TestTargetThatCannotBeBegun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id := &proof.Identity{ArchiveID: "ward", Origin: proof.Origin("ward", make(ed25519.PublicKey, ed25519.PublicKeySize))}
	inTheWay := filepath.Join(dir, markerName+".tmp", "x")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := openTarget(dir, id, false); err == nil || errors.Is(err, ErrRunning) || got != nil {
			t.Fatalf("%v, %v", got, err)
		}
	}
	if err := os.RemoveAll(filepath.Dir(inTheWay)); err != nil {
		t.Fatal(err)
	}
	got, err := openTarget(dir, id, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.close(); err != nil {
		t.Error(err)
	}
}

// A path that leads nowhere is named, whichever of the folders it is.
func TestApartNamesThePath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, round, other := filepath.Join(dir, "file"), filepath.Join(dir, "round"), filepath.Join(dir, "other")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(round, round)); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{filepath.Join(file, "x"), filepath.Join(file, "x", "y"), round, filepath.Join(round, "x")} {
		for _, err := range []error{Apart(wrong, other, other), Apart(other, wrong, other), Apart(other, other+"2", wrong)} {
			var at *fs.PathError
			if !errors.Is(err, ErrTarget) || !errors.As(err, &at) || at.Path != wrong {
				t.Errorf("%s: %v", wrong, err)
			}
		}
	}
}
