package search

import (
	"cmp"
	"errors"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"holdfast/archive/query"
)

// slot is one word of a phrase in a segment: the postings of every term that
// the word accepts, and the documents that have one of them.
type slot struct {
	lists []segment.PostingsList
	docs  *roaring.Bitmap
}

func newSlot(dict segment.TermDictionary, terms []string) (*slot, error) {
	s := &slot{docs: roaring.New()}
	for _, term := range terms {
		list, err := dict.PostingsList([]byte(term), nil, nil)
		if err != nil {
			return nil, err
		}
		if list.Count() > 0 {
			s.lists = append(s.lists, list)
		}
	}
	if len(s.lists) == 1 { // as most words have one form in a segment: its set need not be copied
		if it, ok := s.lists[0].Iterator(false, false, false, nil).(interface{ ActualBitmap() *roaring.Bitmap }); ok && it.ActualBitmap() != nil {
			s.docs = it.ActualBitmap()
			return s, nil
		}
	}
	for _, list := range s.lists {
		if err := listInto(list, s.docs); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// slotsOf returns the slots of a clause.
func (e *evaluator) slotsOf(n *query.Text) ([]*slot, error) {
	if slots := e.slots[n]; slots != nil {
		return slots, nil
	}
	field := fieldText
	if n.Where == query.InFileName {
		field = fieldFileName
	}
	dict, err := e.seg.Dictionary(field)
	if err != nil {
		return nil, err
	}
	slots := make([]*slot, len(n.Words))
	for i := range n.Words {
		terms, err := e.words.of(&n.Words[i], dict)
		if err != nil {
			return nil, err
		}
		if slots[i], err = newSlot(dict, terms); err != nil {
			return nil, err
		}
	}
	e.slots[n] = slots
	return slots, nil
}

// text finds the documents in which a clause's words stand one after the other.
func (e *evaluator) text(n *query.Text, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	slots, err := e.slotsOf(n)
	if err != nil {
		return nil, err
	}
	return phrase(slots, within)
}

// phrase finds the documents in which the slots stand one after the other; all
// of the segment's when within is nil.
func phrase(slots []*slot, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	docs := common(slots, within)
	if len(slots) == 1 || docs.IsEmpty() {
		return docs, nil
	}
	begins, err := phraseBegins(slots, docs)
	if err != nil {
		return nil, err
	}
	return docsOf(begins), nil
}

// near finds the documents in which two phrases stand near each other.
func (e *evaluator) near(n *query.Near, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	if n.N >= passageGap-1 {
		return nil, errors.New("a NEAR that reaches farther than one may")
	}
	a, err := e.slotsOf(n.A)
	if err != nil {
		return nil, err
	}
	b, err := e.slotsOf(n.B)
	if err != nil {
		return nil, err
	}
	docs := common(append(slices.Clone(a), b...), within)
	if docs.IsEmpty() {
		return docs, nil
	}
	first, err := phraseBegins(a, docs)
	if err != nil {
		return nil, err
	}
	if len(a) > 1 {
		docs = docsOf(first)
	}
	second, err := phraseBegins(b, docs)
	if err != nil {
		return nil, err
	}
	return nearDocs(first, second, len(a), len(b), n.N), nil
}

// common returns the documents that have all slots.
func common(slots []*slot, within *roaring.Bitmap) *roaring.Bitmap {
	slots = slices.Clone(slots)
	slices.SortFunc(slots, func(a, b *slot) int { return cmp.Compare(a.docs.GetCardinality(), b.docs.GetCardinality()) })
	docs := slots[0].docs
	if within != nil {
		docs = roaring.And(docs, within)
	} else {
		docs = docs.Clone()
	}
	for _, s := range slots[1:] {
		if docs.IsEmpty() {
			break
		}
		docs.And(s.docs)
	}
	return docs
}

// place is a document's number and, below it, a position in the document.
type place uint64

func (p place) doc() uint32              { return uint32(p >> 32) }         // #nosec G115 -- that is where it is
func (p place) position() uint64         { return uint64(p) & (1<<32 - 1) } // positions are below 2^32: a text is far shorter
func placeOf(doc, position uint64) place { return place(doc<<32 | position) }

// phraseBegins returns, ascending, the places in docs at which the slots begin to stand one
// after the other.
func phraseBegins(slots []*slot, docs *roaring.Bitmap) ([]place, error) {
	order := make([]int, len(slots))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Compare(slots[a].docs.GetCardinality(), slots[b].docs.GetCardinality())
	})
	var begins []place
	for n, i := range order {
		if n > 1 {
			docs = docsOf(begins)
		}
		at, err := slots[i].places(docs, uint64(i)) // #nosec G115 -- an index
		if err != nil {
			return nil, err
		}
		if n == 0 {
			begins = at
		} else {
			begins = both(begins, at)
		}
		if len(begins) == 0 {
			break
		}
	}
	return begins, nil
}

