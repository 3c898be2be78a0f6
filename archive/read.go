package archive

import (
	"context"
	"iter"

	"golang.org/x/mod/sumdb/tlog"

	"holdfast/archive/proof"
)

// Record is one entry whole: its leaf and what its body file holds.
type Record struct {
	Leaf   proof.Leaf
	Random [32]byte
	Note   []byte
	Body   []byte
}

// readBatch is how many leaves one read transaction covers: long transactions
// would keep the writer from growing its files.
const readBatch = 512

// Scan yields the leaves with from ≤ seq < to in order, without their bodies.
func (a *Archive) Scan(ctx context.Context, from, to uint64) iter.Seq2[proof.Leaf, error] {
	return func(yield func(proof.Leaf, error) bool) {
		to = min(to, a.Size())
		for from < to {
			var leaves []proof.Leaf
			err := a.view(func(s *store) (err error) {
				leaves, err = s.leaves(from, to, readBatch)
				return err
			})
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(proof.Leaf{}, err)
				return
			}
			for _, l := range leaves {
				if !yield(l, nil) {
					return
				}
			}
			from += uint64(len(leaves))
		}
	}
}

// Leaf returns one leaf.
func (a *Archive) Leaf(seq uint64) (proof.Leaf, error) {
	var l proof.Leaf
	err := a.view(func(s *store) error {
		if seq >= a.Size() {
			return &SeqError{seq, ErrNotFound}
		}
		text, err := s.leaf(seq)
		if err != nil {
			return err
		}
		l, err = proof.ParseLeaf(text)
		return err
	})
	return l, err
}

// OpenBody opens one entry's body and checks it against its leaf's
// commitments. ErrDisposed means that it was destroyed on purpose, ErrNoBody that
// it is missing.
func (a *Archive) OpenBody(ctx context.Context, seq uint64) (Body, error) {
	r, err := a.Record(ctx, seq)
	return Body{Random: r.Random, Note: r.Note, Bytes: r.Body}, err
}

// Record returns one entry whole.
func (a *Archive) Record(ctx context.Context, seq uint64) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	leaf, err := a.Leaf(seq)
	if err != nil {
		return Record{}, err
	}
	return a.record(&leaf)
}

// RecordOf returns the entry whose leaf the caller has from Scan.
func (a *Archive) RecordOf(ctx context.Context, leaf proof.Leaf) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	return a.record(&leaf)
}

func (a *Archive) record(leaf *proof.Leaf) (Record, error) {
	var b Body
	err := a.view(func(s *store) (err error) {
		b, err = s.body(leaf)
		return err
	})
	return Record{Leaf: *leaf, Random: b.Random, Note: b.Note, Body: b.Bytes}, err
}

// Records yields the entries with from ≤ seq < to whole, in order. An entry
// whose body cannot be had is yielded with its leaf and the error; a reader
// that can live without it goes on.
func (a *Archive) Records(ctx context.Context, from, to uint64) iter.Seq2[Record, error] {
	return a.records(a.Scan(ctx, from, to))
}

// ClassRecords is Records for the entries of one class.
func (a *Archive) ClassRecords(ctx context.Context, class string, from, to uint64) iter.Seq2[Record, error] {
	leaves := a.Scan(ctx, from, to)
	return a.records(func(yield func(proof.Leaf, error) bool) {
		for l, err := range leaves {
			if (err != nil || l.Class == class) && !yield(l, err) {
				return
			}
		}
	})
}

func (a *Archive) records(leaves iter.Seq2[proof.Leaf, error]) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for l, err := range leaves {
			if err != nil {
				yield(Record{}, err)
				return
			}
			r, err := a.record(&l)
			if !yield(r, err) {
				return
			}
		}
	}
}

// Prove returns the inclusion proof of the leaf at seq in the tree of the
// first size leaves (RFC 9162 section 2.1.3), from the leaf up.
func (a *Archive) Prove(ctx context.Context, seq, size uint64) ([]proof.Hash, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if size > a.Size() || seq >= size {
		return nil, &SeqError{seq, ErrNotFound}
	}
	var path []proof.Hash
	err := a.view(func(s *store) (err error) {
		path, err = tlog.ProveRecord(int64(size), int64(seq), hashReader{s}) // #nosec G115 -- at most the log's size
		return err
	})
	return path, err
}

// ProveConsistency returns the proof that the log of newer leaves extends the
// log of older leaves (RFC 9162 section 2.1.4).
func (a *Archive) ProveConsistency(ctx context.Context, older, newer uint64) ([]proof.Hash, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if older == 0 || older > newer || newer > a.Size() {
		return nil, &SeqError{older, ErrNotFound}
	}
	var path []proof.Hash
	err := a.view(func(s *store) (err error) {
		path, err = tlog.ProveTree(int64(newer), int64(older), hashReader{s}) // #nosec G115 -- at most the log's size
		return err
	})
	return path, err
}

// Root returns the tree hash of the first size leaves.
func (a *Archive) Root(size uint64) (proof.Hash, error) {
	if size > a.Size() {
		return proof.Hash{}, &SeqError{size, ErrNotFound}
	}
	var h proof.Hash
	err := a.view(func(s *store) (err error) {
		h, err = tlog.TreeHash(int64(size), hashReader{s}) // #nosec G115 -- at most the log's size
		return err
	})
	return h, err
}
