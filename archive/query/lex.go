package query

import (
	"fmt"
	"strconv"
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
	lexNear     // n
	lexText     // value
	lexProperty // property, op, value; op is ":" or a comparison
)

// lexeme is one piece of a query.
type lexeme struct {
	kind       kind
	column     int // 1-based, runes
	start, end int // bytes of the query
	property   string
	op         string
	value      string
	quoted     bool   // lexText, lexProperty: the value stood in quotes
	ranged     bool   // lexProperty: value..until
	until      string // the second value
	untilAt    int    // its column
	n          int    // lexNear
}

// Runes with a meaning. Language 1 refuses the star in bare words, language 2
// the wave but at the end.
const (
	smartQuotes  = "\u201c\u201d\u201e\u00ab\u00bb"
	compareRunes = "<>="
	rangeSign    = ".."
)

// endsBare says whether a rune ends a bare word.
func endsBare(r rune) bool {
	return unicode.IsSpace(r) || r == '(' || r == ')' || r == '"'
}

// lexer cuts a query into lexemes.
type lexer struct {
	language int
	source   string
	rest     string
	column   int // of rest, 1-based, runes
}

func newLexer(language int, source string) lexer {
	return lexer{language: language, source: source, rest: source, column: 1}
}

func (l *lexer) at() int { return len(l.source) - len(l.rest) }

func (l *lexer) skip(n int) {
	l.column += utf8.RuneCountInString(l.rest[:n])
	l.rest = l.rest[n:]
}

func (l *lexer) next() (lexeme, error) {
	l.skip(len(l.rest) - len(strings.TrimLeftFunc(l.rest, unicode.IsSpace)))
	x := lexeme{column: l.column, start: l.at()}
	x, err := l.lexeme(x)
	x.end = l.at()
	return x, err
}

func (l *lexer) lexeme(x lexeme) (lexeme, error) {
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
		x.kind, x.quoted = lexText, true
		var err error
		if x.value, err = l.quoted(); err != nil {
			return x, err
		}
		return x, l.afterQuoted()
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
	return value, nil
}

// afterQuoted refuses text that follows directly on a quote.
func (l *lexer) afterQuoted() error {
	if r, _ := utf8.DecodeRuneInString(l.rest); l.rest != "" && (!endsBare(r) || r == '"') {
		return syntax(l.column, "text follows directly on a closing quote", "put a space between them")
	}
	return nil
}

