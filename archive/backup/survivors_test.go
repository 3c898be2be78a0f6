package backup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/archive"
)

// orders returns the class-month of the backup whose bodies the tests dispose of.
func orders(t *testing.T, m *Manifest) archive.ClassMonth {
	t.Helper()
	for _, f := range m.Files {
		if strings.Contains(f.Path, ".orders.") {
			return archive.ClassMonth{Class: "orders", Month: filepath.Base(f.Path)[:7]}
		}
	}
	t.Fatal("there are no orders")
	return archive.ClassMonth{}
}

// newestKeysAlone takes the older copies of the keyring away.
func (w *ward) newestKeysAlone() {
	w.t.Helper()
	s, err := w.keeper().Keep(w.t.Context())
	check(w.t, err)
	dir := KeysDir(w.keys, w.Identity().Origin)
	generations, err := Generations(dir)
	check(w.t, err)
	for _, n := range generations {
		if n != s.Generation {
			check(w.t, errors.Join(os.Remove(KeyCopyPath(dir, n)), os.Remove(SidecarPath(dir, n))))
		}
	}
}

// burn puts the newest backup back with what the folders have now, every body
// of it opened, and goes on with it beside the copies that are there.
func (w *ward) burn(t *testing.T, when string) {
	w.t.Helper()
	o := w.again()
	o.Keys = cloneDir(t, w.keys)
	out, err := Restore(w.t.Context(), o)
	if err != nil {
		w.t.Fatalf("%s: %v", when, err)
	}
	if !out.Report.OK() || len(out.Missing) > 0 {
		w.t.Errorf("%s: %d damaged, %v missing", when, out.Report.Damage, out.Missing)
	}
	a, err := archive.Open(w.t.Context(), o.To, archive.Options{Master: o.Master, LogFileLeaves: wardLeaves, Reserve: 64 << 10, LowWater: 64 << 10})
	check(w.t, err)
	if _, err := (&Keeper{Archive: a, Dir: o.Keys}).Keep(w.t.Context()); err != nil {
		w.t.Errorf("%s: the restored archive's keyring goes beside the copies: %v", when, err)
	}
	check(w.t, a.Close())
}

// What a disposition left is in no backup until the next one but under the key
// that was destroyed: that key's copy stays, known and named, and goes then.
func TestSurvivorsOutliveTheMachine(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(3)
	k := w.keeper()
	cm := orders(t, w.make().Manifest)
	check(t, w.dispose(cm))
	destroyed := w.KeyringGeneration()
	w.burn(t, "before a look at the copies")
	for range 2 {
		_, err := k.Keep(t.Context())
		check(t, err)
		w.burn(t, "before the next backup")
		older := slices.DeleteFunc(w.book.Left(), func(n Noted) bool { return n.What != WhatKeys || n.Keyring >= destroyed })
		if !k.Owed() || len(older) != 1 || len(k.Unseen()) != 0 {
			t.Errorf("owed %t, older copies noted: %v, unseen %v", k.Owed(), older, k.Unseen())
		}
	}
	// The other class-month as well, before any backup has the first.
	check(t, w.dispose(archive.ClassMonth{Class: "general", Month: cm.Month}))
	_, err := k.Keep(t.Context())
	check(t, err)
	w.burn(t, "after another disposition")
	// A folder of backups that is not there says nothing of what it needs.
	check(t, os.Rename(w.to, w.to+"-away"))
	_, err = k.Keep(t.Context())
	check(t, errors.Join(err, os.Rename(w.to+"-away", w.to)))
	w.burn(t, "after the folder was away")
	destroyed = w.KeyringGeneration()
	w.make()
	w.burn(t, "after the next backup")
	_, err = k.Keep(t.Context())
	check(t, err)
	dir := KeysDir(w.keys, w.Identity().Origin)
	generations, err := Generations(dir)
	check(t, err)
	if k.Owed() || slices.ContainsFunc(w.book.Left(), func(n Noted) bool { return n.What == WhatKeys && n.Keyring < destroyed }) || generations[0] < destroyed {
		t.Errorf("copies with destroyed keys are left after the next backup: %v, %v", generations, w.book.Left())
	}
}

// A copy that somebody took away is not gone, whoever else of that generation
// was: it stays noted, and is told of.
func TestCopiesTakenAwayAreNotGone(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(path string) error{
		"moved":                func(string) error { return nil },
		"and another in place": func(path string) error { return os.WriteFile(path, []byte("not it"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t)
			w.fill(2)
			k := w.keeper()
			s, err := k.Keep(t.Context())
			check(t, err)
			dir := KeysDir(w.keys, w.Identity().Origin)
			taken := w.book.Left()[slices.IndexFunc(w.book.Left(), func(n Noted) bool { return n.Keyring == s.Generation })].ID
			path := KeyCopyPath(dir, s.Generation)
			check(t, errors.Join(os.Rename(path, filepath.Join(t.TempDir(), "taken")), plant(path)))
			told := func(when string) {
				t.Helper()
				_, err := k.Keep(t.Context())
				check(t, err)
				if !slices.Contains(w.book.ids(WhatKeys), taken) || len(k.Unseen()) != 1 || k.Unseen()[0].ID != taken {
					t.Errorf("%s: noted %v, not seen %v", when, w.book.ids(WhatKeys), k.Unseen())
				}
			}
			told("made anew")
			check(t, w.dispose(archive.ClassMonth{Class: "orders", Month: w.Now().Format("2006-01")}))
			told("its keys destroyed")
			w.make()
			told("and the next backup made")
			if n := len(w.book.ids(WhatKeys)); n != 2 {
				t.Errorf("%d copies are noted: %v", n, w.book.ids(WhatKeys))
			}
		})
	}
}

