package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"holdfast/internal/durable"
)

// A file that is still written to is copied page by page to a spool on a local
// disk, in one read transaction. As long as that lasts no page that it sees is
// written over; the file grows by those that were replaced meanwhile, and uses
// them afterwards. The writer does not wait for it, unless a file grows beyond
// the address space that was reserved for it (growSpace), nor does the transaction
// wait for anything but the local disk. Whoever has to close that file makes it
// end.
const (
	copyPart  = 1 << 20   // bytes between two looks at the writer and the disk
	spoolKept = 128 << 20 // bytes of a copy that the disk is not bidden to write
	copyYield = 1         // while the writer has work, a copy waits so many times as long as it worked, at most
)

// Copied is a file that was copied to the spool.
type Copied struct {
	Path    string   // of the copy
	Size    int64    // bytes
	Records uint64   // leaves or bodies in it that the snapshot has; as Check counted them
	Damaged []uint64 // entries, the first few, whose body the archive itself cannot open any more; the copy has them as they are
}

// Copy copies a file that is still written to into the snapshot's spool. Of the
// newest log file, which was copied when the snapshot began, it returns that
// copy. A body file's copy may have bodies of entries behind the snapshot's
// size, which no leaf of it refers to. Who is done with the copy removes it; it
// is a backup of the file only when Check has found it good.
func (s *Snapshot) Copy(ctx context.Context, f SnapshotFile) (c *Copied, err error) {
	if f.body == "" {
		return &Copied{Path: s.spooledLog, Size: s.logSize}, nil
	}
	c = &Copied{Path: filepath.Join(s.spool, "copying.db")}
	if c.Size, err = s.spoolBody(ctx, f.body, c.Path); err != nil {
		return nil, fmt.Errorf("the copy of %s: %w", f.Path, errors.Join(s.because(err), durable.Remove(c.Path)))
	}
	return c, nil
}

// Check opens a copy as a restored archive would, and walks all of its pages: of
// the log it looks at every record, of bodies it opens those of entries from seq
// from on. It may run while the copy is read.
func (s *Snapshot) Check(ctx context.Context, f SnapshotFile, c *Copied, from uint64) (err error) {
	if f.body == "" {
		err = s.checkLogCopy(ctx, c)
	} else {
		err = s.checkBodyCopy(ctx, f.body, c, from)
	}
	if err != nil {
		return fmt.Errorf("the copy of %s: %w", f.Path, s.because(err))
	}
	return nil
}

// OpenFinished opens a finished file, and looks whether a database's pages form
// trees: a copy of one that do not is no backup. It reads up to the end of the
// last page: bbolt makes files longer than that. The archive may have the file
// open for writing; it does not write to it any more.
func (s *Snapshot) OpenFinished(f SnapshotFile) (in *os.File, size int64, err error) {
	if in, err = s.Open(f); err != nil {
		return nil, 0, err
	}
	if filepath.Ext(f.Path) != ".db" {
		info, err := in.Stat()
		if err != nil {
			return nil, 0, errors.Join(err, in.Close())
		}
		return in, info.Size(), nil
	}
	w := &pageWalk{f: in, size: pageSize, deep: true}
	if err := w.check(); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("%s: %w", f.Path, err), in.Close())
	}
	return in, int64(w.pages) * pageSize, nil // #nosec G115 -- a file's size
}

