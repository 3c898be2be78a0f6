package page

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"

	"codeberg.org/go-pdf/fpdf"
)

// A pen draws on a document's current page, and remembers what is set there.
// Coordinates are points from the sheet's upper left corner.
type pen struct {
	*palette
	d    *fpdf.Fpdf
	face face
	size float64
	ink  ink
	used [faces]map[rune]bool // what the document's fonts have
	err  error                // the first that came up
}

// errNotLoaded is kept when something is drawn that the document's fonts were
// not cut for: fpdf would leave it out and say nothing.
var errNotLoaded = errors.New("page: a sign was to be drawn that the document's fonts do not have; report this as a fault of Holdfast")

// load adds the fonts to the document that the lines are drawn with, each with
// the glyphs alone that they need, and with ASCII.
func (p *pen) load(lines iter.Seq[[]glyph]) error {
	use := func(f face, r rune) {
		if p.used[f] == nil {
			p.used[f] = map[rune]bool{}
		}
		p.used[f][r] = true
	}
	for r := rune(' '); r <= '~'; r++ {
		use(sans, r)
		use(bold, r)
	}
	for line := range lines {
		for i := range line {
			if line[i].code == "" {
				use(line[i].face, line[i].r)
			}
		}
	}
	for f, runes := range p.used {
		if runes == nil {
			continue
		}
		face := p.open[f]
		file, err := face.cut(slices.Sorted(maps.Keys(runes)), func(r rune) uint16 { return face.glyph[r] })
		if err != nil {
			return err
		}
		p.d.AddUTF8FontFromBytes(faceNames[f], "", file)
	}
	return nil
}

// page begins a page, on which nothing is set.
func (p *pen) page() {
	p.face, p.size, p.ink = none, 0, black
	p.d.SetTextColor(0, 0, 0)
	p.d.SetDrawColor(0, 0, 0)
}

// set makes what follows be drawn so.
func (p *pen) set(f face, size float64, i ink) {
	if p.face != f || p.size != size {
		p.d.SetFont(faceNames[f], "", size)
		p.face, p.size = f, size
	}
	if p.ink != i {
		if i == red {
			p.d.SetTextColor(150, 0, 0)
		} else {
			p.d.SetTextColor(int(i), int(i), int(i))
		}
		p.ink = i
	}
}

// glyphs draws a line whose upper edge is at y. Code points that stand for
// what no font has are drawn on grey, so that none is taken for text.
func (p *pen) glyphs(x, y, size float64, i ink, line []glyph) {
	base := y + size
	for len(line) > 0 {
		n, width := 1, line[0].width
		var run strings.Builder
		draw := func(g *glyph) {
			if !p.used[g.face][g.r] {
				p.err = errNotLoaded
			}
			run.WriteRune(g.r)
		}
		if g := &line[0]; g.code != "" {
			p.d.SetFillColor(225, 225, 225)
			p.d.Rect(x, base-size*0.85, g.width, size*1.1, "F")
			run.WriteString(g.code)
		} else {
			draw(g)
			for n < len(line) && line[n].code == "" && line[n].face == g.face {
				width += line[n].width
				draw(&line[n])
				n++
			}
		}
		p.set(line[0].face, size, i)
		p.d.Text(x, base, run.String())
		x += width
		line = line[n:]
	}
}

// strip draws a strip whose upper edge is at y; its rule only if it may.
func (p *pen) strip(s *strip, y float64, ruled bool) {
	if s.rule && ruled {
		p.line(margin, y, sheetWidth-margin)
	}
	if s.bar > 0 {
		p.d.SetFillColor(190, 190, 190)
		p.d.Rect(margin+s.bar-3, y, 1.5, s.height, "F")
	}
	for i := range s.pieces {
		piece := &s.pieces[i]
		p.glyphs(margin+piece.x, y, piece.size, piece.ink, piece.glyphs)
	}
}

func (p *pen) line(x, y, to float64) {
	p.d.SetLineWidth(0.4)
	p.d.Line(x, y, to, y)
}
