package durable

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func mkfifo(t *testing.T, path string) {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Root replaces the keyring in a folder that is another account's. What that
// account put there under our names leads nowhere.
func TestErasingFollowsNoLink(t *testing.T) {
	for _, suffix := range []string{tempSuffix, oldSuffix} {
		dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "shadow")
		if err := os.WriteFile(elsewhere, []byte("root's own"), 0o600); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "keyring")
		if err := os.WriteFile(path, []byte("former"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(elsewhere, path+suffix); err != nil {
			t.Fatal(err)
		}
		if err := ReplaceErasing(path, []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(elsewhere); err != nil || string(got) != "root's own" {
			t.Errorf("%s: the file that the link led to is %q (%v)", suffix, got, err)
		}
		if _, err := os.Lstat(path + suffix); !os.IsNotExist(err) {
			t.Errorf("%s: the link is still there", suffix)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "new" {
			t.Errorf("%s: the file is %q (%v)", suffix, got, err)
		}
	}
}

// A pipe that stands where a file should does not hold up whoever erases it.
func TestErasingWaitsForNoPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring")
	if err := os.WriteFile(path, []byte("former"), 0o600); err != nil {
		t.Fatal(err)
	}
	mkfifo(t, path+oldSuffix)
	if err := FinishErasing(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path + oldSuffix); !os.IsNotExist(err) {
		t.Error("the pipe is still there")
	}
}

func TestErase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path) // sees the blocks also when they have no name
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 { // the second finds nothing
		if err := Erase(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Error("the file is still there")
	}
	if got, err := io.ReadAll(f); err != nil || string(got) != "\x00\x00\x00\x00\x00\x00" {
		t.Errorf("its blocks hold %q (%v)", got, err)
	}
}

// A second name of a file is not written through: it may have been made by
// somebody who must not write to the file himself.
func TestEraseSparesOtherNames(t *testing.T) {
	own, path := filepath.Join(t.TempDir(), "own"), filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(own, []byte("root's own"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(own, path); err != nil {
		t.Fatal(err)
	}
	if err := Erase(path); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(own); err != nil || string(got) != "root's own" {
		t.Errorf("the file is %q (%v)", got, err)
	}
}
