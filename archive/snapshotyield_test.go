package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"holdfast/archive/seal"
)

// underWay is a context that tells of the first look at it, which a copy takes
// after its first part.
type underWay struct {
	context.Context
	once  *sync.Once
	begun func()
}

func (c underWay) Err() error {
	c.once.Do(c.begun)
	return c.Context.Err()
}

// locked waits until somebody has the archive's files for himself.
func (a *Archive) locked(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); a.mu.TryRLock(); {
		a.mu.RUnlock()
		if time.Now().After(end) {
			t.Error("nobody took the files")
			return
		}
	}
}

// bulky is an archive of which a body file and the log take several parts to
// copy.
func bulky(t *testing.T) (*Archive, *Snapshot, SnapshotFile) {
	t.Helper()
	w := newWard(t)
	w.o.LogFileLeaves = 0
	w.reopen(t)
	a := w.Archive
	for range 12 {
		b := Batch{}
		for range 1000 {
			b.Entries = append(b.Entries, control(fmt.Sprintf("%300d", 0)).Entries...)
		}
		mustAppend(t, a, b)
	}
	s, err := a.Snapshot(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Files {
		if f.body != "" && !f.Finished {
			return a, s, f
		}
	}
	t.Fatal("no body file is written to")
	return nil, nil, SnapshotFile{}
}

// Whoever has to close a file, and so keeps everybody else from all of them,
// does not wait until a copy of it is whole.
func TestCopyLetsGo(t *testing.T) {
	t.Parallel()
	failed := func(a *Archive) error {
		broken := errors.New("broken")
		a.fault = func(string) error { return broken }
		if _, err := a.Append(context.Background(), control("fails")); !errors.Is(err, ErrFailed) {
			return fmt.Errorf("a commit that was to fail: %w", err)
		}
		a.fault = nil
		_, err := a.Append(context.Background(), control("after it was opened again"))
		return err
	}
	for name, c := range map[string]struct {
		log   bool
		needs func(a *Archive, body string) error
	}{
		"a commit failed, the log":    {true, func(a *Archive, _ string) error { return failed(a) }},
		"a commit failed, bodies":     {false, func(a *Archive, _ string) error { return failed(a) }},
		"its bodies were disposed of": {false, func(a *Archive, body string) error { return a.removeBodyFile(body) }},
		"a switch failed":             {false, func(a *Archive, body string) error { return a.closeBody(body) }},
		"the archive is closed":       {false, func(a *Archive, _ string) error { return a.Close() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, s, f := bulky(t)
			done := make(chan error, 1)
			closing := &a.st.newest().closing
			if !c.log {
				closing = &a.st.bodies.open[f.body].closing
			}
			ctx := underWay{t.Context(), &sync.Once{}, func() {
				go func() { done <- c.needs(a, f.body) }()
				for end := time.Now().Add(10 * time.Second); !closing.Load(); {
					if time.Now().After(end) {
						t.Error("nobody closes the file")
						return
					}
					runtime.Gosched()
				}
			}}
			var err error
			if c.log {
				_, err = a.Snapshot(ctx, t.TempDir())
			} else {
				_, err = s.Copy(ctx, f)
			}
			if !errors.Is(err, ErrChanged) {
				t.Errorf("the copy: %v", err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// What a disposition does to the files waits for nobody who waits for it.
func TestLostBodyBesideADisposition(t *testing.T) {
	t.Parallel()
	w, cm, _ := threeMonths(t)
	name := bodyName(cm.Month, cm.Class, 1)
	s, err := w.Snapshot(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.keys.destroy([]string{name}, nil); err != nil {
		t.Fatal(err)
	}
	s.Keys, s.Files = nil, nil // as while they are listed
	done := make(chan error, 1)
	go func() {
		done <- w.view(func(st *store) error {
			go func() {
				w.mu.Lock()
				defer w.mu.Unlock()
			}()
			w.locked(t)
			return s.listBodies(st, w.month())
		})
	}()
	select {
	case err := <-done:
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrChanged) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("each waits for the other")
	}
}

// fillUp makes a database's next pages lie behind its first size bytes.
func fillUp(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for id := range int64(2) {
		meta := make([]byte, metaSummed+8)
		_, err := f.ReadAt(meta, id*pageSize+pageHeader)
		binary.LittleEndian.PutUint64(meta[40:], uint64(size/pageSize))
		h := fnv.New64a()
		h.Write(meta[:metaSummed])
		binary.LittleEndian.PutUint64(meta[metaSummed:], h.Sum64())
		_, werr := f.WriteAt(meta, id*pageSize+pageHeader)
		if err := errors.Join(err, werr); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A file grows while it is copied, however large it is: the writer does not wait
// for the copy.
func TestGrowingBesideACopy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(ramDir(t), "db")
	for _, size := range []int64{1 << 30, 3 << 30} {
		err := createBolt(path, func(tx *bbolt.Tx) error {
			_, err := putFormat(tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		fillUp(t, path, size)
		db, err := openBolt(path, forWriting)
		if err != nil {
			t.Fatal(err)
		}
		copying, err := db.Begin(false)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			done <- db.Update(func(tx *bbolt.Tx) error {
				return tx.Bucket(bucketMeta).Put([]byte("more"), bytes.Repeat([]byte{1}, 1<<20))
			})
		}()
		select {
		case err = <-done:
		case <-time.After(5 * time.Second):
			t.Errorf("at %d bytes the writer waits for the copy", size)
			err = copying.Rollback()
			err = errors.Join(err, <-done)
			copying = nil
		}
		if copying != nil {
			err = errors.Join(err, copying.Rollback())
		}
		if err := errors.Join(err, db.Close(), os.Remove(path)); err != nil {
			t.Fatal(err)
		}
	}
}

// A copy that would take the room that ingest needs is not begun.
func TestCopyLeavesRoomForIngest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=96m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Later, where another test's child is just being started and has its files.
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Master: seal.NewKey(), Reserve: 64 << 10, LowWater: 8 << 20}
	data, spool := filepath.Join(dir, "data"), filepath.Join(dir, "spool")
	if _, err := Create(t.Context(), data, CreateOptions{ArchiveID: "ward.test", Master: o.Master, Recovery: recovery.Public()}); err != nil {
		t.Fatal(err)
	}
	a := mustOpen(t, data, o)
	if err := os.Mkdir(spool, 0o700); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, a, control(string(bytes.Repeat([]byte{'x'}, 12<<20))))
	s, err := a.Snapshot(t.Context(), spool)
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	for _, c := range []struct {
		left int64
		want error
	}{{64 << 20, nil}, {30 << 20, ErrDiskFull}} {
		free, err := a.disk.free()
		if err != nil {
			t.Fatal(err)
		}
		if free > c.left {
			if err := os.WriteFile(ballast, make([]byte, free-c.left), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range s.Files {
			if f.body == "" {
				continue
			}
			_, err := s.Copy(t.Context(), f)
			if !errors.Is(err, c.want) {
				t.Errorf("with %d MiB left: %v", c.left>>20, err)
			}
			if _, err := os.Stat(filepath.Join(spool, "copying.db")); (err == nil) != (c.want == nil) {
				t.Errorf("with %d MiB left, in the spool: %v", c.left>>20, err)
			}
			if err := os.RemoveAll(filepath.Join(spool, "copying.db")); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Another disk has room of its own, also where the archive's has none left.
	free, err := a.disk.free()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ballast+"2", make([]byte, free-a.disk.lowWater), 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere, err := a.Snapshot(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range elsewhere.Files {
		if f.body == "" {
			continue
		}
		if _, err := elsewhere.Copy(t.Context(), f); err != nil {
			t.Errorf("to another disk: %v", err)
		}
	}
}

// A disposition that goes on while the log is copied is no damage.
func TestDispositionWhileTheLogIsCopied(t *testing.T) {
	t.Parallel()
	a, _, _ := bulky(t)
	placed := mustAppend(t, a, page(1, 20))
	first, err := a.Leaf(placed[0].Seq)
	if err != nil {
		t.Fatal(err)
	}
	cm := ClassMonth{Class: first.Class, Month: first.Month()}
	dispose := func() {
		r, err := a.Reseal(context.Background(), cm, ResealOptions{Keep: func(r Record) (bool, error) { return r.Leaf.Seq%2 == 0, nil }})
		if err == nil {
			_, err = a.Switch(context.Background(), []*Resealed{r}, intent("an intent"))
		}
		if err == nil {
			_, err = a.Destroy(context.Background(), []ClassMonth{cm}, nil)
		}
		if err != nil {
			t.Error(err)
		}
	}
	dispose()
	if _, err := a.Snapshot(underWay{t.Context(), &sync.Once{}, dispose}, t.TempDir()); !errors.Is(err, ErrChanged) {
		t.Errorf("a snapshot: %v", err)
	}
}

// A backup that was killed leaves what it was copying: at the next start it goes,
// whether or not there can be another backup.
func TestStartEmptiesTheSpool(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	left := filepath.Join(w.dir, "spool", "copying.db")
	if err := errors.Join(os.Mkdir(filepath.Dir(left), 0o700), os.WriteFile(left, []byte("left"), 0o600)); err != nil {
		t.Fatal(err)
	}
	reader, err := Open(t.Context(), w.dir, Options{Master: w.o.Master, ReadOnly: true})
	if !errors.Is(err, ErrLocked) {
		t.Errorf("beside the writer: %v", err)
		mustClose(t, reader)
	}
	if _, err := os.Stat(left); err != nil {
		t.Errorf("a reader removed it: %v", err)
	}
	w.reopen(t)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is there still: %v", err)
	}
}

// A disposition destroys the key before it removes the file: who comes in
// between begins anew as well.
func TestCopyOfAFileWhoseKeyIsGone(t *testing.T) {
	t.Parallel()
	w, _, _ := threeMonths(t)
	s, err := w.Snapshot(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var f SnapshotFile
	for _, f = range s.Files {
		if f.body == bodyName(w.month(), "general", 1) {
			break
		}
	}
	copied, err := s.Copy(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.keys.destroy([]string{f.body}, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.closeBody(f.body); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context(), f, copied, 0); !errors.Is(err, ErrChanged) {
		t.Errorf("checked: %v", err)
	}
	if _, err := s.Copy(t.Context(), f); !errors.Is(err, ErrChanged) {
		t.Errorf("copied: %v", err)
	}
}
