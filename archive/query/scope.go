package query

import "time"

// Span returns bounds on when an entry was received and on its seq that every
// hit keeps: those of the clauses joined by AND at the top. An entry outside of
// them is no hit, whatever it says; one inside may be none either. from is the
// first instant and to the first after the last, zero for none; first and last
// are the seqs, 0 and the greatest for none.
func (q *Query) Span() (from, to time.Time, first, last uint64) {
	last = lastSeq
	var narrow func(Node)
	narrow = func(n Node) {
		switch n := n.(type) {
		case *And:
			for _, p := range n.Of {
				narrow(p)
			}
		case *Seq:
			first, last = max(first, n.From), min(last, n.To)
		case *Time:
			if n.Property != Received {
				return
			}
			start, end := n.Range()
			if !start.IsZero() && start.After(from) {
				from = start
			}
			if !end.IsZero() && (to.IsZero() || end.Before(to)) {
				to = end
			}
		}
	}
	narrow(q.root)
	return from, to, first, last
}

// Terms returns the words and phrases that a hit may have, each once, in the
// order in which they are written; not those that it must not have.
func (q *Query) Terms() []*Text {
	var terms []*Text
	seen := map[string]bool{}
	var gather func(n Node, wanted bool)
	gather = func(n Node, wanted bool) {
		switch n := n.(type) {
		case *And:
			for _, p := range n.Of {
				gather(p, wanted)
			}
		case *Or:
			for _, p := range n.Of {
				gather(p, wanted)
			}
		case *Not:
			gather(n.Of, !wanted)
		case *Near:
			gather(n.A, wanted)
			gather(n.B, wanted)
		case *Text:
			if written := n.String(); wanted && !seen[written] {
				seen[written] = true
				terms = append(terms, n)
			}
		}
	}
	gather(q.asWritten(), true)
	return terms
}
