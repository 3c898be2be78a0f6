package query

import (
	"math"
	"strconv"
	"strings"
)

const lastSeq = math.MaxUint64

// String returns the canonical form of the query: explicit operators, no more
// parentheses than needed, lower-case property names, times in UTC. Parsing it
// in the same version of the language, with any Reading, gives an equal query,
// but for what Bind, WithNames and Within added.
func (q *Query) String() string {
	p := printer{language: q.language}
	p.write(q.asWritten(), bindsOr)
	return string(p.out)
}

// String returns the clause as the canonical form of a query of [Language] has it.
func (t *Text) String() string {
	p := printer{language: Language}
	p.text(t)
	return string(p.out)
}

// How tightly the place binds in which a node is written.
const (
	bindsOr = iota
	bindsAnd
	bindsNot
)

type printer struct {
	out      []byte
	language int
}

func (p *printer) put(s string) { p.out = append(p.out, s...) }

func (p *printer) write(n Node, place int) {
	switch n := n.(type) {
	case *And:
		p.list(n.Of, " AND ", bindsAnd, place)
	case *Or:
		p.list(n.Of, " OR ", bindsOr, place)
	case *Not:
		p.put("NOT ")
		p.write(n.Of, bindsNot)
	case *Text:
		p.text(n)
	case *Near:
		p.text(n.A)
		p.put(" NEAR(" + strconv.Itoa(n.N) + ") ")
		p.text(n.B)
	case *Time:
		p.put(string(n.Property))
		if n.Op == Between {
			p.put("=" + p.moment(n.Value) + rangeSign + p.moment(n.Until))
		} else {
			p.put(string(n.Op) + p.moment(n.Value))
		}
	case *Seq:
		p.seq(n)
	default:
		p.property(n)
	}
}

func (p *printer) property(n Node) {
	switch n := n.(type) {
	case *Person:
		p.value(n.Property, n.Value)
	case *Group:
		p.value(InGroup, n.Value)
	case *Conversation:
		p.value(InConversation, n.Value)
	case *Kind:
		p.value(OfKind, n.Value)
	case *Has:
		p.value(Having, n.Value)
	case *Lang:
		p.value(InLanguage, n.Value)
	case *MRN:
		p.value(OfMRN, n.Value)
	case *Prio:
		p.value(OfPrio, n.Value)
	case *Held:
		p.value(n.Property, n.Value)
	case *Quarantined:
		p.value(IsQuarantined, strconv.FormatBool(n.Is))
	}
}

// moment writes a date so that it is the same day to every reader.
func (p *printer) moment(m Moment) string {
	if m.Date && p.language > 1 {
		return m.String() + utcSign
	}
	return m.String()
}

// text writes words as they were typed: bare if that means something else than
// in quotes.
func (p *printer) text(t *Text) {
	form := t.Words[0].Form
	pattern := false
	for _, w := range t.Words {
		pattern = pattern || w.Form >= Prefix
	}
	switch {
	case p.language == 1:
		p.one(t.Value)
	case t.Where == InFileName && pattern:
		p.put(string(FileName) + ":" + t.Value)
	case t.Where == InFileName:
		p.value(FileName, t.Value)
	case pattern || form == Stem:
		p.put(t.Value)
	case form == Exact:
		p.value(Exactly, t.Value)
	default:
		p.quoted(t.Value)
	}
}

func (p *printer) seq(n *Seq) {
	from, to := strconv.FormatUint(n.From, 10), strconv.FormatUint(n.To, 10)
	p.put(string(AtSeq))
	switch {
	case n.From == n.To:
		p.put(":" + from)
	case n.To == lastSeq:
		p.put(">=" + from)
	case n.From == 0:
		p.put("<=" + to)
	default:
		p.put(":" + from + rangeSign + to)
	}
}

func (p *printer) list(parts []Node, sep string, binds, place int) {
	if place > binds {
		p.put("(")
		defer p.put(")")
	}
	for i, n := range parts {
		if i > 0 {
			p.put(sep)
		}
		// One step tighter: a list holds no list of its own kind.
		p.write(n, max(binds, bindsAnd))
	}
}

func (p *printer) value(name Property, value string) {
	p.put(string(name) + ":")
	if strings.ContainsFunc(value, endsBare) || strings.ContainsAny(value, "*~"+smartQuotes) {
		p.quoted(value)
		return
	}
	p.put(value)
}

// quoted needs no escapes: a value cannot contain a quote.
func (p *printer) quoted(value string) { p.put(`"` + value + `"`) }

// depthOf returns how deeply parentheses and NOTs are nested in what is written
// of n at a place.
func depthOf(n Node, place int) int {
	deepest := 0
	list := func(parts []Node, binds int) int {
		for _, p := range parts {
			deepest = max(deepest, depthOf(p, max(binds, bindsAnd)))
		}
		if place > binds {
			deepest++
		}
		return deepest
	}
	switch n := n.(type) {
	case *And:
		return list(n.Of, bindsAnd)
	case *Or:
		return list(n.Of, bindsOr)
	case *Not:
		return 1 + depthOf(n.Of, bindsNot)
	}
	return 0
}
