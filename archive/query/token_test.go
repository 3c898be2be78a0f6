package query

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

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

// The short way for ASCII must not differ from the long one.
func TestASCIIWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom(nil, &unicode.RangeTable{R16: []unicode.Range16{{Lo: 0, Hi: 127, Stride: 1}}})).Draw(t, "text")
		var s splitter
		for i, r := range text {
			s.rune(r, i, i+1)
		}
		s.flush()
		if got := Tokenize(text); !slices.Equal(got, s.tokens) {
			t.Fatalf("%q: %v, the long way %v", text, got, s.tokens)
		}
	})
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
