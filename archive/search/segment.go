package search

import (
	"errors"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"holdfast/archive/query"
)

// evaluator evaluates a query on one segment of an index: the result is the set
// of the segment's documents for which query.Match is true. Every step is a set
// operation on postings, so that totals are exact by construction.
type evaluator struct {
	seg  segment.Segment
	live *roaring.Bitmap // all documents of the segment
}

var errPostings = errors.New("a postings list of an unknown kind")

func newEvaluator(seg segment.Segment) *evaluator {
	live := roaring.New()
	live.AddRange(0, seg.Count())
	return &evaluator{seg, live}
}

// eval returns a bitmap that the caller may modify.
func (e *evaluator) eval(n query.Node) (*roaring.Bitmap, error) {
	switch n := n.(type) {
	case *query.And:
		return e.and(n.Of)
	case *query.Or:
		return e.or(n.Of)
	case *query.Not:
		set, err := e.eval(n.Of)
		if err != nil {
			return nil, err
		}
		return roaring.AndNot(e.live, set), nil
	case *query.Text:
		return e.phrase(fieldText, n.Tokens)
	case *query.Person:
		keyField, nameField := fieldFromKey, fieldFromName
		if n.Property == query.To {
			keyField, nameField = fieldToKey, fieldToName
		}
		return e.named(keyField, n.Key, nameField, n.Tokens)
	case *query.Conversation:
		return e.named(fieldConversation, n.Value, fieldConversationName, n.Tokens)
	case *query.Time:
		if n.Property == query.Received {
			return e.time(fieldReceivedDay, fieldReceived, n)
		}
		return e.time(fieldSentDay, fieldSent, n)
	}
	return nil, errors.New("a query node of an unknown kind")
}

func (e *evaluator) and(parts []query.Node) (*roaring.Bitmap, error) {
	var set *roaring.Bitmap
	for _, p := range parts {
		next, err := e.eval(p)
		if err != nil {
			return nil, err
		}
		if set == nil {
			set = next
		} else {
			set.And(next)
		}
		if set.IsEmpty() {
			break
		}
	}
	return set, nil
}

func (e *evaluator) or(parts []query.Node) (*roaring.Bitmap, error) {
	set := roaring.New()
	for _, p := range parts {
		next, err := e.eval(p)
		if err != nil {
			return nil, err
		}
		set.Or(next)
	}
	return set, nil
}

// named finds a value that is a key or a phrase in a name.
func (e *evaluator) named(keyField, key, nameField string, tokens []string) (*roaring.Bitmap, error) {
	set, err := e.term(keyField, key)
	if err != nil || len(tokens) == 0 {
		return set, err
	}
	names, err := e.phrase(nameField, tokens)
	if err != nil {
		return nil, err
	}
	set.Or(names)
	return set, nil
}

func (e *evaluator) term(field, term string) (*roaring.Bitmap, error) {
	dict, err := e.seg.Dictionary(field)
	if err != nil {
		return nil, err
	}
	set := roaring.New()
	return set, orInto(dict, []byte(term), set)
}

// orInto adds the documents that have the term.
func orInto(dict segment.TermDictionary, term []byte, set *roaring.Bitmap) error {
	list, err := dict.PostingsList(term, nil, nil)
	if err != nil {
		return err
	}
	bits, ok := list.(interface{ OrInto(*roaring.Bitmap) })
	if !ok {
		return errPostings
	}
	bits.OrInto(set)
	return nil
}

// phrase finds documents in which the tokens stand at consecutive positions.
func (e *evaluator) phrase(field string, tokens []string) (*roaring.Bitmap, error) {
	if len(tokens) == 1 {
		return e.term(field, tokens[0])
	}
	dict, err := e.seg.Dictionary(field)
	if err != nil {
		return nil, err
	}
	lists := map[string]segment.PostingsList{}
	var candidates *roaring.Bitmap
	for _, token := range tokens {
		if lists[token] != nil {
			continue
		}
		list, err := dict.PostingsList([]byte(token), nil, nil)
		if err != nil {
			return nil, err
		}
		bits, ok := list.(interface{ OrInto(*roaring.Bitmap) })
		if !ok {
			return nil, errPostings
		}
		set := roaring.New()
		bits.OrInto(set)
		if candidates == nil {
			candidates = set
		} else {
			candidates.And(set)
		}
		if candidates.IsEmpty() {
			return candidates, nil
		}
		lists[token] = list
	}
	return phraseIn(candidates, tokens, lists)
}

// phraseIn keeps those candidates in which the tokens are consecutive.
func phraseIn(candidates *roaring.Bitmap, tokens []string, lists map[string]segment.PostingsList) (*roaring.Bitmap, error) {
	places := make(map[string]*positions, len(lists))
	for token, list := range lists {
		places[token] = &positions{postings: list.Iterator(true, false, true, nil)}
	}
	found := roaring.New()
	for it := candidates.Iterator(); it.HasNext(); {
		doc := it.Next()
		for _, p := range places {
			if err := p.advance(uint64(doc)); err != nil {
				return nil, err
			}
		}
		if consecutive(tokens, places) {
			found.Add(doc)
		}
	}
	return found, nil
}

