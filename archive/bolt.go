package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"holdfast/internal/durable"
)

// format is the version of the files' layout. A file with a higher one is
// refused (ErrNewer).
const format = 1

// growSpace is the address space that a file under writing reserves beyond its
// size. A file that outgrows it gets another mapping, and that waits until every
// reader has let go of the old one, a copy of gigabytes among them, and everybody
// waits for that.
const growSpace = 8 << 30

// mapSize is the address space that any file reserves at least: a page that was
// lost and reads as zeros sends bbolt to page 0 and from there to page 16,384,
// and that shall be no one else's memory.
const mapSize = 1 << 30

const pageSize = 16 << 10

var bucketMeta = []byte("meta")

// newSuffix marks a database that is being made.
const newSuffix = ".new"

func boltOptions(readOnly bool) *bbolt.Options {
	o := &bbolt.Options{
		Timeout:         2 * time.Second,
		InitialMmapSize: mapSize,
		PageSize:        pageSize,
		FreelistType:    bbolt.FreelistMapType,
		ReadOnly:        readOnly,
		OpenFile:        openRegular,
	}
	return o
}

// createBolt makes a database at path with what fill puts into it. A torn
// first write would make bbolt panic later, so the file is made under another
// name, synced, and only then renamed. A crash leaves no file at path or the
// whole one.
func createBolt(path string, fill func(tx *bbolt.Tx) error) error {
	temp := path + newSuffix
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	options := boltOptions(false)
	options.InitialMmapSize = 0
	db, err := bbolt.Open(temp, 0o600, options)
	if err != nil {
		return err
	}
	err = db.Update(fill)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	return durable.Publish(temp, path)
}

// openMode says what a database is opened for.
type openMode int

const (
	forWriting  openMode = iota
	forReading           // nobody writes to it any more
	forChecking          // of an archive that is read only: its pages are mistrusted, one and all
)

// openBolt opens the database at path, which must exist.
func openBolt(path string, mode openMode) (db *bbolt.DB, err error) {
	err = guard(func() error {
		if err = checkPages(path, mode == forChecking); err == nil {
			db, err = openChecked(path, mode)
		}
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) || errors.Is(err, ErrDamaged) {
			return err
		}
		if errors.Is(err, berrors.ErrTimeout) {
			return fmt.Errorf("%w; stop it, or ask it with `holdfast verify`", ErrLocked)
		}
		if errors.Is(err, unix.ENOMEM) {
			return fmt.Errorf("there is no address space for it, of which every open file takes some GiB; lift the limit on it (ulimit -v, LimitAS=): %w", err)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return db.View(checkFormat)
	})
	if err == nil {
		return db, nil
	}
	err = fmt.Errorf("%s: %w", filepath.Base(path), err)
	if db != nil {
		err = errors.Join(err, db.Close())
	}
	return nil, err
}

// openChecked opens a database whose pages were looked at.
func openChecked(path string, mode openMode) (*bbolt.DB, error) {
	options := boltOptions(mode != forWriting)
	if mode == forWriting {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		options.InitialMmapSize = int(info.Size()) + growSpace
	}
	return bbolt.Open(path, 0o600, options)
}

// shared is a database that is read while others may close it. Closing waits for
// every transaction in it, and everybody who wants the archive's files waits for
// that; so a copy, which would take long, looks whether it has begun.
type shared struct {
	db      *bbolt.DB
	closing atomic.Bool
}

func (s *shared) close() error {
	s.closing.Store(true)
	return s.db.Close()
}

// sweepUnfinished removes what createBolt left in a folder when it was cut
// short.
func sweepUnfinished(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "*"+newSuffix))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := durable.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

var keyFormat = []byte("format")

func putFormat(tx *bbolt.Tx) (*bbolt.Bucket, error) {
	meta, err := tx.CreateBucket(bucketMeta)
	if err != nil {
		return nil, err
	}
	return meta, meta.Put(keyFormat, binary.BigEndian.AppendUint32(nil, format))
}

func checkFormat(tx *bbolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return fmt.Errorf("%w: it has no meta bucket", ErrDamaged)
	}
	v := meta.Get(keyFormat)
	if len(v) != 4 {
		return fmt.Errorf("%w: it has no format number", ErrDamaged)
	}
	switch n := binary.BigEndian.Uint32(v); {
	case n > format:
		return fmt.Errorf("%w (format %d, this program knows %d)", ErrNewer, n, format)
	case n == 0:
		return fmt.Errorf("%w: its format number", ErrDamaged)
	}
	return nil
}

// guard runs f and turns what a damaged page does to bbolt, a panic or a
// memory fault in the mapping, into ErrDamaged.
func guard(f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: a page of a database cannot be read: %v", ErrDamaged, r)
		}
	}()
	return f()
}

// lastKey returns the greatest of a bucket's keys, which are integers of 64
// bits. bbolt's own Last goes round in a circle where a page was lost and reads
// as zeros; Seek looks what kind of page it comes to.
func lastKey(b *bbolt.Bucket) []byte {
	c := b.Cursor()
	k, _ := c.Seek(u64(math.MaxUint64))
	if k == nil {
		k, _ = c.Prev()
	}
	return k
}

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
