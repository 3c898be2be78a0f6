package query

// maxScans is how often a passage is read through before it is cut into words.
// Most texts are asked for a few phrases and are ASCII: reading them through
// allocates nothing. A long list of words is looked up faster in a list.
const maxScans = 8

// passage is what one evaluation remembers of one text.
type passage struct {
	words []string
	cut   bool // words is the text's
	ascii bool // known once asked
	asked int8
}

// has says whether phrase stands in text, which is the same at every call, as
// hasPhrase does of its words.
func (p *passage) has(text string, phrase []string) bool {
	if len(phrase) == 0 || text == "" {
		return false
	}
	if !p.cut {
		if p.asked == 0 {
			p.ascii = isASCII(text)
		}
		if p.ascii && p.asked < maxScans {
			p.asked++
			return scanPhrase(text, phrase)
		}
		p.words, p.cut = Words(text), true
	}
	return hasPhrase(p.words, phrase)
}

// scanPhrase says whether phrase stands in the words of an ASCII text.
func scanPhrase(text string, phrase []string) bool {
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
