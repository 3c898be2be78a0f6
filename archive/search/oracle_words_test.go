package search

import (
	"regexp"
	"slices"
	"strings"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/spanish"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"holdfast/archive/query"
)

// What archive/query/QUERY.md says of words, once more: by regular expressions
// and the textbook's methods, knowing nothing of how archive/query or the index
// does it.

var (
	oracleInvisible = regexp.MustCompile(`[\x{ad}\x{34f}\x{61c}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{180b}-\x{180f}\x{200c}-\x{200f}\x{202a}-\x{202e}` +
		`\x{2060}-\x{206f}\x{20e3}\x{3164}\x{fe00}-\x{fe0f}\x{feff}\x{ffa0}\x{1f3fb}-\x{1f3ff}\x{e0000}-\x{e0fff}]`)
	oracleAlone = regexp.MustCompile(`[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}ー]\p{M}*`)
	oracleToken = regexp.MustCompile(`[\p{L}\p{N}][\p{L}\p{N}\p{M}]*|[\x{1f1e6}-\x{1f1ff}]{1,2}|` +
		`[\x{2194}-\x{2199}\x{21a9}\x{21aa}\x{231a}\x{231b}\x{2328}\x{23cf}\x{23e9}-\x{23fa}\x{25aa}\x{25ab}\x{25b6}\x{25c0}\x{25fb}-\x{25fe}` +
		`\x{2600}-\x{2767}\x{2776}-\x{27bf}\x{2934}\x{2935}\x{2b05}-\x{2b07}\x{2b1b}\x{2b1c}\x{2b50}\x{2b55}\x{1f000}-\x{1f0ff}\x{1f200}-\x{1faff}]`)
	oracleAccent = regexp.MustCompile(`([\p{Latin}\p{Greek}\p{Cyrillic}\p{Hebrew}\p{Arabic}])[\p{Mn}\p{Me}]+`)
	oraclePlain  = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "æ", "ae", "œ", "oe", "ı", "i", "ħ", "h", "ŧ", "t")

	oracleEnglish = regexp.MustCompile(`^[a-z]{3,40}$`)
	oracleSpanish = regexp.MustCompile(`^[a-záéíóúüñ]+$`)
)

// oracleLongest is the characters of the longest token.
const oracleLongest = 128

func oracleFold(s string) string { return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s))) }

func oracleTokens(text string) []string {
	text = oracleInvisible.ReplaceAllString(norm.NFKC.String(text), "")
	var tokens []string
	for _, run := range oracleToken.FindAllString(oracleAlone.ReplaceAllString(text, " $0 "), -1) {
		for piece := range slices.Chunk([]rune(run), oracleLongest) {
			tokens = append(tokens, oracleFold(string(piece)))
		}
	}
	return tokens
}

func oracleUnaccent(token string) string {
	return norm.NFC.String(oraclePlain.Replace(oracleAccent.ReplaceAllString(norm.NFD.String(token), "$1")))
}

func oracleStems(token string) (en, es string) {
	if plain := oracleUnaccent(token); oracleEnglish.MatchString(plain) {
		env := snowballstem.NewEnv(plain)
		english.Stem(env)
		en = env.Current()
	}
	if len(token) >= 3 && len(token) <= 40 && oracleSpanish.MatchString(token) {
		if root, ok := strings.CutSuffix(token, "ion"); ok {
			token = root + "ión"
		}
		env := snowballstem.NewEnv(token)
		spanish.Stem(env)
		es = oracleUnaccent(env.Current())
	}
	return en, es
}

// oracleEdits is the optimal string alignment distance of two words, by the
// whole table.
func oracleEdits(a, b []rune) int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
		table[i][0] = i
	}
	for j := range table[0] {
		table[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replaced := table[i-1][j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			table[i][j] = min(replaced, table[i-1][j]+1, table[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				table[i][j] = min(table[i][j], table[i-2][j-2]+1)
			}
		}
	}
	return table[len(a)][len(b)]
}

// oracleKnown is what is known of a token of a text or a query.
type oracleKnown struct{ token, plain, en, es string }

// oracleBook remembers what is known of every token seen.
type oracleBook map[string]*oracleKnown

func (b oracleBook) of(token string) *oracleKnown {
	known := b[token]
	if known == nil {
		known = &oracleKnown{token: token, plain: oracleUnaccent(token)}
		known.en, known.es = oracleStems(token)
		b[token] = known
	}
	return known
}

// oracleWord is one word of a query.
type oracleWord struct {
	form     query.Form
	distance int
	*oracleKnown
}

func (w *oracleWord) accepts(of *oracleKnown) bool {
	switch w.form {
	case query.Exact:
		return of.token == w.token
	case query.Folded:
		return of.plain == w.plain
	case query.Prefix:
		return strings.HasPrefix(of.plain, w.plain)
	case query.Suffix:
		return strings.HasSuffix(of.plain, w.plain)
	case query.Infix:
		return strings.Contains(of.plain, w.plain)
	case query.Fuzzy:
		a, b := []rune(of.plain), []rune(w.plain)
		return max(len(a)-len(b), len(b)-len(a)) <= w.distance && oracleEdits(a, b) <= w.distance
	}
	return of.plain == w.plain || of.en != "" && of.en == w.en || of.es != "" && of.es == w.es
}

// words cuts a clause's own words again; of the parser's it takes the forms
// alone. It returns nil when the parser cut them otherwise.
func (b oracleBook) words(n *query.Text) []*oracleWord {
	value := n.Value
	if n.Words[0].Form == query.Fuzzy {
		value, _, _ = strings.Cut(value, "~")
	}
	tokens := oracleTokens(value)
	if len(tokens) != len(n.Words) {
		return nil
	}
	words := make([]*oracleWord, len(tokens))
	for i, token := range tokens {
		words[i] = &oracleWord{n.Words[i].Form, n.Words[i].Distance, b.of(token)}
	}
	return words
}
