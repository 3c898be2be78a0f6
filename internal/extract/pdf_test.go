package extract

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"codeberg.org/go-pdf/fpdf"
)

// made makes a PDF with a library that writes them.
func made(t testing.TB, draw func(p *fpdf.Fpdf)) []byte {
	t.Helper()
	p := fpdf.New("P", "mm", "A4", "")
	p.SetFont("Helvetica", "", 12)
	draw(p)
	var b bytes.Buffer
	if err := p.Output(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// object is a stream, or anything else, of a PDF written by hand.
func stream(dict, content string) string {
	return fmt.Sprintf("<</Length %d %s>>stream\n%s\nendstream", len(content), dict, content)
}

// handmade makes a PDF of objects, of which the first is the catalogue.
func handmade(trailer string, objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	from := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d /Root 1 0 R %s>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, trailer, from)
	return b.Bytes()
}

// onePage is a PDF of one page with a content and one font; more objects begin
// at 6.
func onePage(content, font string, more ...string) []byte {
	return handmade("", append([]string{
		"<</Type/Catalog/Pages 2 0 R>>",
		"<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font<</F 5 0 R>>/XObject<</X 6 0 R/Y 7 0 R>>>>>>",
		stream("", content), font,
	}, more...)...)
}

const helvetica = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"

// The real child reads a PDF as its pages show it.
func TestPDF(t *testing.T) {
	content := made(t, func(p *fpdf.Fpdf) {
		tr := p.UnicodeTranslatorFromDescriptor("")
		p.AddPage()
		p.MultiCell(80, 6, tr("Paciente con dolor torácico: niño de 3 años. "+strings.Repeat("The patient was seen on the ward. ", 4)), "", "J", false)
		p.AddPage()
		p.Cell(0, 10, "second page")
	})
	got := real(t, "x.pdf", "application/pdf", content)
	words := strings.Join(strings.Fields(got.Text), " ")
	want := "Paciente con dolor torácico: niño de 3 años. " + strings.Repeat("The patient was seen on the ward. ", 4) + "second page"
	if got.Status != StatusText || words != want {
		t.Errorf("%s: %q", got.Status, got.Text)
	}
}

// What committed files say was written down by hand from their pages.
func TestPDFFiles(t *testing.T) {
	for name, phrases := range expected {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		got := real(t, name, "", b)
		words := strings.Join(strings.Fields(got.Text), " ")
		if got.Status != StatusText {
			t.Errorf("%s: %s", name, got.Status)
		}
		for _, p := range phrases {
			if !strings.Contains(words, p) {
				t.Errorf("%s does not say %q but %q", name, p, words)
			}
		}
	}
}

// How pages draw text that is text all the same.
func TestPDFDrawing(t *testing.T) {
	toUnicode := stream("", "1 begincodespacerange <00> <ff> endcodespacerange 2 beginbfchar <01> <00660066> <02> <D83DDE00> endbfchar "+
		"2 beginbfrange <20> <7e> <0020> <80> <82> [<4e2d> <5fc3> <75c5>] endbfrange")
	mapped := "<</Type/Font/Subtype/TrueType/Encoding/WinAnsiEncoding/ToUnicode 6 0 R>>"
	for what, c := range map[string]struct {
		content, want string
		font          string
		more          []string
	}{
		"kerned":            {content: "BT /F 10 Tf 9 9 Td [(W)80(ard)-300(four)] TJ ET", want: "Ward four\n"},
		"octal and hex":     {content: `BT /F 10 Tf (ni\361o \(3\)) Tj 0 -20 Td <6665766572> Tj ET`, want: "niño (3)\nfever\n"},
		"lines":             {content: "BT /F 10 Tf 12 TL (one) Tj T* (two) Tj (three) ' 1 2 (four) \" ET", want: "one\ntwo\nthree\nfour\n"},
		"words moved":       {content: "BT /F 10 Tf 1 0 0 1 10 50 Tm (left) Tj 1 0 0 1 60 50 Tm (right) Tj ET", want: "left right\n"},
		"columns":           {content: "BT /F 10 Tf 1 0 0 1 10 50 Tm (up) Tj 1 0 0 1 10 30 Tm (down) Tj 1 0 0 1 90 50 Tm (other) Tj ET", want: "up\ndown\nother\n"},
		"turned":            {content: "BT /F 10 Tf 0 1 -1 0 50 10 Tm (turn) Tj (ed) Tj 0 1 -1 0 70 10 Tm (again) Tj ET", want: "turned\nagain\n"},
		"scaled":            {content: "0.01 0 0 0.01 0 0 cm BT /F 1000 Tf 1 0 0 1 0 0 Tm (sma) Tj (ll) Tj ET", want: "small\n"},
		"raised":            {content: "BT /F 10 Tf (10) Tj 3 Ts (9) Tj 0 Ts (/l) Tj ET", want: "109/l\n"},
		"invisible, as OCR": {content: "q Q BT 3 Tr /F 10 Tf (scanned) Tj ET /X Do", want: "scanned\n", more: []string{stream("/Subtype/Image", "x")}},
		"hyphen":            {content: "BT /F 10 Tf 12 TL (hospi-) Tj T* (tal and X-) Tj T* (Ray) Tj ET", want: "hospital and X-\nRay\n"},
		"inline image":      {content: "BT /F 10 Tf (be) Tj ET BI /W 1 ID \x00(((<<[/\x01 EI BT /F 10 Tf 0 -20 Td (hind) Tj ET", want: "be\nhind\n"},
		"character map":     {content: "BT /F 10 Tf (o\x01er \x02 \x80\x81\x82) Tj ET", want: "offer 😀 中心病\n", font: mapped, more: []string{toUnicode}},
		"glyph names": {content: "BT /F 10 Tf (\x01\x02\x03\x04\x05) Tj ET", want: "fiéA中x\n",
			font: "<</Type/Font/Subtype/Type1/Encoding<</Differences[1/f_i/eacute/A.sc/uni4E2D/x]>>>>"},
		"a form": {content: "/X Do", want: "outer inner\n",
			more: []string{stream("/Subtype/Form/Matrix[1 0 0 1 5 5]/Resources<</Font<</F 5 0 R>>/XObject<</Y 7 0 R>>>>", "BT /F 10 Tf (outer ) Tj ET /Y Do"),
				stream("/Subtype/Form/Resources<</Font<</F 5 0 R>>>>", "BT /F 10 Tf 30 0 Td (inner) Tj ET")}},
		"a name with a code":      {content: "BT /#46 10 Tf (coded) Tj ET", want: "coded\n"},
		"text that stands for it": {content: "BT /F 10 Tf (a) Tj /Span <</ActualText <feff4e2d5fc3>>> BDC (xy) Tj EMC (b) Tj /P <</MCID 0>> BDC (c) Tj EMC ET", want: "a中心bc\n"},
		"a map of some codes": {content: "BT /F 10 Tf (o\x01er) Tj ET", want: "offer\n", font: mapped,
			more: []string{stream("", "1 begincodespacerange <0000> <ffff> endcodespacerange 1 beginbfchar <0001> <00660066> endbfchar")}},
		"no font":             {content: "BT (x) Tj ET", want: ""},
		"comments and errors": {content: "% (no)\n)>]}{ BT /F 10 Tf (yes) Tj [ (open", want: "yes\n"},
	} {
		t.Run(what, func(t *testing.T) {
			if c.font == "" {
				c.font = helvetica
			}
			got := read(kindPDF, onePage(c.content, c.font, c.more...), 1<<20)
			status := StatusText
			if c.want == "" {
				status = StatusNone
			}
			if got != (Text{status, c.want, Tool}) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestPDFStatuses(t *testing.T) {
	show := "BT /F 10 Tf (read) Tj ET"
	image := stream("/Subtype/Image", "x")
	pages := func(contents ...string) []byte {
		objects := []string{"<</Pages 2 0 R>>", "", helvetica}
		var kids string
		for _, c := range contents {
			n := len(objects)
			kids += fmt.Sprintf("%d 0 R ", n+1)
			objects = append(objects, fmt.Sprintf("<</Type/Page/Contents %d 0 R/Resources<</Font<</F 3 0 R>>>>>>", n+2), c)
		}
		objects[1] = "<</Type/Pages/Kids[" + kids + "]>>"
		return handmade("", objects...)
	}
	locked := made(t, func(p *fpdf.Fpdf) {
		p.SetProtection(0, "a password", "another")
		p.AddPage()
		p.Cell(0, 10, "secret")
	})
	open := made(t, func(p *fpdf.Fpdf) {
		p.SetProtection(0, "", "another")
		p.AddPage()
		p.Cell(0, 10, "may be read, not printed")
	})
	for what, c := range map[string]struct {
		content []byte
		status  string
		text    string
	}{
		"empty page":        {pages(stream("", " ")), StatusText, ""},
		"a scan":            {onePage("/X Do", helvetica, image), StatusNone, ""},
		"drawn letters":     {onePage("0 0 m 9 9 l S", helvetica), StatusNone, ""},
		"text and a scan":   {pages(stream("", show), stream("", "BI /W 1 ID x EI")), StatusPartial, "read\n"},
		"text and a logo":   {onePage(show+" /X Do", helvetica, image), StatusText, "read\n"},
		"a page that fails": {pages(stream("/Filter/Unheard", "x"), stream("", show)), StatusPartial, "read\n"},
		"bad compression":   {pages(stream("/Filter/FlateDecode", "not that"), stream("", show)), StatusPartial, "read\n"},
		"none that works":   {pages(stream("/Filter/LZWDecode", "x")), StatusUnreadable, ""},
		"unknown letters":   {onePage("BT /F 10 Tf <00010002> Tj ET", "<</Subtype/Type0/Encoding/Identity-H>>"), StatusNone, ""},
		"a password":        {locked, StatusEncrypted, ""},
		"weak encryption":   {open, StatusEncrypted, ""},
		"AES-256":           {handmade("/Encrypt<</Filter/Standard/V 5/R 6/Length 256>>/ID[(a)(a)]", "<</Pages 2 0 R>>", "<<>>"), StatusEncrypted, ""},
		"cut short":         {onePage(show, helvetica)[:300], StatusUnreadable, ""},
		"the name alone":    {[]byte("%PDF-1.7\n"), StatusUnreadable, ""},
		"behind a mail":     {append([]byte("Content-Type: application/pdf\r\n\r\n"), onePage(show, helvetica)...), StatusText, "read\n"},
		"no pages":          {handmade("", "<</Type/Catalog>>"), StatusText, ""},
		"a filled form": {handmade("", "<</Pages 2 0 R>>", "<</Kids[<</Type/Page/Annots[<</V(Mar\\355a)>><</Contents(see her)>><</AP<</N 3 0 R>>/V(x)>>]>>]>>",
			stream("/Subtype/Form/Resources<</Font<</F 4 0 R>>>>", show), helvetica), StatusText, "María\nsee her\nread\n"},
	} {
		t.Run(what, func(t *testing.T) {
			got := read(sniff(c.content[:min(len(c.content), sniffed)], "x", ""), c.content, 1<<20)
			if got != (Text{c.status, c.text, Tool}) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// What loops, nests or grows without end, ends.
func TestPDFBombs(t *testing.T) {
	// A zlib stream (RFC 1950) that does not come to its end.
	packedUp := "\x78\x9c" + strings.Repeat(deflated(t, strings.Repeat(" ", 1<<20)), maxPDFContent>>20+1)
	prev := handmade("/Prev 9", "<</Pages 2 0 R>>", "<</Kids[]>>")
	loop := bytes.Replace(prev, []byte("/Prev 9"), []byte(fmt.Sprintf("/Prev %d", bytes.Index(prev, []byte("xref\n")))), 1)
	ends := map[string]string{
		"a length within itself": StatusUnreadable, "objects within objects": StatusUnreadable, "arrays within arrays": StatusText,
		"much text": StatusTooLarge, "a table of 2^28": StatusUnreadable, "a table of 2^40": StatusUnreadable,
		"pages within themselves": StatusUnreadable, "tables that lead to each other": StatusTimeout, "forms that double": StatusTimeout,
		"a form within itself": StatusUnreadable, "a predictor of 2^50 columns": StatusUnreadable, "a stream beyond its limit": StatusUnreadable,
	}
	for what, content := range map[string][]byte{
		"pages within themselves":        handmade("", "<</Pages 2 0 R>>", "<</Kids[2 0 R 2 0 R 2 0 R]>>"),
		"a form within itself":           onePage("/X Do", helvetica, stream("/Subtype/Form/Resources<</XObject<</X 6 0 R>>>>", "/X Do")),
		"forms that double":              onePage("/X Do", helvetica, stream("/Subtype/Form/Resources<</XObject<</X 6 0 R>>>>", "/X Do /X Do /X Do /X Do")),
		"a stream beyond its limit":      onePage("", helvetica)[:0:0],
		"a length within itself":         handmade("", "<</Pages 2 0 R>>", "<</Kids[3 0 R]>>", "<</Contents 4 0 R>>", "<</Length 4 0 R>>stream\nx\nendstream"),
		"a table of 2^40":                []byte("%PDF-1.5\n1 0 obj\n<</Type/XRef/Size 1099511627776/W[1 1 1]/Length 0>>stream\n\nendstream\nendobj\nstartxref\n9\n%%EOF\n" + strings.Repeat(" ", 1)),
		"a table of 2^28":                []byte("%PDF-1.5\n1 0 obj\n<</Type/XRef/Size 268435456/W[1 1 1]/Length 0>>stream\n\nendstream\nendobj\nstartxref\n9\n%%EOF\n"),
		"tables that lead to each other": loop,
		"arrays within arrays":           onePage(strings.Repeat("[", 1<<20), helvetica),
		"objects within objects":         handmade("", "<</Pages 2 0 R>>", strings.Repeat("[", 1<<20)),
		"much text":                      onePage("BT /F 10 Tf "+strings.Repeat("(text ) Tj ", 1<<20), helvetica),
		"a predictor of 2^50 columns":    onePage("/X Do", helvetica, stream("/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 1125899906842624>>/Subtype/Form", "x")),
	} {
		if what == "a stream beyond its limit" {
			content = handmade("", "<</Pages 2 0 R>>", "<</Kids[<</Contents 3 0 R>>]>>", stream("/Filter/FlateDecode", packedUp))
		}
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := reader(t, "child-real", func(o *Options) { o.Deadline, o.MaxText = 4e9, 1<<20 })
			got, err := r.Read(t.Context(), "x.pdf", "", int64(len(content)), bytes.NewReader(content))
			if err != nil || got.Status == StatusText && got.Text != "" || len(got.Text) > 1<<20 {
				t.Errorf("%s, %d bytes, %v", got.Status, len(got.Text), err)
			}
			if want := ends[what]; got.Status != want {
				t.Errorf("%s: %s, not %s", what, got.Status, want)
			}
		})
	}
}

func FuzzPDF(f *testing.F) {
	f.Add(onePage("BT /F 10 Tf (read) Tj ET", helvetica))
	f.Add(handmade("/Prev 9", "<</Pages 2 0 R>>", "<</Kids[]>>")[:120])
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.Contains(b, []byte("/Prev")) || len(b) > 4<<10 {
			return // the library follows a circle of these for ever: the child's time ends it
		}
		inForm(t, read(kindPDF, b, 100), 100)
	})
}

func FuzzLex(f *testing.F) {
	for _, s := range []string{"BT /F 1 Tf [(a)-3<62>] TJ ET", "<</A[1 2]>> BDC", "BI ID x EI (", "(\\", "<6", "/a#4", "%", "[[[<<"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &drawing{p: &pdfText{w: &sheet{most: 100}}, now: graphics{ctm: identity, scale: 1}, fonts: map[string]*font{}}
		lex(b, d.operator)
		m := newCharMap(b)
		if s, ok := m.text(1); ok && s == "" {
			t.Fatal("a character of nothing")
		}
	})
}