// bare reads a word, an operator, or a property clause.
func (l *lexer) bare(x lexeme) (lexeme, error) {
	word := l.bareWord()
	switch {
	case word == "AND":
		x.kind = lexAnd
	case word == "OR":
		x.kind = lexOr
	case word == "NOT":
		x.kind = lexNot
	case word == "NEAR" && l.language > 1:
		l.skip(len(word))
		return l.near(x)
	case l.language > 1 && (word == "ALL" || word == "ANY" || word == "NONE") && strings.HasPrefix(l.rest[len(word):], "("):
		return x, l.unknownOperator(x.column)
	default:
		if n := propertyLen(word); n > 0 {
			return l.clause(x, n)
		}
		if err := l.checkBare(x.column, word); err != nil {
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

// defaultNear is MS-KQL's.
const defaultNear = 8

// near reads what follows on NEAR: nothing, (n) or (n=n).
func (l *lexer) near(x lexeme) (lexeme, error) {
	x.kind, x.n = lexNear, defaultNear
	if !strings.HasPrefix(l.rest, "(") {
		return x, l.afterBare()
	}
	end := strings.IndexByte(l.rest, ')')
	if end < 0 {
		return x, syntax(l.column, "the parenthesis that opens here is never closed", "write it as in NEAR(5)")
	}
	digits := strings.TrimPrefix(l.rest[1:end], "n=")
	n, ok := wholeNumber(digits)
	if !ok || n > MaxNear {
		return x, syntax(l.column, "NEAR takes one number", fmt.Sprintf("write at most how many words may stand between, from 0 to %d, as in NEAR(5)", MaxNear))
	}
	x.n = int(n)
	l.skip(end + 1)
	return x, l.afterQuoted()
}

// wholeNumber reads a decimal number without sign or leading zeros.
func wholeNumber(s string) (uint64, bool) {
	if len(s) > 1 && s[0] == '0' || strings.HasPrefix(s, "+") {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
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
	ranges := l.language > 1 && isRanged(x.property)
	var err error
	if strings.HasPrefix(l.rest, `"`) {
		x.quoted = true
		if x.value, err = l.quoted(); err != nil {
			return x, err
		}
		if !ranges || !strings.HasPrefix(l.rest, rangeSign) {
			return x, l.afterQuoted()
		}
		return l.until(x)
	}
	if x.value, err = l.bareValue(); err != nil {
		return x, err
	}
	if i := strings.Index(x.value, rangeSign); i >= 0 && ranges {
		x.value = x.value[:i]
		l.skip(i)
		return l.until(x)
	}
	l.skip(len(x.value))
	return x, l.afterBare()
}

// until reads .. and the second value of a range.
func (l *lexer) until(x lexeme) (_ lexeme, err error) {
	l.skip(len(rangeSign))
	x.ranged, x.untilAt = true, l.column
	if strings.HasPrefix(l.rest, `"`) {
		if x.until, err = l.quoted(); err != nil {
			return x, err
		}
		return x, l.afterQuoted()
	}
	if x.until, err = l.bareValue(); err != nil {
		return x, err
	}
	l.skip(len(x.until))
	return x, l.afterBare()
}

// bareValue returns the value that stands here without quotes.
func (l *lexer) bareValue() (string, error) {
	value := l.bareWord()
	if strings.HasPrefix(l.rest, "(") {
		return "", syntax(l.column, "a property takes one value, not a group", "repeat the property before each value: (from:a OR from:b)")
	}
	return value, l.checkForbidden(l.column, value)
}

func isRanged(property string) bool {
	switch Property(property) {
	case Sent, Received, AtSeq:
		return true
	}
	return false
}

// propertyLen returns the length of the name when word has the form of a
// property clause: a name that begins with a letter, then : = < or >.
func propertyLen(word string) int {
	if r, _ := utf8.DecodeRuneInString(word); !unicode.IsLetter(r) {
		return 0
	}
	return max(strings.IndexAny(word, ":"+compareRunes), 0)
}

// isBareWord says whether value, written without quotes in language 1, is read
// as the word that it is.
func isBareWord(value string) bool {
	switch value {
	case "", "AND", "OR", "NOT":
		return false
	}
	l := newLexer(1, value)
	return !strings.ContainsFunc(value, endsBare) && propertyLen(value) == 0 && l.checkBare(1, value) == nil
}

const quoteHint = "to search for these characters as text, put them in quotes"

// checkBare refuses bare words that look like syntax of other query languages,
// so that nobody gets an answer to another question than the one asked.
func (l *lexer) checkBare(column int, word string) error {
	switch word {
	case "NEAR", "ONEAR", "XOR", "WORDS":
		return l.unknownOperator(column)
	case "XRANK":
		if l.language > 1 {
			return l.unknownOperator(column)
		}
	}
	switch {
	case strings.HasPrefix(word, "-"):
		return syntax(column, "a word begins with a minus sign", "to exclude a word write NOT before it; "+quoteHint)
	case strings.HasPrefix(word, "+") && l.language > 1:
		return syntax(column, "a word begins with a plus sign", "every word is asked for unless OR stands before it: leave the sign out; "+quoteHint)
	case strings.IndexAny(word, ":"+compareRunes) == 0:
		return syntax(column, "a comparison has no property before it", "write property, sign and value without spaces, as in sent>=2026-01-01")
	}
	return l.checkForbidden(column, word)
}

func (l *lexer) unknownOperator(column int) error {
	operators := "the operators are AND, OR and NOT; "
	if l.language > 1 {
		operators = "the operators are AND, OR, NOT and NEAR; "
	}
	return syntax(column, "this operator is not known", operators+quoteHint)
}

func (l *lexer) checkForbidden(column int, word string) error {
	switch {
	case strings.ContainsAny(word, smartQuotes):
		return syntax(column, "a typographic quote stands here", `use the straight quote "`)
	case strings.Contains(word, "*") && l.language == 1:
		return syntax(column, "wildcards are not known", "write the words out, joined by OR; "+quoteHint)
	}
	return nil
}
