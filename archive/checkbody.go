package archive

import (
	"encoding/binary"
	"errors"
	"os"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
)

// bodies compares the records of the leaves' body files with the leaves: each
// leaf has its record, each record its leaf.
func (c *checker) bodies(s *store, leaves []proof.Leaf, from, to uint64) {
	byFile := map[string][]*proof.Leaf{}
	names := bodyNamer{store: s}
	for i := range leaves {
		l := &leaves[i]
		name := names.of(l)
		byFile[name] = append(byFile[name], l)
	}
	for name, want := range byFile {
		f, err := s.bodies.get(name)
		if err != nil {
			c.unopened(name, want, err)
			continue
		}
		for seq := from; len(want) > 0; {
			if want, err = c.records(f, want, seq, to); err == nil {
				break
			}
			if len(want) == 0 {
				break // behind the last record that is due
			}
			// Say which record cannot be read and go on behind it.
			seq = want[0].Seq + 1
			c.find(want[0].Seq, "its body cannot be read")
			want = want[1:]
		}
	}
}

// unopened finds that a body file cannot be opened, for each leaf whose body it
// holds.
func (c *checker) unopened(name string, want []*proof.Leaf, err error) {
	what, keyless := "its body file cannot be read", errors.Is(err, ErrNoBody)
	switch {
	case errors.Is(err, os.ErrNotExist):
		what = "its body file is missing"
	case keyless:
		what = "the keyring has no key for its body file"
	}
	var lapsed uint64
	for _, l := range want {
		if keyless && c.opts.Lapsed != nil && c.opts.Lapsed(name, l) {
			lapsed++
			continue
		}
		c.find(l.Seq, "%s: %s", what, name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Disposed += lapsed
}

// absent returns 1 for an entry that was disposed of, and finds that the body of
// any other is missing.
func (c *checker) absent(tx *bbolt.Tx, l *proof.Leaf) uint64 {
	if errors.Is(absent(tx, l.Seq), ErrDisposed) {
		return 1
	}
	c.find(l.Seq, "its body is missing")
	return 0
}

// records walks one body file from seq to to along the given leaves of that
// range; with an error it returns those that it has not come to.
func (c *checker) records(f *bodyFile, want []*proof.Leaf, seq, to uint64) (rest []*proof.Leaf, err error) {
	var plain []byte
	var ok, gone uint64
	var files []attachment
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			cur := tx.Bucket(bucketRecord).Cursor()
			for k, sealed := cur.Seek(u64(seq)); k != nil && binary.BigEndian.Uint64(k) < to; k, sealed = cur.Next() {
				seq = binary.BigEndian.Uint64(k)
				for len(want) > 0 && want[0].Seq < seq {
					gone += c.absent(tx, want[0])
					want = want[1:]
				}
				if len(want) == 0 || want[0].Seq > seq {
					c.find(seq, "body file %s holds a record that belongs to no entry of it", f.name)
					continue
				}
				if cap(plain) < len(sealed) && len(sealed) <= maxRecord {
					plain = make([]byte, 0, 2*len(sealed))
				}
				if errors.Is(absent(tx, seq), ErrDisposed) {
					c.find(seq, "it was disposed of, and its record is there")
				} else if b, err := f.openRecord(plain[:0], want[0], sealed); err != nil {
					c.find(seq, "%v", err)
				} else {
					ok++
					files = append(files, attachments(want[0], &b)...)
				}
				want = want[1:]
			}
			for ; len(want) > 0; want = want[1:] {
				gone += c.absent(tx, want[0])
			}
			return nil
		})
	})
	c.mu.Lock()
	c.report.Bodies += ok
	c.report.Disposed += gone
	c.mu.Unlock()
	c.blobs(c.archive, files)
	return want, err
}
