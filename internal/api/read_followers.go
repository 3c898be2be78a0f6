package api

import (
	"iter"

	"holdfast/archive/query"
	"holdfast/ingest/envelope"
)

// each yields every follower that was opened.
func (f *Followers) each() iter.Seq[Follower] {
	return func(yield func(Follower) bool) {
		lists := [][]Follower{f.Edits, f.Recalls, f.Others}
		if f.Receipts != nil {
			lists = append(lists, f.Receipts.Of)
		}
		for _, list := range lists {
			for _, one := range list {
				if !yield(one) {
					return
				}
			}
		}
	}
}

// add takes in one more follower.
func (f *Followers) add(one Follower) {
	switch one.Typ {
	case envelope.TypEdit:
		f.Edits = append(f.Edits, one)
	case envelope.TypRecall:
		f.Recalls = append(f.Recalls, one)
	case envelope.TypReceipt:
		if f.Receipts == nil {
			f.Receipts = &Receipts{}
		}
		switch one.Status {
		case "delivered":
			f.Receipts.Delivered++
		case "read":
			f.Receipts.Read++
		case "acknowledged":
			f.Receipts.Acknowledged++
		}
		f.Receipts.Of = append(f.Receipts.Of, one)
	default:
		f.Others = append(f.Others, one)
	}
}

// within returns the followers that are within a scope, and counts the others;
// nil is no scope.
func (f *Followers) within(scope *query.Query) Followers {
	if scope == nil {
		return *f
	}
	out := Followers{Of: f.Of, Unopened: f.Unopened, Unexamined: f.Unexamined, NotInScope: f.NotInScope}
	for one := range f.each() {
		if !isWithin(scope, one.FromUsr, one.toUsrs, one.Received) {
			out.NotInScope++
			continue
		}
		out.add(one)
	}
	return out
}
