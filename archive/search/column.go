package search

import (
	"cmp"
	"errors"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"
)

// column gives what is asked of each document of a segment besides its terms,
// and the order of the documents. It is what bleve's sorting would look up
// document by document.
type column struct {
	start  uint64   // first seq of the log file
	places []uint32 // place in the log file, by document number
	newest []uint32 // document numbers, newest first
	milli  []int64  // time sent: instant.milli
	nano   map[uint32]uint32
	late   map[uint32]uint64 // the entries that late documents stand for
	lates  *roaring.Bitmap   // the late documents

	messages    *roaring.Bitmap // what any query can find
	quarantined *roaring.Bitmap // what a query can find that asks for it
	unread      *roaring.Bitmap // messages with text that could not be read
}

// seq returns the seq of a document.
func (c *column) seq(doc uint32) uint64 { return c.start + uint64(c.places[doc]) }

// about returns the seq of the message that a document is, or stands for.
func (c *column) about(doc uint32) uint64 {
	if len(c.late) > 0 {
		if of, ok := c.late[doc]; ok {
			return of
		}
	}
	return c.seq(doc)
}

// item returns a document as a hit to be ranked.
func (c *column) item(doc uint32) item {
	x := item{sent: instant{milli: c.milli[doc]}, seq: c.about(doc), entry: c.seq(doc)}
	if len(c.nano) > 0 {
		x.sent.nano = c.nano[doc]
	}
	return x
}

// readColumn reads a segment's column.
func readColumn(seg segment.Segment, start uint64) (*column, error) {
	values, ok := seg.(segment.DocValueVisitable)
	if !ok {
		return nil, errPostings
	}
	c := &column{
		start: start, places: make([]uint32, seg.Count()), milli: make([]int64, seg.Count()),
		nano: map[uint32]uint32{}, late: map[uint32]uint64{}, lates: roaring.New(),
	}
	var state segment.DocVisitState
	for doc := range c.places {
		c.milli[doc] = never.milli
		ids, bad := 0, false
		visit := func(name string, term []byte) {
			var ok bool
			if name == fieldID {
				c.places[doc], ok = parseSeqTerm(term)
				ids++
			} else {
				var sent instant
				sent, ok = parseTimeTerm(term)
				c.milli[doc] = sent.milli
				if sent.nano != 0 {
					c.nano[uint32(doc)] = sent.nano // #nosec G115 -- a document number
				}
			}
			bad = bad || !ok
		}
		var err error
		state, err = values.VisitDocValues(uint64(doc), []string{fieldID, fieldSent}, index.DocValueVisitor(visit), state) // #nosec G115 -- a document number
		if err != nil {
			return nil, err
		}
		if ids != 1 || bad {
			return nil, errors.New("a document without its seq, or with a time that is none")
		}
	}
	c.newest = make([]uint32, len(c.places))
	for i := range c.newest {
		c.newest[i] = uint32(i) // #nosec G115 -- a document number
	}
	slices.SortFunc(c.newest, func(a, b uint32) int { return cmp.Compare(c.places[b], c.places[a]) })
	return c, errors.Join(c.readLate(seg), c.readSets(seg))
}

// readSets finds what queries can find.
func (c *column) readSets(seg segment.Segment) error {
	e := evaluator{seg: seg}
	hangs, err := e.terms(fieldProperty, propHangs)
	if err != nil {
		return err
	}
	if c.quarantined, err = e.terms(fieldProperty, propQuarantined); err != nil {
		return err
	}
	if c.unread, err = e.terms(fieldProperty, propUnread); err != nil {
		return err
	}
	c.messages = roaring.New()
	c.messages.AddRange(0, seg.Count())
	c.messages.AndNot(hangs)
	c.messages.AndNot(c.quarantined)
	return nil
}

// readLate finds the late documents.
func (c *column) readLate(seg segment.Segment) error {
	dict, err := seg.Dictionary(fieldOf)
	if err != nil {
		return err
	}
	return eachTerm(dict, nil, nil, func(term string) error {
		of, ok := parseNumberTerm([]byte(term))
		if !ok {
			return errors.New("a late entry that stands for none")
		}
		docs := roaring.New()
		if err := orInto(dict, []byte(term), docs); err != nil {
			return err
		}
		for it := docs.Iterator(); it.HasNext(); {
			c.late[it.Next()] = of
		}
		c.lates.Or(docs)
		return nil
	})
}

// column returns a segment's column, and forgets those of segments that are not
// in snap any more.
func (p *part) column(snap *scorch.IndexSnapshot, seg segment.Segment) (*column, error) {
	p.mu.Lock()
	c := p.columns[seg]
	p.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c, err := readColumn(seg, p.start)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.columns == nil {
		return c, nil // discarded meanwhile
	}
	p.columns[seg] = c
	for known := range p.columns {
		if !slices.ContainsFunc(snap.Segments(), func(s *scorch.SegmentSnapshot) bool { return s.Segment() == known }) {
			delete(p.columns, known)
		}
	}
	return c, nil
}

// from returns the index in newest of the first document whose place is below
// limit.
func (c *column) from(limit uint64) int {
	at, _ := slices.BinarySearchFunc(c.newest, limit, func(doc uint32, limit uint64) int {
		if uint64(c.places[doc]) >= limit {
			return -1
		}
		return 1
	})
	return at
}

// below keeps the documents whose seq is less than limit.
func (c *column) below(set *roaring.Bitmap, limit uint64) *roaring.Bitmap {
	if len(c.newest) == 0 || c.seq(c.newest[0]) < limit {
		return set
	}
	kept := make([]uint32, 0, set.GetCardinality())
	for it := set.Iterator(); it.HasNext(); {
		if doc := it.Next(); c.seq(doc) < limit {
			kept = append(kept, doc)
		}
	}
	return roaring.BitmapOf(kept...)
}

// where returns the documents of set of whose message's seq ok is true.
func (c *column) where(set *roaring.Bitmap, ok func(seq uint64) bool) *roaring.Bitmap {
	var docs []uint32
	for it := set.Iterator(); it.HasNext(); {
		doc := it.Next()
		if ok(c.about(doc)) {
			docs = append(docs, doc)
		}
	}
	return roaring.BitmapOf(docs...)
}

// top offers the documents of set to best.
func (c *column) top(set *roaring.Bitmap, best *best) {
	hits := set.GetCardinality()
	// What is late stands for something older, and so comes later still.
	if hits == 0 || len(c.newest) == 0 || !best.wants(c.seq(c.newest[0])+1) {
		return
	}
	// Walking down all documents finds the first k hits after about
	// k × documents / hits steps, each some ten times dearer than a step over
	// the hits themselves.
	if walk := float64(best.limit) * float64(len(c.newest)) / float64(hits); best.sort == BySeq && walk*10 < float64(hits) {
		c.walk(set, best)
		return
	}
	for it := set.Iterator(); it.HasNext(); {
		if doc := it.Next(); best.wants(c.about(doc) + 1) {
			best.offer(c.item(doc))
		}
	}
}

// walk offers the late documents first, because their place is not that of
// their message, then the others until none can be among the best.
func (c *column) walk(set *roaring.Bitmap, best *best) {
	for it := roaring.And(set, c.lates).Iterator(); it.HasNext(); {
		best.offer(c.item(it.Next()))
	}
	start := 0
	if best.before != nil && best.before.seq > c.start {
		start = c.from(best.before.seq - c.start)
	} else if best.before != nil {
		return
	}
	for _, doc := range c.newest[start:] {
		if set.Contains(doc) && !c.lates.Contains(doc) && !best.offer(c.item(doc)) {
			return
		}
	}
}
