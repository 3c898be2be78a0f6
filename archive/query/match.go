package query

import (
	"slices"
	"strings"
	"time"
)

// Truth is what can be said of a query on an entry.
type Truth int8

// The truths, from the least to the greatest: And gives the least of its
// parts, Or the greatest.
const (
	No    Truth = iota
	Maybe       // it depends on what could not be read
	Yes
)

// Match says whether the entry is a hit: the query holds for d as far as d was
// read, and d does not hang at another message. It is exact: the index must
// give the same answer.
func (q *Query) Match(d *Doc) bool {
	if d.Hangs {
		return false
	}
	return q.judge(d, No) == Yes
}

// Judge says whether the query holds for d, whether or not d hangs at another
// message, in three values. When d is Unread a word, phrase or NEAR that is not
// found may stand in what nobody could read, and is Maybe; so is NOT of it. When
// d is Quarantined only seq:, hold:, matter:, received and quarantined: are
// known, all else is Maybe; a query that is not [Query.Quarantined] says No of
// it. All else is Yes or No. When d is not Unread and does not hang, the answer
// is Yes when that of Match is true.
func (q *Query) Judge(d *Doc) Truth {
	if d.Unread || slices.ContainsFunc(d.Files, func(f File) bool { return f.Unread }) {
		return q.judge(d, Maybe)
	}
	return q.judge(d, No)
}

func (q *Query) judge(d *Doc, unfound Truth) Truth {
	if d.Quarantined && !q.quarantined {
		return No
	}
	e := evaluation{doc: d, language: q.language, unfound: unfound}
	return e.judge(q.root)
}

// evaluation looks at one document. It reads each text at most once.
type evaluation struct {
	doc      *Doc
	language int
	unfound  Truth // what a word is that was not found

	text              passage
	files             []filePassages // nil before they are needed
	from, to, members []passage      // names of parties; nil before they are needed
	conversation      passage
}

type filePassages struct{ name, text passage }

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
	case *Seq:
		return truth(n.From <= e.doc.About() && e.doc.About() <= n.To)
	case *Held:
		return truth(n.Set != nil && n.Set.Contains(e.doc.About()))
	case *Quarantined:
		return truth(e.doc.Quarantined == n.Is)
	case *Time:
		if n.Property == Received {
			return truth(n.holds(e.doc.Received))
		}
	}
	if e.doc.Quarantined {
		return Maybe
	}
	return e.judgeMessage(n)
}

// judgeMessage judges by what only a message has.
func (e *evaluation) judgeMessage(n Node) Truth {
	d := e.doc
	switch n := n.(type) {
	case *Text:
		if e.said(n) {
			return Yes
		}
		if n.Where == Anywhere {
			return e.unfound
		}
	case *Near:
		if e.near(n) {
			return Yes
		}
		return e.unfound
	case *Person:
		return truth(e.person(n))
	case *Group:
		return truth(n.has(d))
	case *Conversation:
		return truth(d.Conversation.ID == n.Value || // the value is never empty
			e.conversation.has(e.language, d.Conversation.Name, n.words))
	case *Kind:
		return truth(d.Typ == n.Value || d.Conversation.Kind == n.Value)
	case *Has:
		return truth(len(d.Files) > 0)
	case *Lang:
		return truth(n.speaks(d.Lang))
	case *MRN:
		return truth(hasKey(d.MRN, n.Key))
	case *Prio:
		return truth(d.Prio == n.Value)
	case *Time:
		return truth(n.holds(d.Sent))
	}
	return No
}

func truth(b bool) Truth {
	if b {
		return Yes
	}
	return No
}

// said says whether the phrase stands in one passage of the entry.
func (e *evaluation) said(n *Text) bool {
	if n.Where == Anywhere && e.text.has(e.language, e.doc.Text, n.Words) {
		return true
	}
	e.openFiles()
	for i := range e.doc.Files {
		f, p := &e.doc.Files[i], &e.files[i]
		if p.name.has(e.language, f.Name, n.Words) || n.Where == Anywhere && p.text.has(e.language, f.Text, n.Words) {
			return true
		}
	}
	return false
}

func (e *evaluation) near(n *Near) bool {
	a, b := n.A.Words, n.B.Words
	if e.text.near(e.language, e.doc.Text, a, b, n.N) {
		return true
	}
	e.openFiles()
	for i := range e.doc.Files {
		f, p := &e.doc.Files[i], &e.files[i]
		if p.name.near(e.language, f.Name, a, b, n.N) || p.text.near(e.language, f.Text, a, b, n.N) {
			return true
		}
	}
	return false
}

func (e *evaluation) openFiles() {
	if e.files == nil && len(e.doc.Files) > 0 {
		e.files = make([]filePassages, len(e.doc.Files))
	}
}

func (e *evaluation) person(n *Person) bool {
	d := e.doc
	switch n.Property {
	case From:
		return e.party(n, d.From, &e.from)
	case To:
		return e.party(n, d.To, &e.to)
	}
	return e.party(n, d.From, &e.from) || e.party(n, d.To, &e.to) || e.party(n, d.Members, &e.members)
}

func (e *evaluation) party(n *Person, parties Parties, names *[]passage) bool {
	for i := range parties {
		p := &parties[i]
		if n.Key != "" && p.hasKey(n.Key) || slices.ContainsFunc(n.Usrs, p.hasKey) {
			return true
		}
	}
	if len(n.words) == 0 {
		return false
	}
	if *names == nil {
		*names = make([]passage, len(parties))
	}
	for i := range parties {
		if (*names)[i].has(e.language, parties[i].Name, n.words) {
			return true
		}
	}
	return false
}

func (p *Party) hasKey(key string) bool {
	return hasKey(p.Usr, key) || hasKey(p.UPN, key) || hasKey(p.Mail, key)
}

// stayed is a time of which a group's member was one; zero ends are open.
type stayed struct{ from, to time.Time }

func (g *Group) has(d *Doc) bool {
	if len(g.byKey) == 0 || d.Received.IsZero() {
		return false
	}
	for _, side := range [...]Parties{d.From, d.To, d.Members} {
		for i := range side {
			for _, id := range [...]string{side[i].Usr, side[i].UPN, side[i].Mail} {
				if id != "" && slices.ContainsFunc(g.byKey[FoldKey(id)], func(s stayed) bool { return s.covers(d.Received) }) {
					return true
				}
			}
		}
	}
	return false
}

func (s stayed) covers(t time.Time) bool {
	return (s.from.IsZero() || !t.Before(s.from)) && (s.to.IsZero() || t.Before(s.to))
}

func (l *Lang) speaks(tag string) bool {
	if tag == "" {
		return false
	}
	tag = FoldKey(tag)
	return tag == l.Value || strings.HasPrefix(tag, l.Value) && tag[len(l.Value)] == '-'
}

// holds says whether a time that is there is in the clause's range.
func (t *Time) holds(at time.Time) bool {
	if at.IsZero() {
		return false
	}
	start, end := t.Range()
	return (start.IsZero() || !at.Before(start)) && (end.IsZero() || at.Before(end))
}
