package archive

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive/proof"
)

func rootText(h proof.Hash) string { return base64.StdEncoding.EncodeToString(h[:]) }

// checkpoints verifies every signed checkpoint that the log holds: its
// signature, and that it states the log that is here.
func (c *checker) checkpoints(a *Archive, s *store, root proof.Hash) {
	for _, f := range s.logs {
		// They are checked outside the transaction: checking opens others, and a transaction inside
		// another waits for ever once the writer wants to grow the file's mapping.
		signed := map[uint64][]byte{}
		err := guard(func() error {
			return f.db.View(func(tx *bbolt.Tx) error {
				return tx.Bucket(bucketCheckpoint).ForEach(func(k, v []byte) error {
					if len(k) != 8 || len(v) > proof.MaxCheckpoint {
						return ErrDamaged
					}
					signed[binary.BigEndian.Uint64(k)] = slices.Clone(v)
					return nil
				})
			})
		})
		if err != nil {
			c.find(f.first, "the checkpoints of log file %06d.db cannot be read", f.number)
		}
		for size, text := range signed {
			c.checkpoint(a, s, size, text, root)
		}
	}
}

// checkpoint verifies one. Those made after the check began are left out; that
// they state their own size is seen to before.
func (c *checker) checkpoint(a *Archive, s *store, size uint64, signed []byte, root proof.Hash) {
	cp, err := proof.OpenCheckpoint(signed, a.log)
	if err != nil || cp.Size != size || size == 0 || cp.Restored != a.Restored().At(size) {
		c.find(max(size, 1)-1, "the checkpoint after it is not one that this archive signed")
		return
	}
	if size > c.size {
		if size > a.Size() {
			c.find(c.size-1, "the log ends after it, but a checkpoint was signed after entry %d", size-1)
		}
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

// checkGenesis compares identity.json with what the log began with: another
// one could name another recovery key, to which the next keyring would be
// sealed.
func (a *Archive) checkGenesis() error {
	leaf, err := a.Leaf(0)
	if err != nil {
		return err
	}
	if leaf.Prev != proof.GenesisPrev(a.idText) {
		return fmt.Errorf("%w: identity.json is not the one that this log began with; put it back, its text is the body of entry 0", ErrForeign)
	}
	return nil
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
		if _, err := s.body(&leaf); err != nil && !errors.Is(err, ErrDisposed) {
			return err
		}
	}
	return nil
}
