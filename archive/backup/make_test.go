package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/archive"
)

func TestBackupOpensAgain(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(30)
	r := w.make()
	report := w.putBack(r.Manifest.ID)
	if report.Bodies != w.Size() || r.Files == 0 || r.Written == 0 || len(r.Damaged) != 0 {
		t.Errorf("of %d entries the backup has %d bodies; %+v", w.Size(), report.Bodies, r)
	}
	c, _ := w.Cursor()
	if m := r.Manifest; m.Size != w.Size() || m.Cursor.Seq != c.Seq || m.Cursor.Epoch != "e1" || len(m.Keys) != 3 {
		t.Errorf("manifest %+v", m)
	}
	if ids := w.book.ids(WhatBackup); !slices.Equal(ids, []string{"backup-" + r.Manifest.ID}) {
		t.Errorf("noted %v", ids)
	}
}

// What comes in while a backup is made is not in it, and what was there is.
func TestBackupIsOfOneSize(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(20)
	size := w.Size()
	o := w.backup()
	o.fault = func(string) error {
		w.append(w.page(25))
		return nil
	}
	r, err := Make(t.Context(), o)
	check(t, err)
	if r.Manifest.Size != size || w.Size() <= size+100 {
		t.Errorf("the backup is of %d entries; begun at %d, and there are %d now", r.Manifest.Size, size, w.Size())
	}
	var bodies uint64
	for _, f := range r.Manifest.Files {
		if strings.HasPrefix(f.Path, "bodies/") {
			bodies += f.Records
		}
	}
	if bodies != size {
		t.Errorf("%d bodies of %d entries", bodies, size)
	}
	w.putBack(r.Manifest.ID)
}

// A file that is finished is copied once, a month that is over included.
func TestBackupIsIncremental(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.fill(12)
		<-time.After(40 * 24 * time.Hour)
		w.fill(1)
		first := w.make()
		before := objects(t, w.to)
		<-time.After(time.Hour)
		w.append(w.page(3))
		second := w.make()
		finished := 0
		for _, f := range second.Manifest.Files {
			if !f.Finished {
				continue
			}
			finished++
			if before[f.SHA256] == 0 || before[f.SHA256] != objects(t, w.to)[f.SHA256] {
				t.Errorf("%s was written again", f.Path)
			}
		}
		if finished < 6 || second.Written >= first.Written || len(second.Manifest.Lists) == 0 || !slices.Equal(second.Manifest.Lists, first.Manifest.Lists) {
			t.Errorf("%d finished files; %d bytes, then %d; lists %v, then %v", finished, first.Written, second.Written, first.Manifest.Lists, second.Manifest.Lists)
		}
		w.putBack(first.Manifest.ID)
		w.putBack(second.Manifest.ID)
	})
}

// objects returns the inode of each object.
func objects(t *testing.T, to string) map[string]uint64 {
	t.Helper()
	out := map[string]uint64{}
	check(t, filepath.WalkDir(filepath.Join(to, objectsName), func(path string, d fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil && !d.IsDir() {
			err = unix.Stat(path, &st)
			out[d.Name()] = st.Ino
		}
		return err
	}))
	return out
}

// Whatever fails at whichever step, the backups that were there are as they
// were, and the next comes off.
func TestFailureAtAnyStep(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(8)
	good := w.make().Manifest.ID
	w.fill(1)
	var steps []string
	o := w.backup()
	o.fault = func(step string) error {
		steps = append(steps, step)
		return nil
	}
	r, err := Make(t.Context(), o)
	check(t, err)
	broken := errors.New("broken")
	for _, step := range steps {
		if step == "published" {
			continue // it is there
		}
		o.fault = func(at string) error {
			if at == step {
				return broken
			}
			return nil
		}
		w.append(control("what notes a copy is an entry"))
		if _, err := Make(t.Context(), o); !errors.Is(err, broken) {
			t.Fatalf("%s: %v", step, err)
		}
		ids, err := IDs(w.to)
		check(t, err)
		if !slices.Equal(ids, []string{good, r.Manifest.ID}) {
			t.Fatalf("%s: %v", step, ids)
		}
	}
	w.putBack(good)
	w.putBack(r.Manifest.ID)
	w.append(control("likewise"))
	last := w.make()
	w.putBack(last.Manifest.ID)
	if n := len(w.book.ids(WhatBackup)); n != 3 {
		t.Errorf("%d backups noted: %v", n, w.book.ids(WhatBackup))
	}
	if left, err := os.ReadDir(filepath.Join(w.dir, "spool")); err != nil || len(left) != 0 {
		t.Errorf("left in the spool: %v, %v", left, err)
	}
}

