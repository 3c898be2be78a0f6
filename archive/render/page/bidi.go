package page

import (
	"slices"

	"golang.org/x/text/unicode/bidi"
)

// rightToLeft reports whether the first letter with a direction reads from
// right to left (Unicode UAX #9, P2 and P3).
func rightToLeft(glyphs []glyph) bool {
	for i := range glyphs {
		switch glyphs[i].class() {
		case bidi.L:
			return false
		case bidi.R, bidi.AL:
			return true
		}
	}
	return false
}

// class returns a glyph's class in the bidirectional algorithm. What is shown
// as its code point stands as a sign between.
func (g *glyph) class() bidi.Class {
	if g.code != "" {
		return bidi.ON
	}
	props, _ := bidi.LookupRune(g.r)
	return props.Class()
}

// visual puts the glyphs of one line into the order in which they are drawn
// from left to right: UAX #9 for text without embeddings and isolates, which
// never come here unescaped; brackets are neutral. base is 1 in a paragraph
// that reads from right to left, else 0. Marks stay behind their letters.
func visual(line []glyph, base int) []glyph {
	classes := make([]bidi.Class, len(line))
	plain := base == 0
	for i := range line {
		classes[i] = line[i].class()
		plain = plain && classes[i] != bidi.R && classes[i] != bidi.AL && classes[i] != bidi.AN
	}
	if plain {
		return line
	}
	marks := make([]bool, len(line))
	for i, c := range classes {
		marks[i] = c == bidi.NSM && i > 0
	}
	weak(classes, base)
	neutral(classes, base)
	var units []unit
	for i, c := range classes {
		if marks[i] {
			last := &units[len(units)-1]
			last.glyphs = append(last.glyphs, line[i])
			continue
		}
		u := unit{level: level(c, base), glyphs: []glyph{line[i]}}
		if u.level%2 == 1 {
			u.glyphs[0].mirror()
		}
		units = append(units, u)
	}
	return ordered(units)
}

// A unit is a letter with its marks.
type unit struct {
	level  int
	glyphs []glyph
}

// weak resolves numbers and what stands among them (W1 to W7).
func weak(classes []bidi.Class, base int) {
	start := bidi.L
	if base == 1 {
		start = bidi.R
	}
	before, strong := start, start
	for i, c := range classes {
		switch {
		case c == bidi.NSM:
			c = before
		case c == bidi.EN && strong == bidi.AL:
			c = bidi.AN
		}
		if c == bidi.L || c == bidi.R || c == bidi.AL {
			strong = c
		}
		classes[i], before = c, c
	}
	for i, c := range classes {
		if (c == bidi.ES || c == bidi.CS) && i > 0 && i+1 < len(classes) && classes[i-1] == classes[i+1] &&
			(classes[i-1] == bidi.EN || classes[i-1] == bidi.AN && c == bidi.CS) {
			classes[i] = classes[i-1]
		}
	}
	for i := range classes { // signs at a number, on either side
		if classes[i] == bidi.ET && i > 0 && classes[i-1] == bidi.EN {
			classes[i] = bidi.EN
		}
	}
	for i := len(classes) - 2; i >= 0; i-- {
		if classes[i] == bidi.ET && classes[i+1] == bidi.EN {
			classes[i] = bidi.EN
		}
	}
	strong = start
	for i, c := range classes {
		switch c {
		case bidi.L, bidi.R:
			strong = c
		case bidi.AL:
			strong, classes[i] = bidi.R, bidi.R
		case bidi.EN:
			if strong == bidi.L {
				classes[i] = bidi.L
			}
		}
	}
}

// neutral gives what has no direction that of its surroundings (N1 and N2).
func neutral(classes []bidi.Class, base int) {
	own := bidi.L
	if base == 1 {
		own = bidi.R
	}
	side := func(i int) bidi.Class {
		switch {
		case i < 0 || i >= len(classes):
			return own
		case classes[i] == bidi.L:
			return bidi.L
		}
		return bidi.R
	}
	for i := 0; i < len(classes); i++ {
		if directed(classes[i]) {
			continue
		}
		end := i
		for end < len(classes) && !directed(classes[end]) {
			end++
		}
		dir := own
		if side(i-1) == side(end) {
			dir = side(end)
		}
		if end == len(classes) { // spaces at a line's end stay with the paragraph (L1)
			dir = own
		}
		for ; i < end; i++ {
			classes[i] = dir
		}
	}
}

func directed(c bidi.Class) bool {
	return c == bidi.L || c == bidi.R || c == bidi.EN || c == bidi.AN
}

// level is the embedding level of a resolved class (I1 and I2).
func level(c bidi.Class, base int) int {
	switch {
	case c == bidi.R:
		return 1
	case c == bidi.L && base == 0:
		return 0
	}
	return 2
}

// ordered reverses what reads from right to left (L2).
func ordered(units []unit) []glyph {
	for lvl := 2; lvl >= 1; lvl-- {
		for i := 0; i < len(units); i++ {
			end := i
			for end < len(units) && units[end].level >= lvl {
				end++
			}
			slices.Reverse(units[i:end])
			i = end
		}
	}
	var out []glyph
	for _, u := range units {
		out = append(out, u.glyphs...)
	}
	return out
}
