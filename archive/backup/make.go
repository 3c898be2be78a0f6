package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"holdfast/archive"
	"holdfast/internal/durable"
)

// ErrKeysUncopied means that a backup would hold body files that nothing could
// open: their keys are in no copy of the keyring.
var ErrKeysUncopied = errors.New("the keyring's backup lacks keys of the body files in this backup, which so is none; " +
	"see that the folder of --keys-to is mounted and can be written, and run it again")

// Options says what backup to make.
type Options struct {
	Archive *archive.Archive
	Keys    *Keeper
	To      string // the folder of the data backup; must exist
	Spool   string // a folder on a local disk; is made, and emptied
	Keep    int    // backups that stay; 0: all
	Version string // of the program
	Copies  Copies // may be nil

	// Reread has the files that earlier backups have already read back, and written
	// anew where they have decayed, and each body of those still written to opened
	// again, rather than have those backups believed: for when a drill has failed since.
	Reread bool

	// Progress is told now and then how far it is; may be nil.
	Progress func(Progress)
	// fault fails a step; set by tests.
	fault func(step string) error
}

// Progress is how far a backup is.
type Progress struct {
	Doing string `json:"doing"` // a word: "log", "bodies", "attachments", "manifest", "pruning"
	Done  int64  `json:"done"`  // bytes
	Of    int64  `json:"of"`    // bytes, roughly; attachments are not in it
}

// Result is a backup that was made.
type Result struct {
	Manifest *Manifest
	Files    uint64   // in the backup, attachments included
	Bytes    int64    // of all of them
	Written  int64    // bytes of objects that were not there before
	Damaged  []uint64 // entries, the first few of a file, whose body the archive itself cannot open
	Pruned   []string // backups removed
}

// makeTries is how often a backup is begun because a disposition came in
// between. What was copied before is there already.
const makeTries = 3

// Make makes one backup. It counts once Make returns without an error, or once
// its manifest is there; whatever goes wrong before leaves the backups that were
// there as they were.
func Make(ctx context.Context, o Options) (r *Result, err error) {
	id := o.Archive.Identity()
	if err := o.apart(); err != nil {
		return nil, err
	}
	if err := durable.Mkdir(o.Spool, 0o700); err != nil {
		return nil, fmt.Errorf("the spool: %w", err)
	}
	known := slices.ContainsFunc(o.left(), func(n Noted) bool { return strings.HasPrefix(n.ID, notedPrefix) })
	t, err := openTarget(o.To, id, known)
	if err != nil {
		return nil, err
	}
	t.giveWay = o.Archive.GiveWay
	defer func() { err = errors.Join(err, t.close(), durable.Empty(o.Spool)) }()
	if err := durable.Empty(o.Spool); err != nil {
		return nil, err
	}
	if err := o.reconcile(ctx); err != nil {
		return nil, err
	}
	// Keys first: a copy of the data that nothing opens is worth nothing.
	if s, err := o.Keys.Keep(ctx); s == nil {
		return nil, err // an older copy that could not be removed is one too many, not one too few
	}
	for range makeTries {
		r, err = o.once(ctx, t)
		if !errors.Is(err, archive.ErrChanged) {
			break
		}
	}
	if errors.Is(err, archive.ErrChanged) {
		err = fmt.Errorf("it was begun %d times, and each time something came in between; run it again when no disposition is under way: %w", makeTries, err)
	}
	if err != nil {
		return nil, err
	}
	// The copy of the keyring that only the backup before needed goes.
	_, err = o.Keys.Keep(ctx)
	if o.Keep > 0 {
		err = errors.Join(err, o.prune(ctx, t, r))
	}
	return r, err
}

// run is one attempt.
type run struct {
	Options
	t        *target
	s        *archive.Snapshot
	m        *Manifest
	r        *Result
	before   map[string]File // of the newest backup: what is finished
	opened   map[string]bool // of it: body files whose entries before checked were opened for it, or for one before it
	checked  uint64
	lists    map[string]List
	of, done int64
}

func (o Options) once(ctx context.Context, t *target) (*Result, error) {
	s, err := o.Archive.Snapshot(ctx, o.Spool)
	if err != nil {
		return nil, err
	}
	id := o.Archive.Identity()
	u := &run{Options: o, t: t, s: s, r: &Result{}, before: map[string]File{}, lists: map[string]List{}}
	u.m = &Manifest{
		V: 1, ArchiveID: id.ArchiveID, Origin: id.Origin, Version: o.Version, Schema: s.Schema, Size: s.Size,
		Root: hex.EncodeToString(s.Root[:]), Last: hex.EncodeToString(s.Last[:]), Checkpoint: string(s.Checkpoint),
		Keyring: s.Keyring, Keys: s.Keys, Files: []File{}, Lists: []List{},
	}
	if c := s.Cursor; c != nil {
		u.m.Cursor = &Cursor{Epoch: c.Epoch, Ordinal: c.Ordinal, Seq: c.Seq, Head: hex.EncodeToString(c.Head[:])}
	}
	u.r.Manifest = u.m
	t.written = 0
	if err := u.newest(); err != nil {
		return nil, err
	}
	if err := u.files(ctx); err != nil {
		return nil, err
	}
	if err := u.attachments(ctx); err != nil {
		return nil, err
	}
	u.r.Written = t.written
	return u.r, u.seal(ctx)
}

