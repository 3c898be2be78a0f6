package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/archive/proof"
	"holdfast/internal/durable"
)

// Errors of making a backup.
var (
	ErrRunning = errors.New("a backup into this folder is under way; wait for it, `holdfastd backup list` shows what came of it")
	ErrTarget  = errors.New("this folder cannot take a backup")
)

// How much is written until the disk is waited for, and how much is read or
// written until the archive's writer is given way.
const (
	paceBytes = 4 << 20
	stepBytes = 1 << 20
)

// target is the folder of the data backup while one is made in it.
type target struct {
	dir     string
	lock    *os.File
	written int64                                // bytes of new objects
	giveWay func(context.Context, time.Duration) // as archive.GiveWay
}

// openTarget takes the folder for one backup. A folder without a marker is
// begun if it is empty and nobody has ever made a backup there (known): an
// empty folder where there should be one is what is left when a disk is not
// mounted.
func openTarget(dir string, id *proof.Identity, known bool) (t *target, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w; see that it is mounted", ErrTarget, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%w: %s is no folder", ErrTarget, dir)
	}
	if err := checkMarker(dir, id, known); err != nil {
		return nil, err
	}
	t = &target{dir: dir}
	if t.lock, err = lockTarget(filepath.Join(dir, lockName)); err != nil {
		return nil, err
	}
	lock := t.lock // an error takes t away
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	text, err := (&Marker{V: 1, ArchiveID: id.ArchiveID, Origin: id.Origin}).marshal()
	if err != nil {
		return nil, err
	}
	// A crash up to here leaves a folder with nothing but a lock in it, which is begun again.
	if err := durable.Replace(filepath.Join(dir, markerName), text, 0o600); err != nil {
		return nil, err
	}
	for _, name := range []string{objectsName, backupsName, tempName} {
		if err := durable.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return nil, err
		}
	}
	// What an earlier backup left when it was cut short.
	return t, durable.Empty(filepath.Join(dir, tempName))
}

func checkMarker(dir string, id *proof.Identity, known bool) error {
	m, err := ReadMarker(dir)
	if err == nil && (m.ArchiveID != id.ArchiveID || m.Origin != id.Origin) {
		return fmt.Errorf("%s: %w (%s); choose another", dir, ErrForeign, m.ArchiveID)
	}
	if !errors.Is(err, ErrNoBackup) {
		return err
	}
	if known {
		return fmt.Errorf("%w: %s had backups and has none; if its disk is mounted and they are gone for good, say so with `holdfast copies gone`", ErrTarget, dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name != "lost+found" && name != lockName && name != markerName+".tmp" {
			return fmt.Errorf("%w: %s holds other things than backups; choose an empty one", ErrTarget, dir)
		}
	}
	return nil
}

// lockTarget holds the folder for one process. A file system without locks
// goes without: then only the archive's own lock keeps two apart.
func lockTarget(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600) // #nosec G304 -- a name of ours in the folder that was given
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTarget, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) // #nosec G115 -- a descriptor
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(ErrRunning, f.Close())
	case err != nil && !errors.Is(err, unix.ENOLCK) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS):
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (t *target) close() error { return t.lock.Close() }

// has reports whether an object of that size is there.
func (t *target) has(sum string, size int64) bool {
	info, err := os.Lstat(ObjectPath(t.dir, sum))
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}

// put writes an object, durable and read back from the disk once it returns. One
// that is there already stays, for other backups name it, unless it has decayed.
//
// A crash under way leaves a file in tmp, or an object that no manifest names.
func (t *target) put(ctx context.Context, r io.Reader, wrote func(int64)) (sum string, size int64, err error) {
	f, err := durable.NewFile(filepath.Join(t.dir, tempName), "")
	if err != nil {
		return "", 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Abort())
		}
	}()
	h := newSideHash()
	to := io.MultiWriter(h, f, t.yielding(ctx))
	for err == nil {
		var n int64
		n, err = io.CopyN(to, contextReader{ctx, r}, paceBytes)
		size += n
		wrote(n)
		if err == nil {
			err = f.Pace()
		}
	}
	sum = hex.EncodeToString(h.sum())
	if !errors.Is(err, io.EOF) {
		return "", 0, err
	}
	path := ObjectPath(t.dir, sum)
	if err := durable.Mkdir(filepath.Dir(path), 0o700); err != nil {
		return "", 0, err
	}
	written := File{Path: "what was just written", Size: size, SHA256: sum}
	if t.has(sum, size) {
		// A backup that was killed may have left it with a name that a loss of power takes away.
		if err := durable.SyncDir(filepath.Dir(path)); err != nil {
			return "", 0, err
		}
		if err := t.readBack(ctx, written); err == nil || ctx.Err() != nil {
			return sum, size, errors.Join(err, f.Abort())
		}
	}
	if err := f.CommitAt(path); err != nil {
		return "", 0, err
	}
	t.written += size
	if err = t.readBack(ctx, written); errors.Is(err, ErrDamaged) {
		err = errors.Join(err, durable.Remove(path))
	}
	return sum, size, err
}

// yielding returns what is written to along with other work, and gives way to
// the archive's writer now and then.
func (t *target) yielding(ctx context.Context) io.Writer {
	return &yield{ctx: ctx, giveWay: t.giveWay, since: time.Now()}
}

type yield struct {
	ctx     context.Context
	giveWay func(context.Context, time.Duration)
	since   time.Time
	n       int
}