// What somebody put in the place of an older copy is erased, and the copy is
// not gone by that.
func TestErasedInPlaceOfACopyIsNotIt(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(2)
	k := w.keeper()
	s, err := k.Keep(t.Context())
	check(t, err)
	taken := k.noted(s.Generation)
	check(t, w.dispose(archive.ClassMonth{Class: "orders", Month: w.Now().Format("2006-01")}))
	path := KeyCopyPath(KeysDir(w.keys, w.Identity().Origin), s.Generation)
	check(t, errors.Join(os.Rename(path, filepath.Join(t.TempDir(), "taken")), os.WriteFile(path, []byte("not it"), 0o600)))
	_, err = k.Keep(t.Context())
	check(t, err)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what stood in its place: %v", err)
	}
	if len(k.Unseen()) != 1 || k.Unseen()[0].ID != taken {
		t.Errorf("noted %v, not seen %v", w.book.ids(WhatKeys), k.Unseen())
	}
}

// A crash while a copy is written or erased leaves nothing in doubt.
func TestCopiesCutShortAreSettled(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(2)
	k := w.keeper()
	s, err := k.Keep(t.Context())
	check(t, err)
	dir := KeysDir(w.keys, w.Identity().Origin)
	path := KeyCopyPath(dir, s.Generation)
	for when, left := range map[string]func() error{
		"noted":                 func() error { return errors.Join(os.Remove(path), os.Remove(path+sidecarSuffix)) },
		"half erased":           func() error { return errors.Join(os.Truncate(path, 9), os.Remove(path+sidecarSuffix)) },
		"written, not noted so": func() error { return nil },
	} {
		note := k.noted(s.Generation)
		check(t, errors.Join(mark(dir, s.Generation, note), left()))
		_, err := k.Keep(t.Context())
		check(t, err)
		if len(k.Unseen()) != 0 || len(w.book.ids(WhatKeys)) == 0 || slices.Contains(names(t, dir), filepath.Base(markPath(dir, s.Generation))) {
			t.Errorf("%s: noted %v, not seen %v", when, w.book.ids(WhatKeys), k.Unseen())
		}
	}
}

// What somebody puts into the folder of the copies stops neither keeping them
// nor putting back a backup.
func TestGarbageBesideTheCopies(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(2)
	w.make()
	dir := KeysDir(w.keys, w.Identity().Origin)
	other := newWard(t)
	foreign, err := (&Sidecar{
		V: 1, ArchiveID: w.Identity().ArchiveID, Origin: w.Identity().Origin, Generation: 999998, Size: 1, SHA256: strings.Repeat("0", 64), Created: "2026-11-22T00:00:00Z",
	}).Sign(other.IdentitySigner())
	check(t, err)
	check(t, os.WriteFile(SidecarPath(dir, 999999), []byte("{}"), 0o600))
	check(t, os.WriteFile(SidecarPath(dir, 999998), foreign, 0o600))
	check(t, os.WriteFile(markPath(dir, 999999), []byte(strings.Repeat("x", 5000)), 0o600))
	check(t, os.WriteFile(markPath(dir, 1)+"x", nil, 0o600))
	check(t, os.Symlink("/dev/zero", SidecarPath(dir, 999997)))
	check(t, os.Symlink("/dev/zero", KeyCopyPath(dir, 1)))
	check(t, os.Mkdir(SidecarPath(dir, 999996), 0o700))
	check(t, os.Mkdir(SidecarPath(dir, 1), 0o700))
	w.fill(1)
	w.make()
	w.burn(t, "beside garbage")
	if _, err := Drill(t.Context(), w.drill()); err != nil {
		t.Error(err)
	}
}

// Nothing is put back into the folders of the backups: the keyring would lie
// beside the data.
func TestRestoreIntoTheBackupIsRefused(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(1)
	w.make()
	link := filepath.Join(t.TempDir(), "link")
	check(t, os.Symlink(w.keys, link))
	for _, to := range []string{filepath.Join(w.to, "a", "b"), filepath.Join(w.keys, "a"), filepath.Join(link, "a"), w.to, filepath.Dir(w.to)} {
		o := w.again()
		o.To = to
		if _, err := Restore(t.Context(), o); !errors.Is(err, ErrInside) {
			t.Errorf("restore to %s: %v", to, err)
		}
		d := w.drill()
		d.Temp = to
		if _, err := Drill(t.Context(), d); !errors.Is(err, ErrInside) {
			t.Errorf("drill in %s: %v", to, err)
		}
	}
	if left := names(t, w.keys); slices.ContainsFunc(left, func(n string) bool { return n == "a" }) {
		t.Errorf("left: %v", left)
	}
}
