package archive

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

// A record that goes must open with nothing that is left, and an old copy with
// no keyring of afterwards.
func TestDisposedOpensNowhere(t *testing.T) {
	w, cm, seqs := threeMonths(t)
	old := t.TempDir()
	if err := (&patient{dir: w.dir}).copyTo(old); err != nil {
		t.Fatal(err)
	}
	r, left := w.reseal(t, cm, seqs[5])
	w.mustSwitch(t, r, left)
	// While the switch is pending the old key still opens them: what is sought below can be found.
	if n := w.opened(t, old, left, w.keys.ring); n != len(left) {
		t.Fatalf("before: %d of %d open", n, len(left))
	}
	w.mustDestroy(t, cm)
	for _, path := range []string{keyringPath(w.dir), recoveryPath(w.dir)} {
		for _, suffix := range []string{".old", ".tmp"} {
			if _, err := os.Stat(path + suffix); err == nil {
				t.Errorf("%s%s is there", path, suffix)
			}
		}
	}
	fromKit, err := recovered(w)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(keyringPath(w.dir))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := seal.Unwrap(b, w.o.Master, w.Identity().Origin)
	if err != nil {
		t.Fatal(err)
	}
	for _, ring := range []*seal.Keyring{fromKit, kept, w.keys.ring} {
		if n := w.opened(t, old, left, ring); n != 0 {
			t.Errorf("%d records of the old copy open", n)
		}
		if n := w.opened(t, w.dir, left, ring); n != 0 {
			t.Errorf("%d records open", n)
		}
		if n := w.opened(t, w.dir, []uint64{seqs[5]}, ring); n != 1 {
			t.Errorf("of one survivor %d open", n)
		}
	}
	// The old copy with the new keyring, opened as an archive.
	for _, path := range []func(string) string{keyringPath, recoveryPath} {
		if err := copyFile(path(w.dir), path(old)); err != nil {
			t.Fatal(err)
		}
	}
	o := w.o
	o.ReadOnly = true
	a, err := Open(t.Context(), old, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range left {
		if r, err := a.Record(t.Context(), seq); err == nil {
			t.Errorf("entry %d of the old copy reads %q", seq, r.Body)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	// Nor does it open to be written to, and nothing of it is removed.
	if a, err := Open(t.Context(), old, w.o); err == nil {
		err = a.Close()
		t.Errorf("the old copy opened, %v", err)
	}
}

// recovered reads the keyring as somebody does who has the recovery kit.
func recovered(w *ward) (*seal.Keyring, error) {
	b, err := os.ReadFile(recoveryPath(w.dir))
	if err != nil {
		return nil, err
	}
	return seal.Recover(b, w.recovery, w.Identity().Origin)
}

// opened returns how many of the entries open in any way: each page of each
// body file, those that are free included, is searched for records of theirs,
// which are tried with every key of the keyring.
func (w *ward) opened(t *testing.T, dir string, seqs []uint64, ring *seal.Keyring) int {
	t.Helper()
	found := map[uint64]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "bodies", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		id, records := everyRecord(t, path)
		for _, key := range ring.Bodies {
			k, err := seal.NewFileKey([seal.KeySize]byte(key), id)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				for _, seq := range seqs {
					if r.seq != seq {
						continue
					}
					if _, err := k.Open(nil, seq, r.sealed); err == nil {
						found[seq] = true
					}
				}
			}
		}
	}
	return len(found)
}

type rawRecord struct {
	seq    uint64
	sealed []byte
}

// everyRecord reads the records of every leaf page that a file has, whether it
// is in use or not.
func everyRecord(t *testing.T, path string) (id [seal.IDSize]byte, out []rawRecord) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Millisecond})
	if err == nil {
		err = db.View(func(tx *bbolt.Tx) error {
			copy(id[:], tx.Bucket(bucketMeta).Get(keyFileID))
			return nil
		})
		err = errors.Join(err, db.Close())
	} else { // the archive has it open
		name := filepath.Base(path)
		copyOf := filepath.Join(t.TempDir(), name)
		if err := copyFile(path, copyOf); err != nil {
			t.Fatal(err)
		}
		return everyRecord(t, copyOf)
	}
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	empty := make([]byte, pageSize)
	// A small bucket's page lies anywhere within another.
	for at := 0; at+pageHeader+elementSize <= len(whole); at++ {
		if at%pageSize == 0 && bytes.Equal(whole[at:min(len(whole), at+pageSize)], empty[:min(len(whole)-at, pageSize)]) {
			at += pageSize - 1
			continue
		}
		p := whole[at:min(len(whole), at+4*pageSize)]
		if p[8] != leafPage || p[9] != 0 || p[10] == 0 && p[11] == 0 {
			continue
		}
		for e := range elements(p[:min(len(p), pageSize)]) {
			from, to := leafSpan(p, e)
			if from >= 8 && to <= uint64(len(p)) && from <= to && to-from > seal.Overhead {
				out = append(out, rawRecord{uint64of(p[from-8 : from]), p[from:to]})
			}
		}
	}
	return id, out
}

// goes reports whether a message is one that the writer disposes of.
func goes(l *proof.Leaf) bool {
	return l.Kind == proof.KindMessage && l.Class == proof.ClassGeneral && l.RelaySeq%9 == 4
}

// disposeSome finishes what is pending, or else disposes of what goes in the
// month of the log's end.
func disposeSome(a *Archive) error {
	ctx := context.Background()
	cms := a.PendingDisposals()
	if len(cms) == 0 {
		leaf, err := a.Leaf(a.Size() - 1)
		if err != nil {
			return err
		}
		cms = []ClassMonth{{proof.ClassGeneral, leaf.Month()}}
		r, err := a.Reseal(ctx, cms[0], ResealOptions{Keep: func(r Record) (bool, error) { return !goes(&r.Leaf), nil }})
		if err != nil {
			return err
		}
		if _, err := a.Switch(ctx, []*Resealed{r}, intent("an intent")); err != nil {
			return err
		}
	}
	_, err := a.Destroy(ctx, cms, nil)
	return err
}

// destroyed returns the generation below which no key is left, as far as that
// was finished.
func destroyed(a *Archive) (generation uint32) {
	err := a.view(func(s *store) error {
		for cm, g := range s.gens {
			if cm.Class == proof.ClassGeneral && g.state == stateDestroyed {
				generation = max(generation, g.live)
			}
		}
		return nil
	})
	if err != nil {
		return 0
	}
	return generation
}
