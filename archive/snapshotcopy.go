package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"holdfast/internal/durable"
)

// A file that is still written to is copied record by record, in read
// transactions so short that nobody notices: a long one keeps bbolt from
// growing the file's mapping, and so the writer from committing, and makes the
// file grow by every page that is replaced meanwhile. The records below the
// snapshot's size never change, so that many transactions see what one would.
const (
	copyBytes = 512 << 10            // a read transaction ends behind so much
	copyTime  = 5 * time.Millisecond // or after so long
	spoolPart = 2 << 20              // what is written between two looks at the disk
	copyYield = 1                    // while the writer has work, a copy waits so many times as long as it worked, at most
)

// Copied is a file that was copied to the spool.
type Copied struct {
	Path    string   // of the copy
	Size    int64    // bytes
	Records uint64   // leaves or bodies in it
	Damaged []uint64 // entries, the first few, whose body the archive itself cannot open any more; the copy has them as they are
}

// Copy copies a file that is still written to into the folder spool, as of the
// snapshot's size, and opens the copy again and looks at every record. The copy
// is a database as FORMAT.md has it, not the same bytes. Who is done with it
// removes it.
func (s *Snapshot) Copy(ctx context.Context, f SnapshotFile, spool string) (c *Copied, err error) {
	out, err := newSpooled(s.a, filepath.Join(spool, "copying.db"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(s.vanished(err), out.discard())
		}
	}()
	c = &Copied{Path: out.path}
	if f.body != "" {
		err = s.copyBody(ctx, f.body, out)
	} else {
		err = s.copyLog(ctx, out)
	}
	if err == nil {
		c.Size, err = out.finish()
	}
	if err != nil {
		return nil, err
	}
	if f.body != "" {
		err = s.checkBodyCopy(ctx, f.body, c)
	} else {
		err = s.checkLogCopy(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("the copy of %s: %w", f.Path, err)
	}
	return c, nil
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

func (s *Snapshot) copyLog(ctx context.Context, out *spooled) error {
	for name, pairs := range s.small {
		if err := out.put([]byte(name), pairs); err != nil {
			return err
		}
	}
	newest := func(st *store) (*bbolt.DB, error) { return st.logOf(s.first).db, nil }
	below := func(n uint64) func(k, v []byte) verdict {
		return func(k, _ []byte) verdict {
			if binary.BigEndian.Uint64(k) >= n {
				return stop
			}
			return take
		}
	}
	nodes := uint64(tlog.StoredHashCount(int64(s.Size))) // #nosec G115 -- a log's size
	for _, b := range []struct {
		name []byte
		keep func(k, v []byte) verdict
	}{
		{bucketLeaf, below(s.Size)},
		{bucketNode, below(nodes)},
		{bucketCheckpoint, below(s.Size + 1)},
		{bucketDevice, func(_, _ []byte) verdict { return take }}, // one that came since is in no dedupe key, and has its number all the same
		{bucketDedupe, func(_, v []byte) verdict {
			if len(v) < 8 || binary.BigEndian.Uint64(v) >= s.Size {
				return skip
			}
			return take
		}},
	} {
		if err := s.copyBucket(ctx, newest, b.name, b.keep, out); err != nil {
			return err
		}
	}
	return nil
}

func (s *Snapshot) copyBody(ctx context.Context, name string, out *spooled) error {
	get := func(st *store) (*bbolt.DB, error) {
		f, err := st.bodies.get(name)
		if err != nil {
			return nil, err
		}
		return f.db, nil
	}
	all := func(_, _ []byte) verdict { return take }
	for _, b := range [][]byte{bucketMeta, bucketDisposed, bucketUnlink} {
		if err := s.copyBucket(ctx, get, b, all, out); err != nil {
			return err
		}
	}
	return s.copyBucket(ctx, get, bucketRecord, func(k, _ []byte) verdict {
		if len(k) != 8 || binary.BigEndian.Uint64(k) >= s.Size {
			return stop
		}
		return take
	}, out)
}

// giveWay waits while the writer has work, for some time at most: two that work
// at once on few cores and one disk both take longer, and one of them is waited
// for.
func (a *Archive) giveWay(ctx context.Context, worked time.Duration) {
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

// verdict says what becomes of a record.
type verdict int

const (
	take verdict = iota
	skip
	stop // at this one: it and all behind it came since
)

// copyBucket copies one bucket's records in many short transactions. A bucket
// that is not there is not made.
func (s *Snapshot) copyBucket(ctx context.Context, get func(*store) (*bbolt.DB, error), name []byte, keep func(k, v []byte) verdict, out *spooled) error {
	var from []byte
	for done := false; !done; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var part []pair
		missing, begun := false, time.Now()
		err := s.a.view(func(st *store) error {
			db, err := get(st)
			if err != nil {
				return err
			}
			return guard(func() error {
				return db.View(func(tx *bbolt.Tx) error {
					b := tx.Bucket(name)
					if missing = b == nil; missing {
						done = true
						return nil
					}
					part, done, err = readPart(b, from, keep)
					return err
				})
			})
		})
		if err != nil {
			return err
		}
		if missing {
			return nil
		}
		if err := out.put(name, part); err != nil {
			return err
		}
		s.a.giveWay(ctx, time.Since(begun))
		if !done {
			from = append(slices.Clone(part[len(part)-1].key), 0)
		}
	}
	return nil
}

// readPart copies records from a key on until there are enough. Records that
// are left out stand in part without a value, so that the last tells where to go
// on.
func readPart(b *bbolt.Bucket, from []byte, keep func(k, v []byte) verdict) (part []pair, done bool, err error) {
	begun, size := time.Now(), 0
	room := make([]byte, 0, copyBytes+copyBytes/8) // bbolt keeps values until the transaction that they are put in ends
	own := func(b []byte) []byte {
		at := len(room)
		room = append(room, b...)
		return room[at:len(room):len(room)]
	}
	c := b.Cursor()
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		if n := len(part); n > 0 && bytes.Compare(part[n-1].key, k) >= 0 || v == nil || len(v) > maxRecord {
			return nil, false, fmt.Errorf("%w: the records of a bucket are out of order", ErrDamaged)
		}
		p := pair{key: own(k)}
		switch keep(k, v) {
		case stop:
			return part, true, nil
		case take:
			p.value = own(v)
		}
		part = append(part, p)
		if size += len(k) + len(v); size >= copyBytes || len(part)%64 == 0 && time.Since(begun) > copyTime {
			return part, false, nil
		}
	}
	return part, true, nil
}

// spooled is a database that is being made in the spool.
type spooled struct {
	a     *Archive
	path  string
	db    *bbolt.DB
	f     *os.File
	tx    *bbolt.Tx
	bytes int
}

func newSpooled(a *Archive, path string) (*spooled, error) {
	if err := durable.Remove(path); err != nil {
		return nil, err
	}
	options := boltOptions(false)
	options.NoSync, options.NoGrowSync = true, true // whatever a crash leaves in the spool, nobody reads
	db, err := bbolt.Open(path, 0o600, options)
	if err != nil {
		return nil, err
	}
	s := &spooled{a: a, path: path, db: db}
	s.f, err = os.Open(path) // #nosec G304 -- a name of ours in the spool
	if err == nil {
		s.tx, err = db.Begin(true)
	}
	if err != nil {
		return nil, errors.Join(err, s.discard())
	}
	return s, nil
}

func (s *spooled) put(bucket []byte, pairs []pair) error {
	b, err := s.tx.CreateBucketIfNotExists(bucket)
	if err != nil {
		return err
	}
	b.FillPercent = 1.0
	for _, p := range pairs {
		if p.value == nil {
			continue
		}
		if err := b.Put(p.key, p.value); err != nil {
			return err
		}
		s.bytes += len(p.key) + len(p.value)
	}
	if s.bytes < spoolPart {
		return nil
	}
	s.bytes = 0
	if err := s.tx.Commit(); err != nil {
		return err
	}
	s.tx = nil
	if err := s.pace(); err != nil {
		return err
	}
	s.tx, err = s.db.Begin(true)
	return err
}

// pace lets no more wait to be written than a part or two: a disk that is busy
// with a gigabyte of them makes whoever syncs a commit wait. It stops where the
// disk comes to its low-water mark.
func (s *spooled) pace() error {
	if err := unix.SyncFileRange(int(s.f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE); err != nil && // #nosec G115 -- a descriptor
		!errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ESPIPE) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	if !s.a.Room() {
		return fmt.Errorf("no room for the spool: %w", ErrDiskFull)
	}
	return nil
}

// finish closes the database, and cuts off what bbolt made it longer than its
// pages, and returns what is left.
func (s *spooled) finish() (end int64, err error) {
	err = s.tx.Commit()
	s.tx = nil
	if err == nil {
		err = s.db.View(func(tx *bbolt.Tx) error {
			end = tx.Size()
			return nil
		})
	}
	if err = errors.Join(err, s.db.Sync(), s.db.Close(), s.f.Close()); err != nil {
		return 0, err
	}
	s.db, s.f = nil, nil
	return end, os.Truncate(s.path, end)
}

// discard removes it.
func (s *spooled) discard() error {
	var errs []error
	if s.tx != nil {
		errs = append(errs, s.tx.Rollback())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.f != nil {
		errs = append(errs, s.f.Close())
	}
	return errors.Join(append(errs, durable.Remove(s.path))...)
}
