package query

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Explanation is how a query was understood. It holds the query's text: it is
// for who asked, and for no log.
type Explanation struct {
	Canonical string   `json:"canonical"` // see [Query.String]
	Language  int      `json:"language"`
	Parts     []Part   `json:"parts"`
	Differs   []string `json:"differs"` // where KQL, as Microsoft documents it, reads this query otherwise
}

// Part is one clause of a query.
type Part struct {
	Text  string `json:"text"`  // as the canonical form has it
	Reads string `json:"reads"` // what it finds, in English
}

// Explain says how the query was understood.
func (q *Query) Explain() Explanation {
	x := Explanation{Canonical: q.String(), Language: q.language, Parts: []Part{}, Differs: []string{}}
	var explain func(Node)
	explain = func(n Node) {
		switch n := n.(type) {
		case *And:
			for _, p := range n.Of {
				explain(p)
			}
		case *Or:
			for _, p := range n.Of {
				explain(p)
			}
		case *Not:
			explain(n.Of)
		default:
			p := printer{language: q.language}
			p.write(n, bindsOr)
			x.Parts = append(x.Parts, Part{string(p.out), reads(n)})
		}
	}
	explain(q.asWritten())
	if q.language > 1 {
		x.Differs = append(x.Differs, q.differs()...)
	}
	return x
}

// reads says what a clause finds.
func reads(n Node) string {
	switch n := n.(type) {
	case *Text:
		where := "in the text, a file's name or a file's text"
		if n.Where == InFileName {
			where = "in a file's name"
		}
		return readsWords(n.Words) + ", " + where
	case *Near:
		return fmt.Sprintf("%s and %s, in either order, with at most %d words between them, in one text or file", readsWords(n.A.Words), readsWords(n.B.Words), n.N)
	case *Person:
		return readsPerson(n)
	case *Group:
		return "messages received while their sender, a recipient or a member of their conversation was in this group"
	case *Conversation:
		return "the conversation with this id, or with these words in its name"
	case *Kind:
		return "messages of this type, or in conversations of this kind; what hangs at a message, as a receipt does, is no hit itself"
	case *Has:
		return "messages with an attachment"
	case *Lang:
		return "messages whose sender's app said that they are in this language"
	case *MRN:
		return "messages whose sender named this patient; others may be about the patient as well"
	case *Prio:
		return "messages of this priority"
	case *Time:
		return readsTime(n)
	case *Seq:
		return "entries by their place in the log"
	case *Held:
		if n.Property == OnHold {
			return "entries that this hold covers"
		}
		return "entries that the holds of this matter cover"
	case *Quarantined:
		if n.Is {
			return "what is in quarantine"
		}
		return "what is not in quarantine"
	}
	return ""
}

func readsWords(words []Word) string {
	each := make([]string, len(words))
	for i, w := range words {
		switch w.Form {
		case Stem:
			each[i] = "the word " + w.Text + " with or without accents"
			if w.en != "" || w.es != "" {
				each[i] += ", and words of its stem"
				if w.en != "" {
					each[i] += " (English " + w.en + ")"
				}
				if w.es != "" {
					each[i] += " (Spanish " + w.es + ")"
				}
			}
		case Folded:
			each[i] = "the word " + w.Text + " with or without accents"
		case Exact:
			each[i] = "exactly the word " + w.Text
		case Prefix:
			each[i] = "words that begin with " + w.Text
		case Suffix:
			each[i] = "words that end with " + w.Text
		case Infix:
			each[i] = "words with " + w.Text + " in them"
		case Fuzzy:
			each[i] = fmt.Sprintf("words that differ from %s in at most %d characters", w.Text, w.Distance)
		}
	}
	return strings.Join(each, ", then directly ")
}

func readsPerson(n *Person) string {
	known := ", by user id, UPN, mail address, or any name that the person had"
	switch n.Property {
	case From:
		return "messages from this person" + known
	case To:
		return "messages to this person" + known
	case Participants:
		return "messages from or to this person, or in a conversation of which the person was a member" + known
	}
	return "messages from or to this custodian, or in a conversation of which the custodian was a member; the name must be one that the directory knows"
}

func readsTime(n *Time) string {
	by := "sent, by the sender's device,"
	if n.Property == Received {
		by = "received, by the archive's clock,"
	}
	start, end := n.Range()
	var bounds []string
	if !start.IsZero() {
		bounds = append(bounds, "from "+start.Format(time.RFC3339Nano)+" on")
	}
	if !end.IsZero() {
		bounds = append(bounds, "before "+end.Format(time.RFC3339Nano))
	}
	return by + " " + strings.Join(bounds, " and ")
}

// differs says where KQL reads a query otherwise, or knows nothing like it.
func (q *Query) differs() []string {
	var all []string
	say := func(s string) {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	walk(q.asWritten(), func(n Node) {
		switch n := n.(type) {
		case *Text:
			for _, w := range n.Words {
				say(differsWord(w.Form))
			}
		case *Near:
			say("NEAR counts the words between the two, in either order, and joins words and phrases of one text or file alone; groups are written out")
		case *Person:
			say("a person is found by whole id or address and by any name in the directory's history, not by the text of a mail header; a name's words stand in a row")
		case *Group, *Held, *Quarantined, *Seq, *MRN, *Prio, *Conversation:
			say("group:, conversation:, mrn:, prio:, hold:, matter:, seq: and quarantined: are Holdfast's own")
		case *Kind:
			say("kind: takes types of messages and kinds of conversations, not KQL's email or im")
		case *Has:
			say("has:attachment is written hasattachment:true in KQL")
		case *Time:
			say("times are frozen into UTC instants when the query is read, in the reader's time zone; weeks begin on Monday")
		case *And:
			say("nothing between two clauses is AND, always; KQL joins clauses of one property with OR, which is refused here until an operator is written")
		}
	})
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func differsWord(f Form) string {
	switch f {
	case Stem:
		return "a bare word also finds words of the same English or Spanish stem; in quotes it does not"
	case Exact:
		return "exact: is Holdfast's own: KQL has no way to make accents count"
	case Suffix, Infix:
		return "a star before letters is Holdfast's own: KQL knows it only after them"
	case Fuzzy:
		return "word~1 is Holdfast's own: KQL has no fuzzy search"
	}
	return ""
}
