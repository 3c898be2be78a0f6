package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"go.etcd.io/bbolt"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive/proof"
)

// DefaultLogFileLeaves is how many leaves fill a log file. A batch is never
// divided between two files, so a file may close a batch short of it.
const DefaultLogFileLeaves = 1 << 22

// The buckets of a log file (archive/FORMAT.md section 9).
var (
	bucketLeaf       = []byte("leaf")       // seq → leaf
	bucketNode       = []byte("node")       // stored hash index → hash, levels 1 and up
	bucketCheckpoint = []byte("checkpoint") // size → signed note
	bucketCursor     = []byte("cursor")     // "relay" → cursor
	bucketDevice     = []byte("device")     // MAC of a device id → number
	bucketDedupe     = []byte("dedupe")     // device number ‖ n → seq ‖ MAC of the digest

	keyOrigin = []byte("origin")
	keyFirst  = []byte("first")
	keyRolled = []byte("rolled") // first seq of the file after this one
	keyRelay  = []byte("relay")
)

// logFile is one file of the log: the leaves from first up to the next file's.
type logFile struct {
	number uint64
	first  uint64
	rolled bool // a file after it has been made
	shared
}

var logName = regexp.MustCompile(`^([0-9]{6})\.db$`)

func logPath(dir string, number uint64) string {
	return filepath.Join(dir, "log", fmt.Sprintf("%06d.db", number))
}

// createLogFile makes an empty log file. The cursor and the record of the
// log's end are carried over, because the newest file is the one commit point;
// end is nil for the first file.
func createLogFile(dir string, number, first uint64, origin string, end *tip) error {
	return createBolt(logPath(dir, number), func(tx *bbolt.Tx) error {
		meta, err := putFormat(tx)
		if err != nil {
			return err
		}
		for _, name := range [][]byte{bucketLeaf, bucketNode, bucketCheckpoint, bucketCursor, bucketDevice, bucketDedupe} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		if end != nil && end.cursor != nil {
			if err := tx.Bucket(bucketCursor).Put(keyRelay, end.cursor.marshal()); err != nil {
				return err
			}
		}
		if end != nil {
			if err := errors.Join(end.putClock(tx), end.putRestored(tx), putTip(tx, end.record())); err != nil {
				return err
			}
		}
		return errors.Join(putSchema(meta, Schema), meta.Put(keyOrigin, []byte(origin)), meta.Put(keyFirst, u64(first)))
	})
}

// openLogs opens every log file, oldest first; all but the newest read-only.
func openLogs(dir, origin string, readOnly bool) (logs []*logFile, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeLogs(logs))
		}
	}()
	var numbers []uint64
	for _, e := range entries {
		if m := logName.FindStringSubmatch(e.Name()); m != nil {
			n, err := strconv.ParseUint(m[1], 10, 64)
			if err != nil {
				return nil, err
			}
			numbers = append(numbers, n)
		}
	}
	for i, n := range numbers {
		if n != uint64(i) {
			return logs, fmt.Errorf("%w: log file %06d.db is missing%s; put it back from a backup", ErrDamaged, i, lost(dir, origin, logs, n))
		}
		mode := forWriting
		if readOnly {
			mode = forChecking
		} else if i < len(numbers)-1 {
			mode = forReading
		}
		f, err := openLogFile(dir, n, origin, mode)
		if err != nil {
			return logs, err
		}
		if logs = append(logs, f); i == 0 && f.first != 0 || i > 0 && f.first <= logs[i-1].first {
			return logs, fmt.Errorf("%w: log file %06d.db says that it begins with entry %d, which cannot be", ErrDamaged, i, f.first)
		}
	}
	if len(logs) == 0 {
		return nil, fmt.Errorf("%w: the log has no file", ErrDamaged)
	}
	if last := logs[len(logs)-1]; last.rolled {
		return logs, fmt.Errorf("%w: log file %06d.db, the newest, is missing; put it back from a backup", ErrDamaged, len(logs))
	}
	return logs, nil
}

// lost says which entries a gap in the log's files took away, as far as the
// files around it tell. next is the number of the file after the gap.
func lost(dir, origin string, before []*logFile, next uint64) string {
	var from uint64
	if len(before) > 0 {
		t, _, err := before[len(before)-1].tip()
		if err != nil {
			return ""
		}
		from = t.size
	}
	f, err := openLogFile(dir, next, origin, forReading)
	if err != nil {
		return ""
	}
	text := fmt.Sprintf(", with entries %d to %d", from, f.first-1)
	if err := f.close(); err != nil {
		return ""
	}
	return text
}

