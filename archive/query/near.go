package query

import (
	"slices"
	"strings"
)

// near reads a term, or terms joined by NEAR. Groups of alternatives are written
// out: (a OR b) NEAR c is a NEAR c OR b NEAR c; and a NEAR b NEAR c is a NEAR b
// AND b NEAR c.
func (p *parser) near(depth int) (Node, error) {
	column := p.cur.column
	left, err := p.term(depth)
	if err != nil || p.cur.kind != lexNear {
		return left, err
	}
	var parts []Node
	for p.cur.kind == lexNear {
		n := p.cur.n
		if err := p.advance(); err != nil {
			return nil, err
		}
		second := p.cur.column
		right, err := p.term(depth)
		if err != nil {
			return nil, err
		}
		pairs, err := nearEach(column, left, second, right, n)
		if err != nil {
			return nil, err
		}
		parts = appendAnd(parts, pairs)
		column, left = second, right
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return &And{parts}, nil
}

func nearEach(column int, left Node, second int, right Node, n int) (Node, error) {
	a, err := alternatives(column, left)
	if err != nil {
		return nil, err
	}
	b, err := alternatives(second, right)
	if err != nil {
		return nil, err
	}
	if 2*len(a)*len(b) > MaxClauses {
		return nil, tooMany(column)
	}
	var pairs []Node
	for _, x := range a {
		for _, y := range b {
			pairs = append(pairs, &Near{x, y, n})
		}
	}
	if len(pairs) == 1 {
		return pairs[0], nil
	}
	return &Or{pairs}, nil
}

// alternatives returns the words and phrases that one side of a NEAR may be.
func alternatives(column int, n Node) ([]*Text, error) {
	var texts []*Text
	parts := []Node{n}
	if or, ok := n.(*Or); ok {
		parts = or.Of
	}
	for _, part := range parts {
		t, ok := part.(*Text)
		if !ok || t.Where != Anywhere {
			return nil, syntax(column, "NEAR stands beside something that is no word or phrase", `join words, phrases, or groups of these with OR: (call OR page) NEAR(5) "dr ng"`)
		}
		texts = append(texts, t)
	}
	return texts, nil
}

// sideBySide is the property clauses that stand in a row with no operator
// between them.
type sideBySide struct{ clauses []lexeme }

func (s *sideBySide) forget() { s.clauses = s.clauses[:0] }

// besides notes the clause that comes next, and refuses it when one of the same
// property stands before it with no operator between: dialects of KQL read that
// as OR, this one would as AND.
func (p *parser) besides(side *sideBySide) error {
	if p.language == 1 {
		return nil
	}
	x := p.cur
	switch {
	case x.kind == lexNot:
		side.forget()
		return nil
	case x.kind != lexProperty || Property(x.property) == Exactly || !slices.Contains(properties, Property(x.property)):
		return nil
	}
	first := slices.IndexFunc(side.clauses, func(c lexeme) bool { return c.property == x.property })
	if first < 0 {
		side.clauses = append(side.clauses, x)
		return nil
	}
	if _, err := p.clause(x); err != nil { // what is wrong with it comes first
		return err
	}
	name := x.property + ":"
	if isRanged(x.property) {
		name = x.property + ">="
	}
	err := &SyntaxError{
		Column: x.column,
		Msg:    "the same property stands here again without an operator, which some read as OR and some as AND",
		Hint:   "write (" + name + "A OR " + name + "B) for entries with either, " + name + "A AND " + name + "B for entries with both",
	}
	err.Readings = p.readings(side.clauses[first])
	return err
}

// readings returns the query with OR, and with AND, between the clauses of one
// property in a row. The parser stands at the second.
func (p *parser) readings(first lexeme) []string {
	all := []lexeme{first, p.cur}
	l := p.lexer // a copy: the parser stays where it is
	for open := 0; ; {
		x, err := l.next()
		if err != nil || x.kind == lexEnd || x.kind == lexClose && open == 0 {
			break
		}
		switch x.kind {
		case lexOpen:
			open++
		case lexClose:
			open--
		}
		if open > 0 {
			continue
		}
		if x.kind == lexAnd || x.kind == lexOr || x.kind == lexNot || x.kind == lexNear {
			break
		}
		if x.kind == lexProperty && x.property == first.property {
			all = append(all, x)
		}
	}
	src := p.lexer.source
	either, both := src[:first.start]+"(", src[:first.start]
	for i, x := range all {
		if i > 0 {
			either += " OR "
		}
		either += src[x.start:x.end]
	}
	either += ")"
	for i, x := range all {
		end := len(src)
		if i+1 < len(all) {
			end = all[i+1].start
		}
		between := src[x.end:end]
		if i+1 < len(all) {
			between = strings.TrimRight(between, " ")
		}
		either += between
		if i > 0 {
			both += "AND "
		}
		both += src[x.start:end]
	}
	return []string{either, both}
}
