package query

import (
	"errors"
	"slices"
)

// Language is the version of the query language that this package parses. It
// rises with every change by which a query could find another set of entries;
// QUERY.md says what changed. What is recorded for years, as a hold is, records
// the version with the query.
const Language = 2

// ErrLanguage is returned for a version of the language that is not there.
var ErrLanguage = errors.New("this version of the query language is not known here; use a program that has it, or write the query anew")

// ParseLanguage reads a query in a version of the language. The error is a
// *SyntaxError, or ErrLanguage.
func ParseLanguage(version int, s string) (*Query, error) {
	if version < 1 || version > Language {
		return nil, ErrLanguage
	}
	return parse(version, Reading{}, s)
}

// Properties returns the names of the properties that a query asks for, in
// lower case and whether or not this version has them, each once, in the order
// in which they are written. It stops where the text cannot be read; Parse says
// why it cannot.
func Properties(s string) []string {
	if len(s) > MaxBytes {
		return nil
	}
	s, err := oneLine(s)
	if err != nil {
		return nil
	}
	var names []string
	for l := newLexer(Language, s); ; {
		x, err := l.next()
		if x.kind == lexProperty && !slices.Contains(names, x.property) {
			names = append(names, x.property)
		}
		if err != nil || x.kind == lexEnd {
			return names
		}
	}
}
