package export

import (
	"context"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// An entryReader reads entries whose seqs mostly ascend. Of a block of 256
// leaves of which several are asked for in a row it reads all in one go. It
// serves one goroutine.
type entryReader struct {
	log   Log
	block uint64 // number of the block that asked counts for
	asked int
	have  uint64 // number of the block that held is of
	held  []proof.Leaf

	last uint64 // the entry read last, which is often asked for twice
	rec  archive.Record
	err  error
	any  bool
}

// record is Log.Record. The body is not to be written to.
func (r *entryReader) record(ctx context.Context, seq uint64) (archive.Record, error) {
	if r.any && r.last == seq && r.err == nil {
		return r.rec, nil
	}
	rec, err := r.read(ctx, seq)
	r.last, r.rec, r.err, r.any = seq, rec, err, true
	return rec, err
}

func (r *entryReader) read(ctx context.Context, seq uint64) (archive.Record, error) {
	block := seq >> blockBits
	if block != r.block {
		r.block, r.asked = block, 0
	}
	r.asked++
	if r.asked < worthwhile {
		return r.log.Record(ctx, seq)
	}
	leaves, err := r.leaves(ctx, block)
	i := seq & (1<<blockBits - 1)
	if err != nil || i >= uint64(len(leaves)) {
		// What is wrong with one leaf is not wrong with the one asked for.
		return r.log.Record(ctx, seq)
	}
	return r.log.RecordOf(ctx, leaves[i])
}

// leaves returns the leaves of a block; fewer where the log ends in it.
func (r *entryReader) leaves(ctx context.Context, block uint64) ([]proof.Leaf, error) {
	if len(r.held) > 0 && r.have == block {
		return r.held, nil
	}
	r.held = r.held[:0]
	for leaf, err := range r.log.Scan(ctx, block<<blockBits, (block+1)<<blockBits) {
		if err != nil {
			r.held = r.held[:0]
			return nil, err
		}
		r.held = append(r.held, leaf)
	}
	r.have = block
	return r.held, nil
}
