package archive

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive/proof"
)

func rootText(h proof.Hash) string { return base64.StdEncoding.EncodeToString(h[:]) }

// checkpoints verifies every signed checkpoint that the log holds: its
// signature, and that it states the log that is here.
func (c *checker) checkpoints(a *Archive, s *store, root proof.Hash) error {
	for _, f := range s.logs {
		err := guard(func() error {
			return f.db.View(func(tx *bbolt.Tx) error {
				return tx.Bucket(bucketCheckpoint).ForEach(func(k, signed []byte) error {
					size := binary.BigEndian.Uint64(k)
					if size > c.size {
						return nil // made after this check began
					}
					c.checkpoint(a, s, size, signed, root)
					return nil
				})
			})
		})
		if err != nil {
			c.find(f.first, "the checkpoints of log file %06d.db cannot be read", f.number)
		}
	}
	return nil
}

func (c *checker) checkpoint(a *Archive, s *store, size uint64, signed []byte, root proof.Hash) {
	cp, err := proof.OpenCheckpoint(signed, a.log)
	if err != nil || cp.Size != size {
		c.find(size-1, "the checkpoint after it is not one that this archive signed")
		return
	}
	if size != c.size {
		if root, err = tlog.TreeHash(int64(size), hashReader{s}); err != nil { // #nosec G115 -- a log's size
			c.find(size-1, "the checkpoint after it cannot be checked: a hash of the tree is missing")
			return
		}
	}
	if cp.Root != root {
		c.find(size-1, "the checkpoint after it was signed over another log than the one that is here")
		return
	}
	c.report.Checkpoints++
}

// checkTail checks the last n entries with their bodies before the archive is
// used: what a crash or a failed write could have touched.
func (a *Archive) checkTail(ctx context.Context, n uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return a.view(func(s *store) error { return checkTail(s, a.Size(), n) })
}

func checkTail(s *store, size, n uint64) error {
	from := size - min(size, n)
	var last proof.Hash
	for seq := from; seq < size; seq++ {
		text, err := s.leaf(seq)
		if err != nil {
			return err
		}
		leaf, err := proof.ParseLeaf(text)
		if err != nil || leaf.Seq != seq || seq > from && leaf.Prev != last {
			return &SeqError{seq, fmt.Errorf("%w: its leaf is not the one that was appended", ErrDamaged)}
		}
		last = proof.LeafHash(text)
		if _, err := s.body(&leaf); err != nil {
			return err
		}
	}
	return nil
}
