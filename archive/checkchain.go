package archive

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
)

// readLeaf is what Check keeps of one leaf.
type readLeaf struct {
	hash proof.Hash // leaf hash of the bytes that are here
	prev proof.Hash // what it says of the leaf before
	ok   bool       // it could be read
}

// shareBuffer is what one worker uses for one share after the other.
type shareBuffer struct {
	read   []readLeaf
	leaves []proof.Leaf
}

func newShareBuffer() *shareBuffer {
	return &shareBuffer{read: make([]readLeaf, 1<<checkLevel), leaves: make([]proof.Leaf, 0, 1<<checkLevel)}
}

// share checks leaves [i<<checkLevel, …) by themselves.
func (c *checker) share(s *store, i uint64, buf *shareBuffer) error {
	from := i << checkLevel
	to := min(c.size, from+1<<checkLevel)
	r := &c.shares[i]
	r.first = from
	read := buf.read[:to-from]
	clear(read)
	leaves := buf.leaves[:0]
	for seq := from; seq < to; {
		n, err := c.chain(s, seq, to, read[seq-from:], &leaves)
		if err != nil {
			// Say which leaf cannot be read and go on behind it: one damaged page shall not hide the next.
			c.find(n, "its leaf cannot be read")
			n++
		}
		seq = n
	}
	if len(leaves) > 0 {
		r.ms = [2]int64{leaves[0].Received, leaves[len(leaves)-1].Received}
	}
	c.tree(s, r, read)
	if c.opts.Bodies {
		c.bodies(s, leaves, from, to)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done += to - from
	if c.opts.Progress != nil {
		c.opts.Progress(c.done, c.size)
	}
	return nil
}

// chain reads leaves from seq on within one log file. It returns the seq after
// the last leaf that it read.
func (c *checker) chain(s *store, seq, to uint64, read []readLeaf, leaves *[]proof.Leaf) (next uint64, err error) {
	f := s.logOf(seq)
	if i := slices.Index(s.logs, f); i+1 < len(s.logs) {
		to = min(to, s.logs[i+1].first)
	}
	first := seq
	var last proof.Hash
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			cur := tx.Bucket(bucketLeaf).Cursor()
			for k, text := cur.Seek(u64(seq)); seq < to; k, text = cur.Next() {
				if len(k) != 8 || binary.BigEndian.Uint64(k) != seq || len(text) > proof.MaxLeaf {
					return ErrDamaged
				}
				leaf, err := proof.ParseLeaf(text)
				if err != nil || leaf.Seq != seq {
					return ErrDamaged
				}
				if seq == 0 && leaf.Prev != c.genesis {
					c.find(0, "identity.json is not the one that the log began with")
				}
				if n := len(*leaves); n > 0 && leaf.Received < (*leaves)[n-1].Received && leaf.Prev == last {
					c.find(seq, "it was received before the entry before it")
				}
				last = proof.LeafHash(text)
				read[seq-first] = readLeaf{last, leaf.Prev, true}
				*leaves = append(*leaves, leaf)
				seq++
			}
			return nil
		})
	})
	return seq, err
}

// claim returns what the log says elsewhere that the leaf hash of seq is: in
// the prev of the next leaf, or in the record of the log's end.
func (c *checker) claim(s *store, seq uint64, next []readLeaf) (h proof.Hash, known bool) {
	switch {
	case len(next) > 0:
		return next[0].prev, next[0].ok
	case seq+1 == c.size:
		if c.end == nil {
			return h, false
		}
		return c.end.last, true
	}
	text, err := s.leaf(seq + 1)
	if err != nil {
		return h, false
	}
	leaf, err := proof.ParseLeaf(text)
	return leaf.Prev, err == nil
}

// tree compares the share's part of the tree with the stored hashes. Each leaf
// goes in with the hash of its bytes and the hash that the leaf after it was
// chained to; where they differ, the stored hash above tells which of the two
// leaves was altered.
func (c *checker) tree(s *store, r *shareResult, read []readLeaf) {
	nodes := &nodeCursor{s: s}
	t := checkTree{c: c, frontier: r.frontier[:], stored: nodes.get}
	for i := range read {
		seq := r.first + uint64(i) // #nosec G115 -- an index
		var h candidates
		if read[i].ok {
			h = h.with(read[i].hash)
		}
		if claimed, known := c.claim(s, seq, read[i+1:]); known && (h.n == 0 || claimed != h.hash[0]) {
			h = h.with(claimed)
			h.doubt = h.n == 2
		}
		t.push(seq, 0, h)
	}
	nodes.close()
}
