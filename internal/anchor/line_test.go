package anchor

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A file holds what was anchored, whatever a crash left between.
func TestFileKeepsLines(t *testing.T) {
	l := newTree(t, "a")
	path := filepath.Join(t.TempDir(), "anchors")
	if _, err := Last(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	write(t, path, "")
	if _, err := Last(path); !errors.Is(err, ErrNoLine) {
		t.Errorf("an empty file: %v", err)
	}
	f := NewFile(path, l.key)
	for _, torn := range []string{"", `{"v":1,"at":"20`, "\x00\x00", `{"v"` + "\n" + `{"v":1,`} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, string(b)+torn)
		if torn != "" {
			if last, err := Last(path); err != nil || last.Size != uint64(l.size) {
				t.Errorf("after %q: %+v, %v", torn, last, err)
			}
		}
		l.grow("b", "c")
		if _, err := f.Anchor(t.Context(), l.ask()); err != nil {
			t.Fatal(err)
		}
		last, err := Last(path)
		if err != nil || last.Size != uint64(l.size) {
			t.Errorf("behind %q: %+v, %v", torn, last, err)
		}
		if c, err := last.Open(l.key); err != nil || c.Size != last.Size {
			t.Errorf("%+v, %v", c, err)
		}
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Anchor(t.Context(), l.ask()); err != nil {
		t.Error(err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a log that did not grow was anchored again: %v", err)
	}
}

func TestLastIsStrict(t *testing.T) {
	l := newTree(t, "a", "b")
	a := l.ask()
	good, err := NewLine(a.At, a.Checkpoint, a.Signed).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"another version": strings.Replace(string(good), `"v":1`, `"v":2`, 1),
		"another size":    strings.Replace(string(good), `"size":2`, `"size":3`, 1),
		"another member":  strings.Replace(string(good), `{`, `{"x":1,`, 1),
		"white space":     strings.Replace(string(good), `,`, `, `, 1),
		"no note":         `{"v":1,"at":"2026-01-01T00:00:00Z","size":2,"root":"","checkpoint":""}`,
		"no object":       `]}`,
	} {
		path := filepath.Join(dir, "f")
		write(t, path, string(good)+"\n"+text+"\n")
		if got, err := Last(path); !errors.Is(err, ErrLine) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	long := filepath.Join(dir, "long")
	write(t, long, strings.Repeat("x", 2*tailRead)+"\n")
	if got, err := Last(long); !errors.Is(err, ErrLine) {
		t.Errorf("no line in all that is read: %+v, %v", got, err)
	}
	write(t, long, strings.Repeat(string(good)+"\n", 2000))
	if got, err := Last(long); err != nil || got.Size != 2 {
		t.Errorf("a long file: %+v, %v", got, err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Last(pipe); !errors.Is(err, ErrLine) {
		t.Errorf("a pipe: %v", err)
	}
	if _, err := NewFile(pipe, l.key).Anchor(t.Context(), a); err == nil {
		t.Error("a pipe was anchored to")
	}
	forged := newTree(t, "a", "b").ask()
	line := NewLine(forged.At, forged.Checkpoint, forged.Signed)
	if _, err := line.Open(l.key); err == nil {
		t.Error("a checkpoint under another key was opened")
	}
}

// A log that is not the one of the last line is found out, and nothing is
// written over what tells.
func TestFileRefuses(t *testing.T) {
	l := newTree(t, entries("a", 5)...)
	path := filepath.Join(t.TempDir(), "anchors")
	f := NewFile(path, l.key)
	if _, err := f.Anchor(t.Context(), l.ask()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]*tree{
		"a shorter log":     l.rewritten(entries("a", 4)...),
		"a rewritten log":   l.rewritten(entries("b", 9)...),
		"of the same size":  l.rewritten(entries("b", 5)...),
		"another archive's": newTree(t, entries("a", 9)...),
	} {
		if _, err := NewFile(path, other.key).Anchor(t.Context(), other.ask()); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed: %v", err)
	}
	// A restored log goes on once two people approved it, and no log from before that does.
	restored := l.rewritten(entries("b", 3)...)
	restored.restored = 1
	if _, err := f.Anchor(t.Context(), restored.ask()); err != nil {
		t.Errorf("a restored log: %v", err)
	}
	l.grow("a")
	if _, err := f.Anchor(t.Context(), l.ask()); !errors.Is(err, ErrRefused) {
		t.Errorf("the log from before the restore: %v", err)
	}
	// Also where the restored log is but the beginning of that one: only what two people approved tells them apart.
	write(t, path, "")
	beginning := l.rewritten(entries("a", 3)...)
	beginning.restored = 1
	if _, err := f.Anchor(t.Context(), beginning.ask()); err != nil {
		t.Errorf("a restored log that is shorter: %v", err)
	}
	if _, err := f.Anchor(t.Context(), l.ask()); !errors.Is(err, ErrRefused) {
		t.Errorf("the longer log from before the restore: %v", err)
	}
	write(t, path, string(before)+"{}\n")
	if _, err := f.Anchor(t.Context(), l.ask()); !errors.Is(err, ErrLine) {
		t.Errorf("behind a line that is none: %v", err)
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte(`{"v":1,"at":"2026-01-01T00:00:00Z","size":2,"root":"x","checkpoint":"o\n2\nx\n"}`))
	f.Add([]byte(`{"v":1,"at":"2026-01-01T00:00:00+00:00","size":2,"root":"x","checkpoint":"o\n2\nx\n"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLine(b)
		if err != nil {
			return
		}
		if again, err := l.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q became %q, %v", b, again, err)
		}
	})
}
