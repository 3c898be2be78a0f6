package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/archive"
	"holdfast/archive/backup"
	"holdfast/internal/anchor"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/durable"
	"holdfast/retention"
)

// drillTemp is the folder of a drill in the archive's own.
const drillTemp = "drill"

// PrepareDrill says what a restore drill tries: what was asked for, completed by
// the configuration, but for the keys. Whose backup it is has been looked at
// when it returns. done removes the folder that was made for it.
func PrepareDrill(c *config.Config, req api.DrillRequest) (o backup.DrillOptions, done func() error, err error) {
	done = func() error { return nil }
	o = backup.DrillOptions{
		From: cmp.Or(req.From, c.Backup.To), Keys: cmp.Or(req.KeysFrom, c.Backup.KeysTo), Backup: req.Backup, Temp: req.Temp, Sample: c.Backup.DrillSample,
	}
	if o.From == "" || o.Keys == "" {
		return o, done, api.ErrBackupFolders
	}
	_, id, err := backup.Chosen(o.From, o.Backup)
	if err != nil {
		return o, done, err
	}
	own, err := archive.ReadIdentity(c.Data)
	if err != nil {
		return o, done, err
	}
	if own.Origin != id.Origin {
		return o, done, fmt.Errorf("%s: %w (%s)", o.From, backup.ErrForeign, id.ArchiveID)
	}
	if o.Anchor, err = lastAnchor(c.Anchor.File); err != nil {
		return o, done, err
	}
	if o.Temp == "" {
		o.Temp = filepath.Join(c.Data, drillTemp)
		done, err = ownTemp(o.Temp)
	}
	return o, done, err
}

// ownTemp makes a folder for one drill alone, without what one left in it that
// was killed. Where somebody else has it, it tries for a moment: they may just be
// tidying, and a drill that was due would not come again for a month.
func ownTemp(dir string) (done func() error, err error) {
	none := func() error { return nil }
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	held, err := holdTemp(dir)
	for tries := 1; errors.Is(err, api.ErrDrillRunning) && tries < 10; tries++ {
		<-tick.C
		held, err = holdTemp(dir)
	}
	if err != nil {
		return none, err
	}
	if err := backup.Empty(dir); err != nil {
		return none, errors.Join(err, held.Close())
	}
	return func() error { return errors.Join(backup.Empty(dir), os.RemoveAll(dir), held.Close()) }, nil
}

// holdTemp makes the folder and takes its lock. If another has that, or has
// removed the folder meanwhile, it is api.ErrDrillRunning.
func holdTemp(dir string) (*os.File, error) {
	if err := durable.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	held, err := os.Open(dir) // #nosec G304 -- a name of ours
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.ErrDrillRunning
	}
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(held.Fd()), unix.LOCK_EX|unix.LOCK_NB) // #nosec G115 -- a descriptor
	if errors.Is(err, unix.EWOULDBLOCK) || err == nil && !still(held, dir) {
		err = api.ErrDrillRunning
	}
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return held, nil
}

// tidyTemp removes what a drill left in the archive's folder that was killed: a
// drill with the kit has a copy of the keyring there, of which no certificate
// of disposition knows. One that is under way keeps its own.
func tidyTemp(data string) error {
	dir := filepath.Join(data, drillTemp)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	done, err := ownTemp(dir)
	if errors.Is(err, api.ErrDrillRunning) {
		return nil
	}
	return errors.Join(err, done())
}

// still reports whether an open folder is the one of that name.
func still(held *os.File, path string) bool {
	is, err := held.Stat()
	if err != nil {
		return false
	}
	has, err := os.Lstat(path)
	return err == nil && os.SameFile(is, has)
}

// lastAnchor returns the last checkpoint of a file of anchors; nil without one.
// A drill of a log that was anchored and cannot be held against its anchor has
// not shown what it is for.
func lastAnchor(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	line, err := anchor.Last(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, anchor.ErrNoLine):
		return nil, nil // nothing was anchored yet; that nothing can be, an alarm of its own says
	case err != nil:
		return nil, fmt.Errorf("the file of anchors: %w", err)
	}
	return []byte(line.Checkpoint), nil
}

// DrillClass names for the log and the metrics what went wrong with a drill,
// free of content.
func DrillClass(err error) string {
	switch {
	case errors.Is(err, backup.ErrLostKeys), errors.Is(err, backup.ErrNoKeys):
		return "keys"
	case errors.Is(err, backup.ErrDamaged), errors.Is(err, archive.ErrDamaged), errors.Is(err, archive.ErrAnchor), errors.Is(err, backup.ErrManifest):
		return "damaged"
	case errors.Is(err, backup.ErrNoBackup):
		return "none"
	}
	return "failed"
}

// Drill makes a restore drill with the keyring that the daemon has open, and
// notes what it came to.
func (b *backups) Drill(ctx context.Context, req api.DrillRequest, progress func(api.Progress)) (*api.Drill, error) {
	if !b.drilling.TryLock() {
		return nil, api.ErrDrillRunning
	}
	defer b.drilling.Unlock()
	began := time.Now()
	made, err := b.drill(ctx, req, progress)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && NoDrillVerdict(b.whole, req, false, err) {
		return nil, err // of one that runs, that one says what it comes to
	}
	out := &api.Drill{Drilled: api.Drilled{OK: err == nil, MS: time.Since(began).Milliseconds()}}
	if err != nil {
		out.ErrorClass = DrillClass(err)
		b.p.logger.Error("a restore drill failed", "class", out.ErrorClass)
	}
	if made != nil {
		out.ID, out.Size, out.Root, out.Bytes, out.Bodies, out.Disposed = made.Manifest.ID, made.Manifest.Size, made.Manifest.Root, made.Bytes, made.Bodies, made.Disposed
	}
	if err = errors.Join(err, b.Drilled(ctx, out.Drilled)); err != nil {
		return nil, err
	}
	return out, nil
}

func (b *backups) drill(ctx context.Context, req api.DrillRequest, progress func(api.Progress)) (made *backup.Drilled, err error) {
	o, done, err := PrepareDrill(b.whole, req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := b.p.caughtUp(ctx); err != nil {
		return nil, err
	}
	o.Running = b.p.archive
	o.Destroyed = func(key archive.KeyID) bool { return certified(b.p.book)[key] }
	o.Progress = func(what string, done, total int64) {
		if progress != nil {
			progress(api.Progress{Step: what, Done: uint64(max(done, 0)), Total: uint64(max(total, 0))}) // #nosec G115 -- not negative
		}
	}
	return backup.Drill(ctx, o)
}

// certified returns the keys that certificates of disposition have as destroyed.
func certified(book *retention.Book) map[archive.KeyID]bool {
	out := map[archive.KeyID]bool{}
	for _, c := range book.Certificates() {
		for _, k := range c.Statement.Keys {
			out[k] = true
		}
	}
	return out
}
