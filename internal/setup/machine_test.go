package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A machine without systemd is told of before anything is made.
func TestCheckWithoutSystemd(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for name, change := range map[string]func(*Answers){
		"not run by systemd":          func(a *Answers) { a.Start = true },
		"there is no systemd-creds":   func(a *Answers) { a.Master.Kind = KindSealed },
		"holdfastd serve --config /e": func(a *Answers) { a.Start, a.Config = true, "/etc/x/h.toml" },
	} {
		a := complete(t, t.TempDir())
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
		change(a)
		if err := a.Check(); !errors.Is(err, ErrAnswers) && !errors.Is(err, ErrGiven) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if can, tpm := CanSeal(t.Context()); can || tpm {
		t.Error("it would seal")
	}
	if err := Reload(t.Context()); err != nil {
		t.Error(err)
	}
}

// asNobody runs f as an account that is neither root nor the files' owner, where
// the test may become one: the thread that was changed is not used again.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		const nobody = 65534
		_, _, e := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody)
		if e != 0 {
			done <- e
			return
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Who is not root is told so before anything is asked or printed.
func TestCheckWhatCannotBeWritten(t *testing.T) {
	dir, err := os.MkdirTemp("", "setup")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(os.Chmod(dir, 0o700), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		a := complete(t, dir)
		if err := a.Check(); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "sudo holdfastd init") {
			t.Errorf("%v", err)
		}
		d, y := dialogue(as("ward"))
		if _, err := Interview(t.Context(), d, Answers{Config: a.Config}); !errors.Is(err, fs.ErrPermission) || y.shown.Len() > 0 {
			t.Errorf("%v\n%s", err, &y.shown)
		}
	})
}

// What an init that was cut short, or another program, left is not built upon.
func TestCheckHalfMade(t *testing.T) {
	for name, want := range map[string]string{"keyring": "is not empty and is no archive (keyring)", "log/000000.db": "is not empty", "identity.json": "an archive is there", "lost+found/x": "give a folder in it"} {
		a := complete(t, t.TempDir())
		path := put(t, filepath.Join(a.Data, name), "what was there")
		if err := a.Check(); !errors.Is(err, ErrThere) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "what was there" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	a := complete(t, t.TempDir())
	put(t, a.Data, "a file")
	if err := a.Check(); err == nil {
		t.Error("a file in place of the folder")
	}
}

// A person is told at once that an archive is configured here, and of a folder
// that cannot be taken when it is named.
func TestInterviewSecondTime(t *testing.T) {
	a := complete(t, t.TempDir())
	put(t, a.Config, "")
	d, y := dialogue()
	if _, err := Interview(t.Context(), d, Answers{Config: a.Config}); !errors.Is(err, ErrThere) || y.shown.Len() > 0 {
		t.Errorf("%v\n%s", err, &y.shown)
	}
	full := filepath.Dir(put(t, filepath.Join(a.Data, "keyring"), ""))
	d, y = dialogue(as("ward"), as("relative"), as(full), as(full+"2"))
	if _, err := Interview(t.Context(), d, Answers{Config: a.Config + "2"}); !errors.Is(err, ErrAnswers) {
		t.Error(err)
	}
	for _, want := range []string{"begins with /", "is not empty and is no archive", "time zone"} {
		if !strings.Contains(y.shown.String(), want) {
			t.Errorf("%q is not in\n%s", want, &y.shown)
		}
	}
}

// The directory's password is typed, twice, or named by its file; what is typed
// lands in its credential and nowhere else.
func TestDirectoryPassword(t *testing.T) {
	a := everything(t)
	a.HTTPS, a.Backup, a.Anchor = nil, Backup{}, ""
	a.Kit = Kit{Needed: 2, Shares: 2, Out: filepath.Join(filepath.Dir(a.Data), "kit"), Unchecked: true}
	d, y := dialogue(as("first"), as("second"), as("canary word"), as("canary word"))
	if err := a.askPassword(t.Context(), d); err != nil || !strings.Contains(y.shown.String(), "are not the same") {
		t.Fatalf("%v\n%s", err, &y.shown)
	}
	if _, err := Make(t.Context(), a, d, &y.shown); err != nil {
		t.Fatal(err)
	}
	for path, has := range map[string]bool{filepath.Join(a.Credentials, DirectoryFile): true, a.Config: false, a.Kit.Out: false} {
		text, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(text), "canary word") != has {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	if strings.Contains(y.shown.String(), "canary") {
		t.Errorf("it is shown:\n%s", &y.shown)
	}
	d, _ = dialogue(as(""), as("/some/file"))
	b := everything(t)
	if err := b.askPassword(t.Context(), d); err != nil || b.DirectoryPassword != "/some/file" || b.password != nil {
		t.Errorf("%+v, %v", b, err)
	}
	put(t, filepath.Join(b.Credentials, DirectoryFile), "")
	b.DirectoryPassword, b.password = "", []byte("typed")
	if err := b.Check(); !errors.Is(err, ErrThere) {
		t.Errorf("a password that is there: %v", err)
	}
}
