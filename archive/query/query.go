// Package query is the query language of Holdfast: it parses a query and
// evaluates it exactly against one entry. It holds no index and imports none;
// archive/search must give for every query exactly the entries for which
// [Query.Match] is true.
//
// Any package above floor 0 may import it. The language is specified in
// archive/query/QUERY.md.
//
// No error of this package carries query text in its message: a query may name
// a patient.
package query

import (
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// Limits of a query. They are checked before anything is allocated for the
// part that would exceed them.
const (
	MaxBytes   = 4 << 10 // length of the query text
	MaxDepth   = 32      // nested parentheses and NOTs
	MaxClauses = 256     // words, phrases and property clauses together; a NEAR has two
	MaxNear    = 100     // tokens between the two sides of a NEAR
)

// Query is a parsed query. It is immutable and safe for concurrent use.
type Query struct {
	language    int
	quarantined bool // a clause asks for quarantined:
	root        Node
	written     Node // what String writes, where that is not root: see Bind and Within
}

func newQuery(language int, root Node) *Query {
	q := &Query{language: language, root: root}
	walk(root, func(n Node) {
		if _, ok := n.(*Quarantined); ok {
			q.quarantined = true
		}
	})
	return q
}

func (q *Query) asWritten() Node {
	if q.written != nil {
		return q.written
	}
	return q.root
}

// over returns a query that is written like q and evaluates root.
func (q *Query) over(root Node) *Query {
	return &Query{language: q.language, quarantined: q.quarantined, root: root, written: q.asWritten()}
}

// Root returns the top of the tree, for planners. It must not be modified.
func (q *Query) Root() Node { return q.root }

// Language returns the version of the language in which the query was read. An
// index answers queries of [Language] alone: version 1 cuts text into other words.
func (q *Query) Language() int { return q.language }

// Quarantined says whether the query asks about quarantine, so that quarantined
// entries are among those that it can find. No other query finds one.
func (q *Query) Quarantined() bool { return q.quarantined }

// Node is one of [And], [Or], [Not], [Text], [Near], [Person], [Group],
// [Conversation], [Kind], [Has], [Lang], [MRN], [Prio], [Time], [Seq], [Held],
// [Quarantined].
type Node interface{ node() }

// And matches when all its parts match. As parsed it has at least two parts,
// none of which is an And.
type And struct{ Of []Node }

// Or matches when at least one of its parts matches. As parsed it has at least
// two parts, none of which is an Or; without parts it matches nothing.
type Or struct{ Of []Node }

// Not matches when its part does not.
type Not struct{ Of Node }

// Where says in which texts of an entry words are looked for.
type Where uint8

// The places.
const (
	Anywhere   Where = iota // the text, the files' names, the files' texts
	InFileName              // the files' names
)

// Text matches when tokens that its words accept stand one after the other in
// one passage: in the entry's text, in the name of one file, or in its text.
type Text struct {
	Value string // as typed, without quotes
	Where Where
	Words []Word // at least one
}

// Near matches when A and B stand in one passage, in either order and without
// overlapping, with at most N tokens between them.
type Near struct {
	A, B *Text // both Anywhere
	N    int
}

// Person matches when a party of the side that the property names has one of
// the keys Key and Usrs as usr, UPN or mail address, by [FoldKey], or has the
// tokens as a phrase in the name. From is the sender, To the recipients;
// Participants and Custodian are these and the conversation's members. Custodian
// matches by Usrs alone, and so nobody before it is bound.
type Person struct {
	Property Property // From, To, Participants or Custodian
	Value    string   // as typed, without quotes
	Key      string   // FoldKey(Value); "" for Custodian
	Tokens   []string // of the value, without accents since language 2; may be empty
	Usrs     []string // bound: FoldKey of the relay users that the value names

	words []Word // that accept Tokens
}

// Group matches when a participant (sender, recipient, or the conversation's
// member) is among a stay's people, by [FoldKey] of usr, UPN or mail address,
// and the archive received the entry during the stay.
type Group struct {
	Value string
	Stays []Stay // bound

	byKey map[string][]stayed
}

// Conversation matches when the value is the conversation's id, byte for byte,
// or its tokens stand as a phrase in the conversation's name.
type Conversation struct {
	Value  string
	Tokens []string // of the value, without accents since language 2; may be empty

	words []Word // that accept Tokens
}

// Kind matches a type of message or a kind of conversation.
type Kind struct{ Value string } // as AMX/1 writes it: ingest/AMX.md §1

// Has matches what has something; "attachment" is all there is.
type Has struct{ Value string }

// Lang matches a language tag, or a longer one that begins with it and a hyphen,
// by [FoldKey].
type Lang struct{ Value string } // FoldKey of what was typed

// MRN matches the medical record number of the patient whom the sender named,
// whole, by [FoldKey].
type MRN struct{ Value, Key string }

// Prio matches a priority.
type Prio struct{ Value string } // as AMX/1 writes it: ingest/AMX.md §1

// Time compares a time of the entry with a date or time; see [Time.Range].
type Time struct {
	Property Property // Sent or Received
	Op       Op
	Value    Moment
	Until    Moment // the last unit, of Between; else zero
}

// Seq matches entries by their place in the log: From <= seq <= To. A late
// attachment has the place of its message.
type Seq struct{ From, To uint64 }

// Held matches the entries that a hold, or the holds of a matter, cover. A late
// attachment is covered with its message.
type Held struct {
	Property Property // OnHold or ForMatter
	Value    string
	Set      *roaring64.Bitmap // bound: of seqs; nil: none
}

// Quarantined matches what is in quarantine, or what is not.
type Quarantined struct{ Is bool }

func (*And) node()          {}
func (*Or) node()           {}
func (*Not) node()          {}
func (*Text) node()         {}
func (*Near) node()         {}
func (*Person) node()       {}
func (*Group) node()        {}
func (*Conversation) node() {}
func (*Kind) node()         {}
func (*Has) node()          {}
func (*Lang) node()         {}
func (*MRN) node()          {}
func (*Prio) node()         {}
func (*Time) node()         {}
func (*Seq) node()          {}
func (*Held) node()         {}
func (*Quarantined) node()  {}

// walk calls visit for n and every node below it, in the order of writing. The
// two texts of a Near are visited after it.
func walk(n Node, visit func(Node)) {
	visit(n)
	switch n := n.(type) {
	case *And:
		for _, p := range n.Of {
			walk(p, visit)
		}
	case *Or:
		for _, p := range n.Of {
			walk(p, visit)
		}
	case *Not:
		walk(n.Of, visit)
	case *Near:
		walk(n.A, visit)
		walk(n.B, visit)
	}
}

// Property is the name of a property that a clause can ask for.
type Property string

// The properties.
const (
	From           Property = "from"
	To             Property = "to"
	Participants   Property = "participants"
	Custodian      Property = "custodian"
	InGroup        Property = "group"
	InConversation Property = "conversation"
	OfKind         Property = "kind"
	Having         Property = "has"
	FileName       Property = "filename"
	InLanguage     Property = "lang"
	OfMRN          Property = "mrn"
	OfPrio         Property = "prio"
	Sent           Property = "sent"
	Received       Property = "received"
	OnHold         Property = "hold"
	ForMatter      Property = "matter"
	AtSeq          Property = "seq"
	IsQuarantined  Property = "quarantined"
	Exactly        Property = "exact"
)

// Op compares times.
type Op string

// The comparisons.
const (
	Equal        Op = "="
	Less         Op = "<"
	LessEqual    Op = "<="
	Greater      Op = ">"
	GreaterEqual Op = ">="
	Between      Op = ".." // from the first instant of Value's unit to the last of Until's
)

// Stay is some people's belonging to a scope for a time: [From, To), where a
// zero time is an open end. Usrs are their relay user ids.
type Stay struct {
	Usrs     []string
	From, To time.Time
}
