package query

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// SyntaxError says where a query cannot be understood. Its message holds no
// part of the query's text.
type SyntaxError struct {
	Column int    // of the fault, 1-based, in runes
	Msg    string // what is wrong
	Hint   string // what to write instead
	// Readings are whole queries, one for each thing that may have been meant;
	// none if that cannot be said. They hold the query's text: show them to who
	// asked, and put them into no log.
	Readings []string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("query, column %d: %s; %s", e.Column, e.Msg, e.Hint)
}

func syntax(column int, msg, hint string) error {
	return &SyntaxError{Column: column, Msg: msg, Hint: hint}
}

// Reading is the clock and the place of whom a query is read for.
type Reading struct {
	Now  time.Time      // zero: there is none, and words such as today are refused
	Zone *time.Location // in which dates and such words are read; nil: UTC
}

// Parse reads a query in UTC and without a clock: ParseIn(Reading{}, s).
func Parse(s string) (*Query, error) { return ParseIn(Reading{}, s) }

// ParseIn reads a query of version [Language]. Dates, and words such as today,
// become the instants that they are for r, so that the canonical form hangs on
// neither clock nor zone. The error is a *SyntaxError.
func ParseIn(r Reading, s string) (*Query, error) { return parse(Language, r, s) }

func parse(language int, r Reading, s string) (*Query, error) {
	if len(s) > MaxBytes {
		return nil, tooLong()
	}
	s, err := oneLine(s)
	if err != nil {
		return nil, err
	}
	p := parser{language: language, reading: r, lexer: newLexer(language, s)}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.cur.kind == lexEnd {
		return nil, syntax(1, "the query is empty", "write at least one word or property")
	}
	root, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.cur.kind == lexClose {
		return nil, syntax(p.cur.column, "this parenthesis was never opened", "remove it or open it with (")
	}
	q := newQuery(language, root)
	return q, q.fits()
}

// fits says whether the canonical form, which is what is recorded, keeps the
// limits as well: it is longer than what was written, and NEAR over groups is
// written out.
func (q *Query) fits() error {
	clauses := 0
	walk(q.root, func(n Node) {
		switch n.(type) {
		case *And, *Or, *Not, *Near: // a Near's two texts count
		default:
			clauses++
		}
	})
	switch {
	case clauses > MaxClauses:
		return tooMany(1)
	case depthOf(q.root, bindsOr) > MaxDepth:
		return tooDeep(1)
	case len(q.String()) > MaxBytes:
		return tooLong()
	}
	return nil
}

// oneLine returns s with a space for each tab and line break. No other control
// character is text that anybody typed.
func oneLine(s string) (string, error) {
	column := 0
	var b strings.Builder
	for i, r := range s {
		column++
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			r = ' '
		case unicode.IsControl(r):
			return "", syntax(column, "a control character stands here", "remove it")
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			return "", syntax(column, "this is not valid UTF-8", "write the query as UTF-8 text")
		}
		b.WriteRune(r)
	}
	return b.String(), nil
}

func tooLong() error {
	return syntax(1, fmt.Sprintf("the query is longer than %d bytes", MaxBytes), "split it into several queries")
}

func tooMany(column int) error {
	return syntax(column, fmt.Sprintf("the query has more than %d clauses", MaxClauses), "split it into several queries")
}

func tooDeep(column int) error {
	return syntax(column, fmt.Sprintf("parentheses and NOTs are nested more than %d deep", MaxDepth), "simplify the query")
}

type parser struct {
	language int
	reading  Reading
	lexer    lexer
	cur      lexeme
	clauses  int
}

func (p *parser) advance() (err error) {
	p.cur, err = p.lexer.next()
	return err
}

// or reads and-lists joined by OR.
func (p *parser) or(depth int) (Node, error) {
	first, err := p.and(depth)
	if err != nil || p.cur.kind != lexOr {
		return first, err
	}
	parts := appendOr(nil, first)
	for p.cur.kind == lexOr {
		if err := p.advance(); err != nil {
			return nil, err
		}
		n, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		parts = appendOr(parts, n)
	}
	return &Or{parts}, nil
}

// and reads terms joined by AND or by nothing.
func (p *parser) and(depth int) (Node, error) {
	var side sideBySide
	var parts []Node
	for len(parts) == 0 || p.cur.kind != lexEnd && p.cur.kind != lexOr && p.cur.kind != lexClose {
		if p.cur.kind == lexAnd && len(parts) > 0 {
			side.forget()
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
		if err := p.besides(&side); err != nil {
			return nil, err
		}
		n, err := p.not(depth)
		if err != nil {
			return nil, err
		}
		parts = appendAnd(parts, n)
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return &And{parts}, nil
}

func (p *parser) not(depth int) (Node, error) {
	if p.cur.kind != lexNot {
		return p.near(depth)
	}
	if depth >= MaxDepth {
		return nil, tooDeep(p.cur.column)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.not(depth + 1)
	if err != nil {
		return nil, err
	}
	return &Not{n}, nil
}

func (p *parser) term(depth int) (Node, error) {
	x := p.cur
	switch x.kind {
	case lexEnd:
		return nil, syntax(x.column, "the query ends where a word is needed", "write a word after the operator")
	case lexAnd, lexOr, lexNear, lexNot:
		return nil, syntax(x.column, "an operator stands where a word is needed", `to search for the word "and", "or", "not" or "near", write it in lower case`)
	case lexClose:
		return nil, syntax(x.column, "a parenthesis closes where a word is needed", "write a word before it")
	case lexOpen:
		return p.group(depth)
	}
	if p.clauses++; p.clauses > MaxClauses {
		return nil, tooMany(x.column)
	}
	n, err := p.clause(x)
	if err != nil {
		return nil, err
	}
	return n, p.advance()
}

func (p *parser) group(depth int) (Node, error) {
	opened := p.cur.column
	if depth >= MaxDepth {
		return nil, tooDeep(opened)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.or(depth + 1)
	if err != nil {
		return nil, err
	}
	if p.cur.kind != lexClose {
		return nil, syntax(opened, "the parenthesis that opens here is never closed", "close it with )")
	}
	return n, p.advance()
}

func appendAnd(parts []Node, n Node) []Node {
	if a, ok := n.(*And); ok {
		return append(parts, a.Of...)
	}
	return append(parts, n)
}

func appendOr(parts []Node, n Node) []Node {
	if o, ok := n.(*Or); ok {
		return append(parts, o.Of...)
	}
	return append(parts, n)
}
