//go:build faults

package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/archive/proof"
)

// TestFaultKill kills the writer 100 times.
func TestFaultKill(t *testing.T) { killRounds(t, 100, 250*time.Millisecond) }

// TestFaultFlips changes thousands of single bytes.
func TestFaultFlips(t *testing.T) {
	limitMemory(t)
	flips(t, onePatient(t), 2, 4000)
}

// TestFaultIO makes each sync and each write fail once, and from then on for
// ever: nothing that was acked is lost, the writer goes on by itself when it
// can, and what is left is clean.
func TestFaultIO(t *testing.T) {
	needStrace(t)
	refused, resumed := 0, 0
	for _, call := range []string{"fdatasync", "pwrite64", "fsync", "ftruncate", "renameat"} {
		for n := 1; n <= 12; n++ {
			for _, when := range []string{fmt.Sprint(n), fmt.Sprintf("%d+", n)} {
				inject := fmt.Sprintf("%s:error=EIO:when=%s", call, when)
				r, again := failWriter(t, inject)
				refused += r
				resumed += again
			}
		}
	}
	t.Logf("%d appends were refused; in %d runs the writer went on afterwards", refused, resumed)
	if refused == 0 || resumed == 0 {
		t.Error("nothing was injected, or nothing recovered")
	}
}

// failWriter runs the writer with a failing system call and looks at what it
// leaves. It returns how many appends were refused, and 1 if one was taken
// after that.
func failWriter(t *testing.T, inject string) (refused, resumed int) {
	t.Helper()
	v := newVictim(t, t.TempDir())
	cmd, env := v.command(t, 8)
	run := exec.Command("strace", "-f", "-o", "/dev/null", "-e", "inject="+inject, cmd.Path)
	run.Env = append(os.Environ(), env)
	out, _ := run.Output() // it may fail to open, or to close: it said so
	var last ack
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		switch a, ok := parseAck(line); {
		case ok:
			last = a
			if refused > 0 {
				resumed = 1
			}
		case strings.HasPrefix(line, "refused"):
			refused++
		case !strings.HasPrefix(line, "failed"):
			t.Fatalf("%s: the writer said %q", inject, line)
		}
	}
	if err := v.audit(v.dir, last); err != nil {
		t.Fatalf("%s: %v\n%s", inject, err, out)
	}
	return refused, resumed
}

// TestFaultDiskFull fills a small file system: relay pages are refused without
// an ack, looks go on being recorded from the reserve, holds still when those
// are refused too, and when there is room the pages go on by themselves.
func TestFaultDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Fatalf("this test mounts a small file system: run it as root (%v)", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	v := newVictim(t, filepath.Join(dir, "data"))
	v.options.Reserve, v.options.LowWater, v.options.LogFileLeaves = 6<<20, 4<<20, 0
	a, err := Open(t.Context(), v.dir, v.options)
	if err != nil {
		t.Fatal(err)
	}
	last := fillWithPages(t, a)
	filler := filepath.Join(dir, "filler")
	if err := fill(filler, 2<<20); err != nil {
		t.Fatal(err)
	}
	looks := fillWith(t, a, proof.KindAccess, proof.ClassAudit)
	holds := fillWith(t, a, proof.KindAlarm, proof.ClassControl)
	t.Logf("%d relay entries, then %d looks and %d control entries of 4 KB from the reserve", last.relay, looks, holds)
	if looks == 0 || holds == 0 {
		t.Error("the reserve served nobody")
	}
	if c, _ := a.Cursor(); c.Seq != last.relay {
		t.Errorf("the cursor is at %d, acked was %d", c.Seq, last.relay)
	}
	last.size = a.Size()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=48m"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := a.Append(t.Context(), bigPage(last.relay)); err != nil {
			t.Fatalf("with room again: %v", err)
		}
		last.relay += bigPageEntries
	}
	if a.disk.have != a.disk.reserve {
		t.Errorf("the reserve was not filled up: %d of %d", a.disk.have, a.disk.reserve)
	}
	last.size = a.Size()
	if err := errors.Join(v.auditOpen(a, v.dir, last), a.Close()); err != nil {
		t.Fatal(err)
	}
	if err := v.audit(v.dir, last); err != nil {
		t.Fatal(err)
	}
}

