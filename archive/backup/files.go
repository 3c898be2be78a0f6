package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"holdfast/archive"
	"holdfast/internal/durable"
)

// newest reads what the newest backup has that never changes. One that cannot
// be read helps nobody: everything is copied.
func (u *run) newest() error {
	ids, err := IDs(u.t.dir)
	if err != nil || len(ids) == 0 {
		return err
	}
	m, _, _, err := Open(u.t.dir, ids[len(ids)-1])
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrManifest) {
		return nil
	}
	if err != nil {
		return err
	}
	u.trust(m)
	for _, l := range m.Lists {
		u.lists[l.Folder] = l
	}
	return nil
}

// trust notes which of a backup's files never change, and what of its bodies need
// not be opened again. After a restore the log may be another from some entry on,
// and files that have the same names are others; a migration may have changed
// any of them: then nothing is trusted.
func (u *run) trust(m *Manifest) {
	if m.Size == 0 || m.Schema != u.s.Schema {
		return
	}
	if root, err := u.Archive.Root(m.Size); err != nil || hex.EncodeToString(root[:]) != m.Root {
		return
	}
	u.before = m.Finished()
	if u.Reread {
		return
	}
	u.checked, u.opened = m.Size, map[string]bool{}
	for _, f := range m.Files {
		u.opened[f.Path] = true
	}
}

// files copies identity.json, the log and the bodies, in that order: the log
// says which bodies there are.
func (u *run) files(ctx context.Context) error {
	for _, f := range u.s.Files {
		if _, have := u.before[f.Path]; !have {
			u.of += f.Bytes
		}
	}
	for _, f := range u.s.Files {
		doing := "bodies"
		if !strings.HasPrefix(f.Path, "bodies/") {
			doing = "log"
		}
		u.at(doing)
		entry, err := u.file(ctx, f, func(n int64) {
			u.done += n
			u.at(doing)
		})
		if err != nil {
			return err
		}
		if f.Path == "identity.json" {
			u.m.Identity = entry.SHA256
		}
		u.m.Files = append(u.m.Files, entry)
		u.r.Bytes += entry.Size
		u.r.Files++
		if err := u.step("copied " + f.Path); err != nil {
			return err
		}
	}
	slices.SortFunc(u.m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

// kept reports whether the object of an earlier backup's file can be named again.
func (u *run) kept(ctx context.Context, f File) bool {
	return u.t.has(f.SHA256, f.Size) && (!u.Reread || u.t.readBack(ctx, f) == nil)
}

// file sees that one file's content is an object.
func (u *run) file(ctx context.Context, f archive.SnapshotFile, wrote func(int64)) (File, error) {
	if have, ok := u.before[f.Path]; f.Finished && ok && u.kept(ctx, have) {
		return have, nil
	}
	if f.Finished {
		in, size, err := u.s.OpenFinished(f)
		if err != nil {
			return File{}, err
		}
		return u.object(ctx, File{Path: f.Path, Size: size, Finished: true}, in, wrote)
	}
	return u.copied(ctx, f, wrote)
}

// copied copies a file that is still written to by way of the spool. The copy is
// checked while it is put: where it is found wanting, no manifest names it. Each
// body is opened once, for the first backup that has it.
func (u *run) copied(ctx context.Context, f archive.SnapshotFile, wrote func(int64)) (entry File, err error) {
	c, err := u.s.Copy(ctx, f)
	if err != nil {
		return entry, err
	}
	defer func() { err = errors.Join(err, durable.Remove(c.Path)) }()
	in, err := os.Open(c.Path) // #nosec G304 -- a name of ours in the spool
	if err != nil {
		return entry, err
	}
	var from uint64
	if u.opened[f.Path] {
		from = u.checked
	}
	g, both := errgroup.WithContext(ctx)
	g.Go(func() error { return u.s.Check(both, f, c, from) })
	g.Go(func() (err error) {
		entry, err = u.object(both, File{Path: f.Path, Size: c.Size}, in, wrote)
		return err
	})
	if err := g.Wait(); err != nil {
		return entry, err
	}
	entry.Records = c.Records
	u.r.Damaged = append(u.r.Damaged, c.Damaged...)
	return entry, nil
}

// object makes one of the first f.Size bytes of in, and closes it.
func (u *run) object(ctx context.Context, f File, in *os.File, wrote func(int64)) (_ File, err error) {
	defer func() { err = errors.Join(err, in.Close()) }()
	want := f.Size
	f.SHA256, f.Size, err = u.t.put(ctx, io.LimitReader(in, want), wrote)
	if err == nil && f.Size != want {
		err = fmt.Errorf("%w: it became shorter while it was copied", archive.ErrChanged)
	}
	if err != nil {
		return f, fmt.Errorf("%s: %w", f.Path, err)
	}
	return f, nil
}
