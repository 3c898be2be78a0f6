package page

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"codeberg.org/go-pdf/fpdf"

	"holdfast/archive/render"
)

// PDF returns the format "pdf": one file STEM.pdf of each unit, US Letter, with
// the fonts embedded that it draws with.
func PDF() render.Format {
	return render.Format{Name: "pdf", Units: []render.UnitKind{render.ConversationDay, render.AConversation, render.Message},
		New: func(o render.Options, sink render.Sink) (render.Writer, error) {
			p, err := newPalette()
			if err != nil {
				return nil, err
			}
			return &pdfWriter{teller: newTeller(o), sink: sink, setter: setter{p}}, nil
		}}
}

type pdfWriter struct {
	teller
	sink   render.Sink
	setter setter
}

// Unit implements render.Writer.
func (w *pdfWriter) Unit(u *render.Unit) (err error) {
	s := w.tell(u)
	l := &layout{setter: w.setter}
	l.story(s)
	d, err := w.document(u, s, l)
	if err != nil {
		return err
	}
	f, err := w.sink.Create(u.Stem + ".pdf")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := d.Output(f); err != nil {
		return fmt.Errorf("page: %s.pdf: %w", u.Stem, err)
	}
	return nil
}

// Close implements render.Writer.
func (w *pdfWriter) Close() error { return nil }

// document draws a story's pages.
func (w *pdfWriter) document(u *render.Unit, s *story, l *layout) (*fpdf.Fpdf, error) {
	d := fpdf.NewCustom(&fpdf.InitType{UnitStr: "pt", Size: fpdf.SizeType{Wd: sheetWidth, Ht: sheetHeight}})
	d.SetCatalogSort(true)
	d.SetAutoPageBreak(false, 0)
	d.SetMargins(0, 0, 0)
	d.SetLang("en")
	// Nothing that a message says: of the first plane at most, fpdf takes no other.
	d.SetTitle("Holdfast production "+u.Stem, false)
	d.SetProducer("Holdfast", false)
	stamped := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	if len(u.Entries) > 0 && !u.Entries[0].Received.IsZero() {
		stamped = u.Entries[0].Received.UTC()
	}
	d.SetCreationDate(stamped)
	d.SetModificationDate(stamped)
	frame := w.frame(s)
	pen := &pen{d: d, palette: w.setter.palette}
	if err := pen.load(drawn(frame, l)); err != nil {
		return nil, err
	}
	pages := sheets(l.strips, sheetHeight-2*margin-frame.above()-frame.below())
	for i := range pages {
		d.AddPage()
		pen.page()
		frame.draw(pen, &pages[i], i+1, len(pages))
		y := margin + frame.above()
		for j := range pages[i].strips {
			pen.strip(&pages[i].strips[j], y, j > 0)
			y += pages[i].strips[j].height
		}
	}
	return d, pen.err
}

// drawn yields all that a document draws but ASCII.
func drawn(f *frame, l *layout) iter.Seq[[]glyph] {
	return func(yield func([]glyph) bool) {
		for _, s := range []string{f.title, f.day, f.origin, ellipsis, "–"} {
			for _, line := range f.lines(s, sans, headSize, inner) {
				if !yield(line.glyphs) {
					return
				}
			}
		}
		for _, line := range f.legend {
			if !yield(line.glyphs) {
				return
			}
		}
		for i := range l.strips {
			for j := range l.strips[i].pieces {
				if !yield(l.strips[i].pieces[j].glyphs) {
					return
				}
			}
		}
		yield(f.glyphs("–", bold, headSize))
	}
}

const ellipsis = "…"

// A frame is what stands on every page: at its head the conversation, the day
// and the legend, at its foot Bates numbers, the archive and the page.
type frame struct {
	setter
	title, day, origin string
	legend             []textLine
}

func (w *pdfWriter) frame(s *story) *frame {
	f := &frame{setter: w.setter, title: s.title, origin: render.Visible(w.o.Origin)}
	for _, fact := range s.facts {
		if fact.name == "Day" {
			f.day = fact.value
		}
	}
	for _, line := range s.legend {
		f.legend = append(f.legend, w.setter.lines(line, bold, headSize, inner-12)...)
	}
	if len(f.legend) > mostLegend {
		f.legend = append(f.legend[:mostLegend-1:mostLegend-1], w.setter.lines("… (the whole legend stands in the manifest)", bold, headSize, inner-12)...)
	}
	return f
}

const headLine = headSize * leading

func (f *frame) above() float64 {
	h := headLine + 10
	if len(f.legend) > 0 {
		h += float64(len(f.legend))*headLine + 8
	}
	return h
}

func (f *frame) below() float64 { return 2*headLine + 8 }

// draw draws the frame of page n of of.
func (f *frame) draw(p *pen, page *sheet, n, of int) {
	y := margin
	if len(f.legend) > 0 {
		p.d.SetLineWidth(1)
		p.d.Rect(margin, y, inner, float64(len(f.legend))*headLine+4, "D")
		for i, line := range f.legend {
			p.glyphs(margin+(inner-widthOf(line.glyphs))/2, y+2+float64(i)*headLine, headSize, black, line.glyphs)
		}
		y += float64(len(f.legend))*headLine + 8
	}
	day := f.glyphs(f.day, sans, headSize)
	p.glyphs(sheetWidth-margin-widthOf(day), y, headSize, grey, day)
	p.glyphs(margin, y, headSize, grey, f.short(f.title, inner-widthOf(day)-20))
	y += headLine + 3
	p.line(margin, y, sheetWidth-margin)
	foot := sheetHeight - margin - 2*headLine
	p.line(margin, foot-3, sheetWidth-margin)
	p.glyphs(margin, foot, headSize, black, f.glyphs(dash(page.first, page.last), bold, headSize))
	count := f.glyphs(fmt.Sprintf("Page %d of %d", n, of), sans, headSize)
	p.glyphs(sheetWidth-margin-widthOf(count), foot, headSize, black, count)
	p.glyphs(margin, foot+headLine, headSize, grey, f.short(f.origin, inner))
}

// short returns s as one line of at most width points; what does not fit is
// replaced by dots.
func (f *frame) short(s string, width float64) []glyph {
	lines := f.lines(s, sans, headSize, width-12)
	if len(lines) == 1 {
		return lines[0].glyphs
	}
	return append(lines[0].glyphs, f.glyphs(ellipsis, sans, headSize)...)
}
