package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	"golang.org/x/sync/errgroup"

	"holdfast/archive/query"
)

// ErrLanguage says that a query was read in a version of the language whose
// words are not those of the index.
var ErrLanguage = errors.New("the query is of a version of the language that the index does not answer; write it in the newest")

// SearchOptions of one search.
type SearchOptions struct {
	Limit  int    // most hits returned; 0 gives the totals alone
	AsOf   uint64 // only entries with a lower seq exist for this search; 0: all that are committed now
	Before *Place // only hits that come after this place in the order, for the next page; nil: from the newest. It does not change Total.
	Sort   Sort
}

// Result of a search.
type Result struct {
	Total uint64 // messages that match
	// ThroughSeq is how far the search went: it examined the entries with a
	// lower seq, but for Unindexed of them. With it as AsOf the next page or a
	// later search counts the same entries.
	ThroughSeq uint64
	// Unindexed is how many entries were not examined, because the index lags too
	// far behind to scan the difference. Total is then a lower bound.
	Unindexed uint64
	// Unread is how many further entries might match by what nobody could read of
	// them: query.Judge says Maybe.
	Unread uint64
	Hits   []Hit // in the order asked for
}

// Search finds the messages for which q matches. Total is exact whenever
// Unindexed is 0; a failure of the index is an error, never a smaller total.
// Of a message and the late attachments that completed it the newest counts.
// Errors: ErrDamaged, ErrAsOf, ErrLanguage, ErrClosed, those of Source and of ctx.
func (x *Index) Search(ctx context.Context, q *query.Query, opts SearchOptions) (Result, error) {
	hits := hitTaker{newBest(opts)}
	r, err := x.run(ctx, q, opts.AsOf, hits)
	if err != nil {
		return Result{}, fmt.Errorf("search: %w", err)
	}
	r.Hits = hits.hits()
	return r, nil
}

// taker is what becomes of the documents that a search finds.
type taker interface {
	// asks returns the clauses besides the query's that segment evaluates.
	asks() []query.Node
	// doc looks at a document that was found by scanning. What it returns is
	// called if the document counts.
	doc(d *query.Doc) func()
	// segment takes the documents that were found in a segment.
	segment(e *evaluator, s *searched) error
}

// hitTaker keeps the hits of a page.
type hitTaker struct{ *best }

func (t hitTaker) asks() []query.Node { return nil }

func (t hitTaker) doc(d *query.Doc) func() {
	x := item{sent: instantOf(d.Sent), seq: d.About(), entry: d.Seq}
	return func() { t.offer(x) }
}

func (t hitTaker) segment(_ *evaluator, s *searched) error {
	if s.found.IsEmpty() || !t.wants(s.part.end) {
		return nil
	}
	c, err := s.column()
	if err != nil {
		return err
	}
	c.top(s.found, t.best)
	return nil
}

// run is one search on its way.
type run struct {
	x     *Index
	q     *query.Query
	size  uint64
	take  taker
	parts []state // newest first

	scan    uint64 // entries that may still be scanned
	scanned []scanned
	lates   lates
	result  Result
}

// scanned is an entry that was found by scanning.
type scanned struct {
	seq, about uint64
	truth      query.Truth
	count      func()
}

// searched is a segment on its way through a search.
type searched struct {
	state
	seg           segment.Segment
	eval          *evaluator
	newest        uint64 // seq of its newest entry
	found, unread *roaring.Bitmap
}

// column returns the segment's column.
func (s *searched) column() (*column, error) { return s.part.column(s.snap, s.seg) }

// run searches and gives what it finds to take: of each part what its index has,
// and what that has not seen by scanning.
func (x *Index) run(ctx context.Context, q *query.Query, asOf uint64, take taker) (Result, error) {
	if q.Language() != query.Language {
		return Result{}, ErrLanguage
	}
	s := &run{x: x, q: q, size: x.src.Size(), take: take, scan: x.opts.ScanLimit}
	if asOf > s.size {
		return Result{}, ErrAsOf
	}
	if asOf != 0 {
		s.size = asOf
	}
	s.result.ThroughSeq = s.size
	defer s.close()
	if err := s.open(ctx); err != nil {
		return Result{}, err
	}
	// What supersedes what must be known before anything is counted.
	for i := range s.parts {
		if err := s.unseen(ctx, &s.parts[i]); err != nil {
			return Result{}, err
		}
	}
	s.lates.settle()
	s.countScanned()
	for i := range s.parts {
		if err := s.indexed(ctx, &s.parts[i]); err != nil {
			return Result{}, err
		}
	}
	return s.result, ctx.Err()
}

