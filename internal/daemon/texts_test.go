package daemon

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"codeberg.org/go-pdf/fpdf"

	"holdfast/archive"
	"holdfast/archive/query"
	"holdfast/archive/search"
	"holdfast/internal/config"
)

// storedDocx makes a docx of one paragraph, not compressed.
func storedDocx(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateHeader(&zip.FileHeader{Name: "word/document.xml", Method: zip.Store})
	if err == nil {
		_, err = w.Write([]byte(`<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>` +
			text + `</w:t></w:r></w:p></w:body></w:document>`))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// plainPDF makes a PDF of one line, not compressed.
func plainPDF(t *testing.T, text string) string {
	t.Helper()
	p := fpdf.New("P", "mm", "A4", "")
	p.SetCompression(false)
	p.AddPage()
	p.SetFont("Helvetica", "", 12)
	p.Cell(0, 10, text)
	var b bytes.Buffer
	if err := p.Output(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// attached is a line of the relay's load with a file.
func (w *ward) attached(id, text, name, mime, data string) map[string]any {
	return map[string]any{
		"id": id, "time": "2026-03-02T07:00:00.000Z", "from": "amara", "in": "4w", "text": text,
		"att": []map[string]any{{"name": name, "mime": mime, "data": []byte(data)}},
	}
}

// loadWard hands lines of the relay's own form in.
func (w *ward) loadWard(lines ...map[string]any) {
	w.t.Helper()
	people := []map[string]any{
		{"user": "amara", "name": "Amara Okafor"}, {"user": "luis", "name": "Luis Prieto"},
		{"conv": "4w", "kind": "group", "name": "4 West", "members": []string{"amara", "luis"}},
	}
	var b bytes.Buffer
	for _, l := range append(people, lines...) {
		if err := json.NewEncoder(&b).Encode(l); err != nil {
			w.t.Fatal(err)
		}
	}
	path := w.path("ward.jsonl")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.loadFile(path)
}

// indexed waits until no search has to scan.
func (w *ward) indexed() {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		s, err := w.client.Status(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if s.Index.Through == s.Size {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("the index is at %d of %d", s.Index.Through, s.Size)
		}
	}
}

// What stands inside attachments is found, once the index has come by, and what
// nobody can read is told; nothing of it is readable in the data directory or in
// the log output, whatever the files are.
func TestAttachmentsAreRead(t *testing.T) {
	w := newWard(t)
	w.start()
	w.loadWard(
		w.attached("m1", "see the letter", "letter.docx", "", storedDocx(t, "hepatomegalia con ictericia")),
		w.attached("m2", "see the report", "report.pdf", "", plainPDF(t, "pheochromocytoma excluded")),
		w.attached("m3", "the log", "log.txt", "text/plain", "perioperative thrombocytopenia"),
		w.attached("m4", "a photo", "photo.jpg", "image/jpeg", "\xff\xd8\xff\xe0pheochromocytoma"),
		w.attached("m5", "broken", "broken.docx", "", "PK\x03\x04pheochromocytoma"),
		w.attached("m6", "nothing", "empty.pdf", "application/pdf", ""),
	)
	w.acked()
	w.indexed()
	for _, c := range []struct {
		query string
		text  string // of the one message that is found
	}{
		{`hepatomegalia`, "see the letter"}, {`"con ictericia"`, "see the letter"}, {`pheochromocytoma`, "see the report"},
		{`thrombocytopenia`, "the log"}, {`report excluded`, "see the report"},
	} {
		r := w.search(c.query, 5)
		if r.Total != 1 || len(r.Hits) != 1 || r.Hits[0].Text != c.text {
			t.Errorf("%s finds %d", c.query, r.Total)
		}
		if r.WithoutText != 2 { // the photo and the broken one
			t.Errorf("%s: of %d entries it is told that their text is not known", c.query, r.WithoutText)
		}
	}
	w.stop()
	canaries := []string{"hepatomegalia", "pheochromocytoma", "thrombocytopenia"}
	for path, b := range readTree(t, w.path("data")) {
		for _, c := range canaries {
			if bytes.Contains(b, []byte(c)) {
				t.Errorf("%s holds a word of an attachment", path)
			}
		}
	}
	for _, c := range append(canaries, "letter.docx", "broken.docx") {
		if strings.Contains(w.logs.String(), c) {
			t.Errorf("the log output holds %s", c)
		}
	}
	found, err := filepath.Glob(w.path("data/blobs/*/*.text"))
	if err != nil || len(found) != 6 {
		t.Errorf("%d texts lie beside 6 attachments, %v", len(found), err)
	}
}

// An attachment that comes in after its message is found from then on, at its
// message's place; a search as of before does not see it.
func TestLateAttachmentIsFoundAtItsMessage(t *testing.T) {
	w := newErasureWard(t, 16)
	w.in2019(func() { w.month(0, 8) })
	s := w.serve()
	s.indexedAll()
	late := w.said[2] // as say has it
	q, err := query.Parse(late.files[0].canary)
	w.must(err)
	found, err := s.index.Search(t.Context(), q, search.SearchOptions{Limit: 5})
	w.must(err)
	if found.Total != 1 || found.Hits[0].Seq != late.seq || found.Hits[0].Entry <= late.seq+1 {
		t.Fatalf("%+v, not at %d", found, late.seq)
	}
	before, err := s.index.Search(t.Context(), q, search.SearchOptions{Limit: 5, AsOf: found.Hits[0].Entry})
	w.must(err)
	if before.Total != 0 || before.Unread == 0 {
		t.Errorf("as of before it came in: %+v", before)
	}
	after, err := s.index.Search(t.Context(), q, search.SearchOptions{Limit: 5, AsOf: found.Hits[0].Entry + 1})
	w.must(err)
	if after.Total != 1 {
		t.Errorf("as of when it came in: %+v", after)
	}
}

// Who searches does not wait until attachments are read, and is told.
func TestSearchDoesNotRead(t *testing.T) {
	w := newErasureWard(t, 16)
	w.in2019(func() { w.month(0, 8) })
	s := w.serve()
	s.stop()
	found, err := filepath.Glob(filepath.Join(w.dir, "blobs", "*", "*"+".text"))
	w.must(err)
	for _, path := range found {
		w.must(os.Remove(path))
	}
	w.log, err = archive.Open(t.Context(), w.dir, w.opts)
	w.must(err)
	p, err := newParts(t.Context(), w.log, Options{Config: &config.Config{Data: w.dir}, Extract: extractor, Logger: slog.New(slog.DiscardHandler)})
	w.must(err)
	defer func() { w.must(errors.Join(p.index.Close(), w.log.Close())) }()
	read := func(ctx context.Context) (texts int) {
		for doc, err := range (docs{p}).Docs(ctx, 0, w.log.Size()) {
			w.must(err)
			for _, f := range doc.Files {
				if f.Text != "" {
					texts++
				} else if !f.Unread {
					t.Errorf("%d: nobody has read it, and nobody is told", doc.Seq)
				}
			}
		}
		return texts
	}
	if n := read(t.Context()); n != 0 {
		t.Errorf("%d were read by who only looks", n)
	}
	n := read(whileReading(t.Context()))
	if n == 0 || read(t.Context()) != n {
		t.Errorf("%d were read by who indexes, %d are there", n, read(t.Context()))
	}
}
