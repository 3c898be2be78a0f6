package query

import (
	"slices"
	"strings"
)

// passage is what one evaluation remembers of one text. ASCII, as most text is,
// is never cut into words: it is read where it stands, which allocates nothing
// but for a word that may share a stem.
type passage struct {
	asked bool
	ascii bool
	long  bool     // ASCII, and a run of it is so long that it is several tokens
	words []string // the text's, unless it is ASCII
}

// ask looks at text, which is the same at every call.
func (p *passage) ask(language int, text string) {
	if p.asked {
		return
	}
	if p.asked, p.ascii = true, isASCII(text); p.ascii {
		p.long = hasLongRun(text)
		return
	}
	p.words = wordsOf(language, text)
}

// hasLongRun says whether a run of an ASCII text is longer than a token.
func hasLongRun(text string) bool {
	for i := maxTokenRunes; i < len(text); i += maxTokenRunes { // such a run is at one of these
		begin, end := i, i
		for begin > 0 && i-begin < maxTokenRunes && isASCIIWord(text[begin-1]) {
			begin--
		}
		for end < len(text) && end-i <= maxTokenRunes && isASCIIWord(text[end]) {
			end++
		}
		if end > i && end-begin > maxTokenRunes {
			return true
		}
	}
	return false
}

// has says whether the phrase stands in the text.
func (p *passage) has(language int, text string, phrase []Word) bool {
	if len(phrase) == 0 || text == "" {
		return false
	}
	p.ask(language, text)
	switch {
	case !p.ascii:
		return len(firstPlaces(p.words, phrase, 1)) > 0
	case p.long || !phrase[0].knowsFirst():
		return readPhrase(text, phrase)
	}
	return scanPhrase(text, phrase)
}

// places returns the positions, in tokens, at which the phrase begins.
func (p *passage) places(language int, text string, phrase []Word) []int {
	p.ask(language, text)
	if !p.ascii {
		return firstPlaces(p.words, phrase, len(p.words))
	}
	var at []int
	for n, end := 0, 0; ; n++ {
		var start int
		if start, end = nextWord(text, end); start == end {
			return at
		}
		if phrase[0].acceptsASCII(text[start:end]) && follows(text[end:], phrase[1:]) {
			at = append(at, n)
		}
	}
}

// firstPlaces returns up to most positions at which words have the phrase.
func firstPlaces(words []string, phrase []Word, most int) []int {
	var at []int
	for i := 0; i+len(phrase) <= len(words) && len(at) < most; i++ {
		if stands(words[i:], phrase) {
			at = append(at, i)
		}
	}
	return at
}

// stands says whether words begin with the phrase.
func stands(words []string, phrase []Word) bool {
	for i := range phrase {
		if !phrase[i].accepts(words[i]) {
			return false
		}
	}
	return true
}

// near says whether a and b stand in one text with at most n tokens between.
func (p *passage) near(language int, text string, a, b []Word, n int) bool {
	if !p.has(language, text, a) || !p.has(language, text, b) {
		return false
	}
	second := p.places(language, text, b)
	for _, i := range p.places(language, text, a) {
		after := i + len(a)
		if next, _ := slices.BinarySearch(second, after); next < len(second) && second[next]-after <= n {
			return true
		}
		// The last that ends at or before i.
		if before, found := slices.BinarySearch(second, i-len(b)); found || before > 0 {
			if !found {
				before--
			}
			if i-(second[before]+len(b)) <= n {
				return true
			}
		}
	}
	return false
}

// knowsFirst says whether what the word accepts begins with the first letter of
// the word.
func (w *Word) knowsFirst() bool { return w.Form <= Prefix }

// scanPhrase says whether phrase stands in the words of an ASCII text. It looks
// for the first letter in either case, which most of a text has not, and then at
// what stands there.
func scanPhrase(text string, phrase []Word) bool {
	first := phrase[0].plain[0]
	if scanFrom(text, phrase, first) {
		return true
	}
	return 'a' <= first && first <= 'z' && scanFrom(text, phrase, first-'a'+'A')
}

// scanFrom says whether phrase stands in text with first, one case of its first
// letter.
func scanFrom(text string, phrase []Word, first byte) bool {
	for i := 0; ; {
		n := strings.IndexByte(text[i:], first)
		if n < 0 {
			return false
		}
		i += n
		if i > 0 && isASCIIWord(text[i-1]) {
			i++
			continue
		}
		_, end := nextWord(text, i)
		if phrase[0].acceptsASCII(text[i:end]) && follows(text[end:], phrase[1:]) {
			return true
		}
		i = end
	}
}

// readPhrase says what scanPhrase does, word by word.
func readPhrase(text string, phrase []Word) bool {
	for end := 0; ; {
		var start int
		if start, end = nextWord(text, end); start == end {
			return false
		}
		if phrase[0].acceptsASCII(text[start:end]) && follows(text[end:], phrase[1:]) {
			return true
		}
	}
}

// follows says whether the first words of text are those of the phrase.
func follows(text string, phrase []Word) bool {
	end := 0
	for i := range phrase {
		var start int
		if start, end = nextWord(text, end); start == end || !phrase[i].acceptsASCII(text[start:end]) {
			return false
		}
	}
	return true
}

// nextWord returns the bytes of the first token of an ASCII text at or after i,
// as tokenizeASCII cuts it; an empty range when there is none.
func nextWord(text string, i int) (start, end int) {
	for i < len(text) && !isASCIIWord(text[i]) {
		i++
	}
	start = i
	for i < len(text) && i-start < maxTokenRunes && isASCIIWord(text[i]) {
		i++
	}
	return start, i
}

// acceptsASCII says what accepts does of a run of ASCII letters and digits that
// is not yet folded.
func (w *Word) acceptsASCII(run string) bool {
	switch w.Form {
	case Exact:
		return isFolded(run, w.Text)
	case Prefix:
		return len(run) >= len(w.plain) && isFolded(run[:len(w.plain)], w.plain)
	case Suffix:
		return len(run) >= len(w.plain) && isFolded(run[len(run)-len(w.plain):], w.plain)
	case Infix, Fuzzy:
		return w.accepts(strings.ToLower(run))
	}
	return isFolded(run, w.plain) ||
		w.Form == Stem && run[0]|0x20 == w.plain[0] && w.sameStem(strings.ToLower(run))
}

// isFolded says whether an ASCII text folds to the token.
func isFolded(text, token string) bool {
	if len(text) != len(token) {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != token[i] {
			return false
		}
	}
	return true
}

// hasKey says whether an identifier is there and FoldKey of it is key.
func hasKey(id, key string) bool {
	switch {
	case id == "":
		return false
	case isASCII(id):
		return isFolded(id, key)
	}
	return FoldKey(id) == key
}
