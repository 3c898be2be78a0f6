package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A folder comes after what is in it: from then on it is another account's, and
// that account could have root give it anything.
func TestGivenFromTheInside(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"log", "blobs/aa"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"keyring", "log/000000.db", "blobs/aa/x"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "credentials")); err != nil {
		t.Fatal(err)
	}
	root := rootOf(t, dir)
	var got []string
	if err := each(root, ".", os.Getuid(), func(name string) error {
		got = append(got, name)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"blobs/aa/x", "blobs/aa", "blobs", "credentials", "keyring", "log/000000.db", "log", "."}; !slices.Equal(got, want) {
		t.Errorf("given in the order %q, not %q", got, want)
	}
}

// The account that has a folder puts a link to another one in its place while
// root gives it what is in it.
func TestGivenNothingOutside(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	for _, name := range []string{dir + "/log/a", dir + "/log/b", elsewhere + "/b"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	root := rootOf(t, dir)
	err := each(root, ".", os.Getuid(), func(name string) error {
		if name == "log/a" {
			if err := errors.Join(os.Rename(dir+"/log", dir+"/moved"), os.Symlink(elsewhere, dir+"/log")); err != nil {
				t.Fatal(err)
			}
		}
		return root.Lchown(name, os.Getuid(), os.Getgid())
	})
	if err == nil {
		t.Error("a file outside the folder was given away")
	}
}

// A second name of another account's file is given to nobody.
func TestGivenNoSecondName(t *testing.T) {
	dir, own := t.TempDir(), filepath.Join(t.TempDir(), "shadow")
	if err := errors.Join(os.WriteFile(own, nil, 0o600), os.Link(own, dir+"/keyring")); err != nil {
		t.Fatal(err)
	}
	given := func(string) error { return nil }
	if err := each(rootOf(t, dir), ".", os.Getuid()+1, given); err == nil {
		t.Error("a file with a second name was given away")
	}
	if err := each(rootOf(t, dir), ".", os.Getuid(), given); err != nil {
		t.Errorf("a file that the account has already: %v", err)
	}
}

func TestTake(t *testing.T) {
	for dir, what := range map[string]string{t.TempDir(): "a folder of one's own", filepath.Join(t.TempDir(), "none"): "no folder"} {
		taken, err := take(dir)
		if err != nil || taken.dir != "" {
			t.Errorf("%s: %+v, %v", what, taken, err)
		}
		if err := taken.Back(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if os.Geteuid() != 0 {
		return // nobody else has folders that they may give to others
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 4711, 4712); err != nil {
		t.Fatal(err)
	}
	taken, err := take(dir)
	if err != nil {
		t.Fatal(err)
	}
	if uid, _, err := ownerOf(dir); err != nil || uid != 0 {
		t.Errorf("the folder is still of %d: %v", uid, err)
	}
	if err := taken.Back(); err != nil {
		t.Fatal(err)
	}
	if uid, gid, err := ownerOf(dir); err != nil || uid != 4711 || gid != 4712 {
		t.Errorf("the folder is of %d:%d: %v", uid, gid, err)
	}
	// Given to the daemon's account meanwhile, it stays with it.
	if err := errors.Join(os.Chown(dir, 1234, 1234), taken.Back()); err != nil {
		t.Fatal(err)
	}
	if uid, _, err := ownerOf(dir); err != nil || uid != 1234 {
		t.Errorf("the folder was taken from whom it was given to: %d, %v", uid, err)
	}
	if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// A link in the archive's folder leads root to no folder of somebody else's.
func TestOnlyRoots(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "holdfast", "credentials")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	uid := os.Getuid()
	if err := onlyOf(dir, uid); err != nil {
		t.Errorf("a folder of one's own: %v", err)
	}
	for at, mode := range map[string]os.FileMode{dir: os.ModeSticky | 0o777, filepath.Dir(dir): 0o770} {
		if err := os.Chmod(at, mode); err != nil {
			t.Fatal(err)
		}
		if err := onlyOf(dir, uid); !errors.Is(err, ErrOthers) {
			t.Errorf("%s of mode %v: %v", at, mode, err)
		}
		if err := os.Chmod(at, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(dir, filepath.Join(top, "link")); err != nil {
		t.Fatal(err)
	}
	if err := onlyOf(filepath.Join(top, "link"), uid); !errors.Is(err, ErrOthers) {
		t.Errorf("a link: %v", err)
	}
	if uid != 0 {
		return // nobody else can make a folder another account's
	}
	if err := os.Chown(filepath.Dir(dir), 4711, 4711); err != nil {
		t.Fatal(err)
	}
	if err := OnlyRoots(dir); !errors.Is(err, ErrOthers) {
		t.Errorf("in another account's folder: %v", err)
	}
}

func rootOf(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := root.Close(); err != nil {
			t.Error(err)
		}
	})
	return root
}