func consecutive(tokens []string, places map[string]*positions) bool {
	for _, first := range places[tokens[0]].at {
		ok := true
		for i := 1; i < len(tokens) && ok; i++ {
			_, ok = slices.BinarySearch(places[tokens[i]].at, first+uint64(i))
		}
		if ok {
			return true
		}
	}
	return false
}

// positions walks the positions of one token.
type positions struct {
	postings segment.PostingsIterator
	at       []uint64 // in the current document, ascending
}

// advance goes to a document that is known to have the token.
func (p *positions) advance(doc uint64) error {
	posting, err := p.postings.Advance(doc)
	if err != nil {
		return err
	}
	if posting == nil || posting.Number() != doc {
		return errors.New("a postings list and its positions disagree")
	}
	p.at = p.at[:0]
	for _, l := range posting.Locations() {
		p.at = append(p.at, l.Pos())
	}
	if len(p.at) == 0 {
		return errors.New("a token without positions")
	}
	slices.Sort(p.at)
	return nil
}

// time finds documents whose time is in the clause's range: whole days by their
// day, the rest of the first and the last day by the exact time.
func (e *evaluator) time(dayField, exactField string, n *query.Time) (*roaring.Bitmap, error) {
	start, end := n.Range()
	days, exact, err := e.timeDictionaries(dayField, exactField)
	if err != nil {
		return nil, err
	}
	set := roaring.New()
	// The first whole day, and the first day that is not whole any more.
	var firstDay, endDay string
	var edges [][2]string
	switch {
	case start.IsZero() && end.IsZero():
		return nil, errors.New("a time range without bounds")
	case end.IsZero():
		whole, edge := wholeFrom(start)
		firstDay, edges = whole, edge
	case start.IsZero():
		whole, edge := wholeUntil(end)
		endDay, edges = whole, edge
	case dayOf(end)-dayOf(start) < 2:
		edges = [][2]string{{timeTerm(start), timeTerm(end)}}
		return set, addRanges(exact, edges, set)
	default:
		first, head := wholeFrom(start)
		last, tail := wholeUntil(end)
		firstDay, endDay, edges = first, last, append(head, tail...)
	}
	if err := addRange(days, firstDay, endDay, set); err != nil {
		return nil, err
	}
	return set, addRanges(exact, edges, set)
}

func (e *evaluator) timeDictionaries(dayField, exactField string) (days, exact segment.TermDictionary, err error) {
	if days, err = e.seg.Dictionary(dayField); err != nil {
		return nil, nil, err
	}
	exact, err = e.seg.Dictionary(exactField)
	return days, exact, err
}

// wholeFrom returns the first day that begins at or after start, and the exact
// range before it.
func wholeFrom(start time.Time) (day string, edge [][2]string) {
	d := dayOf(start)
	midnight := time.Unix(d*secondsPerDay, 0)
	if start.Equal(midnight) {
		return dayTerm(d), nil
	}
	return dayTerm(d + 1), [][2]string{{timeTerm(start), timeTerm(midnight.Add(secondsPerDay * time.Second))}}
}

// wholeUntil returns the day in which end lies, which is the first that is not
// whole, and the exact range from its beginning to end.
func wholeUntil(end time.Time) (day string, edge [][2]string) {
	d := dayOf(end)
	midnight := time.Unix(d*secondsPerDay, 0)
	if !end.Equal(midnight) {
		edge = [][2]string{{timeTerm(midnight), timeTerm(end)}}
	}
	return dayTerm(d), edge
}

func addRanges(dict segment.TermDictionary, ranges [][2]string, set *roaring.Bitmap) error {
	for _, r := range ranges {
		if err := addRange(dict, r[0], r[1], set); err != nil {
			return err
		}
	}
	return nil
}

// addRange adds the documents that have a term in [from,to); an empty bound is
// none.
func addRange(dict segment.TermDictionary, from, to string, set *roaring.Bitmap) error {
	var lo, hi []byte
	if from != "" {
		lo = []byte(from)
	}
	if to != "" {
		hi = []byte(to)
	}
	if lo != nil && hi != nil && from >= to {
		return nil
	}
	fast, ok := dict.(termIterator)
	if !ok {
		return errPostings
	}
	it := fast.AutomatonIteratorOmitCount(nil, lo, hi)
	for {
		entry, err := it.Next()
		if err != nil || entry == nil {
			return err
		}
		if err := orInto(dict, []byte(entry.Term), set); err != nil {
			return err
		}
	}
}

// termIterator is a dictionary that can list terms without reading their
// postings.
type termIterator interface {
	AutomatonIteratorOmitCount(a segment.Automaton, from, to []byte) segment.DictionaryIterator
}

// places returns the place in its log file of each document of the segment.
func places(seg segment.Segment) ([]uint32, error) {
	column, ok := seg.(segment.DocValueVisitable)
	if !ok {
		return nil, errPostings
	}
	places := make([]uint32, seg.Count())
	var state segment.DocVisitState
	for doc := range places {
		n := 0
		var bad bool
		var err error
		state, err = column.VisitDocValues(uint64(doc), []string{fieldID}, index.DocValueVisitor(func(_ string, term []byte) {
			place, ok := parseSeqTerm(term)
			places[doc] = place
			bad = bad || !ok
			n++
		}), state)
		if err != nil {
			return nil, err
		}
		if n != 1 || bad {
			return nil, errors.New("a document without its seq")
		}
	}
	return places, nil
}
