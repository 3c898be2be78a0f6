package archive

import (
	"bytes"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive/proof"
)

// candidates are what a hash of the tree may have been when it was written:
// none when a leaf below cannot be read, two when the log's parts disagree.
// Carrying both up to where a stored hash decides keeps one damaged byte from
// accusing every entry that shares a subtree with it.
type candidates struct {
	hash  [2]proof.Hash
	n     int
	doubt bool // of a leaf: hash[0] is that of its bytes, hash[1] what the next leaf was chained to
}

func (h candidates) with(x proof.Hash) candidates {
	h.hash[h.n] = x
	h.n++
	return h
}

// join returns what the node above l and r may have been, given what is
// stored, and which of their candidates the stored hash confirms: -1 if none.
func join(l, r candidates, stored []byte) (up candidates, i, j int) {
	for i := range l.n {
		for j := range r.n {
			h := tlog.NodeHash(l.hash[i], r.hash[j])
			if bytes.Equal(h[:], stored) {
				return candidates{}.with(h), i, j
			}
			if up.n == 0 {
				up = up.with(h)
			}
		}
	}
	if len(stored) == len(proof.Hash{}) {
		up = up.with(proof.Hash(stored))
	}
	return up, -1, -1
}

// checkTree is a tree being checked from the left to the right.
type checkTree struct {
	c        *checker
	frontier []candidates // complete subtrees by level; the last level is not climbed beyond
	stored   func(index int64) []byte
}

// push adds the subtree of the given level that ends with leaf seq.
func (t *checkTree) push(seq uint64, level int, h candidates) {
	for ; level < len(t.frontier)-1 && seq>>level&1 == 1; level++ {
		left := t.frontier[level]
		index := tlog.StoredHashIndex(level+1, int64(seq>>(level+1))) // #nosec G115 -- as in tip.push
		up, i, j := join(left, h, t.stored(index))
		// The tree confirms a leaf's own bytes, or else speaks for what the next leaf says of it.
		if left.doubt && i != 0 {
			t.c.find(seq-1, altered)
		}
		if h.doubt && j != 0 {
			t.c.find(seq, altered)
		}
		if i < 0 && (left.n > 0 && h.n > 0 || up.n == 0) {
			t.c.find(seq, "a hash of the tree above it is not the one its leaves give")
		}
		h = up
	}
	t.frontier[level] = h
}

const altered = "its leaf is not the one that the next entry was chained to"

// nodeCursor reads stored hashes. They lie in the order in which leaves
// complete them, so that walking on finds most of them.
type nodeCursor struct {
	s   *store
	f   *logFile
	tx  *bbolt.Tx
	cur *bbolt.Cursor
}

// get returns a copy of a stored hash, nil if it is not there or its page
// cannot be read.
func (n *nodeCursor) get(index int64) (h []byte) {
	level, at := tlog.SplitStoredHashIndex(index)
	f := n.s.logOf((uint64(at)+1)<<level - 1) // #nosec G115 -- a stored hash index is never negative
	key := u64(uint64(index))                 // #nosec G115 -- likewise
	err := guard(func() (err error) {
		if n.f != f {
			n.close()
			if n.tx, err = f.db.Begin(false); err != nil {
				return err
			}
			n.f = f
		}
		var k, v []byte
		if n.cur != nil {
			k, v = n.cur.Next()
		}
		if !bytes.Equal(k, key) {
			n.cur = n.tx.Bucket(bucketNode).Cursor()
			k, v = n.cur.Seek(key)
		}
		if bytes.Equal(k, key) && len(v) == len(proof.Hash{}) {
			h = bytes.Clone(v)
		}
		return nil
	})
	if err != nil {
		n.cur = nil
	}
	return h
}

// close ends the transaction; a reader's never fails to.
func (n *nodeCursor) close() {
	if n.tx != nil {
		_ = n.tx.Rollback()
	}
	n.f, n.tx, n.cur = nil, nil, nil
}
