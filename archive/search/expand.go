package search

import (
	"strings"

	segment "github.com/blevesearch/scorch_segment_api/v2"

	"holdfast/archive/query"
)

// wordTerms expands words into the terms of one part's text. It is filled once
// for a part and then only read.
type wordTerms struct {
	// known are the terms that the vocabulary gives for a word: all of a whole
	// word's, the accented ones of a prefix.
	known map[*query.Word][]string
}

// newWordTerms asks a vocabulary for the words of clauses.
func newWordTerms(v *vocabulary, clauses ...query.Node) wordTerms {
	w := wordTerms{known: map[*query.Word][]string{}}
	for _, n := range clauses {
		w.collect(n, v)
	}
	return w
}

func (w wordTerms) collect(n query.Node, v *vocabulary) {
	switch n := n.(type) {
	case *query.And:
		for _, p := range n.Of {
			w.collect(p, v)
		}
	case *query.Or:
		for _, p := range n.Of {
			w.collect(p, v)
		}
	case *query.Not:
		w.collect(n.Of, v)
	case *query.Near:
		w.collect(n.A, v)
		w.collect(n.B, v)
	case *query.Text:
		for i := range n.Words {
			word := &n.Words[i]
			switch word.Form {
			case query.Stem, query.Folded, query.Exact:
				w.known[word] = v.whole(word)
			case query.Prefix:
				w.known[word] = v.accentedWith(query.Unaccent(word.Text))
			}
		}
	}
}

// of returns the terms of a dictionary that a word accepts, and maybe some that
// the dictionary does not have.
func (w wordTerms) of(word *query.Word, dict segment.TermDictionary) ([]string, error) {
	var terms []string
	add := func(term string) error {
		if word.Accepts(term) {
			terms = append(terms, term)
		}
		return nil
	}
	switch word.Form {
	case query.Stem, query.Folded, query.Exact:
		return w.known[word], nil
	case query.Prefix:
		from := query.Unaccent(word.Text)
		for _, term := range w.known[word] {
			if !strings.HasPrefix(term, from) { // the others are in the range
				if err := add(term); err != nil {
					return nil, err
				}
			}
		}
		return terms, eachTerm(dict, []byte(from), after(from), add)
	}
	return terms, eachTerm(dict, nil, nil, add)
}

// after returns the least term behind all that begin with prefix; nil for none.
func after(prefix string) []byte {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0xff {
			b[i]++
			return b[:i+1]
		}
	}
	return nil
}
