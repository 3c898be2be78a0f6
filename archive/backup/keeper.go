package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"holdfast/archive"
	"holdfast/internal/durable"
)

// Noted is a copy of keys or data as the archive keeps account of it.
type Noted struct {
	ID      string
	What    string // WhatBackup or WhatKeys
	Where   string // the folder
	Keyring uint64 // generation
}

// What a noted copy is: retention's words.
const (
	WhatBackup = "backup"
	WhatKeys   = "recovery"
)

// Copies keeps account of copies, so that a certificate of disposition can name
// those that could still open what was destroyed. Each method's effect is
// durable once it returns.
type Copies interface {
	Made(ctx context.Context, c Noted) error
	Gone(ctx context.Context, id, reason string) error
	Left() []Noted // those that are not gone
}

// Keeper keeps the keyring's own backup: copies that only the recovery kit
// opens, in a folder beside that of the data.
type Keeper struct {
	Archive *archive.Archive
	Dir     string // must exist; the archive's own folder in it is made
	Copies  Copies

	mu sync.Mutex
}

// keepTries is how often a copy is made anew because the keyring changed while
// the one before was made, as it does when the copy's own entry begins a month.
const keepTries = 5

// Keep sees that there is a copy of the present keyring, makes one if not, and
// removes older ones: all that have a key that the newest has not, for it was
// destroyed, and all but one of the others. It returns what the newest has.
//
// A crash under way leaves the copies that were there, or one that is noted and
// was never finished.
func (k *Keeper) Keep(ctx context.Context) (*Sidecar, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(k.Dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w: the folder of the keyring's backup, %s, is not there; see that it is mounted", ErrTarget, k.Dir)
	}
	id := k.Archive.Identity()
	dir := KeysDir(k.Dir, id.Origin)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && len(k.left()) > 0 {
		return nil, fmt.Errorf("%w: %s had copies of the keyring and has none; if its disk is mounted and they are gone for good, say so with `holdfast copies gone`", ErrTarget, k.Dir)
	}
	generations, err := Generations(dir)
	if err != nil {
		return nil, err
	}
	var s *Sidecar
	for range keepTries {
		c, err := k.Archive.CopyKeys()
		if err != nil {
			return nil, err
		}
		if n := len(generations); n > 0 && generations[n-1] > c.Generation {
			return nil, fmt.Errorf("%w: %s has a copy of keyring %d, and this archive's is %d: it is an older archive than the one that wrote there; put that one back, or choose another folder",
				ErrTarget, k.Dir, generations[n-1], c.Generation)
		}
		_, have, err := OpenKeys(dir, c.Generation, id)
		if err != nil || len(have.Missing(c.Keys)) > 0 {
			if have, err = k.write(ctx, dir, c); err != nil {
				return nil, err
			}
		}
		if s = have; s.Generation == k.Archive.KeyringGeneration() {
			break
		}
	}
	return s, k.removeOlder(ctx, dir, s)
}

// write makes one copy, and reads it back.
func (k *Keeper) write(ctx context.Context, dir string, c *archive.KeyCopy) (*Sidecar, error) {
	if err := k.note(ctx, c.Generation); err != nil {
		return nil, err
	}
	if err := durable.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	id, sum := k.Archive.Identity(), sha256.Sum256(c.Sealed)
	s := &Sidecar{
		V: 1, ArchiveID: id.ArchiveID, Origin: id.Origin, Generation: c.Generation, Size: int64(len(c.Sealed)),
		SHA256: hex.EncodeToString(sum[:]), Keys: c.Keys, Created: time.Now().UTC().Format("2006-01-02T15:04:05Z"),
	}
	compact, err := s.Sign(k.Archive.IdentitySigner())
	if err != nil {
		return nil, err
	}
	// The copy first: one without its sidecar was never finished, and counts for nothing.
	for _, f := range []struct {
		path string
		data []byte
	}{{KeyCopyPath(dir, c.Generation), c.Sealed}, {SidecarPath(dir, c.Generation), append(compact, '\n')}} {
		if err := durable.Replace(f.path, f.data, 0o600); err != nil {
			return nil, err
		}
		if err := durable.Settle(f.path); err != nil {
			return nil, err
		}
	}
	_, s, err = OpenKeys(dir, c.Generation, id)
	return s, err
}

// note says that there will be a copy of a generation, unless one is noted.
func (k *Keeper) note(ctx context.Context, generation uint64) error {
	if k.Copies == nil || slices.ContainsFunc(k.left(), func(n Noted) bool { return n.Keyring == generation }) {
		return nil
	}
	id := "keys-" + strconv.FormatUint(generation, 10) + "-" + strconv.FormatInt(time.Now().UnixMilli(), 36)
	return k.Copies.Made(ctx, Noted{ID: id, What: WhatKeys, Where: k.Dir, Keyring: generation})
}

// left returns the copies in this folder that are noted and not gone.
func (k *Keeper) left() []Noted {
	if k.Copies == nil {
		return nil
	}
	return slices.DeleteFunc(k.Copies.Left(), func(n Noted) bool { return n.What != WhatKeys || n.Where != k.Dir })
}

// removeOlder removes the copies that are not to stay, and says that they are
// gone.
func (k *Keeper) removeOlder(ctx context.Context, dir string, newest *Sidecar) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	spare, err := k.spare(dir, newest)
	if err != nil {
		return err
	}
	for _, sidecars := range []bool{false, true} { // copies before sidecars: a copy without one would not be seen, and would open keys all the same
		for _, e := range entries {
			n, sidecar, finished, ok := ofCopy(e.Name())
			if !ok || sidecar != sidecars || finished && (n == newest.Generation || n == spare) {
				continue
			}
			if err := durable.Erase(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for _, n := range k.left() {
		if n.Keyring == newest.Generation || n.Keyring == spare {
			continue
		}
		// A crash before it leaves a copy noted that is gone: the next call says so.
		if err := k.Copies.Gone(ctx, n.ID, "replaced by a copy of keyring "+strconv.FormatUint(newest.Generation, 10)); err != nil {
			return err
		}
	}
	return nil
}

// ofCopy says of which generation's copy a file is, whether it is the sidecar,
// and whether it was finished: what a crash left of one opens keys as well.
func ofCopy(name string) (generation uint64, sidecar, finished, ok bool) {
	text, ours := strings.CutPrefix(name, keyCopyPrefix)
	text, left := strings.CutSuffix(text, ".tmp")
	text, sidecar = strings.CutSuffix(text, sidecarSuffix)
	n, err := strconv.ParseUint(text, 10, 64)
	return n, sidecar, !left, ours && err == nil
}

// spare returns the generation of the one older copy that stays, 0 for none:
// the newest of those that have no key that is destroyed.
func (k *Keeper) spare(dir string, newest *Sidecar) (uint64, error) {
	generations, err := Generations(dir)
	if err != nil {
		return 0, err
	}
	for _, n := range slices.Backward(generations) {
		if n >= newest.Generation {
			continue
		}
		_, s, err := OpenKeys(dir, n, k.Archive.Identity())
		if err == nil && len(newest.Missing(s.Keys)) == 0 {
			return n, nil
		}
	}
	return 0, nil
}
