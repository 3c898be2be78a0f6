package search

import (
	"context"
	"fmt"
	"math"
)

// digestLen is how many bytes of a digest the index keeps: enough that no two
// messages of an archive share them.
const digestLen = 16

func digestTerm(digest [32]byte) string { return string(digest[:digestLen]) }

// Target returns the oldest searchable entry whose message has the given
// digest, as receipts and later versions name it. It looks at what is indexed
// alone and scans nothing: false may also mean that the entry is too new.
// Errors are those of Search.
func (x *Index) Target(ctx context.Context, digest [32]byte) (seq uint64, ok bool, err error) {
	for file := range x.files(x.src.Size()) {
		p, err := x.part(ctx, file)
		if err != nil {
			return 0, false, fmt.Errorf("search: %w", err)
		}
		seq, ok = uint64(math.MaxUint64), false
		_, err = p.having(ctx, fieldDigest, [][32]byte{digest}, func(_ [32]byte, at uint64) { seq, ok = min(seq, at), true })
		if err != nil {
			return 0, false, fmt.Errorf("search: %w", err)
		}
		if ok {
			return seq, true, nil
		}
	}
	return 0, false, nil
}

// having visits the indexed entries whose field holds one of the digests, and
// returns the seq through which the part is indexed.
func (p *part) having(ctx context.Context, field string, digests [][32]byte, visit func(digest [32]byte, seq uint64)) (through uint64, err error) {
	st, err := p.snapshot()
	if err != nil || st.snap == nil {
		return p.start, err
	}
	defer p.done(st.snap)
	err = guard(func() (err error) {
		through, err = p.havingIn(ctx, st, field, digests, visit)
		return err
	})
	if err != nil && ctx.Err() == nil {
		p.damaged(st.opened, ErrDamaged)
		return 0, ErrDamaged
	}
	return through, err
}

func (p *part) havingIn(ctx context.Context, st state, field string, digests [][32]byte, visit func([32]byte, uint64)) (uint64, error) {
	m, err := p.checkMark(st.snap)
	if err != nil {
		return 0, err
	}
	for _, s := range st.snap.Segments() {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		e := &evaluator{seg: s.Segment()}
		for _, digest := range digests {
			set, err := e.terms(field, digestTerm(digest))
			if err != nil {
				return 0, err
			}
			if set.IsEmpty() {
				continue
			}
			c, err := p.column(st.snap, s.Segment())
			if err != nil {
				return 0, err
			}
			for it := set.Iterator(); it.HasNext(); {
				visit(digest, c.seq(it.Next()))
			}
		}
	}
	return m.through, nil
}