// places returns, ascending, the places of the slot in docs, each moved back by
// so many positions; those that this moves before the first are left out.
func (s *slot) places(docs *roaring.Bitmap, back uint64) ([]place, error) {
	lists := make([][]place, 0, len(s.lists))
	var prealloc segment.PostingsIterator
	for _, list := range s.lists {
		it := list.Iterator(true, false, true, prealloc)
		prealloc = it
		at, err := placesIn(it, docs, back)
		if err != nil {
			return nil, err
		}
		if len(at) > 0 {
			lists = append(lists, at)
		}
	}
	for len(lists) > 1 {
		var merged [][]place
		for pair := range slices.Chunk(lists, 2) {
			if len(pair) == 2 {
				merged = append(merged, either(pair[0], pair[1]))
			} else {
				merged = append(merged, pair[0])
			}
		}
		lists = merged
	}
	if len(lists) == 0 {
		return nil, nil
	}
	return lists[0], nil
}

// placesIn reads the positions of one term in docs.
func placesIn(it segment.PostingsIterator, docs *roaring.Bitmap, back uint64) ([]place, error) {
	chosen, ok := it.(interface {
		ActualBitmap() *roaring.Bitmap
		ReplaceActual(*roaring.Bitmap)
	})
	if !ok || chosen.ActualBitmap() == nil {
		return nil, errPostings
	}
	of := roaring.And(chosen.ActualBitmap(), docs)
	if of.IsEmpty() {
		return nil, nil
	}
	at := make([]place, 0, of.GetCardinality())
	if of.GetCardinality() < chosen.ActualBitmap().GetCardinality() {
		chosen.ReplaceActual(of)
	}
	for {
		posting, err := it.Next()
		if err != nil || posting == nil {
			return at, err
		}
		doc := posting.Number()
		if len(posting.Locations()) == 0 {
			return nil, errors.New("a token without positions")
		}
		for _, l := range posting.Locations() {
			if l.Pos() > back {
				p := placeOf(doc, l.Pos()-back)
				if len(at) > 0 && at[len(at)-1] >= p {
					return nil, errors.New("positions that do not ascend")
				}
				at = append(at, p)
			}
		}
	}
}

// both returns what is in two ascending lists.
func both(a, b []place) []place {
	found := a[:0]
	for _, p := range a {
		for len(b) > 0 && b[0] < p {
			b = b[1:]
		}
		if len(b) == 0 {
			break
		}
		if b[0] == p {
			found = append(found, p)
		}
	}
	return found
}

// either returns what is in at least one of two ascending lists.
func either(a, b []place) []place {
	merged := make([]place, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			merged = append(merged, a[0])
			a = a[1:]
		case b[0] < a[0]:
			merged = append(merged, b[0])
			b = b[1:]
		default:
			a = a[1:]
		}
	}
	return append(append(merged, a...), b...)
}

// docsOf returns the documents of ascending places.
func docsOf(at []place) *roaring.Bitmap {
	docs := make([]uint32, 0, len(at))
	for _, p := range at {
		if n := len(docs); n == 0 || docs[n-1] != p.doc() {
			docs = append(docs, p.doc())
		}
	}
	return roaring.BitmapOf(docs...)
}

// nearDocs finds the documents in which a phrase of lenA tokens and one of lenB
// stand without overlapping, in either order, with at most n tokens between.
func nearDocs(a, b []place, lenA, lenB, n int) *roaring.Bitmap {
	var docs []uint32
	i := 0 // the first of b that might stand before or behind a's
	for _, p := range a {
		if k := len(docs); k > 0 && docs[k-1] == p.doc() {
			continue
		}
		low := p.position() - min(p.position(), uint64(lenB+n)) // #nosec G115 -- lengths
		for i < len(b) && b[i] < placeOf(uint64(p.doc()), low) {
			i++
		}
		high := placeOf(uint64(p.doc()), p.position()+uint64(lenA+n)) // #nosec G115 -- lengths
		for _, q := range b[i:] {
			if q > high {
				break
			}
			before, behind := int(p.position())-int(q.position())-lenB, int(q.position())-int(p.position())-lenA // #nosec G115 -- below 2^32
			if before >= 0 && before <= n || behind >= 0 && behind <= n {
				docs = append(docs, p.doc())
				break
			}
		}
	}
	return roaring.BitmapOf(docs...)
}
