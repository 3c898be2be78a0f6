package backup

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"holdfast/archive"
)

// spoil changes a byte of an entry's sealed body, beneath the archive.
func (w *ward) spoil(seq uint64) {
	w.t.Helper()
	leaf, err := w.Leaf(seq)
	check(w.t, err)
	path := filepath.Join(w.dir, "bodies", leaf.Month()+"."+leaf.Class+".g1.db")
	whole, err := os.ReadFile(path)
	check(w.t, err)
	copied := filepath.Join(w.t.TempDir(), "db")
	check(w.t, os.WriteFile(copied, whole, 0o600))
	db, err := bbolt.Open(copied, 0o600, &bbolt.Options{ReadOnly: true})
	check(w.t, err)
	var at int
	check(w.t, db.View(func(tx *bbolt.Tx) error {
		key := []byte{0, 0, 0, 0, 0, 0, byte(seq >> 8), byte(seq)}
		at = bytes.Index(whole, tx.Bucket([]byte("record")).Get(key)) + 40
		return nil
	}))
	check(w.t, db.Close())
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	check(w.t, err)
	_, err = f.WriteAt([]byte{^whole[at]}, int64(at))
	check(w.t, errors.Join(err, f.Close()))
}

// Each body of a file that is still written to is opened for the first backup
// in a folder that has it, and not again.
func TestBodiesAreOpenedOnce(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(4)
	first := w.Size() - 3
	w.spoil(first)
	if r := w.make(); !slices.Equal(r.Damaged, []uint64{first}) {
		t.Errorf("the first backup: damaged %d, want %d", r.Damaged, first)
	}
	w.append(w.page(20))
	second := w.Size() - 3
	w.spoil(second)
	if r := w.make(); !slices.Equal(r.Damaged, []uint64{second}) {
		t.Errorf("the next: damaged %d, want %d", r.Damaged, second)
	}
	o := w.backup()
	o.To, o.Copies = t.TempDir(), nil
	r, err := Make(t.Context(), o)
	check(t, err)
	if slices.Sort(r.Damaged); !slices.Equal(r.Damaged, []uint64{first, second}) {
		t.Errorf("into another folder: damaged %d, want %d and %d", r.Damaged, first, second)
	}
}

// A backup of another log, as one that was restored and went on otherwise, says
// nothing of this one's bodies.
func TestOtherLogsAreNotTrusted(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(2)
	root, err := w.Root(w.Size() - 1)
	check(t, err)
	good := Manifest{Size: w.Size() - 1, Root: hex.EncodeToString(root[:]), Files: []File{{Path: "bodies/x.db"}}}
	other, longer, later := good, good, good
	other.Size--
	longer.Size += 2
	later.Schema++ // a migration may change any file
	for name, m := range map[string]struct {
		*Manifest
		trusted bool
	}{"this log's": {&good, true}, "another's": {&other, false}, "a longer one's": {&longer, false}, "an empty one's": {&Manifest{}, false}, "of another schema": {&later, false}} {
		u := &run{Options: w.backup(), s: &archive.Snapshot{Size: w.Size()}}
		if u.trust(m.Manifest); u.opened["bodies/x.db"] != m.trusted {
			t.Errorf("%s: trusted %t", name, !m.trusted)
		}
	}
}

// A copy that fails leaves no transaction open, with which the archive could not
// be closed.
func TestFailedCopyLetsGo(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(2)
	spool := t.TempDir()
	block := func(name string) { check(t, os.MkdirAll(filepath.Join(spool, name, "in the way"), 0o700)) }
	s, err := w.Snapshot(t.Context(), spool)
	check(t, err)
	block("copying.db")
	for _, f := range s.Files {
		if !f.Finished && strings.HasPrefix(f.Path, "bodies/") {
			if _, err := s.Copy(t.Context(), f); err == nil {
				t.Errorf("%s was copied", f.Path)
			}
		}
	}
	check(t, os.Remove(filepath.Join(spool, "log.db")))
	block("log.db")
	if _, err := w.Snapshot(t.Context(), spool); err == nil {
		t.Error("the log was copied")
	}
	check(t, w.Close()) // waits for every transaction
	w.open()
}
