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
	s := splitter{language: language, text: text, tokens: make([]Token, 0, len(text)/6+1)}
	// A sign of ASCII separates whatever stands before and after it, and is a part
	// of no character: what lies between two is read by itself.
	for i := 0; i < len(text); i++ {
		start := i
		plain := true
		for i < len(text) && (text[i] >= utf8.RuneSelf || isASCIIWord(text[i])) {
			plain = plain && text[i] < utf8.RuneSelf
			i++
		}
		switch {
		case start == i:
		case plain:
			s.tokens = appendASCII(s.tokens, text[:i], start)
		default:
			s.run(start, i)
		}
	}
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
	return appendASCII(make([]Token, 0, len(text)/5+1), text, 0)
}

// appendASCII adds the tokens of an ASCII text from a byte of it on.
func appendASCII(tokens []Token, text string, from int) []Token {
	for start, end := from, from; ; {
		if start, end = nextWord(text, end); start == end {
			return tokens
		}
		tokens = append(tokens, Token{strings.ToLower(text[start:end]), start, end})
	}
}

// splitter collects runes of normalised text into tokens.
type splitter struct {
	language int
	text     string // the original

	tokens     []Token
	word       []byte
	runes      int
	start, end int
	single     bool // the word is a rune that stands alone and takes only marks
	half       bool // it is the first letter of a flag
}

// run reads bytes [from,to) of the text, which hold no sign of ASCII.
func (s *splitter) run(from, to int) {
	part := s.text[from:to]
	if isLatin1(part) || norm.NFKC.IsNormalString(part) {
		for i, r := range part {
			n := utf8.RuneLen(r)
			if r == utf8.RuneError {
				_, n = utf8.DecodeRuneInString(part[i:])
			}
			s.rune(r, from+i, from+i+n)
		}
		s.flush()
		return
	}
	var it norm.Iter
	it.InitString(norm.NFKC, part)
	for !it.Done() {
		start := it.Pos()
		seg := it.Next()
		end := it.Pos()
		if end == start { // a part of what one rune is normalised to, such as ½
			_, n := utf8.DecodeRuneInString(part[start:])
			end += n
		}
		for len(seg) > 0 {
			r, n := utf8.DecodeRune(seg)
			seg = seg[n:]
			s.rune(r, from+start, from+end)
		}
	}
	s.flush()
}

// rune adds one rune that came from bytes [start,end) of the original text.
func (s *splitter) rune(r rune, start, end int) {
	if isLatin1Letter(r) || r < utf8.RuneSelf && isASCIIWord(byte(r)) {
		if s.half || s.single || s.runes == maxTokenRunes {
			s.flush()
		}
		s.add(r, start, end)
		return
	}
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
		word := s.text[s.start:s.end] // as long as the text is, and no longer
		if word != string(s.word) {
			word = string(s.word)
		}
		s.tokens = append(s.tokens, Token{fold(word), s.start, s.end})
	}
	s.word, s.runes, s.single, s.half = s.word[:0], 0, false, false
}

// fold case-folds an NFKC string; folding may denormalise, so it is followed by
// NFKC, as in Unicode's toNFKC_Casefold.
func fold(s string) string {
	if isASCII(s) || isLatin1(s) && !strings.Contains(s, "ß") {
		return strings.ToLower(s)
	}
	if r, n := utf8.DecodeRuneInString(s); n == len(s) && standsAlone(r) {
		return s // these have no case
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

// isLatin1Letter says whether a rune is a letter of Latin-1 beyond ASCII, but
// for the ordinals: NFKC leaves these as they are.
func isLatin1Letter(r rune) bool { return 0xc0 <= r && r <= 0xff && r != 0xd7 && r != 0xf7 }

// isLatin1 says whether s is of letters and digits of ASCII, and those letters.
func isLatin1(s string) bool {
	for _, r := range s {
		if !isLatin1Letter(r) && (r >= utf8.RuneSelf || !isASCIIWord(byte(r))) {
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
