package search

import (
	"cmp"
	"errors"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"holdfast/archive/query"
)

// evaluator evaluates a query on one segment of an index. Every step is a set
// operation on postings, so that totals are exact by construction.
//
// Each of its functions that takes a set within answers for the documents in it
// alone; none changes it, and what it returns may be changed.
type evaluator struct {
	seg    segment.Segment
	words  wordTerms
	column func() (*column, error)

	messages    *roaring.Bitmap // what any query can find
	quarantined *roaring.Bitmap // what a query can find that asks for it
	unread      *roaring.Bitmap // messages with text that could not be read
	slots       map[*query.Text][]*slot
}

var errPostings = errors.New("a postings list of an unknown kind")

func newEvaluator(seg segment.Segment, words wordTerms, column func() (*column, error)) (*evaluator, error) {
	c, err := column()
	if err != nil {
		return nil, err
	}
	return &evaluator{
		seg: seg, words: words, column: column, slots: map[*query.Text][]*slot{},
		messages: c.messages, quarantined: c.quarantined, unread: c.unread,
	}, nil
}

// run returns the documents for which q.Match is true, and those others for
// which q.Judge is Maybe.
func (e *evaluator) run(q *query.Query) (found, unread *roaring.Bitmap, err error) {
	if found, err = e.eval(q.Root(), e.messages); err != nil {
		return nil, nil, err
	}
	partly := e.unread
	if q.Quarantined() {
		partly = roaring.Or(partly, e.quarantined)
	}
	if partly.IsEmpty() {
		return found, partly.Clone(), nil
	}
	yes, least, err := e.judge(q.Root(), partly, false)
	if err != nil {
		return nil, nil, err
	}
	yes.And(e.quarantined) // Match takes a message as far as it was read
	found.Or(yes)
	least.AndNot(found)
	return found, least, nil
}

// eval returns the documents that match as far as they were read.
func (e *evaluator) eval(n query.Node, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	switch n := n.(type) {
	case *query.And:
		return e.and(n.Of, within)
	case *query.Or:
		found := roaring.New()
		for _, p := range n.Of {
			set, err := e.eval(p, within)
			if err != nil {
				return nil, err
			}
			found.Or(set)
		}
		return found, nil
	case *query.Not:
		set, err := e.eval(n.Of, within)
		if err != nil {
			return nil, err
		}
		return roaring.AndNot(within, set), nil
	case *query.Text:
		return e.text(n, within)
	case *query.Near:
		return e.near(n, within)
	case *query.Seq:
		return e.seqs(n, within)
	case *query.Held:
		return e.held(n, within)
	}
	set, err := e.property(n)
	if err != nil {
		return nil, err
	}
	set.And(within)
	return set, nil
}

// and asks the cheap parts first, and the others only about what is left.
func (e *evaluator) and(parts []query.Node, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b query.Node) int { return cmp.Compare(cost(a), cost(b)) })
	left := within
	for _, p := range parts {
		set, err := e.eval(p, left)
		if err != nil {
			return nil, err
		}
		if left = set; left.IsEmpty() {
			break
		}
	}
	return left, nil
}

// cost says roughly how dear a node is: 0 for postings alone, 2 where positions
// are compared.
func cost(n query.Node) int {
	dearest := func(parts []query.Node) (most int) {
		for _, p := range parts {
			most = max(most, cost(p))
		}
		return most
	}
	switch n := n.(type) {
	case *query.And:
		return dearest(n.Of)
	case *query.Or:
		return dearest(n.Of)
	case *query.Not:
		return cost(n.Of)
	case *query.Text:
		if len(n.Words) > 1 {
			return 2
		}
	case *query.Near:
		return 2
	case *query.Seq, *query.Held:
		return 1
	}
	return 0
}

// judge returns the documents for which a node is Yes, and those for which it is
// at least Maybe, as query.Judge has them; within has only what is unread or in
// quarantine. Unless whole is set, what is unread may be missing from yes: it is
// asked for under a NOT alone, and costs a look at positions.
func (e *evaluator) judge(n query.Node, within *roaring.Bitmap, whole bool) (yes, least *roaring.Bitmap, err error) {
	switch n := n.(type) {
	case *query.And:
		return e.judgeAll(n.Of, within, whole)
	case *query.Or:
		yes, least = roaring.New(), roaring.New()
		for _, p := range n.Of {
			y, l, err := e.judge(p, within, whole)
			if err != nil {
				return nil, nil, err
			}
			yes.Or(y)
			least.Or(l)
		}
		return yes, least, nil
	case *query.Not:
		y, l, err := e.judge(n.Of, within, true)
		if err != nil {
			return nil, nil, err
		}
		return roaring.AndNot(within, l), roaring.AndNot(within, y), nil
	}
	if isRead(n) && !whole { // no words of a quarantined entry are known
		return roaring.New(), within.Clone(), nil
	}
	if yes, err = e.eval(n, within); err != nil {
		return nil, nil, err
	}
	if isRead(n) {
		return yes, within.Clone(), nil
	}
	least = yes.Clone()
	if !isKnown(n) {
		least.Or(roaring.And(within, e.quarantined))
	}
	return yes, least, nil
}

func (e *evaluator) judgeAll(parts []query.Node, within *roaring.Bitmap, whole bool) (yes, least *roaring.Bitmap, err error) {
	yes, least = within.Clone(), within.Clone()
	for _, p := range parts {
		y, l, err := e.judge(p, within, whole)
		if err != nil {
			return nil, nil, err
		}
		yes.And(y)
		least.And(l)
	}
	return yes, least, nil
}

// isKnown says whether a node asks what is known of a quarantined entry.
func isKnown(n query.Node) bool {
	switch n := n.(type) {
	case *query.Seq, *query.Held, *query.Quarantined:
		return true
	case *query.Time:
		return n.Property == query.Received
	}
	return false
}

// isRead says whether a node asks for text that may be unread.
func isRead(n query.Node) bool {
	switch n := n.(type) {
	case *query.Text:
		return n.Where == query.Anywhere
	case *query.Near:
		return true
	}
	return false
}

// terms returns the documents that have one of the terms.
func (e *evaluator) terms(field string, terms ...string) (*roaring.Bitmap, error) {
	dict, err := e.seg.Dictionary(field)
	if err != nil {
		return nil, err
	}
	set := roaring.New()
	for _, term := range terms {
		if err := orInto(dict, []byte(term), set); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// orInto adds the documents that have the term.
func orInto(dict segment.TermDictionary, term []byte, set *roaring.Bitmap) error {
	list, err := dict.PostingsList(term, nil, nil)
	if err != nil {
		return err
	}
	return listInto(list, set)
}

func listInto(list segment.PostingsList, set *roaring.Bitmap) error {
	bits, ok := list.(interface{ OrInto(*roaring.Bitmap) })
	if !ok {
		return errPostings
	}
	bits.OrInto(set)
	return nil
}

// termIterator is a dictionary that can list terms without reading their
// postings.
type termIterator interface {
	AutomatonIteratorOmitCount(a segment.Automaton, from, to []byte) segment.DictionaryIterator
}

// eachTerm visits the terms in [from,to); a nil bound is none.
func eachTerm(dict segment.TermDictionary, from, to []byte, visit func(term string) error) error {
	fast, ok := dict.(termIterator)
	if !ok {
		return errPostings
	}
	it := fast.AutomatonIteratorOmitCount(nil, from, to)
	for {
		entry, err := it.Next()
		if err != nil || entry == nil {
			return err
		}
		if err := visit(entry.Term); err != nil {
			return err
		}
	}
}
