package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"holdfast/archive/query"
)

// By says what matching messages are counted by.
type By int

// The ways to count.
const (
	ByMonth        By = iota // of the time received, as "2026-01"
	ByConversation           // by conversation id
	ByParty                  // by usr of sender, recipients and members: a message counts once for each
	ByTerm                   // by the words and phrases of the query, as written: a message counts for each that it has
)

// Bucket is how many matching messages have something in common.
type Bucket struct {
	Key   string // what they have in common; of ByTerm the clause in its canonical form
	Count uint64
	Alone uint64 // of ByTerm: how many of them have no other of the query's words and phrases
}

// Count counts the messages for which q matches. The buckets come in ascending
// order of Key, those of ByTerm in the order of the query, and there is none of a
// count of 0 but by term. Months are those of zone, of UTC when it is nil. What
// has no conversation, or no party, is in the result's Total alone.
// Errors are those of Search.
func (x *Index) Count(ctx context.Context, q *query.Query, by By, zone *time.Location, asOf uint64) ([]Bucket, Result, error) {
	if zone == nil {
		zone = time.UTC
	}
	t := &tally{by: by, zone: zone, counts: map[string]uint64{}}
	if by == ByTerm {
		for _, text := range clauses(q.Root()) {
			clause, err := query.Parse(text)
			if err != nil {
				return nil, Result{}, fmt.Errorf("count: %w", err)
			}
			t.clauses = append(t.clauses, clause)
			t.buckets = append(t.buckets, Bucket{Key: text})
		}
	}
	r, err := x.run(ctx, q, asOf, t)
	if err != nil {
		return nil, Result{}, fmt.Errorf("count: %w", err)
	}
	for key, n := range t.counts {
		t.buckets = append(t.buckets, Bucket{Key: key, Count: n})
	}
	if by != ByTerm {
		slices.SortFunc(t.buckets, func(a, b Bucket) int { return cmp.Compare(a.Key, b.Key) })
	}
	return t.buckets, r, nil
}

// clauses returns the words and phrases of a query, each once, in canonical form.
func clauses(n query.Node) (texts []string) {
	each := func(parts []query.Node) {
		for _, p := range parts {
			for _, text := range clauses(p) {
				if !slices.Contains(texts, text) {
					texts = append(texts, text)
				}
			}
		}
	}
	switch n := n.(type) {
	case *query.And:
		each(n.Of)
	case *query.Or:
		each(n.Of)
	case *query.Not:
		each([]query.Node{n.Of})
	case *query.Near:
		each([]query.Node{n.A, n.B})
	case *query.Text:
		texts = append(texts, n.String())
	}
	return texts
}

// tally is a taker that counts.
type tally struct {
	by      By
	zone    *time.Location
	counts  map[string]uint64 // but of ByTerm
	clauses []*query.Query    // of ByTerm
	buckets []Bucket          // of ByTerm, one for each clause
}

func (t *tally) asks() (nodes []query.Node) {
	for _, c := range t.clauses {
		nodes = append(nodes, c.Root())
	}
	return nodes
}

const monthForm = "2006-01"

func (t *tally) doc(d *query.Doc) func() {
	if t.by == ByTerm {
		return t.docTerms(d)
	}
	keys := t.keys(d)
	slices.Sort(keys)
	keys = slices.Compact(keys)
	return func() {
		for _, key := range keys {
			t.counts[key]++
		}
	}
}

// keys returns the buckets of a document, maybe some twice.
func (t *tally) keys(d *query.Doc) (keys []string) {
	switch t.by {
	case ByMonth:
		if !d.Received.IsZero() {
			keys = append(keys, d.Received.In(t.zone).Format(monthForm))
		}
	case ByConversation:
		if d.Conversation.ID != "" {
			keys = append(keys, d.Conversation.ID)
		}
	case ByParty:
		for _, side := range []query.Parties{d.From, d.To, d.Members} {
			for _, p := range side {
				if p.Usr != "" {
					keys = append(keys, p.Usr)
				}
			}
		}
	}
	return keys
}

func (t *tally) docTerms(d *query.Doc) func() {
	var has []int
	for i, c := range t.clauses {
		if c.Match(d) {
			has = append(has, i)
		}
	}
	return func() {
		for _, i := range has {
			t.buckets[i].Count++
			if len(has) == 1 {
				t.buckets[i].Alone++
			}
		}
	}
}

func (t *tally) segment(e *evaluator, s *searched) error {
	if s.found.IsEmpty() {
		return nil
	}
	switch t.by {
	case ByMonth:
		return t.months(e, s.found)
	case ByConversation:
		return t.byTerm(e, fieldConversation, s.found)
	case ByParty:
		return t.byTerm(e, fieldUsr, s.found)
	case ByTerm:
		return t.terms(e, s.found)
	}
	return errors.New("a count of an unknown kind")
}

// byTerm counts the documents of found that have each term of a field.
func (t *tally) byTerm(e *evaluator, field string, found *roaring.Bitmap) error {
	dict, err := e.seg.Dictionary(field)
	if err != nil {
		return err
	}
	set := roaring.New()
	return eachTerm(dict, nil, nil, func(term string) error {
		set.Clear()
		if err := orInto(dict, []byte(term), set); err != nil {
			return err
		}
		if n := set.AndCardinality(found); n > 0 {
			t.counts[term] += n
		}
		return nil
	})
}

// months counts by the months in which something was received.
func (t *tally) months(e *evaluator, found *roaring.Bitmap) error {
	days, err := e.seg.Dictionary(fieldReceivedDay)
	if err != nil {
		return err
	}
	var done time.Time // the end of the last month that was counted
	return eachTerm(days, nil, nil, func(term string) error {
		day, ok := parseDayTerm(term)
		if !ok {
			return errors.New("a day that is none")
		}
		// A day of UTC may lie in two months of the zone.
		begin := time.Unix(day*secondsPerDay, 0)
		for _, at := range []time.Time{begin, begin.Add(secondsPerDay*time.Second - 1)} {
			if !at.Before(done) || done.IsZero() {
				at = at.In(t.zone)
				first := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, t.zone)
				done = time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, t.zone)
				set, err := e.time(fieldReceivedDay, fieldReceived, first, done)
				if err != nil {
					return err
				}
				if n := set.AndCardinality(found); n > 0 {
					t.counts[at.Format(monthForm)] += n
				}
			}
		}
		return nil
	})
}

// terms counts by the clauses of the query.
func (t *tally) terms(e *evaluator, found *roaring.Bitmap) error {
	sets := make([]*roaring.Bitmap, len(t.clauses))
	for i, c := range t.clauses {
		var err error
		if sets[i], err = e.eval(c.Root(), found); err != nil {
			return err
		}
	}
	for i, set := range sets {
		t.buckets[i].Count += set.GetCardinality()
		alone := set.Clone()
		for j, other := range sets {
			if j != i {
				alone.AndNot(other)
			}
		}
		t.buckets[i].Alone += alone.GetCardinality()
	}
	return nil
}
