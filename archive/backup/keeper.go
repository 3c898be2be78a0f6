package backup

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	Copies  Copies // nil: nothing is known of copies, nor of the backups that need them

	mu     sync.Mutex
	owed   bool
	unseen []Noted
}

// Owed reports whether the last Keep left an older copy in place for the newest
// backup alone: that copy has keys that were destroyed since, and the backup has
// what survived under no others. The next backup ends it.
func (k *Keeper) Owed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.owed
}

// Unseen returns the copies that are noted in the folder, and which the last
// Keep neither found there nor had erased itself: somebody has them, or had.
func (k *Keeper) Unseen() []Noted {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.unseen)
}

// keepTries is how often a copy is made anew because the keyring changed while
// the one before was made, as it does when the copy's own entry begins a month.
const keepTries = 5

// Keep sees that there is a copy of the present keyring, makes one if not, and
// removes older ones: all that have a key that the newest has not, for it was
// destroyed, and all but one of the others. One with destroyed keys stays as
// long as the newest backup needs them (Owed). It returns what the newest has,
// with an error too if an older one could not be removed.
//
// A crash under way leaves the copies that were there, or one that is noted and
// was never finished or is half erased, with a mark that says so.
func (k *Keeper) Keep(ctx context.Context) (*Sidecar, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(k.Dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w: the folder of the keyring's backup, %s, is not there; see that it is mounted", ErrTarget, k.Dir)
	}
	if err := apart("the keyring's backup lies with the archive", k.Dir, k.Archive.Dir()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTarget, err)
	}
	id := k.Archive.Identity()
	dir := KeysDir(k.Dir, id.Origin)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && len(k.left()) > 0 {
		return nil, fmt.Errorf("%w: %s had copies of the keyring and has none; if its disk is mounted and they are gone for good, say so with `holdfast copies gone`", ErrTarget, k.Dir)
	}
	unsettled := k.settle(ctx, dir)
	copies, err := Sidecars(dir, id)
	if err != nil {
		return nil, err
	}
	var s *Sidecar
	for range keepTries {
		c, err := k.Archive.CopyKeys()
		if err != nil {
			return nil, err
		}
		if n := len(copies); n > 0 && copies[n-1].Generation > c.Generation {
			return nil, fmt.Errorf("%w: %s has a copy of keyring %d, and this archive's is %d: it is an older archive than the one that wrote there; put that one back, or choose another folder",
				ErrTarget, k.Dir, copies[n-1].Generation, c.Generation)
		}
		_, have, err := OpenKeys(dir, c.Generation, id)
		if err != nil || len(have.Missing(c.Keys)) > 0 {
			if have, err = k.write(ctx, dir, c, have); err != nil {
				return nil, err
			}
		}
		if s = have; s.Generation == k.Archive.KeyringGeneration() {
			break
		}
	}
	return s, errors.Join(unsettled, k.removeOlder(ctx, dir, s))
}

// write makes one copy, and reads it back. had is the copy that is there
// already and has other keys; nil: none.
func (k *Keeper) write(ctx context.Context, dir string, c *archive.KeyCopy, had *Sidecar) (*Sidecar, error) {
	if err := durable.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	replaced := ""
	if had != nil {
		replaced = k.noted(c.Generation)
	}
	note := "keys-" + strconv.FormatUint(c.Generation, 10) + "-" + strings.ToLower(rand.Text())
	// A crash from here on leaves a mark, by which the next Keep erases what was begun and says that it is gone.
	if err := mark(dir, c.Generation, note); err != nil {
		return nil, err
	}
	if k.Copies != nil {
		if err := k.Copies.Made(ctx, Noted{ID: note, What: WhatKeys, Where: k.Dir, Keyring: c.Generation}); err != nil {
			return nil, err
		}
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
	if _, s, err = OpenKeys(dir, c.Generation, id); err != nil {
		return nil, err
	}
	if err := k.gone(ctx, replaced, "replaced by another copy of keyring "+strconv.FormatUint(c.Generation, 10)); err != nil {
		return nil, err
	}
	return s, durable.Remove(markPath(dir, c.Generation))
}

// left returns the copies in this folder that are noted and not gone.
func (k *Keeper) left() []Noted {
	if k.Copies == nil {
		return nil
	}
	return slices.DeleteFunc(k.Copies.Left(), func(n Noted) bool { return n.What != WhatKeys || n.Where != k.Dir })
}
