package search

import (
	"context"
	"fmt"
	"math"

	"github.com/blevesearch/bleve/v2/index/scorch"

	"holdfast/archive/query"
)

// SearchOptions of one search.
type SearchOptions struct {
	Limit  int    // most hits returned; 0 gives the total alone
	Before uint64 // only hits with a lower seq, for the next page; 0: from the newest. It does not change Total.
	AsOf   uint64 // only entries with a lower seq exist for this search; 0: all that are committed now
}

// Result of a search.
type Result struct {
	Total uint64 // entries that match
	// ThroughSeq is how far the search went: it examined the entries with a
	// lower seq, but for Unindexed of them. With it as AsOf the next page or a
	// later search counts the same entries.
	ThroughSeq uint64
	// Unindexed is how many entries were not examined, because the index lags too
	// far behind to scan the difference. Total is then a lower bound.
	Unindexed uint64
	Hits      []uint64 // seqs, newest first
}

// Search finds the entries for which q matches. Total is exact whenever
// Unindexed is 0; a failure of the index is an error, never a smaller total.
// Errors: ErrDamaged, ErrAsOf, ErrClosed, those of Source and of ctx.
func (x *Index) Search(ctx context.Context, q *query.Query, opts SearchOptions) (Result, error) {
	size := x.src.Size()
	if opts.AsOf > size {
		return Result{}, ErrAsOf
	}
	if opts.AsOf != 0 {
		size = opts.AsOf
	}
	s := &run{x: x, q: q, size: size, before: opts.Before, scan: x.opts.ScanLimit}
	s.best.limit = max(opts.Limit, 0)
	if s.before == 0 {
		s.before = math.MaxUint64
	}
	for file := x.files(size); file > 0; file-- {
		if err := s.file(ctx, file-1); err != nil {
			return Result{}, fmt.Errorf("search: %w", err)
		}
	}
	return Result{Total: s.total, ThroughSeq: size, Unindexed: s.unindexed, Hits: s.best.sorted()}, nil
}

// run is one search on its way, newest log file first.
type run struct {
	x      *Index
	q      *query.Query
	size   uint64
	before uint64

	scan      uint64 // entries that may still be scanned
	total     uint64
	unindexed uint64
	best      newestFirst
}

// file searches one log file: what its index has not seen is scanned, the rest
// asked of the index.
func (s *run) file(ctx context.Context, file uint64) error {
	start, end := s.x.span(file, s.size)
	p, err := s.x.part(ctx, file)
	if err != nil {
		return err
	}
	through, err := s.indexed(ctx, p)
	if err != nil {
		return err
	}
	return s.unseen(ctx, max(through, start), end)
}

// unseen scans the newest entries of [from,to) that the limit allows.
func (s *run) unseen(ctx context.Context, from, to uint64) error {
	if from >= to {
		return nil
	}
	if n := to - from; n > s.scan {
		s.unindexed += n - s.scan
		from = to - s.scan
	}
	s.scan -= to - from
	if from == to {
		return nil
	}
	for doc, err := range s.x.src.Docs(ctx, from, to) {
		if err != nil {
			return err
		}
		if s.q.Match(&doc) {
			s.total++
			if doc.Seq < s.before {
				s.best.offer(doc.Seq)
			}
		}
	}
	return ctx.Err()
}

// indexed searches a part's index and returns how far it reaches. Any error in
// the index itself discards it and is ErrDamaged; what bleve says stays inside.
func (s *run) indexed(ctx context.Context, p *part) (through uint64, err error) {
	snap, opened, err := p.snapshot()
	if err != nil || snap == nil {
		return p.start, err
	}
	defer p.done(snap)
	err = guard(func() (err error) {
		through, err = s.segments(ctx, p, snap)
		return err
	})
	if err != nil && ctx.Err() == nil {
		p.damaged(opened, ErrDamaged)
		return 0, ErrDamaged
	}
	return through, err
}

func (s *run) segments(ctx context.Context, p *part, snap *scorch.IndexSnapshot) (through uint64, err error) {
	m, err := p.checkMark(snap)
	if err != nil {
		return 0, err
	}
	best := newestFirst{limit: s.best.limit}
	for _, seg := range snap.Segments() {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		set, err := newEvaluator(seg.Segment()).eval(s.q.Root())
		if err != nil {
			return 0, err
		}
		if set.IsEmpty() {
			continue
		}
		later := m.through > s.size // the index is ahead of the state asked for
		hits := len(s.best.heap) < s.best.limit && s.before > p.start
		if later || hits {
			c, err := p.column(snap, seg)
			if err != nil {
				return 0, err
			}
			if later {
				set = c.below(set, s.size-p.start)
			}
			if hits {
				c.top(set, s.before-p.start, &best)
			}
		}
		s.total += set.GetCardinality()
	}
	for _, place := range best.heap {
		s.best.offer(p.start + place)
	}
	return m.through, nil
}
