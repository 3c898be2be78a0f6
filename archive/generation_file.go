package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
	"holdfast/internal/durable"
)

// The buckets that a resealed body file has besides (archive/FORMAT.md section 10).
var (
	bucketDisposed = []byte("disposed") // first seq → last seq of a range whose entries were disposed of
	bucketUnlink   = []byte("unlink")   // name of an attachment that goes with the former file → nothing
)

// rangesSum is what the log keeps of a file's ranges of disposed entries: a
// record that was lost is then never taken for one that was disposed of.
type rangesSum struct{ text []byte }

func (r *rangesSum) add(from, to uint64) {
	r.text = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(r.text, from), to)
}

func (r *rangesSum) sum() proof.Hash {
	h := sha256.New()
	h.Write([]byte("holdfast disposed v1\x00"))
	h.Write(r.text)
	return proof.Hash(h.Sum(nil))
}

// absent says why a file has no record of one of its leaves.
func absent(tx *bbolt.Tx, seq uint64) error {
	b := tx.Bucket(bucketDisposed)
	if b == nil {
		return ErrNoBody
	}
	c := b.Cursor()
	from, to := c.Seek(u64(seq))
	if from == nil || !bytes.Equal(from, u64(seq)) {
		from, to = c.Prev()
	}
	if len(from) != 8 || len(to) != 8 || binary.BigEndian.Uint64(from) > seq || binary.BigEndian.Uint64(to) < seq {
		return ErrNoBody
	}
	return ErrDisposed
}

// goneSum returns what the log says that a resealed file's ranges sum to.
func (s *store) goneSum(name string) (proof.Hash, bool) {
	m := bodyFileName.FindStringSubmatch(name + ".db")
	if m == nil {
		return proof.Hash{}, false
	}
	id, err := parseBodyName(m)
	g := s.gens[id.ClassMonth]
	switch {
	case err != nil || g == nil || id.generation == 1:
		return proof.Hash{}, false
	case id.generation == g.live:
		return g.gone, true
	case id.generation == g.former:
		return g.formerGone, true
	}
	return proof.Hash{}, false // made by a Reseal and not switched to
}

// checkGone compares a resealed file's ranges of disposed entries with the
// log.
func (b *bodyFiles) checkGone(tx *bbolt.Tx, name string) error {
	want, known := b.gone(name)
	if !known {
		return nil
	}
	have, err := readRanges(tx)
	if err != nil || have.sum() != want {
		return errors.Join(fmt.Errorf("%w: body file %s does not name the entries that were disposed of", ErrDamaged, name), err)
	}
	return nil
}

func readRanges(tx *bbolt.Tx) (sum rangesSum, err error) {
	b := tx.Bucket(bucketDisposed)
	if b == nil {
		return sum, fmt.Errorf("%w: it has no bucket %s", ErrDamaged, bucketDisposed)
	}
	err = b.ForEach(func(k, v []byte) error {
		if len(k) != 8 || len(v) != 8 {
			return fmt.Errorf("%w: a range", ErrDamaged)
		}
		sum.add(binary.BigEndian.Uint64(k), binary.BigEndian.Uint64(v))
		return nil
	})
	return sum, err
}

// stale reports whether a body file counts for nothing any more: one that was
// resealed and never switched to, or switched back from, or the former one of
// a disposition that was finished.
func (s *store) stale(id bodyFileID) bool {
	g := s.gens[id.ClassMonth]
	if g.unfinished() && id.generation == g.former {
		return false
	}
	return id.generation != s.gens.live(id.ClassMonth)
}

// closed reports whether a file that is not live does not open any more.
func (s *store) closed(id bodyFileID) bool {
	return id.generation != s.gens.live(id.ClassMonth) && s.bodies.keys.snapshot().Bodies[id.name] == nil
}

// sweepGenerations removes stale files and then their keys, of one class-month
// or of all: what a disposition that had not begun left, or one that was
// undone. It removes nothing of a class-month whose live file is not there
// with its key: then it is the log that is wrong, perhaps an older copy.
//
// A crash under way leaves a key without a file; the next start removes it.
func (s *store) sweepGenerations(only *ClassMonth) error {
	ids, err := bodyNames(s.dir)
	if err != nil {
		return err
	}
	present := map[string]bool{}
	for _, id := range ids {
		present[id.name] = true
	}
	ring := s.bodies.keys.snapshot()
	for name := range ring.Bodies {
		if m := bodyFileName.FindStringSubmatch(name + ".db"); m != nil && !present[name] {
			id, err := parseBodyName(m)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
	}
	var keys []string
	for _, id := range ids {
		if only != nil && id.ClassMonth != *only || !s.stale(id) {
			continue
		}
		if live := s.bodyName(id.ClassMonth); !present[live] || ring.Bodies[live] == nil {
			return fmt.Errorf("%w: body file %s is here, but the log says that %s counts, which is missing or has no key; put the log's newest file back, or restore a backup",
				ErrDamaged, id.name, live)
		}
		if err := s.bodies.drop(id.name); err != nil {
			return err
		}
		if present[id.name] {
			if err := durable.Remove(bodyPath(s.dir, id.name)); err != nil {
				return err
			}
		}
		if ring.Bodies[id.name] != nil {
			keys = append(keys, id.name)
		}
	}
	slices.Sort(keys)
	_, _, err = s.bodies.keys.destroy(keys, nil)
	return err
}

// drop closes a file. No reader may be in it.
func (b *bodyFiles) drop(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.open[name]
	if f == nil {
		return nil
	}
	delete(b.open, name)
	return f.close()
}

// switchTo makes readers and the next commit use other body files.
func (a *Archive) switchTo(gens generations) {
	if len(gens) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.st.gens = a.st.gens.with(gens)
}

// removeBodyFile unlinks a body file that nobody reads any more.
func (a *Archive) removeBodyFile(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.st == nil {
		return ErrFailed
	}
	if err := a.st.bodies.drop(name); err != nil {
		return err
	}
	err := durable.Remove(bodyPath(a.dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