// A destination that is gone is no destination, and an empty folder in its
// place is no new one.
func TestDestinationVanishes(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(4)
	good := w.make().Manifest.ID
	o := w.backup()
	o.fault = func(step string) error {
		if strings.HasPrefix(step, "copied log") {
			return os.Rename(w.to, w.to+".away")
		}
		return nil
	}
	if _, err := Make(t.Context(), o); err == nil {
		t.Fatal("a backup was made into a folder that is not there")
	}
	check(t, os.RemoveAll(w.to))
	if _, err := Make(t.Context(), w.backup()); !errors.Is(err, ErrTarget) {
		t.Errorf("without a folder: %v", err)
	}
	check(t, os.Mkdir(w.to, 0o700))
	if _, err := Make(t.Context(), w.backup()); !errors.Is(err, ErrTarget) {
		t.Errorf("where the disk is not mounted: %v", err)
	}
	check(t, os.Remove(w.to))
	check(t, os.Rename(w.to+".away", w.to))
	w.putBack(good)
	w.putBack(w.make().Manifest.ID)
}

func TestFullDestination(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	check(t, unix.Mount("tmpfs", w.to, "tmpfs", 0, "size=3m"))
	t.Cleanup(func() { check(t, unix.Unmount(w.to, 0)) })
	w.fill(1)
	good := w.make().Manifest.ID
	w.fill(20)
	big := strings.Repeat("x", 8<<20)
	check(t, w.PutBlob(t.Context(), "big", sha256.Sum256([]byte(big)), strings.NewReader(big)))
	if _, err := Make(t.Context(), w.backup()); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("into a full folder: %v", err)
	}
	w.putBack(good)
	check(t, unix.Mount("", w.to, "", unix.MS_REMOUNT, "size=60m"))
	w.putBack(w.make().Manifest.ID)
	w.putBack(good)
}

func TestTwoBackupsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(2)
	o := w.backup()
	o.fault = func(step string) error {
		if step != "signed" {
			return nil
		}
		if _, err := Make(t.Context(), w.backup()); !errors.Is(err, ErrRunning) {
			return fmt.Errorf("a second at once: %w", err)
		}
		return nil
	}
	r, err := Make(t.Context(), o)
	check(t, err)
	w.putBack(r.Manifest.ID)
}

func TestFoldersThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	other := newWard(t)
	other.make()
	// A link to it is no way around.
	inside := filepath.Join(t.TempDir(), "link")
	check(t, errors.Join(os.Mkdir(filepath.Join(w.dir, "empty"), 0o700), os.Symlink(filepath.Join(w.dir, "empty"), inside)))
	for name, change := range map[string]func(o *Options){
		"another archive's":   func(o *Options) { o.To = other.to },
		"keys in the data":    func(o *Options) { o.Keys.Dir = o.To },
		"other things in it":  func(o *Options) { o.To = w.dir },
		"one that is missing": func(o *Options) { o.To += "x" },
		"in the archive":      func(o *Options) { o.To = inside },
		"keys in the archive": func(o *Options) { o.Keys.Dir = inside },
		"spool in the backup": func(o *Options) { o.Spool = filepath.Join(o.To, "spool") },
		"spool in the bodies": func(o *Options) { o.Spool = filepath.Join(w.dir, "bodies", "spool") },
		"a file":              func(o *Options) { o.To = filepath.Join(w.dir, "identity.json") },
	} {
		o := w.backup()
		change(&o)
		if _, err := Make(t.Context(), o); !errors.Is(err, ErrTarget) && !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.make()
}

func TestPruning(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	o := w.backup()
	o.Keep = 2
	var ids []string
	for range 4 {
		w.fill(2)
		r, err := Make(t.Context(), o)
		check(t, err)
		ids = append(ids, r.Manifest.ID)
	}
	have, err := IDs(w.to)
	check(t, err)
	if !slices.Equal(have, ids[2:]) || len(w.book.ids(WhatBackup)) != 2 {
		t.Errorf("left: %v of %v; noted %v", have, ids, w.book.ids(WhatBackup))
	}
	named := map[string]bool{}
	for _, id := range have {
		m, _, _, err := Open(w.to, id)
		check(t, err)
		for f, err := range m.AllFiles(t.Context(), w.to) {
			check(t, err)
			named[f.SHA256] = true
		}
		for _, l := range m.Lists {
			named[l.SHA256] = true
		}
		w.putBack(id)
	}
	if n := len(objects(t, w.to)); n != len(named) {
		t.Errorf("%d objects, %d of them named", n, len(named))
	}
}