func openLogFile(dir string, number uint64, origin string, mode openMode) (*logFile, error) {
	db, err := openBolt(logPath(dir, number), mode)
	if err != nil {
		return nil, err
	}
	f := &logFile{number: number, shared: shared{db: db}}
	err = guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			meta := tx.Bucket(bucketMeta)
			if string(meta.Get(keyOrigin)) != origin {
				return fmt.Errorf("log file %06d.db: %w", number, ErrForeign)
			}
			first := meta.Get(keyFirst)
			if len(first) != 8 {
				return fmt.Errorf("%w: log file %06d.db does not say where it begins", ErrDamaged, number)
			}
			f.first = binary.BigEndian.Uint64(first)
			f.rolled = meta.Get(keyRolled) != nil
			for _, name := range [][]byte{bucketLeaf, bucketNode, bucketCheckpoint, bucketCursor, bucketDevice, bucketDedupe} {
				if tx.Bucket(name) == nil {
					return fmt.Errorf("%w: log file %06d.db lacks bucket %s", ErrDamaged, number, name)
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return f, nil
}

func closeLogs(logs []*logFile) error {
	var errs []error
	for _, f := range logs {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

// end returns the seq after the file's last leaf, at most as many after its
// first as the file has room for: a damaged key may say anything.
func (f *logFile) end() (uint64, error) {
	end := f.first
	err := guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			if k := lastKey(tx.Bucket(bucketLeaf)); k != nil {
				room := uint64(tx.Size()) / proof.MinLeaf // #nosec G115 -- a file's size
				end = min(binary.BigEndian.Uint64(k)+1, f.first+room)
			}
			return nil
		})
	})
	return max(end, f.first), err
}

// Cursor is how far the relay's stream has been appended.
type Cursor struct {
	Epoch   string
	Ordinal uint32 // of the epoch, from 0 in the order of first contact
	Seq     uint64 // last relay seq
	Head    [32]byte
}

func (c *Cursor) marshal() []byte {
	w := cryptobyte.NewBuilder(nil)
	w.AddUint8(1)
	w.AddUint8LengthPrefixed(func(w *cryptobyte.Builder) { w.AddBytes([]byte(c.Epoch)) })
	w.AddUint32(c.Ordinal)
	w.AddUint64(c.Seq)
	w.AddBytes(c.Head[:])
	return w.BytesOrPanic()
}

func parseCursor(b []byte) (Cursor, error) {
	var c Cursor
	var version uint8
	var epoch cryptobyte.String
	s := cryptobyte.String(b)
	if !s.ReadUint8(&version) || version != 1 || !s.ReadUint8LengthPrefixed(&epoch) || !s.ReadUint32(&c.Ordinal) ||
		!s.ReadUint64(&c.Seq) || !s.CopyBytes(c.Head[:]) || !s.Empty() {
		return Cursor{}, fmt.Errorf("%w: the relay cursor", ErrDamaged)
	}
	c.Epoch = string(epoch)
	return c, nil
}

// hashReader reads the tree's stored hashes from the log's files. Level 0 is
// not stored: it is the hash of the leaf itself.
type hashReader struct{ s *store }

// ReadHashes implements tlog.HashReader.
func (r hashReader) ReadHashes(indexes []int64) ([]proof.Hash, error) {
	out := make([]proof.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		last := (uint64(n)+1)<<level - 1 // #nosec G115 -- a stored hash index is never negative
		f := r.s.logOf(last)
		if f == nil {
			return nil, &SeqError{last, fmt.Errorf("%w: its leaf is missing", ErrDamaged)}
		}
		err := guard(func() error {
			return f.db.View(func(tx *bbolt.Tx) error {
				if level == 0 {
					leaf := tx.Bucket(bucketLeaf).Get(u64(last))
					if leaf == nil {
						return &SeqError{last, fmt.Errorf("%w: its leaf is missing", ErrDamaged)}
					}
					out[i] = proof.LeafHash(leaf)
					return nil
				}
				h := tx.Bucket(bucketNode).Get(u64(uint64(index))) // #nosec G115 -- as above
				if len(h) != len(out[i]) {
					return &SeqError{last, fmt.Errorf("%w: a hash of the tree is missing", ErrDamaged)}
				}
				copy(out[i][:], h)
				return nil
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
