package query

import "slices"

// Truth is what can be said of a query on an entry.
type Truth int8

// The truths, from the least to the greatest: And gives the least of its
// parts, Or the greatest.
const (
	No    Truth = iota
	Maybe       // it depends on what could not be read
	Yes
)

// Match says whether the query holds for d as far as d was read. It is exact:
// the index must give the same answer.
func (q *Query) Match(d *Doc) bool {
	e := evaluation{doc: d}
	return e.judge(q.root) == Yes
}

// Judge says whether the query holds for d, in three values. When d is Unread a
// word or phrase that is not found may stand in what nobody could read, and is
// Maybe; so is NOT of it. All else is Yes or No. When d is not Unread the
// answer is that of Match.
func (q *Query) Judge(d *Doc) Truth {
	e := evaluation{doc: d}
	if d.Unread {
		e.unfound = Maybe
	}
	return e.judge(q.root)
}

// evaluation looks at one document. It tokenises each text at most once.
type evaluation struct {
	doc          *Doc
	unfound      Truth // what a word is that was not found
	text         passage
	files        []passage // attachment names; nil before they are needed
	from, to     []passage // names of parties; nil before they are needed
	conversation passage
}

func (e *evaluation) judge(n Node) Truth {
	switch n := n.(type) {
	case *And:
		least := Yes
		for _, p := range n.Of {
			if least = min(least, e.judge(p)); least == No {
				break
			}
		}
		return least
	case *Or:
		most := No
		for _, p := range n.Of {
			if most = max(most, e.judge(p)); most == Yes {
				break
			}
		}
		return most
	case *Not:
		return Yes - e.judge(n.Of)
	case *Text:
		if e.said(n.Tokens) {
			return Yes
		}
		return e.unfound
	case *Person:
		return truth(e.person(n))
	case *Conversation:
		return truth(e.inConversation(n))
	case *Time:
		return truth(e.time(n))
	}
	return No
}

func truth(b bool) Truth {
	if b {
		return Yes
	}
	return No
}

// said says whether the phrase stands in the text or in the name of one attachment.
func (e *evaluation) said(phrase []string) bool {
	if e.text.has(e.doc.Text, phrase) {
		return true
	}
	if len(e.doc.Names) > 0 && e.files == nil {
		e.files = make([]passage, len(e.doc.Names))
	}
	for i, name := range e.doc.Names {
		if e.files[i].has(name, phrase) {
			return true
		}
	}
	return false
}

func (e *evaluation) person(n *Person) bool {
	parties, names := e.doc.From, &e.from
	if n.Property == To {
		parties, names = e.doc.To, &e.to
	}
	for i := range parties {
		p := &parties[i]
		if hasKey(p.Usr, n.Key) || hasKey(p.UPN, n.Key) || hasKey(p.Mail, n.Key) {
			return true
		}
	}
	if len(n.Tokens) == 0 {
		return false
	}
	if *names == nil {
		*names = make([]passage, len(parties))
	}
	for i := range parties {
		if (*names)[i].has(parties[i].Name, n.Tokens) {
			return true
		}
	}
	return false
}

// IDs returns those of usr, UPN and mail address that the party has.
func (p Party) IDs() []string {
	ids := make([]string, 0, 3)
	for _, id := range []string{p.Usr, p.UPN, p.Mail} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

func (e *evaluation) inConversation(n *Conversation) bool {
	c := &e.doc.Conversation
	return c.ID == n.Value || // the value is never empty
		e.conversation.has(c.Name, n.Tokens)
}

func (e *evaluation) time(n *Time) bool {
	at := e.doc.Sent
	if n.Property == Received {
		at = e.doc.Received
	}
	if at.IsZero() {
		return false
	}
	start, end := n.Range()
	return (start.IsZero() || !at.Before(start)) && (end.IsZero() || at.Before(end))
}

// hasPhrase says whether phrase stands in words as consecutive tokens; an empty
// phrase stands nowhere.
func hasPhrase(words, phrase []string) bool {
	if len(phrase) == 0 {
		return false
	}
	for i := 0; i+len(phrase) <= len(words); i++ {
		if slices.Equal(words[i:i+len(phrase)], phrase) {
			return true
		}
	}
	return false
}
