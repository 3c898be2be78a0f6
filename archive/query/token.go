package query

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxTokenRunes bounds a token. A longer run is cut into several consecutive
// tokens, so that a megabyte without a space loses nothing and still matches
// itself as a phrase.
const maxTokenRunes = 128

// Token is one word of a text.
type Token struct {
	Text       string // folded: NFKC, case folded, no default-ignorable runes
	Start, End int    // the bytes of the original text that it came from
}

// Tokenize splits text into tokens, as language 2 does. It is the only
// tokenisation there is: Match and the index both use it.
//
// The text is NFKC-normalised (UAX 15). A token is a maximal run of letters,
// numbers and combining marks that begins with a letter or number; everything
// else, such as an apostrophe or underscore, separates. A Han, Hiragana,
// Katakana or Hangul rune with its marks is a token of its own, and so is an
// emoji, without skin tone; a flag is one token. Format characters and variation
// selectors (soft hyphen, joiners, emoji selectors) and the frame of a keycap
// are dropped and do not separate, because they are invisible to the reader;
// U+200B ZERO WIDTH SPACE is a space and does. Tokens are folded by full Unicode
// case folding.
//
// In language 1 a Hangul rune is a letter like any, and emoji separate.
func Tokenize(text string) []Token { return tokenize(Language, text) }

func tokenize(language int, text string) []Token {
	if isASCII(text) {
		return tokenizeASCII(text)
	}
	s := splitter{language: language}
	var it norm.Iter
	it.InitString(norm.NFKC, text)
	for !it.Done() {
		start := it.Pos()
		seg := it.Next()
		end := it.Pos()
		if end == start { // a part of what one rune is normalised to, such as ½
			_, n := utf8.DecodeRuneInString(text[start:])
			end += n
		}
		for len(seg) > 0 {
			r, n := utf8.DecodeRune(seg)
			seg = seg[n:]
			s.rune(r, start, end)
		}
	}
	s.flush()
	return s.tokens
}

// Words returns the texts of Tokenize's tokens.
func Words(text string) []string { return wordsOf(Language, text) }

func wordsOf(language int, text string) []string {
	tokens := tokenize(language, text)
	words := make([]string, len(tokens))
	for i, t := range tokens {
		words[i] = t.Text
	}
	return words
}

// FoldKey is the form in which identifiers (usr, UPN, mail address) are
// compared without regard to case: NFKC, case folded, NFKC again.
func FoldKey(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return fold(norm.NFKC.String(s))
}

func tokenizeASCII(text string) []Token {
	tokens := make([]Token, 0, len(text)/5+1)
	start := -1
	for i := 0; i <= len(text); i++ {
		inWord := i < len(text) && isASCIIWord(text[i])
		if inWord && start < 0 {
			start = i
		}
		if start >= 0 && (!inWord || i-start == maxTokenRunes) {
			tokens = append(tokens, Token{strings.ToLower(text[start:i]), start, i})
			start = -1
			if inWord {
				start = i
			}
		}
	}
	return tokens
}

// splitter collects runes of normalised text into tokens.
type splitter struct {
	language int

	tokens     []Token
	word       []byte
	runes      int
	start, end int
	single     bool // the word is a rune that stands alone and takes only marks
	half       bool // it is the first letter of a flag
}

// rune adds one rune that came from bytes [start,end) of the original text.
func (s *splitter) rune(r rune, start, end int) {
	if isIgnorable(r) {
		return
	}
	if s.language > 1 && s.emoji(r, start, end) {
		return
	}
	switch {
	case unicode.IsMark(r):
		if s.runes == 0 {
			return // a mark on nothing, or on a separator
		}
		if s.runes == maxTokenRunes {
			s.flush()
		}
	case !unicode.IsLetter(r) && !unicode.IsNumber(r):
		s.flush()
		return
	case standsAlone(r) && (s.language > 1 || !isHangul(r)):
		s.flush()
		s.single = true
	case s.single || s.runes == maxTokenRunes:
		s.flush()
	}
	s.add(r, start, end)
}

func (s *splitter) add(r rune, start, end int) {
	if s.runes == 0 {
		s.start = start
	}
	s.word = utf8.AppendRune(s.word, r)
	s.runes++
	s.end = end
}

// emoji adds a rune that is one, or belongs to one, and says whether it is.
func (s *splitter) emoji(r rune, start, end int) bool {
	switch {
	case r == keycapFrame, isSkinTone(r):
		return true
	case isFlagLetter(r):
		second := s.half
		if !second {
			s.flush()
		}
		s.add(r, start, end)
		if s.half = !second; second {
			s.flush()
		}
		return true
	case isEmoji(r):
		s.flush()
		s.add(r, start, end)
		s.flush()
		return true
	}
	if s.half {
		s.flush()
	}
	return false
}

func (s *splitter) flush() {
	if s.runes > 0 {
		s.tokens = append(s.tokens, Token{fold(string(s.word)), s.start, s.end})
	}
	s.word, s.runes, s.single, s.half = s.word[:0], 0, false, false
}

// fold case-folds an NFKC string; folding may denormalise, so it is followed by
// NFKC, as in Unicode's toNFKC_Casefold.
func fold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return norm.NFKC.String(cases.Fold().String(s))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isASCIIWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// standsAlone says whether a rune is a token by itself: scripts written without
// spaces, Hangul, whose words take endings without one, and U+30FC, the Katakana
// length mark, whose script is Common.
func standsAlone(r rune) bool {
	return r == 0x30fc || r >= 0x2e80 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || isHangul(r)
}

func isHangul(r rune) bool { return r >= 0x1100 && unicode.Is(unicode.Hangul, r) }

// isIgnorable says whether a rune is invisible inside a word (Unicode's
// Default_Ignorable_Code_Point but for the zero width space, which separates).
func isIgnorable(r rune) bool {
	if r < 0x80 || r == 0x200b {
		return false
	}
	return unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}
