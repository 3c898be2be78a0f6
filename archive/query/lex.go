package query

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind of a lexeme.
type kind int

const (
	lexEnd   kind = iota
	lexOpen       // (
	lexClose      // )
	lexAnd
	lexOr
	lexNot
	lexText     // value
	lexProperty // property, op, value; op is ":" or a comparison
)

// lexeme is one piece of a query.
type lexeme struct {
	kind     kind
	column   int // 1-based, runes
	property string
	op       string
	value    string
}

// The runes that no bare word may hold: they have, or will have, a meaning.
const (
	smartQuotes   = "\u201c\u201d\u201e\u00ab\u00bb"
	forbiddenBare = "*" + smartQuotes
	compareRunes  = "<>="
)

// endsBare says whether a rune ends a bare word.
func endsBare(r rune) bool {
	return unicode.IsSpace(r) || r == '(' || r == ')' || r == '"'
}

// lexer cuts a query into lexemes.
type lexer struct {
	rest   string
	column int // of rest, 1-based, runes
}

func (l *lexer) skip(n int) {
	l.column += utf8.RuneCountInString(l.rest[:n])
	l.rest = l.rest[n:]
}

func (l *lexer) next() (lexeme, error) {
	l.skip(len(l.rest) - len(strings.TrimLeftFunc(l.rest, unicode.IsSpace)))
	x := lexeme{column: l.column}
	if l.rest == "" {
		return x, nil
	}
	switch l.rest[0] {
	case '(':
		x.kind = lexOpen
		l.skip(1)
		return x, nil
	case ')':
		x.kind = lexClose
		l.skip(1)
		return x, nil
	case '"':
		x.kind = lexText
		var err error
		x.value, err = l.quoted()
		return x, err
	}
	return l.bare(x)
}

// quoted reads "...". There is no escape: a quote cannot stand in a value.
func (l *lexer) quoted() (string, error) {
	n := strings.IndexByte(l.rest[1:], '"')
	if n < 0 {
		return "", syntax(l.column, "the quote that opens here is never closed", `close it with "`)
	}
	value := l.rest[1 : 1+n]
	l.skip(n + 2)
	if r, _ := utf8.DecodeRuneInString(l.rest); l.rest != "" && (!endsBare(r) || r == '"') {
		return "", syntax(l.column, "text follows directly on a closing quote", "put a space between them")
	}
	return value, nil
}

// bare reads a word, an operator, or a property clause.
func (l *lexer) bare(x lexeme) (lexeme, error) {
	word := l.bareWord()
	switch word {
	case "AND":
		x.kind = lexAnd
	case "OR":
		x.kind = lexOr
	case "NOT":
		x.kind = lexNot
	default:
		if n := propertyLen(word); n > 0 {
			return l.clause(x, n)
		}
		if err := checkBare(x.column, word); err != nil {
			return x, err
		}
		x.kind, x.value = lexText, word
	}
	l.skip(len(word))
	return x, l.afterBare()
}

func (l *lexer) bareWord() string {
	if n := strings.IndexFunc(l.rest, endsBare); n >= 0 {
		return l.rest[:n]
	}
	return l.rest
}

// afterBare refuses a quote in the middle of a word.
func (l *lexer) afterBare() error {
	if strings.HasPrefix(l.rest, `"`) {
		return syntax(l.column, "a quote stands in the middle of a word", "put a space before it")
	}
	return nil
}

// clause reads property, operator and value; the property is n bytes long.
func (l *lexer) clause(x lexeme, n int) (lexeme, error) {
	x.kind = lexProperty
	x.property = strings.ToLower(l.rest[:n])
	l.skip(n)
	x.op = l.rest[:1]
	if x.op != ":" {
		x.op = l.rest[:len(l.rest)-len(strings.TrimLeft(l.rest, compareRunes))]
	}
	l.skip(len(x.op))
	if strings.HasPrefix(l.rest, `"`) {
		var err error
		x.value, err = l.quoted()
		return x, err
	}
	x.value = l.bareWord()
	if strings.HasPrefix(x.value, "(") || x.value == "" && strings.HasPrefix(l.rest, "(") {
		return x, syntax(l.column, "a property takes one value, not a group", "repeat the property before each value: (from:a OR from:b)")
	}
	if err := checkForbidden(l.column, x.value); err != nil {
		return x, err
	}
	l.skip(len(x.value))
	return x, l.afterBare()
}

// propertyLen returns the length of the name when word has the form of a
// property clause: a name that begins with a letter, then : = < or >.
func propertyLen(word string) int {
	if r, _ := utf8.DecodeRuneInString(word); !unicode.IsLetter(r) {
		return 0
	}
	return max(strings.IndexAny(word, ":"+compareRunes), 0)
}

// isBareWord says whether value, written without quotes, is read as the word
// that it is.
func isBareWord(value string) bool {
	switch value {
	case "", "AND", "OR", "NOT":
		return false
	}
	return !strings.ContainsFunc(value, endsBare) && propertyLen(value) == 0 && checkBare(1, value) == nil
}

const quoteHint = "to search for these characters as text, put them in quotes"

// checkBare refuses bare words that look like syntax of other query languages,
// so that nobody gets an answer to another question than the one asked.
func checkBare(column int, word string) error {
	switch word {
	case "NEAR", "ONEAR", "XOR", "WORDS":
		return syntax(column, "this operator is not known", "the operators are AND, OR and NOT; "+quoteHint)
	}
	switch {
	case strings.HasPrefix(word, "-"):
		return syntax(column, "a word begins with a minus sign", "to exclude a word write NOT before it; "+quoteHint)
	case strings.IndexAny(word, ":"+compareRunes) == 0:
		return syntax(column, "a comparison has no property before it", "write property, sign and value without spaces, as in sent>=2026-01-01")
	}
	return checkForbidden(column, word)
}

func checkForbidden(column int, word string) error {
	i := strings.IndexAny(word, forbiddenBare)
	switch {
	case i < 0:
		return nil
	case word[i] == '*':
		return syntax(column, "wildcards are not known", "write the words out, joined by OR; "+quoteHint)
	}
	return syntax(column, "a typographic quote stands here", `use the straight quote "`)
}
