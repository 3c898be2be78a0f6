package query

import (
	"slices"
	"time"
)

// Match says whether the query holds for d. It is exact: the index must give
// the same answer.
func (q *Query) Match(d *Doc) bool {
	e := evaluation{doc: d}
	return e.eval(q.root)
}

// evaluation tokenises each text of a document at most once.
type evaluation struct {
	doc          *Doc
	texts        [][]string // the text, then the attachment names
	from, to     [][]string
	conversation []string
}

func (e *evaluation) eval(n Node) bool {
	switch n := n.(type) {
	case *And:
		for _, p := range n.Of {
			if !e.eval(p) {
				return false
			}
		}
		return true
	case *Or:
		return slices.ContainsFunc(n.Of, e.eval)
	case *Not:
		return !e.eval(n.Of)
	case *Text:
		return e.text(n)
	case *Person:
		return e.person(n)
	case *Conversation:
		return e.inConversation(n)
	case *Time:
		return e.time(n)
	}
	return false
}

func (e *evaluation) text(n *Text) bool {
	if e.texts == nil {
		e.texts = append(e.texts, Words(e.doc.Text))
		for _, name := range e.doc.Names {
			e.texts = append(e.texts, Words(name))
		}
	}
	return slices.ContainsFunc(e.texts, func(words []string) bool { return hasPhrase(words, n.Tokens) })
}

func (e *evaluation) person(n *Person) bool {
	parties, names := e.doc.From, &e.from
	if n.Property == To {
		parties, names = e.doc.To, &e.to
	}
	if *names == nil {
		for _, p := range parties {
			*names = append(*names, Words(p.Name))
		}
	}
	for i, p := range parties {
		for _, id := range p.IDs() {
			if FoldKey(id) == n.Key {
				return true
			}
		}
		if hasPhrase((*names)[i], n.Tokens) {
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
	if c.ID == n.Value {
		return true // the value is never empty
	}
	if e.conversation == nil {
		e.conversation = Words(c.Name)
	}
	return hasPhrase(e.conversation, n.Tokens)
}

func (e *evaluation) time(n *Time) bool {
	at := e.doc.Sent
	if n.Property == Received {
		at = e.doc.Received
	}
	return !at.IsZero() && within(at, n)
}

func within(at time.Time, n *Time) bool {
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
