package query

import (
	"strings"
	"unicode"
)

// Form is how a word of a query finds tokens.
type Form uint8

// The forms.
const (
	Stem   Form = iota // written bare: the same but for accents, or of one English or Spanish stem
	Folded             // in quotes: the same but for accents
	Exact              // accents count
	Prefix             // abc*
	Suffix             // *abc
	Infix              // *abc*
	Fuzzy              // abc~1: at most Distance edits away
)

// Word is one word of a query: a set of tokens, as [Tokenize] gives them.
type Word struct {
	Form     Form
	Text     string // a token, or the part of one that is asked for
	Distance int    // of Fuzzy: 1 or 2

	plain  string // Unaccent(Text)
	en, es string // Stem: Stems(Text)
}

// NewWord makes a word of a token, or of a part of one. Distance is for Fuzzy.
func NewWord(form Form, text string, distance int) Word {
	w := Word{Form: form, Text: text, plain: Unaccent(text)}
	switch form {
	case Fuzzy:
		w.Distance = distance
	case Stem:
		w.en, w.es = Stems(text)
	}
	return w
}

// Accepts says whether the word accepts a token. With u = Unaccent, en and es =
// Stems, by form:
//
//	Exact                  token == Text
//	Folded                 u(token) == u(Text)
//	Stem                   as Folded, or en(token) == en(Text) != "", or es(token) == es(Text) != ""
//	Prefix, Suffix, Infix  u(token) begins with, ends with, holds u(Text)
//	Fuzzy                  u(token) is at most Distance edits from u(Text)
//
// An edit puts in, leaves out or replaces one character, or swaps two that
// stand side by side; what was edited once is not edited again.
func (w Word) Accepts(token string) bool {
	if w.plain == "" { // not made by NewWord
		w = NewWord(w.Form, w.Text, w.Distance)
	}
	return w.accepts(token)
}

func (w *Word) accepts(token string) bool {
	if w.Form == Exact {
		return token == w.Text
	}
	u := Unaccent(token)
	switch w.Form {
	case Prefix:
		return strings.HasPrefix(u, w.plain)
	case Suffix:
		return strings.HasSuffix(u, w.plain)
	case Infix:
		return strings.Contains(u, w.plain)
	case Fuzzy:
		return within(w.plain, u, w.Distance)
	}
	return u == w.plain || w.Form == Stem && u[:1] == w.plain[:1] && w.sameStem(token)
}

func (w *Word) sameStem(token string) bool {
	if w.en == "" && w.es == "" {
		return false
	}
	en, es := Stems(token)
	return en != "" && en == w.en || es != "" && es == w.es
}

// Literal returns the token that the word accepts, when it is made so that it
// accepts exactly one: an exact word, or a whole word of digits or of Han, Kana
// or Hangul, that is no other but for accents and has no stem.
func (w Word) Literal() (token string, ok bool) {
	if w.Form == Exact {
		return w.Text, true
	}
	if w.Form != Stem && w.Form != Folded {
		return "", false
	}
	for _, r := range w.Text {
		if !unicode.IsNumber(r) && !standsAlone(r) {
			return "", false
		}
	}
	return w.Text, w.Text != ""
}
