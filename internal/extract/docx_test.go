package extract

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

const wordHead = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`

func wordXML(root, inner string) string {
	return wordHead + `<w:` + root + ` xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"
 xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">` + inner + `</w:` + root + `>`
}

func para(text string) string {
	return `<w:p><w:r><w:t xml:space="preserve">` + text + `</w:t></w:r></w:p>`
}

// packed makes a zip of files, in the order given: name, content, name, content.
func packed(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err == nil {
			_, err = w.Write([]byte(files[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func document(t testing.TB, body string, more ...string) []byte {
	return packed(t, append([]string{"[Content_Types].xml", "<Types/>", "word/document.xml", wordXML("document", "<w:body>"+body+"</w:body>")}, more...)...)
}

// A docx's text is what a reader sees: body, headers, notes, comments, what a
// tracked change deleted, and nothing twice.
func TestDocx(t *testing.T) {
	content := document(t,
		para("Paciente con dolor torácico")+
			`<w:p><w:r><w:t>spl</w:t></w:r><w:r><w:t>it</w:t></w:r><w:r><w:tab/><w:t>tab</w:t><w:br/><w:t>break</w:t></w:r></w:p>`+
			`<w:p><w:del><w:r><w:delText>struck out</w:delText></w:r></w:del><w:r><w:instrText>PAGE 7</w:instrText></w:r></w:p>`+
			`<w:tbl><w:tr><w:tc>`+para("cell one")+`</w:tc><w:tc>`+para("cell two")+`</w:tc></w:tr></w:tbl>`+
			`<mc:AlternateContent><mc:Choice Requires="wps">`+para("in a box")+`</mc:Choice><mc:Fallback>`+para("in a box")+`</mc:Fallback></mc:AlternateContent>`+
			para("左室肥大の疑い &amp; more"),
		"word/header1.xml", wordXML("hdr", para("St. Mary")), "word/footer2.xml", wordXML("ftr", para("page foot")),
		"word/footnotes.xml", wordXML("footnotes", para("a note")), "word/comments.xml", wordXML("comments", para("who says so?")),
		"word/media/logo.png", "\x89PNG", "word/styles.xml", para("no text"))
	got := real(t, "x.docx", "", content)
	want := strings.Join([]string{
		"Paciente con dolor torácico", "split\ttab", "break", "struck out", "cell one", "cell two", "in a box", "左室肥大の疑い & more",
		"St. Mary", "a note", "who says so?", "page foot", "",
	}, "\n")
	if got != (Text{StatusText, want, Tool}) {
		t.Errorf("%+v", got)
	}
}

func TestDocxStatuses(t *testing.T) {
	locked := document(t, para("x"))
	locked = bytes.ReplaceAll(locked, []byte("PK\x01\x02\x14\x00\x14\x00\x08"), []byte("PK\x01\x02\x14\x00\x14\x00\x09"))
	wide := []byte("\xff\xfe")
	for _, c := range []byte(strings.Replace(wordXML("document", para("wide")), "UTF-8", "UTF-16", 1)) {
		wide = append(wide, c, 0)
	}
	for what, c := range map[string]struct {
		content []byte
		status  string
		text    string
	}{
		"another zip":          {packed(t, "a.txt", "text"), StatusUnreadable, ""},
		"a sheet":              {packed(t, "xl/workbook.xml", "<workbook/>"), StatusUnreadable, ""},
		"without its body":     {packed(t, "word/header1.xml", wordXML("hdr", para("x"))), StatusUnreadable, ""},
		"encrypted":            {locked, StatusEncrypted, ""},
		"encrypted as OLE":     {append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), []byte("E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00")...), StatusEncrypted, ""},
		"an old doc":           {[]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1WordDocument"), StatusUnreadable, ""},
		"empty":                {document(t, ""), StatusText, ""},
		"pictures alone":       {document(t, "<w:p/>", "word/media/scan.png", "\x89PNG"), StatusNone, ""},
		"a file inside":        {document(t, para("see inside"), "word/embeddings/oleObject1.bin", "x"), StatusPartial, "see inside\n"},
		"broken off":           {packed(t, "word/document.xml", strings.TrimSuffix(wordXML("document", para("begins")), "/w:t></w:r></w:p></w:document>")), StatusPartial, "begins"},
		"UTF-16":               {packed(t, "word/document.xml", string(wide)), StatusText, "wide\n"},
		"cut short":            {document(t, para("x"))[:200], StatusUnreadable, ""},
		"a header alone":       {[]byte("PK\x03\x04"), StatusUnreadable, ""},
		"ill-formed":           {packed(t, "word/document.xml", wordXML("document", "<w:p></w:t>")), StatusUnreadable, ""},
		"an entity":            {packed(t, "word/document.xml", `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>`+wordXML("document", para("see &b;"))), StatusUnreadable, ""},
		"an external entity":   {packed(t, "word/document.xml", `<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>`+wordXML("document", para("&a;"))), StatusUnreadable, ""},
		"control characters":   {document(t, para("a\u2028b\u00adc\u007fd")), StatusText, "a\nbc d\n"},
		"another vocabulary":   {packed(t, "word/document.xml", "<document xmlns='urn:x'><t>not a word</t></document>"), StatusText, ""},
		"a path out of it":     {document(t, para("x"), "../../etc/passwd", "x", "word/../word/document.xml", "y"), StatusText, "x\n"},
		"nested too deeply":    {document(t, para("first")+strings.Repeat("<w:p>", 600)+strings.Repeat("</w:p>", 600)), StatusPartial, "first\n"},
		"an attribute of 1 MB": {document(t, `<w:p w:x="`+strings.Repeat("a", 1<<20)+`"/>`+para("x")), StatusText, "x\n"},
	} {
		t.Run(what, func(t *testing.T) {
			got := read(sniff(c.content[:min(len(c.content), sniffed)], "x.docx", ""), c.content, 1<<20)
			if got != (Text{c.status, c.text, Tool}) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A bomb is not unpacked: neither one part of a gigabyte, nor many parts, nor a
// directory of a million names.
func TestDocxBombs(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateRaw(&zip.FileHeader{Name: "word/document.xml", Method: zip.Deflate, CompressedSize64: 1 << 30, UncompressedSize64: 1 << 30})
	if err == nil {
		_, err = io.WriteString(w, deflated(t, "<!--")+strings.Repeat(deflated(t, strings.Repeat("a", 1<<20)), maxUnpacked>>20+1))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	comment := b.Bytes()
	if got := real(t, "x.docx", "", comment); got.Status != StatusTooLarge || got.Text != "" {
		t.Errorf("one comment: %s", got.Status)
	}
	var many []string
	for i := range 10 {
		many = append(many, fmt.Sprintf("word/header%d.xml", i), wordXML("hdr", para(strings.Repeat("h", 500_000))))
	}
	if got := real(t, "x.docx", "", document(t, para("x"), many...)); got.Status != StatusTooLarge || got.Text == "" {
		t.Errorf("many headers: %s", got.Status)
	}
	names := append([]byte("PK\x03\x04"), bytes.Repeat([]byte("PK\x01\x02"+strings.Repeat("\x00", 42)), 20_000)...)
	if got := real(t, "x.docx", "", names); got.Status != StatusTooLarge {
		t.Errorf("many names: %s", got.Status)
	}
}

// deflated returns a piece of a deflate stream (RFC 1951) that can stand behind
// itself any number of times.
func deflated(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err == nil {
		_, err = io.WriteString(w, s)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func FuzzDocxPart(f *testing.F) {
	f.Add(wordXML("document", para("text")))
	f.Add(wordXML("document", "<mc:Fallback>"+para("a")+"</mc:Fallback><w:p><w:tab/></w:p>"))
	f.Add(`<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>`)
	f.Fuzz(func(t *testing.T, part string) {
		inForm(t, read(kindZip, packed(t, "word/document.xml", part), 100), 100)
	})
}

func FuzzZip(f *testing.F) {
	f.Add(document(f, para("text")))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, b []byte) { inForm(t, read(kindZip, b, 100), 100) })
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"plain", "\xff\xfea\x00", "\xfe\xff\x00a", "ni\xf1o", "\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, kind := range []byte{kindText, kindMarkp, kindOLE, sniff(b[:min(len(b), sniffed)], "a", "b")} {
			inForm(t, read(kind, b, 100), 100)
		}
	})
}

// inForm fails unless the parent would take the text.
func inForm(t *testing.T, got Text, most int) {
	t.Helper()
	var b bytes.Buffer
	if err := writeAnswer(&b, got); err != nil {
		t.Fatal(err)
	}
	if back, ok := parseAnswer(b.Bytes(), most); !ok || back != got {
		t.Fatalf("%+v", got)
	}
}
