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

	"holdfast/archive/proof"
	"holdfast/internal/durable"
)

// store is the open files of an archive. Readers hold Archive.mu for the time
// of one short transaction; a reopening after a failed write replaces it.
type store struct {
	dir    string
	logs   []*logFile // oldest first; the last is written to
	bodies *bodyFiles
	gens   generations // which body files count; replaced, never changed, under Archive.mu
	doubts []string    // of an archive that is only read: what of that could not be read
}

// openStore opens the files. fresh is false for a reopening, which leaves alone
// what a running Reseal is making.
func openStore(dir, origin string, k *keys, readOnly, fresh bool) (*store, error) {
	if !readOnly {
		if err := settle(dir, fresh); err != nil {
			return nil, err
		}
	}
	logs, err := openLogs(dir, origin, readOnly)
	if err != nil {
		return nil, err
	}
	if _, err := logs[len(logs)-1].checkSchema(dir, Schema); err != nil {
		return nil, errors.Join(err, closeLogs(logs))
	}
	s := &store{dir: dir, logs: logs}
	s.bodies = &bodyFiles{dir: dir, readOnly: readOnly, keys: k, open: map[string]*bodyFile{}, gone: s.goneSum}
	if s.gens, s.doubts, err = loadGenerations(logs, readOnly); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// settle makes durable what a process before this one may have left in the
// kernel's cache alone. Without it the cursor that a killed writer had written
// but not synced would be acked to the relay, and the next loss of power would
// take its entries away. Body files are settled by dropOrphans.
func settle(dir string, fresh bool) error {
	for _, sub := range []string{"log", "bodies"} {
		if fresh {
			if err := sweepUnfinished(filepath.Join(dir, sub)); err != nil {
				return err
			}
		}
		if err := durable.SyncDir(filepath.Join(dir, sub)); err != nil {
			return err
		}
	}
	if err := durable.SyncDir(dir); err != nil {
		return err
	}
	logs, err := filepath.Glob(filepath.Join(dir, "log", "[0-9]*.db"))
	if err != nil || len(logs) == 0 {
		return err // openLogs says what is missing
	}
	return durable.Settle(logs[len(logs)-1])
}

func (s *store) close() error { return errors.Join(closeLogs(s.logs), s.bodies.close()) }

// newest returns the log file that is written to.
func (s *store) newest() *logFile { return s.logs[len(s.logs)-1] }

// logOf returns the log file that holds seq, or would hold it.
func (s *store) logOf(seq uint64) *logFile {
	for i := len(s.logs) - 1; i >= 0; i-- {
		if s.logs[i].first <= seq {
			return s.logs[i]
		}
	}
	return nil
}

// leaf returns the canonical bytes of one leaf.
func (s *store) leaf(seq uint64) ([]byte, error) {
	f := s.logOf(seq)
	if f == nil {
		return nil, &SeqError{seq, ErrNotFound}
	}
	var out []byte
	err := guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			text := tx.Bucket(bucketLeaf).Get(u64(seq))
			if len(text) > proof.MaxLeaf {
				return fmt.Errorf("%w: its leaf cannot be read", ErrDamaged)
			}
			out = append(out, text...)
			return nil
		})
	})
	if err == nil && out == nil {
		err = fmt.Errorf("%w: its leaf is missing", ErrDamaged)
	}
	if err != nil {
		err = &SeqError{seq, err}
	}
	return out, err
}

// leaves returns up to limit parsed leaves from seq on, in one transaction.
func (s *store) leaves(seq, to uint64, limit int) ([]proof.Leaf, error) {
	f := s.logOf(seq)
	if f == nil {
		return nil, &SeqError{seq, ErrNotFound}
	}
	out := make([]proof.Leaf, 0, min(uint64(limit), to-seq)) // #nosec G115 -- limit is a small constant
	err := guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			c := tx.Bucket(bucketLeaf).Cursor()
			for k, v := c.Seek(u64(seq)); k != nil && len(out) < limit && seq < to; k, v = c.Next() {
				if binary.BigEndian.Uint64(k) != seq {
					return &SeqError{seq, fmt.Errorf("%w: its leaf is missing", ErrDamaged)}
				}
				l, err := proof.ParseLeaf(v)
				if err != nil || l.Seq != seq {
					return &SeqError{seq, fmt.Errorf("%w: its leaf cannot be read", ErrDamaged)}
				}
				out = append(out, l)
				seq++
			}
			return nil
		})
	})
	if err == nil && len(out) == 0 {
		err = &SeqError{seq, fmt.Errorf("%w: its leaf is missing", ErrDamaged)}
	}
	return out, err
}

// body opens one entry's record.
func (s *store) body(leaf *proof.Leaf) (Body, error) {
	return s.bodyIn(s.bodyName(ClassMonth{leaf.Class, leaf.Month()}), leaf, true)
}