// spoolBody copies a body file as it is now.
func (s *Snapshot) spoolBody(ctx context.Context, name, path string) (int64, error) {
	var pages *spooling
	err := s.a.view(func(st *store) error {
		f, err := st.bodies.get(name)
		if err == nil {
			pages, err = f.spool()
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return s.a.spoolPages(ctx, pages, path)
}

// spooling is a read transaction of which a copy is made.
type spooling struct {
	tx   *bbolt.Tx
	file *shared
}

// spool begins a copy of what the file is now.
func (s *shared) spool() (*spooling, error) {
	p := &spooling{file: s}
	err := guard(func() (err error) {
		p.tx, err = s.db.Begin(false)
		return err
	})
	return p, err
}

// spoolPages writes the pages that a read transaction sees to a new file in the
// spool, and ends the transaction. Nothing else of the archive's may be waited
// for meanwhile: whoever closes the file waits for every transaction in it. Then
// it is ErrChanged.
func (a *Archive) spoolPages(ctx context.Context, p *spooling, path string) (size int64, err error) {
	defer func() { err = errors.Join(err, p.tx.Rollback()) }()
	if err := durable.Remove(path); err != nil {
		return 0, err
	}
	same, err := a.onOwnDisk(filepath.Dir(path))
	if err == nil && same {
		err = a.spoolRoom(p.tx.Size())
	}
	if err != nil {
		return 0, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // #nosec G304 -- a name of ours in the spool
	if err != nil {
		return 0, err
	}
	size, err = p.tx.WriteTo(&spoolWriter{ctx: ctx, a: a, f: f, closing: &p.file.closing, same: same})
	return size, errors.Join(err, f.Close())
}

// onOwnDisk reports whether the spool is on the archive's disk. One on another
// takes no room of ingest's, and is of use where ingest has none.
func (a *Archive) onOwnDisk(spool string) (bool, error) {
	var own, other unix.Stat_t
	err := errors.Join(unix.Stat(a.dir, &own), unix.Stat(spool, &other))
	return own.Dev == other.Dev, err
}

// spoolRoom refuses a copy of so many bytes that would leave ingest no room
// while it is there.
func (a *Archive) spoolRoom(bytes int64) error {
	free, err := a.disk.free()
	if err == nil && free < bytes+a.disk.lowWater+2*groupBytes+margin {
		err = fmt.Errorf("no room for the spool, which takes %d MiB; name it a folder on another disk, in the configuration's [backup], or make room: %w", bytes>>20, ErrDiskFull)
	}
	return err
}

// spoolWriter writes to the spool at the pace of its disk, and gives way to the
// archive's writer. Whatever a crash leaves there nobody reads: it syncs
// nothing.
type spoolWriter struct {
	ctx     context.Context
	a       *Archive
	f       *os.File
	closing *atomic.Bool // somebody has to close what is copied
	same    bool         // the spool is on the archive's disk
}

func (w *spoolWriter) Write(p []byte) (int, error) { return w.f.Write(p) }

// ReadFrom copies a file's pages part by part.
func (w *spoolWriter) ReadFrom(r io.Reader) (n int64, err error) {
	for part := make([]byte, copyPart); ; {
		begun := time.Now()
		m, err := io.ReadFull(r, part)
		if m > 0 {
			if _, err := w.f.Write(part[:m]); err != nil {
				return n, err
			}
			n += int64(m)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return n, nil
		}
		if err == nil {
			err = w.pace(n)
		}
		if err != nil {
			return n, err
		}
		w.a.GiveWay(w.ctx, time.Since(begun))
	}
}

// pace has the disk write what comes behind the first spoolKept bytes, a part at
// a time: a disk that is busy with a gigabyte makes whoever syncs a commit wait.
// What comes before stays in memory: a small copy is removed again before it
// ever takes a block of the disk, for giving back many at once makes others wait
// as well. It stops where that is the archive's disk and comes to its low-water
// mark, and where somebody has to close the file.
func (w *spoolWriter) pace(n int64) error {
	if n > spoolKept {
		const how = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE
		if err := unix.SyncFileRange(int(w.f.Fd()), n-2*copyPart, 2*copyPart, how); err != nil && // #nosec G115 -- a descriptor
			!errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ESPIPE) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
	}
	if w.same && !w.a.Room() {
		return fmt.Errorf("no room for the spool: %w", ErrDiskFull)
	}
	if w.closing.Load() {
		return fmt.Errorf("%w: a disposition, or a reopening after a failed commit, needed the file", ErrChanged)
	}
	return w.ctx.Err()
}

// GiveWay waits while the writer has work, for about as long as its caller has
// worked, at most: two that work at once on few cores and one disk both take
// longer, and one of them is waited for. A few milliseconds of work between two
// calls keep the writer from waiting noticeably.
func (a *Archive) GiveWay(ctx context.Context, worked time.Duration) {
	if !a.busy.Load() {
		return
	}
	end := time.NewTimer(copyYield * worked)
	defer end.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for a.busy.Load() {
		select {
		case <-look.C:
		case <-end.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
