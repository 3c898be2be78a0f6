package extract

import (
	"math"
	"strings"

	"github.com/ledongthuc/pdf"
)

// matrix is a transformation [a b c d e f] (ISO 32000-1 section 8.3.3).
type matrix [6]float64

var identity = matrix{1, 0, 0, 1, 0, 0}

// mul returns m applied before n.
func (m matrix) mul(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

func moved(x, y float64) matrix { return matrix{1, 0, 0, 1, x, y} }

// graphics is the graphics state as far as text needs it (section 9.3).
type graphics struct {
	ctm                  matrix
	font                 *font
	size, chars, words   float64
	scale, leading, rise float64
}

// drawing reads one content stream.
type drawing struct {
	p         *pdfText
	resources pdf.Value
	depth     int
	now       graphics
	saved     []graphics
	text      matrix // of the next glyph
	begin     matrix // of the line
	fonts     map[string]*font
	marks     []mark
}

// mark is a piece of marked content (section 14.6), perhaps with the text that
// stands for what it shows (section 14.9.4).
type mark struct {
	instead bool
	text    string // not written yet
}

const maxSaved = 256

// pen is where the last glyph ended on the page.
type pen struct {
	x, y float64
	down bool
}

// operator acts on one operator (annex A). Operands that are missing are zero.
func (d *drawing) operator(op string, args []operand) {
	if d.p.w.full {
		return
	}
	n := func(i int) float64 {
		if i < len(args) {
			return args[i].num
		}
		return 0
	}
	last := func() operand {
		if len(args) == 0 {
			return operand{}
		}
		return args[len(args)-1]
	}
	switch op {
	case "q":
		if len(d.saved) < maxSaved {
			d.saved = append(d.saved, d.now)
		}
	case "Q":
		if k := len(d.saved); k > 0 {
			d.now, d.saved = d.saved[k-1], d.saved[:k-1]
		}
	case "cm":
		d.now.ctm = matrix{n(0), n(1), n(2), n(3), n(4), n(5)}.mul(d.now.ctm)
	case "BT":
		d.text, d.begin = identity, identity
	case "Tf":
		d.now.size = n(1)
		if len(args) > 0 {
			d.now.font = d.font(args[0].str)
		}
	case "Tc":
		d.now.chars = n(0)
	case "Tw":
		d.now.words = n(0)
	case "Tz":
		d.now.scale = n(0) / 100
	case "TL":
		d.now.leading = n(0)
	case "Ts":
		d.now.rise = n(0)
	case "Td":
		d.next(n(0), n(1))
	case "TD":
		d.now.leading = -n(1)
		d.next(n(0), n(1))
	case "Tm":
		d.begin = matrix{n(0), n(1), n(2), n(3), n(4), n(5)}
		d.text = d.begin
	case "T*":
		d.next(0, -d.now.leading)
	case "Tj":
		d.show(last().str)
	case "'":
		d.next(0, -d.now.leading)
		d.show(last().str)
	case "\"":
		d.now.words, d.now.chars = n(0), n(1)
		d.next(0, -d.now.leading)
		d.show(last().str)
	case "TJ":
		for _, part := range last().list {
			if part.kind == isNumber {
				d.text = moved(-part.num/1000*d.now.size*d.now.scale, 0).mul(d.text)
			} else {
				d.show(part.str)
			}
		}
	case "Do":
		d.object(last().str)
	case "BMC", "BDC":
		if len(d.marks) < maxSaved {
			d.marks = append(d.marks, d.mark(last()))
		}
	case "EMC":
		if k := len(d.marks); k > 0 {
			d.marks = d.marks[:k-1]
		}
	case "EI", "f", "F", "f*", "B", "B*", "b", "b*", "S", "s", "sh":
		d.p.drawn = true
	}
}

// next begins a line.
func (d *drawing) next(x, y float64) {
	d.begin = moved(x, y).mul(d.begin)
	d.text = d.begin
}

// mark begins a piece of marked content.
func (d *drawing) mark(properties operand) mark {
	if properties.kind == isName {
		if text := d.resources.Key("Properties").Key(properties.str).Key("ActualText"); text.Kind() == pdf.String {
			return mark{true, text.Text()}
		}
	}
	for i := 0; i+1 < len(properties.list); i += 2 {
		if key, value := properties.list[i], properties.list[i+1]; key.str == "ActualText" && value.kind == isString {
			if s, wide := strings.CutPrefix(value.str, "\xfe\xff"); wide {
				return mark{true, utf16Text([]byte(s))}
			}
			return mark{true, strings.ToValidUTF8(value.str, "")}
		}
	}
	return mark{}
}

// instead returns what stands for a glyph's text where it is shown.
func (d *drawing) instead(text string) string {
	for i := range d.marks {
		if m := &d.marks[i]; m.instead {
			text, m.text = m.text, ""
			return text
		}
	}
	return text
}

// object shows an image or a form.
func (d *drawing) object(name string) {
	o := d.resources.Key("XObject").Key(name)
	if o.Key("Subtype").Name() != "Form" {
		d.p.drawn = true
		return
	}
	if d.depth >= maxForms {
		d.p.broken = true
		return
	}
	d.p.form(o, d.resources, d.now.ctm, d.depth+1)
}

func (d *drawing) font(name string) *font {
	f, known := d.fonts[name]
	if !known {
		f = newFont(d.resources.Key("Font").Key(name))
		d.fonts[name] = f
	}
	return f
}

// show shows a string's glyphs.
func (d *drawing) show(s string) {
	f := d.now.font
	if f == nil {
		f = &font{}
		d.now.font = f
	}
	for len(s) > 0 && !d.p.w.full {
		code, n := f.code(s)
		text, ok := f.text(s[:n])
		d.p.shown++
		marked := d.instead(text)
		if !ok && marked == text {
			d.p.lost++
		}
		advance := f.width(code)/1000*d.now.size + d.now.chars
		if n == 1 && s[0] == ' ' {
			advance += d.now.words
		}
		d.glyph(marked, advance*d.now.scale)
		s = s[n:]
	}
}

// Gaps, in sizes of the font.
const (
	wordGap = 0.15 // a wider one is a space that nobody drew
	lineGap = 0.4  // so far off the line is another line
	backGap = 0.7  // so far back is another column, or line
)

// glyph writes one glyph's text, behind a space or a line's end where it stands
// apart from the last one.
func (d *drawing) glyph(text string, advance float64) {
	at := matrix{d.now.size * d.now.scale, 0, 0, d.now.size, 0, d.now.rise}.mul(d.text).mul(d.now.ctm)
	size := math.Hypot(at[2], at[3])
	w, last := d.p.w, d.p.pen
	if along := math.Hypot(at[0], at[1]); last.down && along > 0 && size > 0 {
		dx, dy := at[4]-last.x, at[5]-last.y
		ahead := (dx*at[0] + dy*at[1]) / along
		aside := math.Abs(dx*at[1]-dy*at[0]) / along
		switch {
		case aside > lineGap*size, ahead < -backGap*size:
			w.line()
		case ahead > wordGap*size:
			w.space()
		}
	}
	if text == " " {
		w.space()
	} else {
		w.put(text)
	}
	d.text = moved(advance, 0).mul(d.text)
	end := moved(0, d.now.rise).mul(d.text).mul(d.now.ctm)
	d.p.pen = pen{end[4], end[5], true}
}
