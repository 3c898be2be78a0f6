package durable

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Link(from, to); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// only fails unless dir holds exactly the named files.
func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		have = append(have, e.Name())
	}
	if len(have) != len(names) {
		t.Fatalf("the folder holds %v; %v was due", have, names)
	}
	for i := range names {
		if have[i] != names[i] {
			t.Fatalf("the folder holds %v; %v was due", have, names)
		}
	}
}

// held keeps a file's blocks in sight after its name is gone.
func held(t *testing.T, path string) func() []byte {
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
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, info.Size())
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, text := range []string{"one", "", "a longer second"} {
		if err := Replace(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if read(t, path) != text {
			t.Errorf("%q", read(t, path))
		}
		only(t, dir, "f")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if err := Replace(filepath.Join(dir, "no", "f"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// A crash in Create may leave the temporary name as a second name of the
// finished file: the next Replace must not write through it.
func TestReplaceAfterCreateCrashed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, "finished")
	link(t, path, path+tempSuffix)
	old := held(t, path)
	if err := Replace(path, []byte("next"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := string(old()); got != "finished" {
		t.Errorf("Replace wrote %q through the temporary name", got)
	}
	if read(t, path) != "next" {
		t.Error(read(t, path))
	}
	only(t, dir, "f")
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path+tempSuffix, "left by a crash, and longer")
	if err := Create(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, []byte("two"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("a file was overwritten: %v", err)
	}
	if read(t, path) != "one" {
		t.Error(read(t, path))
	}
	only(t, dir, "f")
}

func TestPublishRemoveMkdir(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path+".x", "text")
	if err := Publish(path+".x", path); err != nil || read(t, path) != "text" {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to remove
		if err := Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	only(t, dir, "d")
	if err := Mkdir(filepath.Join(dir, "no", "d"), 0o700); err == nil {
		t.Error("a folder without its parent was made")
	}
	if err := SyncDir(filepath.Join(dir, "no")); err == nil {
		t.Error("a folder that is not there was synced")
	}
}

func TestSettle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := Settle(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%v", err)
	}
	write(t, path, "text")
	if err := Settle(path); err != nil || read(t, path) != "text" {
		t.Fatalf("%v", err)
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	temp := filepath.Join(dir, "tmp")
	if err := Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "f")
	for range 2 {
		f, err := NewFile(temp, path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("text")); err != nil {
			t.Fatal(err)
		}
		if err := f.Abort(); err != nil {
			t.Fatal(err)
		}
		only(t, temp)
	}
	only(t, dir, "tmp")
	f, err := NewFile(temp, path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("text")); err != nil {
		t.Fatal(err)
	}
	only(t, dir, "tmp") // nobody sees it yet
	if err := f.Commit(); err != nil || read(t, path) != "text" {
		t.Fatal(err)
	}
	only(t, temp)
	// A Commit that fails leaves its file for Abort.
	f, err = NewFile(temp, filepath.Join(dir, "no", "f"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err == nil {
		t.Fatal("committed into a folder that is not there")
	}
	if err := f.Abort(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(temp, "left.tmp"), "by a crash")
	if err := Empty(temp); err != nil {
		t.Fatal(err)
	}
	only(t, temp)
}

// A file grows behind what is kept of it, and behind nothing that is not there.
func TestGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, step := range []struct {
		from       int64
		text, want string
	}{{0, "first", "first"}, {3, "ends", "firends"}, {7, "", "firends"}, {0, "x", "x"}} {
		w, err := Grow(path, step.from, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, step.text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil || read(t, path) != step.want {
			t.Errorf("from %d: %q, %v", step.from, read(t, path), err)
		}
	}
	if _, err := Grow(path, 2, 0o600); err == nil {
		t.Error("grown behind bytes that are not there")
	}
	if err := os.Symlink(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if _, err := Grow(path+"2", 0, 0o600); err == nil || read(t, path) != "x" {
		t.Error("a link was followed")
	}
}

func TestReplaceErasing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, "the old secret")
	old := held(t, path)
	if err := ReplaceErasing(path, []byte("the new secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if read(t, path) != "the new secret" {
		t.Error(read(t, path))
	}
	if got := old(); len(bytes.Trim(got, "\x00")) != 0 || len(got) == 0 {
		t.Errorf("the old content is still there: %q", got)
	}
	only(t, dir, "f")
}

// Each test leaves what a crash after that step of ReplaceErasing leaves:
// FinishErasing keeps exactly one whole content, and overwrites every other.
func TestFinishErasing(t *testing.T) {
	const old, next = "the old secret", "the new secret, longer"
	for name, state := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"nothing begun": {func(t *testing.T, path string) { write(t, path, old) }, old},
		"link": {func(t *testing.T, path string) {
			write(t, path, old)
			link(t, path, path+oldSuffix)
		}, old},
		"open of the temporary file": {func(t *testing.T, path string) {
			write(t, path, old)
			link(t, path, path+oldSuffix)
			write(t, path+tempSuffix, "")
		}, old},
		"half its write": {func(t *testing.T, path string) {
			write(t, path, old)
			link(t, path, path+oldSuffix)
			write(t, path+tempSuffix, next[:7])
		}, old},
		"its write": {func(t *testing.T, path string) {
			write(t, path, old)
			link(t, path, path+oldSuffix)
			write(t, path+tempSuffix, next)
		}, old},
		"rename": {func(t *testing.T, path string) {
			write(t, path, old)
			link(t, path, path+oldSuffix)
			write(t, path+tempSuffix, next)
			rename(t, path+tempSuffix, path)
		}, next},
		"half the overwriting": {func(t *testing.T, path string) {
			write(t, path, next)
			write(t, path+oldSuffix, "\x00\x00\x00\x00"+old[4:])
		}, next},
		"the overwriting": {func(t *testing.T, path string) {
			write(t, path, next)
			write(t, path+oldSuffix, string(make([]byte, len(old))))
		}, next},
		"unlink": {func(t *testing.T, path string) { write(t, path, next) }, next},
		// The steps of Create, which makes the file that ReplaceErasing replaces.
		"link of Create": {func(t *testing.T, path string) {
			write(t, path, old)
			link(t, path, path+tempSuffix)
		}, old},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			state.make(t, path)
			var left []func() []byte
			now, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range []string{path + tempSuffix, path + oldSuffix} {
				if was, err := os.Stat(p); err == nil && !os.SameFile(was, now) && was.Size() > 0 {
					left = append(left, held(t, p))
				}
			}
			for range 2 { // finishing twice is finishing once
				if err := FinishErasing(path); err != nil {
					t.Fatal(err)
				}
				if read(t, path) != state.want {
					t.Fatalf("%q; %q was due", read(t, path), state.want)
				}
				only(t, dir, "f")
			}
			for _, content := range left {
				if b := content(); len(bytes.Trim(b, "\x00")) != 0 {
					t.Errorf("left in free space: %q", b)
				}
			}
			if err := ReplaceErasing(path, []byte("third"), 0o600); err != nil || read(t, path) != "third" {
				t.Fatal(err)
			}
			only(t, dir, "f")
		})
	}
}

// The old content alone is not overwritten: something else went wrong.
func TestFinishErasingKeepsTheLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path+oldSuffix, "the only one")
	if err := FinishErasing(path); err == nil {
		t.Error("it went on")
	}
	if read(t, path+oldSuffix) != "the only one" {
		t.Error("the last copy was overwritten")
	}
}
