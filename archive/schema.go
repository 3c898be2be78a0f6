package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"holdfast/internal/durable"
)

// A migration takes a store to the next schema. It may be cut short and run
// again: each step looks what is there. It leaves the keyring's files alone,
// which the former program has to open when its copy is put back.
type migration struct {
	to      uint32                             // the schema that it leads to
	changes func(dir string) ([]string, error) // files that it changes, below dir
	do      func(dir string, newest *logFile) error
}

var (
	keySchema = []byte("schema") // u32; absent: schema 1
	keyCopied = []byte("copied") // u32: the copy before that schema is whole
)

// copySuffix marks a copy that is not whole.
const copySuffix = ".tmp"

// copyName names the folder, in the archive's, of what a migration changed.
func copyName(to uint32) string { return "before-schema-" + strconv.FormatUint(uint64(to), 10) }

// schema reads the store's schema. It stands in the newest log file, so that it
// goes where the log goes.
func (f *logFile) schema() (n uint32, err error) {
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			v := tx.Bucket(bucketMeta).Get(keySchema)
			switch {
			case v == nil:
				n = 1
			case len(v) != 4 || binary.BigEndian.Uint32(v) < 2:
				return fmt.Errorf("%w: log file %06d.db: its schema", ErrDamaged, f.number)
			default:
				n = binary.BigEndian.Uint32(v)
			}
			return nil
		})
	})
	return n, err
}

// putSchema states that a log file is of schema n.
func putSchema(meta *bbolt.Bucket, n uint32) error {
	if n < 2 {
		return nil
	}
	return meta.Put(keySchema, binary.BigEndian.AppendUint32(nil, n))
}

// checkSchema refuses a store of a schema later than known, naming the copy that
// its upgrade made.
func (f *logFile) checkSchema(dir string, known uint32) (n uint32, err error) {
	if n, err = f.schema(); err != nil || n <= known {
		return n, err
	}
	err = fmt.Errorf("%w (schema %d, this program knows %d)", ErrNewer, n, known)
	saved := filepath.Join(dir, copyName(n))
	if _, look := os.Stat(saved); look == nil {
		err = fmt.Errorf("%w: what the upgrade changed was copied to %s", err, saved)
	}
	return n, err
}

// SchemaOf returns the schema of the store in dir, which nobody has open.
func SchemaOf(dir string) (uint32, error) {
	_, id, err := readIdentity(dir)
	if err != nil {
		return 0, err
	}
	newest, err := openNewest(dir, id.Origin, forReading)
	if err != nil {
		return 0, err
	}
	n, err := newest.checkSchema(dir, Schema)
	return n, errors.Join(err, newest.db.Close())
}

// openNewest opens the newest log file alone.
func openNewest(dir, origin string, mode openMode) (*logFile, error) {
	names, err := filepath.Glob(filepath.Join(dir, "log", "[0-9][0-9][0-9][0-9][0-9][0-9].db"))
	if err != nil || len(names) == 0 {
		return nil, errors.Join(fmt.Errorf("%w: the log has no file", ErrDamaged), err)
	}
	number, err := strconv.ParseUint(filepath.Base(slices.Max(names))[:6], 10, 64)
	if err != nil {
		return nil, err
	}
	return openLogFile(dir, number, origin, mode)
}

// migrate takes the store in dir, whose lock is held, to the schema of the last
// of the migrations.
//
//	for each: copy what it changes, fsync; note that the copy is whole, fsync; change; note the schema, fsync
//
// A crash leaves the former schema until the last step, and the next start goes
// on: a copy that is whole is not made again, for what it would be made of may
// be half changed.
func migrate(dir, origin string, all []migration, known uint32, log *slog.Logger) (err error) {
	newest, err := openNewest(dir, origin, forWriting)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, newest.db.Close()) }()
	n, err := newest.checkSchema(dir, known)
	if err != nil || n == known {
		return err
	}
	for _, m := range all {
		if m.to <= n {
			continue
		}
		if log != nil {
			log.Info("the store is taken to a newer schema", "from", n, "to", m.to, "copy", copyName(m.to))
		}
		if err := newest.copyBefore(dir, m); err != nil {
			return fmt.Errorf("the copy before schema %d: %w", m.to, err)
		}
		// A crash from here on leaves the copy, which is kept, and files that the migration looks at again.
		if err := m.do(dir, newest); err != nil {
			return fmt.Errorf("schema %d: %w", m.to, err)
		}
		err := newest.db.Update(func(tx *bbolt.Tx) error { return putSchema(tx.Bucket(bucketMeta), m.to) })
		if err != nil {
			return fmt.Errorf("schema %d: %w", m.to, err)
		}
		n = m.to
	}
	return nil
}

// copyBefore copies what m changes, unless that has been done.
func (f *logFile) copyBefore(dir string, m migration) error {
	var whole bool
	err := f.db.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket(bucketMeta).Get(keyCopied)
		whole = len(v) == 4 && binary.BigEndian.Uint32(v) == m.to
		return nil
	})
	if err != nil || whole {
		return err
	}
	files, err := m.changes(dir)
	if err != nil {
		return err
	}
	if err := roomFor(dir, files); err != nil {
		return err
	}
	to := filepath.Join(dir, copyName(m.to))
	// What is there was not finished, or the note of it would be.
	for _, left := range []string{to, to + copySuffix} {
		if err := os.RemoveAll(left); err != nil {
			return err
		}
	}
	if err := copyFiles(dir, to+copySuffix, files); err != nil {
		return err
	}
	if err := durable.Publish(to+copySuffix, to); err != nil {
		return err
	}
	return f.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyCopied, binary.BigEndian.AppendUint32(nil, m.to))
	})
}

// roomFor refuses a copy that would fill the disk: twice its size has to be free.
func roomFor(dir string, files []string) error {
	var need uint64
	for _, name := range files {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		need += 2 * uint64(info.Size()) // #nosec G115 -- a file's size
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if free := st.Bavail * uint64(st.Bsize); free < need { // #nosec G115 -- a block's size
		return fmt.Errorf("%w: it takes %d MB free, there are %d; make room and start again, nothing was changed", ErrDiskFull, need>>20, free>>20)
	}
	return nil
}

// copyFiles copies files of dir, each synced, into the new folder to.
func copyFiles(dir, to string, files []string) error {
	if err := durable.Mkdir(to, 0o700); err != nil {
		return err
	}
	for _, name := range files {
		if err := durable.Mkdir(filepath.Join(to, filepath.Dir(name)), 0o700); err != nil {
			return err
		}
		if err := copySynced(filepath.Join(dir, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}

func copySynced(from, to string) (err error) {
	f, err := os.Open(from) // #nosec G304 -- a name of ours in the archive's own folder
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already", to)
	}
	w, err := durable.Grow(to, 0, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, w.Close())
}
