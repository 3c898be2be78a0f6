package page

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"

	"holdfast/archive/render"
)

func faceSet(t testing.TB) setter {
	t.Helper()
	p, err := newPalette()
	if err != nil {
		t.Fatal(err)
	}
	return setter{p}
}

// What is drawn leaves a mark: no rune that comes through the escapes, except a
// space, has a glyph without an outline.
func TestNoGlyphIsBlank(t *testing.T) {
	t.Parallel()
	p := faceSet(t)
	drawn, blank := 0, []rune{}
	for r := rune(0x20); r < 0x10000; r++ {
		if unicode.Is(unicode.Zs, r) || unicode.Is(unicode.Cs, r) || render.Visible(string(r)) != string(r) {
			continue
		}
		for _, asked := range []face{sans, bold} {
			f, _ := p.of(r, asked)
			if f == none {
				continue
			}
			drawn++
			outline, err := p.open[f].outline(p.open[f].glyph[r])
			if err != nil {
				t.Fatal(err)
			}
			if len(outline) == 0 {
				blank = append(blank, r)
			}
		}
	}
	if drawn < 80_000 || len(blank) > 0 {
		t.Errorf("%d drawn, blank are %U", drawn, blank)
	}
}

// Every rune of the scripts that hospitals here write in has a glyph.
func TestFontsCover(t *testing.T) {
	p := faceSet(t)
	for name, span := range map[string][2]rune{"Latin": {0xa1, 0x17f}, "Vietnamese": {0x1ea0, 0x1ef9}, "Cyrillic": {0x400, 0x45f}, "Hebrew": {0x5d0, 0x5ea}, "kana": {0x3041, 0x3094}, "katakana": {0x30a1, 0x30f6},
		"Hangul": {0xac00, 0xd7a3}, "Han": {0x4e00, 0x9fa5}, "Extension A": {0x3400, 0x4db5}} {
		for r := span[0]; r <= span[1]; r++ {
			if f, _ := p.of(r, sans); f == none && r != 0xad {
				t.Errorf("%s: no glyph for %U", name, r)
			}
		}
	}
}

// A cut font has the outlines and advances of the whole one, as another reader
// of TrueType sees them, made of other glyphs or not.
func TestCutFontsDrawTheSame(t *testing.T) {
	t.Parallel()
	p := faceSet(t)
	for f, text := range map[face]string{sans: "Aéếﬁ→שل█", bold: "Bçñ", wide: "漢字한글かﾃ。", rare: "㗎"} {
		runes := []rune(text)
		slices.Sort(runes)
		whole := p.open[f]
		file, err := whole.cut(runes, func(r rune) uint16 { return whole.glyph[r] })
		if err != nil {
			t.Fatal(err)
		}
		if len(file) > 60_000 {
			t.Errorf("%s: %d bytes for %d runes", faceNames[f], len(file), len(runes))
		}
		cut, err := sfnt.Parse(file)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := unpack([faces][]byte{sansGzip, boldGzip, wideGzip, rareGzip}[f])
		if err != nil {
			t.Fatal(err)
		}
		full, err := sfnt.Parse(packed)
		if err != nil {
			t.Fatal(err)
		}
		em := fixed.I(int(full.UnitsPerEm()))
		var a, b sfnt.Buffer
		for _, r := range runes {
			i, err := cut.GlyphIndex(&a, r)
			if err != nil || i == 0 {
				t.Fatalf("%c: %d %v", r, i, err)
			}
			got, err := cut.LoadGlyph(&a, i, em, nil)
			if err != nil {
				t.Fatal(err)
			}
			want, err := full.LoadGlyph(&b, sfnt.GlyphIndex(whole.glyph[r]), em, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 0 || !reflect.DeepEqual(slices.Clone(got), slices.Clone(want)) {
				t.Errorf("%s: %c is drawn otherwise", faceNames[f], r)
			}
		}
	}
}

func TestWrap(t *testing.T) {
	p := faceSet(t)
	read := func(lines []textLine) string {
		var out []string
		for _, l := range lines {
			var b strings.Builder
			for _, g := range l.glyphs {
				if b.WriteString(g.code); g.code == "" {
					b.WriteRune(g.r)
				}
			}
			out = append(out, b.String())
		}
		return strings.Join(out, "|")
	}
	for _, c := range []struct {
		text  string
		width float64
		want  string
	}{
		{"", 100, ""},
		{"one two three", 50, "one two |three"},
		{"a\n\nb", 50, "a||b"},
		{"漢字仮名。漢字", 32, "漢字仮|名。漢|字"},
		{"漢字仮。名", 32, "漢字|仮。名"}, // no line begins with a full stop
		{"xxxxxxxxxxxx", 30, "xxxxx|xxxxx|xx"},
		{"שלום abc 12", 200, "abc 12 םולש"},
		{"a שלום 12 b", 200, "a 12 םולש b"},
		{"(א)", 200, "(א)"},
		{"الآن", 200, "نآلا"},
		{"x😀y", 200, "x[U+1F600]y"},
		{"e\u0301", 200, "é"},
		{"❤\ufe0f", 200, "❤"},
	} {
		if got := read(p.lines(c.text, sans, 10, c.width)); got != c.want {
			t.Errorf("%q: %q, not %q", c.text, got, c.want)
		}
	}
}

// Whatever a font file says, reading and cutting it ends without a panic.
func FuzzTrueType(f *testing.F) {
	p := faceSet(f)
	whole := p.open[sans]
	small, err := whole.cut([]rune("Aé"), func(r rune) uint16 { return whole.glyph[r] })
	if err != nil {
		f.Fatal(err)
	}
	f.Add(small, uint16(1))
	f.Add(small[:100], uint16(0))
	f.Fuzz(func(t *testing.T, file []byte, id uint16) {
		font, err := readTrueType(file)
		if err != nil {
			return
		}
		if _, err := font.cut([]rune{'A'}, func(rune) uint16 { return id }); err != nil && !errors.Is(err, errFont) {
			t.Errorf("error %v", err)
		}
	})
}
