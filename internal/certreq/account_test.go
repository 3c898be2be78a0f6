package certreq

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/internal/regular"
)

// someone is an account to give files to: root may give them to anybody, others
// to themselves.
func someone() Holder {
	if os.Geteuid() == 0 {
		return Holder{UID: 54321, GID: 54322}
	}
	return Holder{UID: os.Geteuid(), GID: os.Getegid()}
}

// put makes a file with that mode, whatever the umask.
func put(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func look(t *testing.T, path string) (mode os.FileMode, uid, gid int) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner")
	}
	return info.Mode().Perm(), int(s.Uid), int(s.Gid)
}

// reads reports whether an account of that number and group reads the file; asked
// of the kernel where the test may, by the mode else.
func reads(t *testing.T, path string, uid, gid int) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		c := exec.CommandContext(t.Context(), "cat", path)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		out, err := c.CombinedOutput()
		if err != nil && !strings.Contains(string(out), "denied") {
			t.Fatalf("%v: %s", err, out)
		}
		return err == nil
	}
	mode, owner, group := look(t, path)
	switch {
	case uid == owner:
		return mode&0o400 != 0
	case gid == group:
		return mode&0o040 != 0
	}
	return mode&0o004 != 0
}

// open lets everybody through to the files of a test.
func open(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "account")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A key belongs to the daemon alone: those of its group, who may use the socket,
// do not read it.
func TestGive(t *testing.T) {
	h, dir := someone(), open(t)
	key := put(t, filepath.Join(dir, "key"), 0o600)
	for range 2 { // again changes nothing
		if given, err := h.Give(key); err != nil || !given {
			t.Fatal(given, err)
		}
		if mode, uid, gid := look(t, key); mode != 0o600 || uid != h.UID || gid != h.GID {
			t.Errorf("%o %d:%d", mode, uid, gid)
		}
	}
	if !reads(t, key, h.UID, h.GID) {
		t.Error("the daemon does not read its key")
	}
	if reads(t, key, h.UID+1, h.GID) {
		t.Error("whoever may use the socket reads the daemon's key")
	}
	grouped := put(t, filepath.Join(dir, "grouped"), 0o640)
	if err := os.Chown(grouped, -1, h.GID); err != nil {
		t.Fatal(err)
	}
	if given, err := h.Give(grouped); err != nil || !given || reads(t, grouped, h.UID+1, h.GID) {
		t.Errorf("one that the group reads: %v %v", given, err)
	}
	shared := put(t, filepath.Join(dir, "shared"), 0o644)
	if err := os.Chown(shared, -1, os.Getgid()); err != nil {
		t.Fatal(err)
	}
	other := Holder{UID: h.UID, GID: h.GID + 1} // the file's group is not the account's
	if given, err := other.Give(shared); err != nil || given {
		t.Errorf("one that others need: %v %v", given, err)
	}
	if mode, uid, _ := look(t, shared); mode != 0o644 || uid != os.Geteuid() {
		t.Errorf("it was changed: %o %d", mode, uid)
	}
	if _, err := h.Give(filepath.Join(dir, "none")); err == nil {
		t.Error("one that is not there")
	}
	if given, err := h.Give(dir); err != nil || given {
		t.Errorf("a folder: %v %v", given, err)
	}
}

func TestShow(t *testing.T) {
	h, dir := someone(), open(t)
	hidden, inside := put(t, filepath.Join(dir, "hidden"), 0o600), filepath.Join(dir, "folder")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{hidden, inside} {
		if err := h.Show(path); err != nil {
			t.Fatal(err)
		}
	}
	if mode, uid, gid := look(t, hidden); mode != 0o640 || uid != os.Geteuid() || gid != h.GID {
		t.Errorf("%o %d:%d", mode, uid, gid)
	}
	if mode, _, gid := look(t, inside); mode != 0o750 || gid != h.GID {
		t.Errorf("%o :%d", mode, gid)
	}
	if !reads(t, hidden, h.UID+1, h.GID) || reads(t, hidden, h.UID+1, h.GID+1) {
		t.Error("not the group alone reads it")
	}
	public := put(t, filepath.Join(dir, "public"), 0o644)
	_, _, before := look(t, public)
	if err := h.Show(public); err != nil {
		t.Fatal(err)
	}
	if mode, _, gid := look(t, public); mode != 0o644 || gid != before {
		t.Errorf("what everybody reads was changed: %o :%d", mode, gid)
	}
	if err := h.Show(filepath.Join(dir, "none")); err == nil {
		t.Error("one that is not there")
	}
}

// The machine's own account, if it has one.
func TestDaemon(t *testing.T) {
	h, err := Daemon()
	if err != nil || h != nil && (h.UID == 0 || h.GID == 0) {
		t.Errorf("%+v, %v", h, err)
	}
}

// A pipe that was put in a file's place is given to nobody, and keeps root from
// nothing.
func TestPipeIsNotGiven(t *testing.T) {
	h, pipe := Holder{UID: os.Geteuid(), GID: os.Getegid()}, filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if given, err := h.Give(pipe); given || err != nil {
		t.Error(given, err)
	}
	if err := h.Show(pipe); !errors.Is(err, regular.ErrIrregular) {
		t.Error(err)
	}
	if mode, _, _ := look(t, pipe); mode != 0o600 {
		t.Errorf("mode %o", mode)
	}
}
