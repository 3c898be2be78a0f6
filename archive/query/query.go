// Package query is the query language of Holdfast: it parses a query and
// evaluates it exactly against one entry. It holds no index and imports none;
// archive/search must give for every query exactly the entries for which
// [Query.Match] is true.
//
// Any package above floor 0 may import it. The language is specified in
// archive/query/QUERY.md.
//
// Neither an error nor any other message of this package carries query text:
// a query may name a patient.
package query

// Limits of a query. They are checked before anything is allocated for the
// part that would exceed them.
const (
	MaxBytes   = 4 << 10 // length of the query text
	MaxDepth   = 32      // nested parentheses and NOTs
	MaxClauses = 256     // words, phrases and property clauses together
)

// Query is a parsed query. It is immutable and safe for concurrent use.
type Query struct {
	root    Node
	written Node // what String writes, where that is not root: see WithNames and Within
}

func (q *Query) asWritten() Node {
	if q.written != nil {
		return q.written
	}
	return q.root
}

// Root returns the top of the tree, for planners. It must not be modified.
func (q *Query) Root() Node { return q.root }

// Node is one of [And], [Or], [Not], [Text], [Person], [Conversation], [Time].
type Node interface{ node() }

// And matches when all its parts match. As parsed it has at least two parts,
// none of which is an And.
type And struct{ Of []Node }

// Or matches when at least one of its parts matches. As parsed it has at least
// two parts, none of which is an Or; without parts it matches nothing.
type Or struct{ Of []Node }

// Not matches when its part does not.
type Not struct{ Of Node }

// Text matches when its tokens stand as a phrase in the entry's text or in the
// name of one attachment.
type Text struct {
	Value  string   // as typed, without quotes
	Tokens []string // at least one
}

// Person matches when the value equals the usr, UPN or mail address of a
// party, by [FoldKey], or its tokens stand as a phrase in the party's name.
type Person struct {
	Property Property // From or To
	Value    string   // as typed, without quotes
	Key      string   // FoldKey(Value)
	Tokens   []string // of the value; may be empty
}

// Conversation matches when the value is the conversation's id, byte for byte,
// or its tokens stand as a phrase in the conversation's name.
type Conversation struct {
	Value  string
	Tokens []string // of the value; may be empty
}

// Time compares a time of the entry with a date or time.
type Time struct {
	Property Property // Sent or Received
	Op       Op
	Value    Moment
}

func (*And) node()          {}
func (*Or) node()           {}
func (*Not) node()          {}
func (*Text) node()         {}
func (*Person) node()       {}
func (*Conversation) node() {}
func (*Time) node()         {}

// Property is the name of a property that a clause can ask for.
type Property string

// The properties.
const (
	From           Property = "from"
	To             Property = "to"
	InConversation Property = "conversation"
	Sent           Property = "sent"
	Received       Property = "received"
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
)