// Nothing of a backup is removed while a manifest cannot be read: it may name
// any of them.
func TestPruningStopsWhereItCannotRead(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	o := w.backup()
	first := w.make().Manifest.ID
	w.fill(2)
	second := w.make().Manifest.ID
	n := len(objects(t, w.to))
	check(t, os.WriteFile(ManifestPath(w.to, second), []byte("not a manifest"), 0o600))
	w.fill(1)
	o.Keep = 2
	r, err := Make(t.Context(), o)
	if r == nil || !errors.Is(err, ErrDamaged) || !slices.Equal(r.Pruned, []string{first}) {
		t.Fatalf("pruning beside a damaged manifest: %+v, %v", r, err)
	}
	if now := len(objects(t, w.to)); now < n {
		t.Errorf("of %d objects %d are left", n, now)
	}
	w.putBack(r.Manifest.ID)
}

// A disposition that comes in between makes the backup begin anew: no key that
// it destroyed is needed, and none is in a copy.
func TestDispositionInBetween(t *testing.T) {
	t.Parallel()
	// Before the file is copied, and when it is there already.
	for _, when := range []string{"copied log/000000.db", "copied bodies/2000-01.general.g1.db"} {
		t.Run(strings.TrimPrefix(when, "copied "), func(t *testing.T) { disposedOfAfter(t, when) })
	}
}

func disposedOfAfter(t *testing.T, when string) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.fill(6)
		<-time.After(40 * 24 * time.Hour)
		w.fill(1)
		cm := archive.ClassMonth{Class: "general", Month: "2000-01"}
		o, tries := w.backup(), 0
		o.fault = func(step string) error {
			if step == "copied log/000000.db" {
				tries++
			}
			if step == when && tries == 1 {
				return w.dispose(cm)
			}
			return nil
		}
		r, err := Make(t.Context(), o)
		check(t, err)
		if tries != 2 {
			t.Errorf("%d tries", tries)
		}
		for _, k := range r.Manifest.Keys {
			if k.Name == "bodies/2000-01.general.g1" {
				t.Error("the backup needs a key that was destroyed")
			}
		}
		generations, err := Generations(KeysDir(w.keys, w.Identity().Origin))
		check(t, err)
		for _, g := range generations {
			_, s, err := OpenKeys(KeysDir(w.keys, w.Identity().Origin), g, w.Identity())
			check(t, err)
			for _, k := range s.Keys {
				if k.Name == "bodies/2000-01.general.g1" {
					t.Errorf("the keyring copy of generation %d has a key that was destroyed", g)
				}
			}
		}
		if report := w.putBack(r.Manifest.ID); report.Disposed == 0 {
			t.Error("nothing is disposed of in the backup")
		}
	})
}

// dispose destroys the bodies of a class-month, all but each third.
func (w *ward) dispose(cm archive.ClassMonth) error {
	r, err := w.Reseal(context.Background(), cm, archive.ResealOptions{Keep: func(r archive.Record) (bool, error) { return r.Leaf.Seq%3 == 0, nil }})
	if err != nil {
		return err
	}
	if _, err := w.Switch(context.Background(), []*archive.Resealed{r}, control("intent")); err != nil {
		return err
	}
	_, err = w.Destroy(context.Background(), []archive.ClassMonth{cm}, nil)
	return err
}

// One changed byte anywhere in the folder is found by whoever reads it back.
func TestOneFlippedByteIsFound(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(2)
	m := w.make().Manifest
	read := func() error {
		m, _, _, err := Open(w.to, m.ID)
		if err != nil {
			return err
		}
		for f, err := range m.AllFiles(t.Context(), w.to) {
			if err == nil {
				err = CopyObject(t.Context(), w.to, f, discard{})
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	check(t, read())
	check(t, filepath.WalkDir(w.to, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == lockName || d.Name() == markerName {
			return err
		}
		whole, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, at := range []int{0, len(whole) / 3, len(whole) - 2} {
			bad := slices.Clone(whole)
			bad[at] ^= 0x04
			check(t, os.WriteFile(path, bad, 0o600))
			if err := read(); err == nil {
				t.Errorf("byte %d of %s was changed and nobody noticed", at, d.Name())
			}
		}
		return os.WriteFile(path, whole, 0o600)
	}))
	check(t, read())
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
