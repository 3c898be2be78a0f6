package query

// In returns a query that holds where q holds and the entry is of the
// conversation with exactly that id, whatever conversations are called. It is
// written like q.
func (q *Query) In(conversation string) *Query {
	return q.over(&And{[]Node{q.root, &Conversation{Value: conversation}}})
}

// Among returns a query that holds where q holds and from <= seq <= to. It is
// written like q.
func (q *Query) Among(from, to uint64) *Query {
	return q.over(&And{[]Node{q.root, &Seq{From: from, To: to}}})
}

// Of returns a query that holds where q holds and one of the relay users is the
// sender, a recipient, or a member of the conversation. It is written like q.
func (q *Query) Of(usrs []string) *Query {
	person := (&Person{Property: Custodian}).with(usrs)
	return q.over(&And{[]Node{q.root, person}})
}
