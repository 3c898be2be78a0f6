package query

import "strings"

// passage is what one evaluation remembers of one text. ASCII, as most text is,
// is never cut into words: it is read where it stands, which allocates nothing.
type passage struct {
	asked bool
	ascii bool
	words []string // the text's, unless it is ASCII
}

// has says whether phrase stands in text, which is the same at every call, as
// hasPhrase does of its words.
func (p *passage) has(text string, phrase []string) bool {
	if len(phrase) == 0 || text == "" {
		return false
	}
	if !p.asked {
		if p.asked, p.ascii = true, isASCII(text); !p.ascii {
			p.words = Words(text)
		}
	}
	if p.ascii {
		return scanPhrase(text, phrase)
	}
	return hasPhrase(p.words, phrase)
}

// scanPhrase says whether phrase stands in the words of an ASCII text. It looks
// for the first letter in either case, which most of a text has not, and then at
// what stands there.
func scanPhrase(text string, phrase []string) bool {
	first := phrase[0][0]
	found, plain := scanFrom(text, phrase, first)
	if 'a' <= first && first <= 'z' && plain && !found {
		found, plain = scanFrom(text, phrase, first-'a'+'A')
	}
	if !plain {
		return readPhrase(text, phrase)
	}
	return found
}

// scanFrom says whether phrase stands in text with first, one case of its first
// letter. It is not plain when it met a run so long that it is several tokens:
// then it has not found where they begin.
func scanFrom(text string, phrase []string, first byte) (found, plain bool) {
	word := phrase[0]
	for i := 0; ; i++ {
		n := strings.IndexByte(text[i:], first)
		if n < 0 {
			return false, true
		}
		i += n
		end := i + len(word)
		if end > len(text) {
			return false, true
		}
		if !isFolded(text[i:end], word) || end < len(text) && isASCIIWord(text[end]) && len(word) < maxTokenRunes {
			continue
		}
		begin := i
		for begin > 0 && isASCIIWord(text[begin-1]) && i-begin < maxTokenRunes {
			begin--
		}
		switch {
		case i-begin == maxTokenRunes:
			return false, false
		case begin == i && follows(text[end:], phrase[1:]):
			return true, true
		}
	}
}

// readPhrase says what scanPhrase does, word by word.
func readPhrase(text string, phrase []string) bool {
	for end := 0; ; {
		var start int
		if start, end = nextWord(text, end); start == end {
			return false
		}
		if isFolded(text[start:end], phrase[0]) && follows(text[end:], phrase[1:]) {
			return true
		}
	}
}

// follows says whether the first words of text are those of the phrase.
func follows(text string, phrase []string) bool {
	end := 0
	for _, word := range phrase {
		var start int
		if start, end = nextWord(text, end); start == end || !isFolded(text[start:end], word) {
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