// bodyIn opens one entry's record in the named file, or only looks whether it
// is there.
func (s *store) bodyIn(name string, leaf *proof.Leaf, open bool) (Body, error) {
	f, err := s.bodies.get(name)
	if errors.Is(err, os.ErrNotExist) {
		err = ErrNoBody
	}
	if err != nil {
		return Body{}, &SeqError{leaf.Seq, err}
	}
	var b Body
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			sealed := tx.Bucket(bucketRecord).Get(u64(leaf.Seq))
			if sealed == nil {
				return absent(tx, leaf.Seq)
			}
			if !open {
				return nil
			}
			b, err = f.openRecord(nil, leaf, sealed)
			return err
		})
	})
	if err != nil {
		return Body{}, &SeqError{leaf.Seq, err}
	}
	return b, nil
}

var bodyFileName = regexp.MustCompile(`^([0-9]{4}-[0-9]{2})\.([a-z0-9-]{1,32})\.g([0-9]{1,6})\.db$`)

// bodyNames lists the body files there are, sorted by month, then class.
func bodyNames(dir string) ([]bodyFileID, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "bodies"))
	if err != nil {
		return nil, err
	}
	var out []bodyFileID
	for _, e := range entries {
		if m := bodyFileName.FindStringSubmatch(e.Name()); m != nil {
			id, err := parseBodyName(m)
			if err != nil {
				return nil, err
			}
			out = append(out, id)
		}
	}
	return out, nil
}

type bodyFileID struct {
	ClassMonth
	name       string
	generation uint32
}

// parseBodyName takes a match of bodyFileName.
func parseBodyName(m []string) (bodyFileID, error) {
	n, err := strconv.ParseUint(m[3], 10, 32)
	if err != nil || n == 0 || m[3][0] == '0' {
		return bodyFileID{}, fmt.Errorf("%w: a body file of generation %s", ErrDamaged, m[3])
	}
	return bodyFileID{name: m[1] + "." + m[2] + ".g" + m[3], ClassMonth: ClassMonth{Class: m[2], Month: m[1]}, generation: uint32(n)}, nil // #nosec G115 -- parsed with 32 bits
}

// bodyName names the body file of a class-month that counts.
func (s *store) bodyName(cm ClassMonth) string {
	return bodyName(cm.Month, cm.Class, s.gens.live(cm))
}

// maxOrphans is how many entries one group commit can have, and so how many
// bodies a crash can leave past the log's end: each message may bring an alarm,
// and a jump of the clock two entries.
const maxOrphans = 2 * (groupEntries + MaxBatch)

// dropOrphans deletes every body whose seq is at or past the log's end: what a
// crash between the bodies' commit and the log's leaves behind. Received times
// never fall, so only files of the last leaf's month or later can hold one.
//
// More than a crash can leave means that the log has lost its end: then
// nothing is deleted, for those bodies may be all that is left of it.
func (s *store) dropOrphans(size uint64, lastMonth string) error {
	names, err := bodyNames(s.dir)
	if err != nil {
		return err
	}
	var late []*bodyFile
	for _, id := range names {
		if id.Month < lastMonth || s.closed(id) {
			continue
		}
		if err := durable.Settle(bodyPath(s.dir, id.name)); err != nil {
			return err
		}
		f, err := s.bodies.get(id.name)
		if err != nil {
			return err
		}
		last, err := f.last()
		if err != nil {
			return fmt.Errorf("body file %s: %w", id.name, err)
		}
		if last >= size+maxOrphans {
			return fmt.Errorf("%w: the log ends after entry %d, but there is a body of entry %d; put the log's newest file back, or restore a backup",
				ErrDamaged, size-1, last)
		}
		if last >= size {
			late = append(late, f)
		}
	}
	for _, f := range late {
		if err := f.dropFrom(size); err != nil {
			return fmt.Errorf("body file %s: %w", f.name, err)
		}
	}
	return nil
}

// last returns the seq of the file's last record, 0 when it is empty.
func (f *bodyFile) last() (seq uint64, err error) {
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			if k := lastKey(tx.Bucket(bucketRecord)); k != nil {
				seq = binary.BigEndian.Uint64(k)
			}
			return nil
		})
	})
	return seq, err
}

// countFrom returns how many records the file has from size on.
func (f *bodyFile) countFrom(size uint64) (n uint64, err error) {
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			c := tx.Bucket(bucketRecord).Cursor()
			for k, _ := c.Seek(u64(size)); k != nil; k, _ = c.Next() {
				n++
			}
			return nil
		})
	})
	return n, err
}

func (f *bodyFile) dropFrom(size uint64) error {
	return guard(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			c := tx.Bucket(bucketRecord).Cursor()
			for k, _ := c.Seek(u64(size)); k != nil; k, _ = c.Seek(u64(size)) {
				if err := c.Delete(); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
