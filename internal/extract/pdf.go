package extract

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/ledongthuc/pdf"
)

// Bounds of a PDF, beside those of the process.
const (
	maxPDFNodes   = 50_000   // of the tree of pages, and annotations
	maxPDFDepth   = 64       // of that tree
	maxForms      = 16       // forms within each other
	maxPDFContent = 64 << 20 // bytes of one content stream
)

// readPDF reads the text that a PDF's pages and annotations show (ISO 32000-1),
// in the order in which they draw it. Its structure is read by a library that
// panics on what is wrong: what fails costs a page, not the others.
func readPDF(w *sheet, content []byte) Text {
	content = content[max(0, bytes.Index(content, []byte("%PDF-"))):]
	r, err := pdf.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		if errors.Is(err, pdf.ErrInvalidPassword) || strings.Contains(err.Error(), "encryption") {
			return w.done(StatusEncrypted)
		}
		return w.done(StatusUnreadable)
	}
	if e := r.Trailer().Key("Encrypt"); e.Kind() == pdf.Dict && e.Key("V").Int64() < 4 && e.Key("Length").Int64() < 128 {
		return w.done(StatusEncrypted) // the library derives the keys of its streams wrongly, and would give noise for text
	}
	p := &pdfText{w: w}
	if !p.try(func() { p.pages(r.Trailer().Key("Root").Key("Pages"), pdf.Value{}, 0) }) || p.read+p.unread == 0 {
		return w.done(StatusUnreadable)
	}
	w.b = joinHyphens(w.b)
	switch {
	case p.broken && p.read == 0:
		return w.done(StatusUnreadable)
	case p.broken || p.read > 0 && p.unread > 0:
		return w.done(StatusPartial)
	case p.unread > 0:
		return w.done(StatusNone) // a scan
	}
	return w.done(StatusText)
}

// pdfText is the text of a PDF while it is read.
type pdfText struct {
	w     *sheet
	nodes int

	read, unread int  // pages: that say something as text or are empty; that show without saying
	broken       bool // some of it could not be read

	pen   pen
	shown int  // glyphs of the page
	lost  int  // of these, what has no known character
	drawn bool // the page shows something else than text
}

// try runs f and reports whether it came to its end.
func (p *pdfText) try(f func()) (ok bool) {
	defer func() {
		if recover() != nil {
			ok, p.broken = false, true
		}
	}()
	f()
	return true
}

// pages walks the tree of pages (section 7.7.3). It may be no tree.
func (p *pdfText) pages(node, resources pdf.Value, depth int) {
	if p.w.full {
		return
	}
	if p.nodes++; p.nodes > maxPDFNodes || depth > maxPDFDepth {
		p.broken = true
		return
	}
	if own := node.Key("Resources"); own.Kind() == pdf.Dict {
		resources = own
	}
	kids := node.Key("Kids")
	if kids.Kind() != pdf.Array {
		p.page(node, resources)
		return
	}
	for i := 0; i < kids.Len() && p.nodes <= maxPDFNodes; i++ {
		p.try(func() { p.pages(kids.Index(i), resources, depth+1) })
	}
}

// page reads one page with what is pinned to it.
func (p *pdfText) page(node, resources pdf.Value) {
	p.shown, p.lost, p.drawn, p.pen = 0, 0, false, pen{}
	ok := p.try(func() { p.stream(node.Key("Contents"), resources, identity, 0) })
	p.w.line()
	ok = p.try(func() { p.annotations(node.Key("Annots"), resources) }) && ok
	switch {
	case !ok, p.shown == 0 && p.drawn, p.lost*20 > p.shown:
		p.unread++
	default:
		p.read++
	}
}

// annotations reads what forms are filled in with and notes say (section 12.5):
// as they are shown, or else what they hold.
func (p *pdfText) annotations(list, resources pdf.Value) {
	for i := 0; i < list.Len(); i++ {
		if p.nodes++; p.nodes > maxPDFNodes {
			p.broken = true
			return
		}
		a := list.Index(i)
		before := p.shown
		if shown := a.Key("AP").Key("N"); shown.Kind() == pdf.Stream {
			p.form(shown, resources, identity, 0)
		}
		p.w.line()
		if p.shown > before {
			continue
		}
		for _, key := range []string{"V", "Contents"} {
			if text := a.Key(key); text.Kind() == pdf.String {
				p.w.put(text.Text())
				p.w.line()
			}
		}
	}
}

// form reads a form XObject (section 8.10).
func (p *pdfText) form(form, resources pdf.Value, ctm matrix, depth int) {
	if own := form.Key("Resources"); own.Kind() == pdf.Dict {
		resources = own
	}
	if m := form.Key("Matrix"); m.Len() == 6 {
		var own matrix
		for i := range own {
			own[i] = m.Index(i).Float64()
		}
		ctm = own.mul(ctm)
	}
	p.stream(form, resources, ctm, depth)
}

// stream reads a content stream, or an array of them that are one.
func (p *pdfText) stream(v, resources pdf.Value, ctm matrix, depth int) {
	var content []byte
	switch v.Kind() {
	case pdf.Stream:
		content = p.content(v, nil)
	case pdf.Array:
		for i := range min(v.Len(), maxPDFNodes) {
			content = append(p.content(v.Index(i), content), '\n')
		}
	default:
		return
	}
	d := &drawing{p: p, resources: resources, depth: depth, now: graphics{ctm: ctm, scale: 1}, fonts: map[string]*font{}}
	lex(content, d.operator)
}

// content unpacks a stream behind what there is.
func (p *pdfText) content(v pdf.Value, b []byte) []byte {
	if v.Key("Length").Kind() != pdf.Integer {
		p.broken = true // the library would take it for empty
	}
	out := bytes.NewBuffer(b)
	n, err := io.Copy(out, io.LimitReader(v.Reader(), maxPDFContent-int64(len(b))))
	if err != nil || n >= maxPDFContent {
		p.broken = true // what came before it is read
	}
	return out.Bytes()
}

// joinHyphens joins words that were parted at a line's end: a hyphen between a
// letter and, on the next line, a small letter.
func joinHyphens(b []byte) []byte {
	out := b[:0]
	for i := 0; i < len(b); i++ {
		if b[i] == '-' && i > 0 && i+2 < len(b) && b[i+1] == '\n' && letter(b[i-1]) && 'a' <= b[i+2] && b[i+2] <= 'z' {
			i++
			continue
		}
		out = append(out, b[i])
	}
	return out
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c >= 0x80 }
