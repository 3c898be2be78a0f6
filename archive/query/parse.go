package query

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// SyntaxError says where a query cannot be understood. It holds no part of the
// query's text.
type SyntaxError struct {
	Column int    // of the fault, 1-based, in runes
	Msg    string // what is wrong
	Hint   string // what to write instead
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

// Parse reads a query in UTC, without a clock: ParseIn(Reading{}, s).
func Parse(s string) (*Query, error) { return parse(Language, s) }

// ParseIn reads a query of version [Language]. The error is a *SyntaxError.
func ParseIn(_ Reading, s string) (*Query, error) { return parse(Language, s) }

func parse(language int, s string) (*Query, error) {
	if len(s) > MaxBytes {
		return nil, tooLong()
	}
	s, err := oneLine(s)
	if err != nil {
		return nil, err
	}
	p := parser{language: language, lexer: lexer{rest: s, column: 1}}
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
	// The canonical form is what is recorded; it must be a query as well.
	if len(q.String()) > MaxBytes {
		return nil, tooLong()
	}
	return q, nil
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

type parser struct {
	language int
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
	first, err := p.not(depth)
	if err != nil {
		return nil, err
	}
	parts := appendAnd(nil, first)
	for p.cur.kind != lexEnd && p.cur.kind != lexOr && p.cur.kind != lexClose {
		if p.cur.kind == lexAnd {
			if err := p.advance(); err != nil {
				return nil, err
			}
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
		return p.term(depth)
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
	case lexAnd, lexOr:
		return nil, syntax(x.column, "an operator stands where a word is needed", `to search for the word "and" or "or", write it in lower case`)
	case lexClose:
		return nil, syntax(x.column, "a parenthesis closes where a word is needed", "write a word before it")
	case lexOpen:
		return p.group(depth)
	}
	if p.clauses++; p.clauses > MaxClauses {
		return nil, syntax(x.column, fmt.Sprintf("the query has more than %d clauses", MaxClauses), "split it into several queries")
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

func tooDeep(column int) error {
	return syntax(column, fmt.Sprintf("parentheses and NOTs are nested more than %d deep", MaxDepth), "simplify the query")
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

// clause turns a text or property lexeme into a node.
func (p *parser) clause(x lexeme) (Node, error) {
	if x.kind == lexText {
		form := Exact
		if p.language > 1 {
			form = Stem
		}
		words := phraseOf(p.language, form, x.value)
		if len(words) == 0 {
			return nil, syntax(x.column, "this holds no letter or digit to search for", "search finds words and numbers, not signs; leave it out")
		}
		return &Text{Value: x.value, Words: words}, nil
	}
	form := Exact
	if p.language > 1 {
		form = Folded
	}
	switch Property(x.property) {
	case From, To:
		if err := needOp(x, ":"); err != nil {
			return nil, err
		}
		n := &Person{Property: Property(x.property), Value: x.value, Key: FoldKey(x.value)}
		n.words, n.Tokens = nameOf(p.language, form, x.value)
		return n, nil
	case InConversation:
		if err := needOp(x, ":"); err != nil {
			return nil, err
		}
		n := &Conversation{Value: x.value}
		n.words, n.Tokens = nameOf(p.language, form, x.value)
		return n, nil
	case Sent, Received:
		return timeClause(x)
	}
	return nil, syntax(x.column, "this property is not known", "the properties are from: to: conversation: sent received; "+quoteHint)
}

// phraseOf returns the words of a text in a form.
func phraseOf(language int, form Form, value string) []Word {
	var words []Word
	for _, token := range wordsOf(language, value) {
		words = append(words, NewWord(form, token, 0))
	}
	return words
}

// nameOf returns the words of a name and what they accept.
func nameOf(language int, form Form, value string) (words []Word, tokens []string) {
	words = phraseOf(language, form, value)
	for _, w := range words {
		if form == Exact {
			tokens = append(tokens, w.Text)
		} else {
			tokens = append(tokens, w.plain)
		}
	}
	return words, tokens
}

func needOp(x lexeme, op string) error {
	if x.op != op {
		return syntax(x.column, "this property takes a colon", "write it as in from:name")
	}
	if strings.TrimSpace(x.value) == "" {
		return syntax(x.column, "the property has no value", "write the value directly after the colon, in quotes if it has spaces")
	}
	return nil
}

func timeClause(x lexeme) (Node, error) {
	switch Op(x.op) {
	case Equal, Less, LessEqual, Greater, GreaterEqual:
	default:
		return nil, syntax(x.column, "this property takes = < > <= or >=", "write it as in sent>=2026-01-01")
	}
	m, ok := parseMoment(x.value)
	if !ok {
		return nil, syntax(x.column, "this is no date or time", "write a date as 2026-01-31 or a time as 2026-01-31T18:30:00Z, directly after the sign")
	}
	return &Time{Property: Property(x.property), Op: Op(x.op), Value: m}, nil
}
