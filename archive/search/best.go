package search

import (
	"container/heap"
	"slices"
	"time"
)

// Sort is an order of hits. In each the newest come first.
type Sort int

// The orders.
const (
	BySeq  Sort = iota // by the message's place in the log
	BySent             // by the time that the sender's device gave, then by seq; what has none comes last
)

// Place is a place in an order of hits, such as that of the last hit of a page.
// BySeq looks at Seq alone.
type Place struct {
	Sent time.Time
	Seq  uint64
}

// Hit is a message that was found.
type Hit struct {
	Seq   uint64    // of the message
	Entry uint64    // of the entry that was found: Seq, but of a late attachment its own
	Sent  time.Time // as the sender's device said, UTC; zero for none
}

// item is a Hit on its way to being one.
type item struct {
	sent       instant
	seq, entry uint64
}

func (i item) hit() Hit { return Hit{Seq: i.seq, Entry: i.entry, Sent: i.sent.time()} }

// best keeps those items that come first in an order, behind a place in it.
type best struct {
	limit  int
	sort   Sort
	before *item // only items behind it; nil: all
	heap   []item
}

func newBest(opts SearchOptions) *best {
	b := &best{limit: max(opts.Limit, 0), sort: opts.Sort}
	if opts.Before != nil {
		b.before = &item{sent: instantOf(opts.Before.Sent), seq: opts.Before.Seq}
	}
	return b
}

// behind says whether a comes after b.
func (b *best) behind(x, y item) bool {
	if b.sort == BySent && x.sent != y.sent {
		return x.sent.before(y.sent)
	}
	return x.seq < y.seq
}

// offer says whether an item that comes behind this one could still be kept.
func (b *best) offer(x item) bool {
	switch {
	case b.before != nil && !b.behind(x, *b.before):
		return true
	case len(b.heap) < b.limit:
		heap.Push((*lastFirst)(b), x)
		return true
	case b.limit > 0 && b.behind(b.heap[0], x):
		b.heap[0] = x
		heap.Fix((*lastFirst)(b), 0)
		return true
	}
	return false
}

// wants says whether an item of a seq below end could be kept.
func (b *best) wants(end uint64) bool {
	return b.limit > 0 && (b.sort != BySeq || len(b.heap) < b.limit || b.heap[0].seq < end)
}

// hits returns what was kept, in order.
func (b *best) hits() []Hit {
	slices.SortFunc(b.heap, func(x, y item) int {
		switch {
		case b.behind(y, x):
			return -1
		case b.behind(x, y):
			return 1
		}
		return 0
	})
	hits := make([]Hit, len(b.heap))
	for i, x := range b.heap {
		hits[i] = x.hit()
	}
	return hits
}

// lastFirst is best as a heap with the last of its items on top.
type lastFirst best

func (h *lastFirst) Len() int           { return len(h.heap) }
func (h *lastFirst) Less(i, j int) bool { return (*best)(h).behind(h.heap[i], h.heap[j]) }
func (h *lastFirst) Swap(i, j int)      { h.heap[i], h.heap[j] = h.heap[j], h.heap[i] }
func (h *lastFirst) Push(v any)         { h.heap = append(h.heap, v.(item)) }
func (h *lastFirst) Pop() any {
	last := h.heap[len(h.heap)-1]
	h.heap = h.heap[:len(h.heap)-1]
	return last
}
