package search

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
)

// column gives the place in the log file of each document of a segment, and
// the order of the documents by it. It is what bleve's sorting would look up
// document by document.
type column struct {
	places []uint32 // by document number
	newest []uint32 // document numbers, newest first
}

func newColumn(places []uint32) *column {
	c := &column{places: places, newest: make([]uint32, len(places))}
	for i := range c.newest {
		c.newest[i] = uint32(i)
	}
	slices.SortFunc(c.newest, func(a, b uint32) int { return cmp.Compare(places[b], places[a]) })
	return c
}

// column returns a segment's column, and forgets those of segments that are not
// in snap any more.
func (p *part) column(snap *scorch.IndexSnapshot, s *scorch.SegmentSnapshot) (*column, error) {
	p.mu.Lock()
	c := p.columns[s.Segment()]
	p.mu.Unlock()
	if c != nil {
		return c, nil
	}
	places, err := places(s.Segment())
	if err != nil {
		return nil, err
	}
	c = newColumn(places)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.columns == nil {
		return c, nil // discarded meanwhile
	}
	p.columns[s.Segment()] = c
	for known := range p.columns {
		if !slices.ContainsFunc(snap.Segments(), func(s *scorch.SegmentSnapshot) bool { return s.Segment() == known }) {
			delete(p.columns, known)
		}
	}
	return c, nil
}

// below keeps the documents whose place is less than limit.
func (c *column) below(set *roaring.Bitmap, limit uint64) *roaring.Bitmap {
	kept := roaring.New()
	for it := set.Iterator(); it.HasNext(); {
		if doc := it.Next(); uint64(c.places[doc]) < limit {
			kept.Add(doc)
		}
	}
	return kept
}

// top adds the newest documents of set whose place is below limit to best.
func (c *column) top(set *roaring.Bitmap, limit uint64, best *newestFirst) {
	hits := set.GetCardinality()
	if hits == 0 || best.limit == 0 {
		return
	}
	// Walking down all documents finds the first k hits after about
	// k × documents / hits steps, each some ten times dearer than a step over
	// the hits themselves.
	if walk := float64(best.limit) * float64(len(c.newest)) / float64(hits); walk*10 < float64(hits) {
		start, _ := slices.BinarySearchFunc(c.newest, limit, func(doc uint32, limit uint64) int {
			if uint64(c.places[doc]) >= limit {
				return -1
			}
			return 1
		})
		for _, doc := range c.newest[start:] {
			if set.Contains(doc) && !best.offer(uint64(c.places[doc])) {
				return
			}
		}
		return
	}
	for it := set.Iterator(); it.HasNext(); {
		if place := uint64(c.places[it.Next()]); place < limit {
			best.offer(place)
		}
	}
}

// newestFirst keeps the limit highest numbers that it is offered.
type newestFirst struct {
	limit int
	heap  minHeap
}

// offer says whether a lower number could still be kept.
func (n *newestFirst) offer(v uint64) bool {
	switch {
	case len(n.heap) < n.limit:
		heap.Push(&n.heap, v)
		return true
	case n.limit > 0 && v > n.heap[0]:
		n.heap[0] = v
		heap.Fix(&n.heap, 0)
		return true
	}
	return false
}

// sorted returns the numbers, highest first.
func (n *newestFirst) sorted() []uint64 {
	slices.SortFunc(n.heap, func(a, b uint64) int { return cmp.Compare(b, a) })
	return n.heap
}

type minHeap []uint64

func (h minHeap) Len() int           { return len(h) }
func (h minHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h minHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *minHeap) Push(v any)        { *h = append(*h, v.(uint64)) }
func (h *minHeap) Pop() any {
	old := *h
	v := old[len(old)-1]
	*h = old[:len(old)-1]
	return v
}
