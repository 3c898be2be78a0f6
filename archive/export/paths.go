package export

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// blockBits is the height of the subtrees whose hashes are made from their
// leaves: to read those in one go costs less than a path for each.
const blockBits = 8

// worthwhile is for how many paths a block is read.
const worthwhile = 8

// A pathFinder finds inclusion paths for ascending seqs. Of a block of 256
// leaves of which several are asked for it reads all, and has the upper part
// of the path from the log once.
type pathFinder struct {
	entries *entryReader
	size    uint64                     // leaves of the tree
	block   uint64                     // number of the block that levels are of
	asked   int                        // how many paths of the block were asked for in a row
	known   bool                       // levels and upper are of the block
	nodes   [2 << blockBits]proof.Hash // of the block, as a heap: 1 is its root, leaves from 256 on
	upper   []proof.Hash               // of the path above the block
	found   []proof.Hash               // the last path
	text    []byte
}

// path returns the inclusion path of seq, from the leaf up; it is good until
// the next.
func (f *pathFinder) path(ctx context.Context, seq uint64) ([]proof.Hash, error) {
	block := seq >> blockBits
	if block != f.block {
		f.block, f.asked, f.known = block, 0, false
	}
	f.asked++
	// A block that the tree does not fill has another shape.
	if f.asked < worthwhile && !f.known || (block+1)<<blockBits > f.size {
		return f.entries.log.Prove(ctx, seq, f.size)
	}
	if !f.known {
		if err := f.read(ctx, seq); err != nil {
			return nil, err
		}
	}
	path := f.found[:0]
	for n := seq&(1<<blockBits-1) | 1<<blockBits; n > 1; n >>= 1 {
		path = append(path, f.nodes[n^1])
	}
	f.found = append(path, f.upper...)
	return f.found, nil
}

// read reads the block in which seq stands.
func (f *pathFinder) read(ctx context.Context, seq uint64) error {
	whole, err := f.entries.log.Prove(ctx, seq, f.size)
	if err != nil {
		return err
	}
	f.upper = whole[blockBits:]
	leaves, err := f.entries.leaves(ctx, f.block)
	if err != nil {
		return err
	}
	if len(leaves) != 1<<blockBits {
		return fmt.Errorf("read the leaves beside leaf %d: %w", seq, archive.ErrDamaged)
	}
	for i := range leaves {
		f.text = leaves[i].AppendTo(f.text[:0]) // a leaf that was read is well formed
		f.nodes[1<<blockBits+i] = proof.LeafHash(f.text)
	}
	for n := 1<<blockBits - 1; n > 0; n-- {
		f.nodes[n] = tlog.NodeHash(f.nodes[2*n], f.nodes[2*n+1])
	}
	f.known = true
	return nil
}
