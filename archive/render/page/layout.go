package page

import (
	"slices"
	"strings"
)

// The sheet: US Letter, in points.
const (
	sheetWidth, sheetHeight = 612.0, 792.0
	margin                  = 54.0
	inner                   = sheetWidth - 2*margin
	leading                 = 1.32 // line height per size

	small, normal, large = 7.0, 9.5, 13.0
	headSize             = 8.0
	mostLegend           = 8 // lines of a legend in each page's head
)

// ink is how dark text is: 0 black, 255 white.
type ink int

const (
	black ink = 0
	grey  ink = 95
	red   ink = -1 // what must not be overlooked
)

// A piece is a run of glyphs in a row, x points from the left margin.
type piece struct {
	x      float64
	size   float64
	ink    ink
	glyphs []glyph
}

// A strip is one row across the sheet: what is never cut in two.
type strip struct {
	height float64
	pieces []piece
	rule   bool    // a line is drawn along its top
	bar    float64 // where a bar stands at its left, for earlier versions; 0 for none
	keep   bool    // it never is the last on a page
	bates  []string
}

// A sheet is one page: its strips and the Bates numbers of what they show.
type sheet struct {
	strips      []strip
	first, last string
}

// A layout collects a story's strips.
type layout struct {
	setter
	strips []strip
	bates  []string // of what is being laid out
}

func (l *layout) add(s strip) {
	s.bates = l.bates
	l.strips = append(l.strips, s)
}

// A look is how text is set, x points from the left margin.
type look struct {
	face face
	size float64
	ink  ink
	x    float64
	bar  float64 // as a strip's
	keep bool    // likewise
	turn bool    // what reads from right to left begins at the right
}

// text adds text between its x and the right margin.
func (l *layout) text(s string, k look) {
	for _, line := range l.lines(s, k.face, k.size, inner-k.x) {
		x := k.x
		if line.right && k.turn {
			x = inner - widthOf(line.glyphs)
		}
		l.add(strip{height: k.size * leading, bar: k.bar, keep: k.keep, pieces: []piece{{x: x, size: k.size, ink: k.ink, glyphs: line.glyphs}}})
	}
}

// pair adds a name with its value beside it.
func (l *layout) pair(f fact, size, x, at float64) {
	for i, line := range l.lines(f.value, sans, size, inner-at) {
		s := strip{height: size * leading}
		if i == 0 {
			s.pieces = append(s.pieces, piece{x: x, size: size, ink: grey, glyphs: l.glyphs(f.name, bold, size)})
		}
		s.pieces = append(s.pieces, piece{x: at, size: size, ink: black, glyphs: line.glyphs})
		l.add(s)
	}
}

func (l *layout) space(height float64) { l.add(strip{height: height}) }

// story lays out a whole story.
func (l *layout) story(s *story) {
	l.text(s.title, look{face: bold, size: large, keep: true})
	l.space(4)
	for _, f := range s.facts {
		l.pair(f, 8, 0, 90)
	}
	l.space(8)
	for i := range s.blocks {
		b := &s.blocks[i]
		l.bates = b.bates
		l.block(b)
		l.bates = nil
	}
}

// block lays out one entry with what hangs at it.
func (l *layout) block(b *block) {
	l.add(strip{height: 5, rule: true, keep: true})
	l.text(b.time, look{size: 8, ink: grey, keep: true})
	l.text(b.who, look{face: bold, size: normal, keep: true})
	if len(b.marks) > 0 {
		l.text(strings.Join(b.marks, "  ·  "), look{face: bold, size: 8, ink: red, keep: true})
	}
	for i := range b.versions {
		v := &b.versions[i]
		bar, i := 0.0, black
		if v.dim {
			bar, i = 10, grey
		}
		if v.label != "" {
			l.text(v.label, look{face: bold, size: small, ink: grey, x: 14, bar: bar, keep: true})
		}
		if v.text != "" {
			l.text(v.text, look{size: normal, ink: i, x: 14, bar: bar, turn: true})
		}
	}
	l.files(b.files)
	for _, e := range b.events {
		l.text(e, look{size: 7.5, x: 14})
	}
	facts := make([]string, len(b.facts))
	for i, f := range b.facts {
		facts[i] = f.name + " " + f.value
	}
	l.text(strings.Join(facts, "  ·  "), look{size: small, ink: grey, x: 14})
	l.space(6)
}

// columns of the table of attachments: where each begins, from the margin.
var columns = [...]struct {
	name string
	x    float64
}{{"Attachment", 14}, {"Type", 150}, {"Bytes", 220}, {"Produced as", 270}, {"Bates", 370}, {"SHA-256", 430}}

func (l *layout) files(files []fileRow) {
	if len(files) == 0 {
		return
	}
	l.space(3)
	var head [len(columns)]string
	for i, c := range columns {
		head[i] = c.name
	}
	l.row(head, bold)
	for _, f := range files {
		l.row([...]string{f.name, f.kind, f.size, f.state, f.bates, f.sha256}, sans)
	}
	l.space(3)
}

// row adds one row of the table: as many strips as its longest cell has lines.
func (l *layout) row(cells [len(columns)]string, f face) {
	const gap = 5
	var wrapped [len(columns)][]textLine
	height := 0
	for i, cell := range cells {
		end := inner
		if i+1 < len(columns) {
			end = columns[i+1].x
		}
		wrapped[i] = l.lines(cell, f, small, end-columns[i].x-gap)
		height = max(height, len(wrapped[i]))
	}
	for n := range height {
		s := strip{height: small * leading, rule: n == 0, keep: f == bold || n+1 < min(height, 12)}
		for i := range wrapped {
			if n < len(wrapped[i]) {
				s.pieces = append(s.pieces, piece{x: columns[i].x, size: small, glyphs: wrapped[i][n].glyphs})
			}
		}
		l.add(s)
	}
}

// sheets cuts strips into pages of the height. What is to be kept with what
// follows it goes over to the next page with it, unless that is a page's all.
func sheets(strips []strip, height float64) []sheet {
	var out []sheet
	for len(strips) > 0 {
		n, used := 0, 0.0
		for n < len(strips) && (n == 0 || used+strips[n].height <= height) {
			used += strips[n].height
			n++
		}
		if n < len(strips) {
			cut := n
			for cut > 0 && strips[cut-1].keep {
				cut--
			}
			if cut > 0 {
				n = cut
			}
		}
		page := sheet{strips: strips[:n]}
		for _, s := range page.strips {
			if len(s.bates) == 0 {
				continue
			}
			if page.first == "" || s.bates[0] < page.first {
				page.first = s.bates[0]
			}
			page.last = max(page.last, slices.Max(s.bates))
		}
		out = append(out, page)
		strips = strips[n:]
	}
	return out
}
