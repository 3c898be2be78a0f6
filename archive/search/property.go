package search

import (
	"errors"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"holdfast/archive/query"
)

// property evaluates a clause that asks for neither words nor places in the log.
func (e *evaluator) property(n query.Node) (*roaring.Bitmap, error) {
	switch n := n.(type) {
	case *query.Person:
		return e.person(n)
	case *query.Group:
		return e.group(n)
	case *query.Conversation:
		set, err := e.terms(fieldConversation, n.Value)
		if err != nil {
			return nil, err
		}
		return set, e.addNamed(set, fieldConversationName, n.Tokens)
	case *query.Kind:
		return e.terms(fieldProperty, propType+n.Value, propKind+n.Value)
	case *query.Has:
		return e.terms(fieldProperty, propAttachment)
	case *query.Lang:
		return e.lang(n.Value)
	case *query.MRN:
		return e.terms(fieldProperty, propMRN+n.Key)
	case *query.Prio:
		return e.terms(fieldProperty, propPrio+n.Value)
	case *query.Time:
		start, end := n.Range()
		if n.Property == query.Received {
			return e.time(fieldReceivedDay, fieldReceived, start, end)
		}
		return e.time(fieldSentDay, fieldSent, start, end)
	case *query.Quarantined:
		if n.Is {
			return e.quarantined.Clone(), nil
		}
		return e.messages.Clone(), nil
	}
	return nil, errors.New("a query node of an unknown kind")
}

// sides are the fields in which the people of an entry stand.
var sides = []struct{ key, name string }{
	{fieldFromKey, fieldFromName}, {fieldToKey, fieldToName}, {fieldMemberKey, fieldMemberName},
}

func (e *evaluator) person(n *query.Person) (*roaring.Bitmap, error) {
	of := sides
	switch n.Property {
	case query.From:
		of = sides[:1]
	case query.To:
		of = sides[1:2]
	}
	keys := n.Usrs
	if n.Key != "" {
		keys = append([]string{n.Key}, keys...)
	}
	set := roaring.New()
	for _, side := range of {
		keyed, err := e.terms(side.key, keys...)
		if err != nil {
			return nil, err
		}
		set.Or(keyed)
		if err := e.addNamed(set, side.name, n.Tokens); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// addNamed adds the documents in whose field the tokens stand as a phrase.
func (e *evaluator) addNamed(set *roaring.Bitmap, field string, tokens []string) error {
	if len(tokens) == 0 {
		return nil
	}
	dict, err := e.seg.Dictionary(field)
	if err != nil {
		return err
	}
	var slots []*slot
	for _, token := range tokens {
		s, err := newSlot(dict, []string{token})
		if err != nil {
			return err
		}
		slots = append(slots, s)
	}
	named, err := phrase(slots, nil)
	if err != nil {
		return err
	}
	set.Or(named)
	return nil
}

func (e *evaluator) group(n *query.Group) (*roaring.Bitmap, error) {
	set := roaring.New()
	for _, stay := range n.Stays {
		var keys []string
		for _, usr := range stay.Usrs {
			keys = append(keys, query.FoldKey(usr))
		}
		people := roaring.New()
		for _, side := range sides {
			keyed, err := e.terms(side.key, keys...)
			if err != nil {
				return nil, err
			}
			people.Or(keyed)
		}
		if people.IsEmpty() {
			continue
		}
		during, err := e.time(fieldReceivedDay, fieldReceived, stay.From, stay.To)
		if err != nil {
			return nil, err
		}
		people.And(during)
		set.Or(people)
	}
	return set, nil
}

// lang finds a language tag and those that begin with it and a hyphen.
func (e *evaluator) lang(tag string) (*roaring.Bitmap, error) {
	set, err := e.terms(fieldProperty, propLang+tag)
	if err != nil {
		return nil, err
	}
	dict, err := e.seg.Dictionary(fieldProperty)
	if err != nil {
		return nil, err
	}
	return set, addRange(dict, propLang+tag+"-", propLang+tag+string(rune('-'+1)), set)
}

// time finds documents whose time is in [start,end), where a zero bound is none:
// whole days by their day, the rest of the first and the last day by the exact
// time.
func (e *evaluator) time(dayField, exactField string, start, end time.Time) (*roaring.Bitmap, error) {
	days, err := e.seg.Dictionary(dayField)
	if err != nil {
		return nil, err
	}
	exact, err := e.seg.Dictionary(exactField)
	if err != nil {
		return nil, err
	}
	set := roaring.New()
	// The first whole day, and the first day that is not whole any more.
	var firstDay, endDay string
	var edges [][2]string
	switch {
	case start.IsZero() && end.IsZero(): // whatever has a time
	case end.IsZero():
		firstDay, edges = wholeFrom(start)
	case start.IsZero():
		endDay, edges = wholeUntil(end)
	case dayOf(end)-dayOf(start) < 2:
		return set, addRange(exact, timeTerm(start), timeTerm(end), set)
	default:
		first, head := wholeFrom(start)
		last, tail := wholeUntil(end)
		firstDay, endDay, edges = first, last, append(head, tail...)
	}
	if err := addRange(days, firstDay, endDay, set); err != nil {
		return nil, err
	}
	for _, r := range edges {
		if err := addRange(exact, r[0], r[1], set); err != nil {
			return nil, err
		}
	}
	return set, nil
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
	return eachTerm(dict, lo, hi, func(term string) error { return orInto(dict, []byte(term), set) })
}

// seqs finds the documents whose message's seq is in the clause's range.
func (e *evaluator) seqs(n *query.Seq, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	c, err := e.column()
	if err != nil {
		return nil, err
	}
	return c.where(within, func(seq uint64) bool { return n.From <= seq && seq <= n.To }), nil
}

// held finds the documents whose message's seq is in the clause's set.
func (e *evaluator) held(n *query.Held, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	if n.Set == nil || n.Set.IsEmpty() {
		return roaring.New(), nil
	}
	c, err := e.column()
	if err != nil {
		return nil, err
	}
	return c.where(within, n.Set.Contains), nil
}
