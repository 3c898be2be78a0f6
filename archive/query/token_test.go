package query

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestTokenize(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		"...":                        "",
		"Call bed 4, now!":           "call|bed|4|now",
		"don't x-ray foo_bar a.b":    "don|t|x|ray|foo|bar|a|b",
		"3pm 10:30 5mg/kg":           "3pm|10|30|5mg|kg",
		"CAFÉ cafe\u0301 Café":       "café|café|café",
		"Straße STRASSE":             "strasse|strasse",
		"ΣΊΣΥΦΟΣ σίσυφος":            "σίσυφοσ|σίσυφοσ",
		"ﬁne ５㎎ Ⅳ":                   "fine|5mg|iv",
		"½ cup":                      "1|2|cup",
		"患者 needs さくら":               "患|者|needs|さ|く|ら",
		"ラーメン ﾗｰﾒﾝ":                  "ラ|ー|メ|ン|ラ|ー|メ|ン",
		"か\u3099b":                   "が|b",
		"한국어 번역":                     "한|국|어|번|역",
		"हिन्दी":                     "हिन्दी",
		"mor\u00adphine a\u200db":    "morphine|ab",
		"a\u200bb":                   "a|b",
		"❤\ufe0f ok\U0001f44d\ufe0f": "❤|ok|👍",
		"\u0301a \u0301":             "a",
		"a,\u0301b":                  "a|b",
		"1\ufe0f\u20e3":              "1",
		"👍🏽 👩\u200d⚕\ufe0f":          "👍|👩|⚕",
		"🇪🇸🇺🇸 🇪":                     "🇪🇸|🇺🇸|🇪",
		"38°C ✓ok → x":               "38|c|✓|ok|x",
		"İstanbul":                   "i\u0307stanbul",
		"bad\xffutf8":                "bad|utf8",
		strings.Repeat("a", 300):     strings.Repeat("a", 128) + "|" + strings.Repeat("a", 128) + "|" + strings.Repeat("a", 44),
		strings.Repeat("é", 129):     strings.Repeat("é", 128) + "|é",
	} {
		if got := strings.Join(Words(text), "|"); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// Language 1 cuts as it always did.
func TestTokenizeAsBefore(t *testing.T) {
	for text, want := range map[string]string{
		"한국어 번역": "한국어|번역", "❤\ufe0f ok\U0001f44d\ufe0f": "ok", "1\ufe0f\u20e3": "1\u20e3", "患者 さ": "患|者|さ", "a🇪🇸b": "a|b",
	} {
		if got := strings.Join(wordsOf(1, text), "|"); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestTokenOffsets(t *testing.T) {
	for _, text := range []string{"Call bed 4", "the café, ﬁne", "患者 か\u3099", "x\u00ady"} {
		for _, tok := range Tokenize(text) {
			if again := Words(text[tok.Start:tok.End]); !slices.Equal(again, []string{tok.Text}) {
				t.Errorf("%q: token %q comes from %q", text, tok.Text, text[tok.Start:tok.End])
			}
		}
	}
}

// slowly cuts a text rune by rune, all of it normalised as one.
func slowly(language int, text string) []Token {
	s := splitter{language: language, text: text}
	var it norm.Iter
	it.InitString(norm.NFKC, text)
	for !it.Done() {
		start := it.Pos()
		seg := it.Next()
		end := it.Pos()
		if end == start {
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

// The short ways, for ASCII and between its signs, must not differ from the long one.
func TestShortWays(t *testing.T) {
	runes := rapid.StringOf(rapid.OneOf(
		rapid.RuneFrom(nil, &unicode.RangeTable{R16: []unicode.Range16{{Lo: 0, Hi: 0x17f, Stride: 1}}}),
		rapid.RuneFrom([]rune("abC ,='´\u0301\u0338\u00adß½éÉ患한\u1100\u1161か\u3099👍🏽🇪1\u20e3\u200b\u200d\ufb01\u0345")), rapid.Rune()))
	rapid.Check(t, func(t *rapid.T) {
		text := runes.Draw(t, "text") + strings.Repeat(rapid.SampledFrom([]string{"", "a", "é", "a\u0301"}).Draw(t, "long"), rapid.IntRange(0, 200).Draw(t, "times"))
		for language := 1; language <= Language; language++ {
			got, want := tokenize(language, text), slowly(language, text)
			same := slices.EqualFunc(got, want, func(a, b Token) bool { return a.Text == b.Text })
			if !same {
				t.Fatalf("%q in language %d: %v, the long way %v", text, language, got, want)
			}
		}
	})
}

// Lower case is folded case for what fold takes the short way.
func TestFoldLatin1(t *testing.T) {
	for r := rune(0); r <= 0xff; r++ {
		if s := string(r); isLatin1(s) && fold(s) != norm.NFKC.String(cases.Fold().String(s)) {
			t.Errorf("%q: %q", s, fold(s))
		}
	}
}

// Counting a word with a regular expression gives what a search gives.
func TestEqualsRegexp(t *testing.T) {
	words := []string{"call", "Bed", "4", "am", "x", "don", "t"}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom(append(words, " ", ", ", "-", "'", "\n", "é", "callé"))).Draw(t, "text"), "")
		phrase := rapid.SliceOfN(rapid.SampledFrom(words), 1, 3).Draw(t, "phrase")
		q, err := ParseLanguage(1, `"`+strings.Join(phrase, " ")+`"`)
		if err != nil {
			t.Fatal(err)
		}
		// Go's \b knows ASCII only; the letters of this test are these.
		re := regexp.MustCompile(`(?i)(?:^|[^\pL\pN])` + strings.Join(phrase, `[^\pL\pN]+`) + `(?:$|[^\pL\pN])`)
		if got, want := q.Match(&Doc{Text: text}), re.MatchString(text); got != want {
			t.Fatalf("%q in %q: match %v, regexp %v", phrase, text, got, want)
		}
	})
}

func FuzzTokenize(f *testing.F) {
	for _, s := range []string{"Call bed 4", "café cafe\u0301", "患者 ラーメン", "ﬁ½㎎İß", "a\u00adb\u200bc\ufe0f", "\xff\xfe", "½0", strings.Repeat("a\u0301", 90)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		end := 0
		for _, tok := range Tokenize(s) {
			if tok.Text == "" || !utf8.ValidString(tok.Text) || tok.Start < 0 || tok.Start >= tok.End || tok.End > len(s) || tok.End < end {
				t.Fatalf("%q: token %+v", s, tok)
			}
			end = tok.End
		}
		// Tokens are found again by themselves: whatever is in a text can be searched.
		for _, w := range Words(s) {
			if again := Words(w); len(again) == 0 {
				t.Fatalf("%q: token %q has no tokens", s, w)
			}
		}
		if a, b := Words(s), Words(strings.ToValidUTF8(s, "\ufffd")); !reflect.DeepEqual(a, b) {
			t.Fatalf("%q: %q, made valid %q", s, a, b)
		}
	})
}