// open takes the state of every part, so that all that follows is of one
// moment.
func (s *run) open(ctx context.Context) error {
	for file := s.x.files(s.size); file > 0; file-- {
		p, err := s.x.part(ctx, file-1)
		if err != nil {
			return err
		}
		st, err := p.snapshot()
		if err != nil {
			return err
		}
		s.parts = append(s.parts, st)
		if st.snap == nil {
			continue
		}
		if err := s.guarded(ctx, &s.parts[len(s.parts)-1], s.look); err != nil {
			return err
		}
	}
	return nil
}

func (s *run) close() {
	for _, st := range s.parts {
		if st.snap != nil {
			st.part.done(st.snap)
		}
	}
}

// guarded runs f, which reads a part's index. Any error in the index itself
// discards it and is ErrDamaged; what bleve says stays inside.
func (s *run) guarded(ctx context.Context, st *state, f func(context.Context, *state) error) error {
	err := guard(func() error { return f(ctx, st) })
	if err != nil && ctx.Err() == nil {
		st.part.damaged(st.opened, ErrDamaged)
		return ErrDamaged
	}
	return err
}

// look reads how far a part's index reaches, and its late entries.
func (s *run) look(_ context.Context, st *state) error {
	m, err := st.part.checkMark(st.snap)
	if err != nil {
		return err
	}
	st.through = m.through
	for _, seg := range st.snap.Segments() {
		dict, err := seg.Segment().Dictionary(fieldOf)
		if err != nil {
			return err
		}
		if dict.Cardinality() == 0 {
			continue
		}
		c, err := st.part.column(st.snap, seg.Segment())
		if err != nil {
			return err
		}
		for doc, of := range c.late {
			if seq := c.seq(doc); seq < s.size {
				s.lates.add(of, seq)
			}
		}
	}
	return nil
}

// unseen scans the newest entries that a part's index has not seen and that the
// limit allows.
func (s *run) unseen(ctx context.Context, st *state) error {
	start, to := s.x.span(st.part.file, s.size)
	from := max(st.through, start)
	if from >= to {
		return nil
	}
	if n := to - from; n > s.scan {
		s.result.Unindexed += n - s.scan
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
		if doc.Late {
			s.lates.add(doc.Of, doc.Seq)
		}
		if doc.Hangs {
			continue
		}
		found := scanned{seq: doc.Seq, about: doc.About()}
		switch {
		case s.q.Match(&doc):
			found.truth, found.count = query.Yes, s.take.doc(&doc)
		case s.q.Judge(&doc) == query.Maybe:
			found.truth = query.Maybe
		default:
			continue
		}
		s.scanned = append(s.scanned, found)
	}
	return ctx.Err()
}

// countScanned counts what was found by scanning and no late entry supersedes.
func (s *run) countScanned() {
	for _, f := range s.scanned {
		switch {
		case s.lates.supersede(f.about, f.seq):
		case f.truth == query.Yes:
			s.result.Total++
			f.count()
		default:
			s.result.Unread++
		}
	}
}

// indexed searches a part's index, several segments at a time.
func (s *run) indexed(ctx context.Context, st *state) error {
	if st.snap == nil {
		return nil
	}
	return s.guarded(ctx, st, func(ctx context.Context, st *state) error {
		words := newWordTerms(st.words, append(s.take.asks(), s.q.Root())...)
		segs := st.snap.Segments()
		all := make([]searched, len(segs))
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(runtime.GOMAXPROCS(0))
		for i, seg := range segs {
			all[i] = searched{state: *st, seg: seg.Segment()}
			group.Go(func() error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return guard(func() error { return s.segment(&all[i], words) })
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		// The newest first: the others may then hold no hit of the page.
		slices.SortFunc(all, func(a, b searched) int { return cmp.Compare(b.newest, a.newest) })
		for i := range all {
			s.result.Total += all[i].found.GetCardinality()
			s.result.Unread += all[i].unread.GetCardinality()
			if err := s.take.segment(all[i].eval, &all[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// segment evaluates the query on one segment.
func (s *run) segment(of *searched, words wordTerms) (err error) {
	if of.eval, err = newEvaluator(of.seg, words, of.column); err != nil {
		return err
	}
	if of.found, of.unread, err = of.eval.run(s.q); err != nil {
		return err
	}
	c, err := of.column()
	if err != nil {
		return err
	}
	if len(c.newest) > 0 {
		of.newest = c.seq(c.newest[0])
	}
	later := of.through > s.size // the index is ahead of the state asked for
	if !later && s.lates.none() {
		return nil
	}
	if later {
		of.found, of.unread = c.below(of.found, s.size), c.below(of.unread, s.size)
	}
	hidden := s.lates.hide(c)
	of.found.AndNot(hidden)
	of.unread.AndNot(hidden)
	return nil
}
