package backup

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"holdfast/archive"
	"holdfast/internal/durable"
)

// A mark beside a copy says that it is being written or erased, and as what it
// is noted: what of it is missing then is missing by the keeper's own hand. A
// copy that is missing without one was taken away by somebody.
const (
	markSuffix = ".busy"
	maxMark    = 64
)

func markPath(dir string, generation uint64) string { return KeyCopyPath(dir, generation) + markSuffix }

func mark(dir string, generation uint64, note string) error {
	return durable.Replace(markPath(dir, generation), []byte(note), 0o600)
}

// settle finishes what a crash cut short: a copy that was being written or
// erased, and does not open, is erased.
func (k *Keeper) settle(ctx context.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, marked := strings.CutSuffix(e.Name(), markSuffix)
		n, sidecar, finished, ours := ofCopy(name)
		if !marked || !ours || sidecar || !finished || !e.Type().IsRegular() || markPath(dir, n) != filepath.Join(dir, e.Name()) {
			continue
		}
		note, err := readSmall(markPath(dir, n), maxMark)
		if errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrPermission) {
			continue // none of ours
		}
		if err != nil {
			return err
		}
		if _, _, unfinished := OpenKeys(dir, n, k.Archive.Identity()); unfinished == nil {
			err = durable.Remove(markPath(dir, n))
		} else {
			err = k.erase(ctx, dir, n, string(note), "it was not finished")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// erase erases all files of a copy, and says of its note that it is gone. A
// crash under way leaves its mark, and the rest to settle.
func (k *Keeper) erase(ctx context.Context, dir string, generation uint64, note, reason string) error {
	if err := mark(dir, generation, note); err != nil {
		return err
	}
	text, about := KeyCopyPath(dir, generation), SidecarPath(dir, generation)
	for _, path := range []string{text, text + ".tmp", about, about + ".tmp"} {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue // what is no file has no key in it
		}
		if err != nil {
			return err
		}
		if err := durable.Erase(path); err != nil {
			return err
		}
	}
	if err := k.gone(ctx, note, reason); err != nil {
		return err
	}
	return durable.Remove(markPath(dir, generation))
}

// gone says that a copy is gone, if it is noted and nobody has said so.
func (k *Keeper) gone(ctx context.Context, note, reason string) error {
	if !slices.ContainsFunc(k.left(), func(n Noted) bool { return n.ID == note }) {
		return nil
	}
	return k.Copies.Gone(ctx, note, reason)
}

// noted returns as what the copy of a generation is noted that was made last.
func (k *Keeper) noted(generation uint64) string {
	note := ""
	for _, n := range k.left() {
		if n.Keyring == generation {
			note = n.ID
		}
	}
	return note
}

// removeOlder erases the copies that are not to stay. It says of those alone
// that they are gone: of one that is not there nobody knows where it is.
func (k *Keeper) removeOlder(ctx context.Context, dir string, newest *Sidecar) error {
	stay, owed, err := k.staying(dir, newest)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	older, left := map[uint64]bool{}, map[uint64]bool{}
	var failed error
	for _, e := range entries {
		n, _, finished, ours := ofCopy(e.Name())
		if !ours || !e.Type().IsRegular() || n > newest.Generation || finished && stay[n] {
			continue
		}
		if stay[n] { // a temp file beside it opens keys as well
			failed = errors.Join(failed, durable.Erase(filepath.Join(dir, e.Name())))
			continue
		}
		older[n] = true
	}
	for n := range older {
		note := ""
		if _, _, err := OpenKeys(dir, n, k.Archive.Identity()); err == nil {
			note = k.noted(n)
		}
		if err := k.erase(ctx, dir, n, note, "replaced by a copy of keyring "+strconv.FormatUint(newest.Generation, 10)); err != nil {
			left[n], failed = true, errors.Join(failed, err)
		}
	}
	k.owed = owed
	k.unseen = slices.DeleteFunc(k.left(), func(n Noted) bool { return (stay[n.Keyring] || left[n.Keyring]) && k.noted(n.Keyring) == n.ID })
	return failed
}