func (u *run) at(doing string) {
	if u.Progress != nil {
		u.Progress(Progress{Doing: doing, Done: u.done, Of: max(u.of, u.done)})
	}
}

func (u *run) step(name string) error {
	if u.fault == nil {
		return nil
	}
	return u.fault(name)
}

// attachments copies them, folder by folder, with a list of each.
func (u *run) attachments(ctx context.Context) error {
	for n := range 256 {
		if err := ctx.Err(); err != nil {
			return err
		}
		blobs, err := u.s.Blobs(n)
		if err != nil {
			return err
		}
		if len(blobs) == 0 {
			continue
		}
		list, err := u.list(ctx, fmt.Sprintf("%02x", n), blobs)
		if err != nil {
			return err
		}
		u.m.Lists = append(u.m.Lists, list)
		u.r.Bytes += list.Bytes
		u.r.Files += list.Files
		if err := u.step("listed " + list.Folder); err != nil {
			return err
		}
	}
	return nil
}

func (u *run) list(ctx context.Context, folder string, blobs []archive.SnapshotFile) (List, error) {
	had := map[string]File{}
	was, ok := u.lists[folder]
	if ok {
		before, err := was.read(ctx, u.t.dir)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return List{}, err
		}
		ok = err == nil
		for _, f := range before {
			had[f.Path] = f
		}
	}
	out := List{Folder: folder}
	files := make([]File, 0, len(blobs))
	for _, b := range blobs {
		f, there := had[b.Path]
		if !there || !u.kept(ctx, f) {
			in, size, err := u.s.OpenFinished(b)
			if err != nil {
				return out, err
			}
			f, err = u.object(ctx, File{Path: b.Path, Size: size, Finished: true}, in, func(n int64) {
				u.done += n
				u.at("attachments")
			})
			if err != nil {
				return out, err
			}
		}
		files = append(files, f)
		out.Files++
		out.Bytes += f.Size
	}
	text := MarshalList(files)
	if len(text) > MaxList {
		return out, fmt.Errorf("%w: more attachments in one folder than a list holds", ErrList)
	}
	sum := sha256.Sum256(text)
	if out.SHA256 = hex.EncodeToString(sum[:]); ok && out == was {
		return out, nil // it was just read
	}
	var err error
	out.SHA256, _, err = u.t.put(ctx, bytes.NewReader(text), func(int64) {})
	return out, err
}

// seal makes a backup of what was copied: it looks that nothing of it was
// disposed of meanwhile and that its keys are kept, notes the copy, and writes
// the signed manifest.
func (u *run) seal(ctx context.Context) error {
	u.at("manifest")
	if err := u.s.Unchanged(); err != nil {
		return err
	}
	keys, err := u.Keys.Keep(ctx)
	if keys == nil {
		return err
	}
	if missing := keys.Missing(u.m.Keys); len(missing) > 0 {
		return fmt.Errorf("%w (%s)", ErrKeysUncopied, missing[0].Name)
	}
	ids, err := IDs(u.t.dir)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	if n := len(ids); n > 0 {
		// Names are in the order in which they were made, whatever the clock does.
		if last, _, err := ParseID(ids[n-1]); err != nil {
			return err
		} else if !now.After(last) {
			now = last.Add(time.Second)
		}
	}
	u.m.ID, u.m.Created = NewID(now, u.m.Size), now.Format("2006-01-02T15:04:05Z")
	compact, err := u.m.Sign(u.Archive.IdentitySigner())
	if err != nil {
		return err
	}
	if err := u.step("signed"); err != nil {
		return err
	}
	if u.Copies != nil {
		// A crash after it leaves a copy noted that does not exist; the next backup says that it is gone.
		if err := u.Copies.Made(ctx, Noted{ID: notedPrefix + u.m.ID, What: WhatBackup, Where: u.To, Keyring: u.m.Keyring}); err != nil {
			return err
		}
	}
	if err := u.step("noted"); err != nil {
		return err
	}
	// The object folders' own entries: a backup counts only once nothing of it can get lost.
	if err := durable.SyncDir(filepath.Join(u.t.dir, objectsName)); err != nil {
		return err
	}
	if err := u.t.publish(u.m.ID, compact); err != nil {
		return err
	}
	return u.step("published")
}

// notedPrefix begins the ids of backups in the account of copies.
const notedPrefix = "backup-"

// left returns the backups in this folder that are noted and not gone.
func (o *Options) left() []Noted {
	if o.Copies == nil {
		return nil
	}
	return slices.DeleteFunc(o.Copies.Left(), func(n Noted) bool { return n.What != WhatBackup || n.Where != o.To })
}

// reconcile says of backups that are noted and not in the folder that they are
// gone: made and never finished, or removed with the archive not knowing.
func (o *Options) reconcile(ctx context.Context) error {
	ids, err := IDs(o.To)
	if err != nil {
		return err
	}
	for _, n := range o.left() {
		id, ours := strings.CutPrefix(n.ID, notedPrefix)
		if !ours || slices.Contains(ids, id) {
			continue
		}
		if err := o.Copies.Gone(ctx, n.ID, "not in the folder of backups any more"); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) prune(ctx context.Context, t *target, r *Result) (err error) {
	if o.Progress != nil {
		o.Progress(Progress{Doing: "pruning", Done: 1, Of: 1})
	}
	r.Pruned, err = t.prune(ctx, o.Keep)
	if err != nil {
		return err
	}
	return o.reconcile(ctx)
}