func (y *yield) Write(p []byte) (int, error) {
	if y.n += len(p); y.n >= stepBytes {
		y.giveWay(y.ctx, time.Since(y.since))
		y.n, y.since = 0, time.Now()
	}
	return len(p), nil
}

// readBack reads an object from the disk, not from the kernel's copy of it.
func (t *target) readBack(ctx context.Context, f File) error {
	if err := durable.Settle(ObjectPath(t.dir, f.SHA256)); err != nil {
		return err
	}
	return CopyObject(ctx, t.dir, f, t.yielding(ctx))
}

// publish writes a backup's manifest, the last of its files, and reads it
// back.
func (t *target) publish(id string, compact []byte) error {
	path := ManifestPath(t.dir, id)
	// A crash before this leaves objects that no manifest names; after it, a whole backup.
	if err := durable.Replace(path, append(compact, '\n'), 0o600); err != nil {
		return err
	}
	if err := durable.Settle(path); err != nil {
		return err
	}
	_, _, _, err := Open(t.dir, id)
	return err
}

// prune removes the oldest backups beyond keep, and then the objects that no
// backup is left to name.
func (t *target) prune(ctx context.Context, keep int) (gone []string, err error) {
	ids, err := IDs(t.dir)
	if err != nil || len(ids) <= keep {
		return nil, err
	}
	for _, id := range ids[:len(ids)-keep] {
		// A crash after it leaves objects that nothing names; the next pruning removes them.
		if err := durable.Remove(ManifestPath(t.dir, id)); err != nil {
			return gone, err
		}
		gone = append(gone, id)
	}
	return gone, t.sweep(ctx, ids[len(ids)-keep:])
}

// sweep removes the objects that none of the backups names. Where one of them
// cannot be read, nothing is removed.
func (t *target) sweep(ctx context.Context, ids []string) error {
	named, lists := map[string]bool{}, map[string]bool{}
	for _, id := range ids {
		m, _, _, err := Open(t.dir, id)
		if err != nil {
			return fmt.Errorf("nothing was removed: %w", err)
		}
		for _, f := range m.Files {
			named[f.SHA256] = true
		}
		for _, l := range m.Lists {
			if lists[l.SHA256] {
				continue
			}
			lists[l.SHA256], named[l.SHA256] = true, true
			files, err := l.read(ctx, t.dir)
			if err != nil {
				return fmt.Errorf("nothing was removed: %w", err)
			}
			for _, f := range files {
				named[f.SHA256] = true
			}
		}
	}
	return filepath.WalkDir(filepath.Join(t.dir, objectsName), func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || d.IsDir() || named[d.Name()] || !hashText.MatchString(d.Name()) {
			return err
		}
		return os.Remove(path)
	})
}

// ErrInside is returned for a folder that lies in another one that it must be
// apart from, or has it in it.
var ErrInside = errors.New("folders that must be apart lie one in the other; choose another")

// apart refuses folders of which one lies in the other. One that is not there
// yet counts as where it would be made.
func apart(what string, a, b string) error {
	paths := []string{a, b}
	for i, p := range paths {
		real, err := placeOf(p)
		if err != nil {
			return fmt.Errorf("%w: %w; see that it is mounted", ErrTarget, err)
		}
		paths[i] = strings.TrimSuffix(real, string(filepath.Separator)) + string(filepath.Separator)
	}
	if strings.HasPrefix(paths[0], paths[1]) || strings.HasPrefix(paths[1], paths[0]) {
		return fmt.Errorf("%w: %s and %s: %s", ErrInside, a, b, what)
	}
	return nil
}

// placeOf returns a path without links, as far as it is there. Its errors name
// the path.
func placeOf(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	var at *fs.PathError
	if err != nil && !errors.As(err, &at) {
		// It leads through a file, or links lead round and round.
		err = &fs.PathError{Op: "follow", Path: path, Err: err}
	}
	if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(path) == path {
		return real, err
	}
	real, err = placeOf(filepath.Dir(path))
	return filepath.Join(real, filepath.Base(path)), err
}

// Apart refuses a place to put a backup back into that lies in one of the
// backup's own folders, or has it in it: ErrInside.
func Apart(to, from, keys string) error {
	for _, folder := range []string{from, keys} {
		if err := apart("whoever had the backup would have the keyring of what was put back", to, folder); err != nil {
			return err
		}
	}
	return nil
}

// apart refuses folders of a backup that lie in the archive's own, or in one
// another. The archive's own spool lies in its folder.
func (o *Options) apart() error {
	own := o.Archive.Dir()
	pairs := [][3]string{
		{"the keyring's backup lies inside the data backup, or the other way round: whoever has the one then has both", o.To, o.Keys.Dir},
		{"the backup lies with what it is a backup of", o.To, own},
		{"the keyring's backup lies with the archive", o.Keys.Dir, own},
		{"what is being copied has no place in the backup", o.Spool, o.To},
		{"what is being copied has no place in the keyring's backup", o.Spool, o.Keys.Dir},
	}
	if filepath.Clean(o.Spool) != filepath.Join(own, "spool") {
		pairs = append(pairs, [3]string{"only the archive's own spool lies in its folder", o.Spool, own})
	}
	for _, p := range pairs {
		if err := apart(p[0], p[1], p[2]); err != nil {
			return fmt.Errorf("%w: %w", ErrTarget, err)
		}
	}
	return nil
}