const bigPageEntries = 200

func bigPage(after uint64) Batch { return crashPage(after, bigPageEntries) }

// fillWithPages appends until a page is refused, and then makes sure that it
// stays refused.
func fillWithPages(t *testing.T, a *Archive) (last ack) {
	t.Helper()
	for refused := 0; refused < 3; {
		_, err := a.Append(context.Background(), bigPage(last.relay))
		switch {
		case err == nil:
			last.relay += bigPageEntries
		case errors.Is(err, ErrDiskFull):
			refused++
		default:
			t.Fatalf("after %d: %v", last.relay, err)
		}
	}
	return last
}

// fillWith appends entries until one is refused for want of space.
func fillWith(t *testing.T, a *Archive, kind proof.Kind, class string) (n int) {
	t.Helper()
	body := make([]byte, 4<<10)
	for ; n < 100_000; n++ {
		_, err := a.Append(context.Background(), Batch{Entries: []Entry{{Kind: kind, Class: class, Body: body}}})
		if errors.Is(err, ErrDiskFull) {
			return n
		}
		if err != nil {
			t.Fatalf("after %d of class %s: %v", n, class, err)
		}
	}
	t.Fatal("the disk never filled")
	return n
}

// fill takes what is free but for some bytes.
func fill(path string, leave int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &fs); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, max(int64(fs.Bavail)*fs.Bsize-leave, 4096))
	return errors.Join(err, f.Close())
}

// TestFaultLostPages zeroes each page of each file, as a disk does that loses
// one: it is damage, found by a check, and whatever is tried with what is left
// comes back.
func TestFaultLostPages(t *testing.T) {
	limitMemory(t)
	p := onePatient(t)
	files, err := filepath.Glob(filepath.Join(p.dir, "*", "*.db"))
	if err != nil {
		t.Fatal(err)
	}
	writable := p.options
	writable.ReadOnly = false
	pages, noticed := 0, 0
	for _, path := range files {
		before := content(path)
		for id := int64(2); ; id++ {
			dir := ramDir(t)
			if err := p.copyTo(dir); err != nil {
				t.Fatal(err)
			}
			damaged := filepath.Join(dir, strings.TrimPrefix(path, p.dir))
			if !zeroPage(t, damaged, id) {
				break
			}
			pages++
			changed := content(damaged) != before
			r, err := p.check(t, dir, false)
			if changed && err == nil && r.OK() {
				t.Errorf("page %d of %s was lost and nothing found", id, filepath.Base(path))
			}
			a, err := Open(context.Background(), dir, writable)
			if err != nil {
				noticed++
				continue
			}
			for range a.Records(context.Background(), 0, p.size) { // errors, no crash
				continue
			}
			_, err = a.Append(context.Background(), page(211, 220))
			if err = errors.Join(err, a.Close()); err != nil {
				t.Logf("page %d of %s: %v", id, filepath.Base(path), err)
			}
		}
	}
	t.Logf("%d pages; a start noticed %d", pages, noticed)
}

// zeroPage zeroes a page that is in use, false when there are none after it.
func zeroPage(t *testing.T, path string, page int64) bool {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	was := make([]byte, pageSize)
	_, err = f.ReadAt(was, page*pageSize)
	if err == nil && string(was) != string(make([]byte, pageSize)) {
		_, err = f.WriteAt(make([]byte, pageSize), page*pageSize)
	} else {
		err = errors.Join(err, errors.New("a hole"))
	}
	return errors.Join(err, f.Close()) == nil
}
