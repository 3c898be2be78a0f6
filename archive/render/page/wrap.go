package page

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rivo/uniseg"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// A glyph is one rune as it is drawn, or the code point of one that no font
// has a glyph for.
type glyph struct {
	r     rune
	code  string // "[U+1F600]"; "" for what is drawn as itself
	face  face
	width float64 // in points
}

// mirror turns a bracket round, for text that reads from right to left.
func (g *glyph) mirror() {
	if g.code == "" {
		g.r = []rune(bidi.ReverseString(string(g.r)))[0]
	}
}

// A setter breaks text into lines with the fonts of one document.
type setter struct{ *palette }

// glyphs returns how s, which has no line break, is drawn.
func (p setter) glyphs(s string, asked face, size float64) []glyph {
	out := make([]glyph, 0, len(s))
	for _, r := range s {
		if r == '\t' {
			r = ' ' // of a TAB's four, see lines
		}
		// A variation selector asks for another drawing of the sign before it,
		// a non-joiner for letters that are not joined: here nothing else is.
		if 0xfe00 <= r && r <= 0xfe0f || r == 0x200c {
			continue
		}
		f, width := p.of(r, asked)
		if f == none || r == 0x200d {
			out = append(out, p.code(r, size))
			continue
		}
		out = append(out, glyph{r: r, face: f, width: float64(width) * size / 1000})
	}
	return out
}

// code returns the glyph of a rune that is shown as its code point.
func (p setter) code(r rune, size float64) glyph {
	g := glyph{r: r, code: fmt.Sprintf("[U+%04X]", r), face: sans}
	for _, c := range g.code {
		_, w := p.of(c, sans)
		g.width += float64(w) * size / 1000
	}
	return g
}

// A textLine is one line as it is drawn from left to right.
type textLine struct {
	glyphs []glyph
	right  bool // it begins at the right
}

func widthOf(glyphs []glyph) float64 {
	w := 0.0
	for i := range glyphs {
		w += glyphs[i].width
	}
	return w
}

// lines breaks text into lines of at most width points (Unicode UAX #14;
// within a word only where a whole line has no room for it). Text that could
// be composed is: that is how the fonts draw it best.
func (p setter) lines(text string, asked face, size, width float64) []textLine {
	var out []textLine
	text = strings.ReplaceAll(norm.NFC.String(text), "\t", "    ")
	for para := range strings.SplitSeq(text, "\n") {
		base := 0
		if rightToLeft(p.glyphs(para, asked, size)) {
			base = 1
		}
		for _, line := range p.wrap(para, asked, size, width) {
			out = append(out, textLine{visual(line, base), base == 1})
		}
	}
	return out
}

// wrap breaks one paragraph into lines in the order of reading.
func (p setter) wrap(para string, asked face, size, width float64) [][]glyph {
	var out [][]glyph
	var line []glyph
	used, state := 0.0, -1
	flush := func() { out, line, used = append(out, line), nil, 0 }
	for rest := para; rest != ""; {
		var segment string
		segment, rest, _, state = uniseg.FirstLineSegmentInString(rest, state)
		set := p.glyphs(segment, asked, size)
		// Spaces at the end may hang over the edge.
		visible := widthOf(p.glyphs(strings.TrimRight(segment, " "), asked, size))
		if used+visible > width && len(line) > 0 {
			flush()
		}
		if visible <= width {
			line = append(line, set...)
			used += widthOf(set)
			continue
		}
		for _, cluster := range p.clusters(segment, asked, size, width) {
			w := widthOf(cluster)
			if used+w > width && len(line) > 0 {
				flush()
			}
			line = append(line, cluster...)
			used += w
		}
	}
	flush()
	return out
}

// clusters returns how s is drawn, cut where a reader sees one sign end; one
// that is wider than a line is cut as well.
func (p setter) clusters(s string, asked face, size, width float64) [][]glyph {
	var out [][]glyph
	state := -1
	for s != "" {
		var cluster string
		cluster, s, _, state = uniseg.FirstGraphemeClusterInString(s, state)
		set := p.glyphs(cluster, asked, size)
		if widthOf(set) <= width {
			out = append(out, set)
			continue
		}
		for g := range slices.Chunk(set, 1) {
			out = append(out, g)
		}
	}
	return out
}
