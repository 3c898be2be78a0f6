package page

import (
	"strings"

	"codeberg.org/go-pdf/fpdf"
)

// A pen draws on a document's current page, and remembers what is set there.
// Coordinates are points from the sheet's upper left corner.
type pen struct {
	*palette
	d     *fpdf.Fpdf
	face  face
	size  float64
	ink   ink
	added [faces]bool
}

// page begins a page, on which nothing is set.
func (p *pen) page() {
	p.face, p.size, p.ink = none, 0, black
	p.d.SetTextColor(0, 0, 0)
	p.d.SetDrawColor(0, 0, 0)
}

// set makes what follows be drawn so. Only fonts that are drawn with come into
// the document, each cut to the glyphs that are.
func (p *pen) set(f face, size float64, i ink) {
	if !p.added[f] {
		p.d.AddUTF8FontFromBytes(faceNames[f], "", p.open[f].file)
		p.added[f] = true
	}
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
		if g := &line[0]; g.code != "" {
			p.d.SetFillColor(225, 225, 225)
			p.d.Rect(x, base-size*0.85, g.width, size*1.1, "F")
			run.WriteString(g.code)
		} else {
			run.WriteRune(g.r)
			for n < len(line) && line[n].code == "" && line[n].face == g.face {
				width += line[n].width
				run.WriteRune(line[n].r)
				n++
			}
		}
		p.set(line[0].face, size, i)
		p.d.Text(x, base, run.String())
		x += width
		line = line[n:]
	}
}

// strip draws a strip whose upper edge is at y.
func (p *pen) strip(s *strip, y float64) {
	if s.rule {
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