// ofCopy says of which generation's copy a file is, whether it is the sidecar,
// and whether it was finished: what a crash left of one opens keys as well.
func ofCopy(name string) (generation uint64, sidecar, finished, ok bool) {
	text, ours := strings.CutPrefix(name, keyCopyPrefix)
	text, left := strings.CutSuffix(text, ".tmp")
	text, sidecar = strings.CutSuffix(text, sidecarSuffix)
	n, err := strconv.ParseUint(text, 10, 64)
	return n, sidecar, !left, ours && err == nil && strconv.FormatUint(n, 10) == text
}

// staying returns the generations whose copies stay: the newest; of those that
// have no key that is destroyed one more; and, owed, the one with destroyed keys
// that opens the newest backup best.
func (k *Keeper) staying(dir string, newest *Sidecar) (stay map[uint64]bool, owed bool, err error) {
	stay = map[uint64]bool{newest.Generation: true}
	all, err := Sidecars(dir, k.Archive.Identity())
	if err != nil {
		return nil, false, err
	}
	all = slices.DeleteFunc(all, func(s *Sidecar) bool {
		_, _, err := OpenKeys(dir, s.Generation, k.Archive.Identity())
		return err != nil || s.Generation >= newest.Generation
	})
	var passed []*Sidecar // those with a key that was destroyed
	for _, s := range slices.Backward(all) {
		if len(newest.Missing(s.Keys)) > 0 {
			passed = append(passed, s)
		} else if len(stay) == 1 {
			stay[s.Generation] = true
		}
	}
	if len(passed) == 0 {
		return stay, false, nil
	}
	m, blind, err := k.newestBackup()
	if err != nil {
		return nil, false, err
	}
	switch {
	case blind: // until somebody can say what it needs, nothing goes that could open a body
		for _, s := range passed {
			if slices.ContainsFunc(newest.Missing(s.Keys), func(key archive.KeyID) bool { return strings.HasPrefix(key.Name, "bodies/") }) {
				stay[s.Generation], owed = true, true
			}
		}
	case m != nil:
		best := opening(append(passed, newest), m)[0]
		if len(best.Missing(m.Keys)) < len(newest.Missing(m.Keys)) {
			stay[best.Generation], owed = true, true
		}
	}
	return stay, owed, nil
}

// newestBackup returns the manifest of the newest backup that is noted and can
// be read; nil without one. It is blind where the folder of one that is newer
// is not there.
func (k *Keeper) newestBackup() (m *Manifest, blind bool, err error) {
	if k.Copies == nil {
		return nil, false, nil
	}
	own := k.Archive.Identity()
	for _, n := range slices.Backward(k.Copies.Left()) {
		id, ours := strings.CutPrefix(n.ID, notedPrefix)
		if _, _, err := ParseID(id); n.What != WhatBackup || !ours || err != nil {
			continue
		}
		m, identity, _, err := Open(n.Where, id)
		switch {
		case err == nil && identity.Origin == own.Origin && identity.ArchiveID == own.ArchiveID:
			return m, false, nil
		case err == nil, errors.Is(err, ErrDamaged), errors.Is(err, ErrManifest):
			continue // it helps nobody
		}
		if _, marker := ReadMarker(n.Where); !errors.Is(err, ErrNoBackup) || marker != nil {
			return nil, true, nil
		}
	}
	return nil, false, nil
}

// opening orders copies of the keyring by how well they open a backup: the
// fewest of its keys missing first, and of those the newest. A copy older than
// the backup's keyring comes last.
func opening(all []*Sidecar, m *Manifest) []*Sidecar {
	missing := func(s *Sidecar) int {
		if s.Generation < m.Keyring {
			return len(m.Keys) + 1
		}
		return len(s.Missing(m.Keys))
	}
	return slices.SortedStableFunc(slices.Values(all), func(a, b *Sidecar) int {
		if d := missing(a) - missing(b); d != 0 {
			return d
		}
		return cmp.Compare(b.Generation, a.Generation)
	})
}
