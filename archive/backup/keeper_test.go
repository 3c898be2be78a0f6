package backup

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
)

// Nothing from the relay is taken before its key is in a copy; what people do
// goes on.
func TestIngestWaitsForTheKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		w.HoldForKeys()
		refused := w.page(3)
		if _, err := w.Append(t.Context(), refused); !errors.Is(err, archive.ErrKeysBehind) {
			t.Fatalf("a page before its key was copied: %v", err)
		}
		w.append(control("goes on"))
		s, err := w.keeper().Keep(t.Context())
		check(t, err)
		w.KeysCopied(s.Keys)
		w.append(refused)
		// The month to come has its keys in time, and a page at its beginning does not wait.
		changed := w.KeysChanged()
		check(t, w.PrepareKeys(t.Context(), 32*24*time.Hour))
		<-changed
		s, err = w.keeper().Keep(t.Context())
		check(t, err)
		w.KeysCopied(s.Keys)
		<-time.After(31 * 24 * time.Hour)
		w.append(w.page(3))
		<-time.After(31 * 24 * time.Hour)
		if _, err := w.Append(t.Context(), w.page(1)); !errors.Is(err, archive.ErrKeysBehind) {
			t.Errorf("a page of a month whose keys were not made: %v", err)
		}
	})
}

// It is the very keys that have to be in the newest copy: others of the same
// names, as another archive of that folder has them, or those of a copy before,
// let nothing in.
func TestKeysOfOtherCopiesLetNothingIn(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.HoldForKeys()
	refused := func(when string) {
		t.Helper()
		before := w.relay
		if _, err := w.Append(t.Context(), w.page(2)); !errors.Is(err, archive.ErrKeysBehind) {
			t.Fatalf("%s: %v", when, err)
		}
		w.relay = before
	}
	refused("no copy")
	s, err := w.keeper().Keep(t.Context())
	check(t, err)
	others := slices.Clone(s.Keys)
	for i := range others {
		others[i].ID = s.Keys[(i+1)%len(s.Keys)].ID
	}
	w.KeysCopied(others)
	refused("another archive's copy")
	w.KeysCopied(s.Keys)
	w.append(w.page(2))
	w.KeysCopied(nil)
	refused("a newer copy without them")
	w.append(control("goes on"))
}

func TestKeeperKeepsTwoCopies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t)
		k := w.keeper()
		kept := func() (generations []uint64) {
			t.Helper()
			_, err := k.Keep(t.Context())
			check(t, err)
			generations, err = Generations(KeysDir(w.keys, w.Identity().Origin))
			check(t, err)
			if newest := generations[len(generations)-1]; newest != w.KeyringGeneration() || len(w.book.ids(WhatKeys)) != len(generations) {
				t.Errorf("copies %v of keyring %d, noted %v", generations, w.KeyringGeneration(), w.book.ids(WhatKeys))
			}
			return generations
		}
		if n := len(kept()); n != 1 {
			t.Errorf("%d copies", n)
		}
		w.fill(2)
		before := kept()
		if !slices.Equal(kept(), before) || len(before) != 2 {
			t.Errorf("copies: %v", before)
		}
		<-time.After(40 * 24 * time.Hour)
		w.fill(1)
		if n := len(kept()); n != 2 {
			t.Errorf("%d copies", n)
		}
		check(t, w.dispose(archive.ClassMonth{Class: "general", Month: "2000-01"}))
		if n := len(kept()); n != 1 {
			t.Errorf("%d copies after a disposition: an older one has a key that was destroyed", n)
		}
		// A copy that lost its sidecar opens keys all the same, and goes.
		dir := KeysDir(w.keys, w.Identity().Origin)
		for _, left := range []string{KeyCopyPath(dir, 1), KeyCopyPath(dir, 1) + ".tmp", SidecarPath(dir, 1) + ".tmp"} {
			check(t, os.WriteFile(left, []byte("left by a crash"), 0o600))
			f, err := os.Open(left)
			check(t, err)
			kept()
			if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %v", filepath.Base(left), err)
			}
			if got, err := io.ReadAll(f); err != nil || strings.Contains(string(got), "crash") {
				t.Errorf("%s was not overwritten: %q, %v", filepath.Base(left), got, err)
			}
			check(t, f.Close())
		}
	})
}

func TestKeeperRefuses(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	k := w.keeper()
	_, err := k.Keep(t.Context())
	check(t, err)
	dir := KeysDir(w.keys, w.Identity().Origin)
	// A damaged copy is made anew.
	check(t, os.WriteFile(KeyCopyPath(dir, w.KeyringGeneration()), []byte("rot"), 0o600))
	_, err = k.Keep(t.Context())
	check(t, err)
	_, _, err = OpenKeys(dir, w.KeyringGeneration(), w.Identity())
	check(t, err)
	// A later keyring's copies are not touched by an older archive.
	later := w.KeyringGeneration() + 7
	sidecar := &Sidecar{
		V: 1, ArchiveID: w.Identity().ArchiveID, Origin: w.Identity().Origin, Generation: later, Size: 1, SHA256: strings.Repeat("0", 64), Created: "2026-11-22T00:00:00Z",
	}
	signed, err := sidecar.Sign(w.IdentitySigner())
	check(t, err)
	check(t, os.WriteFile(SidecarPath(dir, later), signed, 0o600))
	if _, err := k.Keep(t.Context()); !errors.Is(err, ErrTarget) {
		t.Errorf("beside a later copy: %v", err)
	}
	check(t, os.Remove(SidecarPath(dir, later)))
	// An empty folder in place of a medium that is not mounted is not begun.
	check(t, os.RemoveAll(dir))
	if _, err := k.Keep(context.Background()); !errors.Is(err, ErrTarget) {
		t.Errorf("an empty folder: %v", err)
	}
	check(t, os.Remove(w.keys))
	if _, err := k.Keep(context.Background()); !errors.Is(err, ErrTarget) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := Make(context.Background(), w.backup()); err == nil {
		t.Error("a backup without the keys' folder")
	}
	check(t, os.Mkdir(w.keys, 0o700))
}

// A backup fails when its keys are not kept, at whichever moment they go.
func TestBackupNeedsItsKeys(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(2)
	o := w.backup()
	o.fault = func(step string) error {
		if step == "copied log/000000.db" {
			return os.RemoveAll(KeysDir(w.keys, w.Identity().Origin))
		}
		return nil
	}
	if r, err := Make(t.Context(), o); err == nil {
		t.Errorf("a backup without its keys: %s", r.Manifest.ID)
	}
	if ids, err := IDs(w.to); err != nil || len(ids) != 0 {
		t.Errorf("backups: %v, %v", ids, err)
	}
}
