package extract

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Bounds of a docx, beside those of the process.
const (
	maxParts    = 10_000
	maxUnpacked = 32 << 20 // bytes of all the parts that are read
	maxXMLDepth = 512
)

var errUnpacked = errors.New("more is packed into it than is read")

// readDocx reads a WordprocessingML document (ECMA-376 part 1, section 11.3):
// its body, headers, footers, notes and comments, with what changes that are
// tracked have deleted.
func readDocx(w *sheet, content []byte) Text {
	if packedParts(content) > maxParts {
		return w.done(StatusTooLarge)
	}
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return w.done(StatusUnreadable)
	}
	var parts []*zip.File
	embedded, encrypted := false, false
	for _, f := range z.File {
		encrypted = encrypted || f.Flags&1 != 0
		embedded = embedded || strings.HasPrefix(f.Name, "word/embeddings/")
		if docxPart(f.Name) >= 0 {
			parts = append(parts, f)
		}
	}
	slices.SortStableFunc(parts, func(a, b *zip.File) int {
		if d := docxPart(a.Name) - docxPart(b.Name); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	switch {
	case encrypted:
		return w.done(StatusEncrypted)
	case len(parts) == 0 || docxPart(parts[0].Name) != 0:
		return w.done(StatusUnreadable) // another office format, or just a zip
	}
	status, left := StatusText, int64(maxUnpacked)
	for _, f := range parts {
		switch err := docxText(w, f, &left); {
		case errors.Is(err, errUnpacked):
			return w.done(StatusTooLarge)
		case err != nil:
			status = StatusUnreadable
		}
	}
	switch {
	case status == StatusText && embedded:
		status = StatusPartial
	case status == StatusText && len(bytes.TrimSpace(w.b)) == 0 && slices.ContainsFunc(z.File, media):
		status = StatusNone // pictures alone
	}
	return w.done(status)
}

func media(f *zip.File) bool { return strings.HasPrefix(f.Name, "word/media/") }

// packedParts returns how many files a zip says it has, before anything is
// allocated for them (APPNOTE.TXT sections 4.3.12 and 4.3.16).
func packedParts(b []byte) int { return bytes.Count(b, []byte("PK\x01\x02")) }

// docxPart returns where a part stands in the text, -1 if nowhere.
func docxPart(name string) int {
	folder, file := path.Split(name)
	if folder != "word/" {
		return -1
	}
	switch file {
	case "document.xml":
		return 0
	case "footnotes.xml", "endnotes.xml":
		return 2
	case "comments.xml":
		return 3
	}
	for i, kind := range []string{"header", "footer"} {
		if rest, ok := strings.CutPrefix(file, kind); ok && strings.HasSuffix(rest, ".xml") {
			return 1 + 3*i
		}
	}
	return -1
}

// docxText adds the text of one part.
func docxText(w *sheet, f *zip.File, left *int64) (err error) {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	counted := &unpacking{r: r, left: left}
	d := xml.NewDecoder(transform.NewReader(counted, unicode.BOMOverride(transform.Nop)))
	d.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		if strings.EqualFold(charset, "utf-16") {
			return in, nil // its byte order mark has been seen
		}
		return nil, errors.New("an encoding that no office document has")
	}
	err = docxTokens(w, d)
	if counted.over {
		return errUnpacked
	}
	return err
}

// unpacking counts what comes out of a zip.
type unpacking struct {
	r    io.Reader
	left *int64
	over bool
}

func (u *unpacking) Read(p []byte) (int, error) {
	if *u.left <= 0 {
		u.over = true
		return 0, errUnpacked
	}
	n, err := u.r.Read(p[:min(int64(len(p)), *u.left)])
	*u.left -= int64(n)
	return n, err
}

// The namespaces of WordprocessingML (transitional, strict) and of what stands
// for newer elements.
var wordSpaces = map[string]bool{
	"http://schemas.openxmlformats.org/wordprocessingml/2006/main": true,
	"http://purl.oclc.org/ooxml/wordprocessingml/main":             true,
}

// docxTokens walks a part. Custom entities are no XML that it reads, and a
// document type does nothing.
func docxTokens(w *sheet, d *xml.Decoder) error {
	depth, inText, fallback := 0, 0, 0
	for !w.full {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			w.line()
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth++; depth > maxXMLDepth {
				return errors.New("nested too deeply")
			}
			switch {
			case fallback > 0 || t.Name.Local == "Fallback":
				fallback++ // the same once more, for readers that are older
			case !wordSpaces[t.Name.Space]:
			case t.Name.Local == "t" || t.Name.Local == "delText":
				inText++
			default:
				docxMark(w, t.Name.Local)
			}
		case xml.EndElement:
			depth--
			switch {
			case fallback > 0:
				fallback--
			case !wordSpaces[t.Name.Space]:
			case t.Name.Local == "t" || t.Name.Local == "delText":
				inText--
			case t.Name.Local == "p":
				w.line()
			}
		case xml.CharData:
			if inText > 0 && fallback == 0 {
				w.put(string(t))
			}
		}
	}
	return nil
}

// docxMark adds what an element stands for in the text.
func docxMark(w *sheet, element string) {
	switch element {
	case "tab", "ptab":
		w.put("\t")
	case "br", "cr":
		w.put("\n")
	case "noBreakHyphen":
		w.put("-")
	case "tc":
		w.space()
	}
}

// readOLE tells a docx, xlsx or pptx with a password, which is sealed into a
// stream of that name ([MS-OFFCRYPTO] section 2.3.4.4), from older formats.
func readOLE(w *sheet, content []byte) Text {
	name := make([]byte, 0, 2*len("EncryptedPackage"))
	for _, c := range []byte("EncryptedPackage") {
		name = append(name, c, 0)
	}
	if bytes.Contains(content, name) {
		return w.done(StatusEncrypted)
	}
	return w.done(StatusUnreadable)
}
