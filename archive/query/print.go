package query

import "strings"

// String returns the canonical form of the query: explicit operators, no more
// parentheses than needed, lower-case property names, times in UTC. Parsing it
// gives an equal query, but for what WithNames and Within added.
func (q *Query) String() string {
	var b strings.Builder
	write(&b, q.asWritten(), bindsOr)
	return b.String()
}

// How tightly the place binds in which a node is written.
const (
	bindsOr = iota
	bindsAnd
	bindsNot
)

func write(b *strings.Builder, n Node, place int) {
	switch n := n.(type) {
	case *And:
		writeList(b, n.Of, " AND ", bindsAnd, place)
	case *Or:
		writeList(b, n.Of, " OR ", bindsOr, place)
	case *Not:
		b.WriteString("NOT ")
		write(b, n.Of, bindsNot)
	case *Text:
		if isBareWord(n.Value) {
			b.WriteString(n.Value)
		} else {
			writeQuoted(b, n.Value)
		}
	case *Person:
		writeProperty(b, n.Property, n.Value)
	case *Conversation:
		writeProperty(b, InConversation, n.Value)
	case *Time:
		b.WriteString(string(n.Property))
		b.WriteString(string(n.Op))
		b.WriteString(n.Value.String())
	}
}

func writeList(b *strings.Builder, parts []Node, sep string, binds, place int) {
	if place > binds {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	for i, p := range parts {
		if i > 0 {
			b.WriteString(sep)
		}
		// One step tighter: a list holds no list of its own kind.
		write(b, p, max(binds, bindsAnd))
	}
}

func writeProperty(b *strings.Builder, p Property, value string) {
	b.WriteString(string(p))
	b.WriteByte(':')
	if strings.ContainsFunc(value, endsBare) || strings.ContainsAny(value, forbiddenBare) {
		writeQuoted(b, value)
		return
	}
	b.WriteString(value)
}

// writeQuoted needs no escapes: a value cannot contain a quote.
func writeQuoted(b *strings.Builder, value string) {
	b.WriteByte('"')
	b.WriteString(value)
	b.WriteByte('"')
}
