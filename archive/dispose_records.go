package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
)

// ownRecords is some leaves of a class-month with their sealed records.
type ownRecords struct {
	file   *bodyFile
	leaves []proof.Leaf
	sealed [][]byte // nil: disposed of
	next   uint64   // where the next begins
}

const (
	ownLeaves = 4096    // leaves of any class that are looked through at once
	ownBytes  = 8 << 20 // about so many bytes of records
)

// own reads the next of a class-month's records that a file holds, from seq
// on, below to, which is not behind the month's end.
func (s *store) own(cm ClassMonth, f *bodyFile, seq, to uint64) (*ownRecords, error) {
	leaves, err := s.leaves(seq, to, ownLeaves)
	if err != nil {
		return nil, err
	}
	begins, ends, err := monthBounds(cm.Month)
	if err != nil {
		return nil, err
	}
	out := &ownRecords{file: f, next: seq + uint64(len(leaves))}
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			c, size := tx.Bucket(bucketRecord).Cursor(), 0
			at, value := c.Seek(u64(seq))
			for i := range leaves {
				l := &leaves[i]
				if l.Class != cm.Class || l.Received < begins || l.Received >= ends {
					continue
				}
				for at != nil && binary.BigEndian.Uint64(at) < l.Seq {
					at, value = c.Next()
				}
				var sealed []byte
				if at != nil && binary.BigEndian.Uint64(at) == l.Seq {
					sealed = value
				}
				if sealed == nil && !errors.Is(absent(tx, l.Seq), ErrDisposed) {
					return &SeqError{l.Seq, fmt.Errorf("%w: its body is missing", ErrDamaged)}
				}
				if len(sealed) > maxRecord {
					return &SeqError{l.Seq, fmt.Errorf("%w: its record is too long", ErrDamaged)}
				}
				out.leaves = append(out.leaves, *l)
				out.sealed = append(out.sealed, slices.Clone(sealed))
				if size += len(sealed); size > ownBytes {
					out.next = l.Seq + 1
					return nil
				}
			}
			return nil
		})
	})
	return out, err
}

// open opens the records and checks them against their leaves, on all cores.
func (o *ownRecords) open() ([]Body, error) {
	bodies, errs := make([]Body, len(o.leaves)), make([]error, len(o.leaves))
	inParallel(len(o.leaves), func(i int) {
		if o.sealed[i] != nil {
			bodies[i], errs[i] = o.file.openRecord(nil, &o.leaves[i], o.sealed[i])
		}
	})
	for i, err := range errs {
		if err != nil {
			return nil, &SeqError{o.leaves[i].Seq, err}
		}
	}
	return bodies, nil
}

// reseal seals the bodies anew.
func (o *ownRecords) reseal(key *seal.FileKey, bodies []Body, which []bool) {
	inParallel(len(o.leaves), func(i int) {
		if which[i] {
			plain := bodies[i].appendTo(make([]byte, 0, recordHeader+len(bodies[i].Note)+len(bodies[i].Bytes)))
			o.sealed[i] = key.Seal(make([]byte, 0, len(plain)+seal.Overhead), o.leaves[i].Seq, plain)
		}
	})
}

// inParallel calls f for each i < n, in shares as large as are worth a
// goroutine.
func inParallel(n int, f func(i int)) {
	workers := max(1, min(runtime.GOMAXPROCS(0), n/sealShare))
	share := (n + workers - 1) / workers
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w * share; i < min(n, (w+1)*share); i++ {
				f(i)
			}
		})
	}
	wg.Wait()
}
