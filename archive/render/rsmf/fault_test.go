package rsmf

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/render"
)

// packed returns the bytes of a file's rsmf.zip.
func packed(t testing.TB, file []byte) []byte {
	t.Helper()
	msg, err := mail.ReadMessage(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		if part.FileName() != "rsmf.zip" {
			continue
		}
		b, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, part))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// unzip returns the manifest of a file.
func unzip(t testing.TB, file []byte) []byte {
	t.Helper()
	b := packed(t, file)
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := z.Open(manifestName)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestUnzipTakesIt(t *testing.T) {
	s := show(t, allowed, sample())
	path := filepath.Join(t.TempDir(), "rsmf.zip")
	if err := os.WriteFile(path, packed(t, s.files[s.names[0]].Bytes()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "unzip", "-t", path).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("No errors detected")) || !bytes.Contains(out, []byte("000000000002-1.pdf")) {
		t.Errorf("unzip -t: %v\n%s", err, out)
	}
}

// The validator sees what it is there to see: each of these faults, put into a
// good file, is named.
func TestTheValidatorSeesFaults(t *testing.T) {
	change := func(id string, with func(ev map[string]any)) func(*part) {
		return func(p *part) {
			for i, raw := range p.manifest.Events {
				ev := map[string]any{}
				if err := json.Unmarshal(raw, &ev); err != nil {
					t.Fatal(err)
				}
				if ev["id"] == id {
					with(ev)
					p.manifest.Events[i], _ = json.Marshal(ev)
				}
			}
		}
	}
	set := func(id, name string, value any) func(*part) {
		return change(id, func(ev map[string]any) { ev[name] = value })
	}
	s := &shelf{files: map[string]*bytes.Buffer{}}
	var wants []string
	for want, fault := range map[string]func(*part){
		"names a participant that is not listed":             func(p *part) { p.manifest.Participants = p.manifest.Participants[1:] },
		"a participant is an orphan":                         func(p *part) { p.manifest.Participants = append(p.manifest.Participants, participant{ID: "x"}) },
		"an event's conversation is not listed":              set("1", "conversation", "elsewhere"),
		"an event's parent is not there":                     set("2", "parent", "99"),
		"a reply is before its event":                        set("1", "parent", "2"),
		"a event has the unknown property colour":            set("1", "colour", "red"),
		"an event's type is shout":                           set("1", "type", "shout"),
		"an unknown event has no body":                       set("20", "body", ""),
		"a join is not in a channel":                         set("22", "type", "join"),
		"somebody leaves who was not listed and did not":     func(p *part) { p.manifest.Conversations[0].Participants = []string{"u-ana"} },
		"an event's timestamp is no time":                    set("1", "timestamp", "08.03.2026"),
		"the events are not in the order of their times":     set("1", "timestamp", "2027-01-01T00:00:00Z"),
		"two events have one id":                             set("2", "id", "1"),
		"an edit is before its event":                        set("1", "edits", []edit{{"u-ana", "2020-01-01T00:00:00Z", "", ""}}),
		"a receipt's action is neither":                      set("1", "read_receipts", []receipt{{"u-ana", "2026-03-08T08:00:00Z", "heard"}}),
		"a reaction's count":                                 set("1", "reactions", []reaction{{"👍", 3, []string{"u-ana"}}}),
		"an attachment is not in the zip":                    set("1", "attachments", []attachment{{"x.bin", "x", 1}}),
		"the zip has not just the files":                     set("2", "attachments", []attachment{}),
		"the zip is damaged":                                 func(p *part) { p.files[0].open = holds("%PDF-1.5 ") },
		"the zip is not flat":                                func(p *part) { p.files[0].id = "a/b.pdf" },
		"header X-RSMF-EventCount is not the manifest's":     func(p *part) { p.manifest.Events = p.manifest.Events[1:] },
		"X-RSMF-Participants are not as many":                func(p *part) { p.people = p.people[1:] },
		"there is not exactly one text/plain part with text": func(p *part) { p.text = " \n" },
		"the text has a control":                             func(p *part) { p.text += "\u202e" },
		"eventcollectionid is empty":                         func(p *part) { p.manifest.Collection = "" },
		"version is not 2.0.0":                               func(p *part) { p.manifest.Version = "1.0.0" },
	} {
		path := fmt.Sprintf("%d", len(wants))
		wants = append(wants, want)
		s.names = append(s.names, path)
		s.files[path] = broken(t, want, fault)
	}
	found := faults(t, s)
	for i, want := range wants {
		named := func(line string) bool {
			return strings.HasPrefix(line, fmt.Sprintf("/%d.rsmf: ", i)) && strings.Contains(line, want)
		}
		if !slices.ContainsFunc(found, named) {
			t.Errorf("%s: not said", want)
		}
	}
}

// broken returns the sample with a fault in it.
func broken(t *testing.T, name string, fault func(*part)) *bytes.Buffer {
	t.Helper()
	s := &shelf{}
	w := newWriter(options(t), s, allowed)
	u := sample()
	items, err := w.items(u)
	if err != nil {
		t.Fatal(err)
	}
	p := part{n: 1, of: 1, name: "x.rsmf", items: items}
	if err := w.fill(u, &p); err != nil {
		t.Fatal(err)
	}
	fault(&p)
	f, err := s.Create(p.name)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(f)
	// The writer itself refuses content that changed; the file is then cut short.
	if err := w.mail(out, u, &p); err != nil && name != "the zip is damaged" {
		t.Fatal(err)
	}
	if name == "the zip is damaged" {
		return damaged(t, u)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	return s.files[p.name]
}

// damaged returns the sample with one letter of an attachment changed in the zip.
func damaged(t *testing.T, u *render.Unit) *bytes.Buffer {
	t.Helper()
	s := show(t, allowed, u)
	b := s.files[s.names[0]].Bytes()
	zip := packed(t, b)
	wrapped := func(b []byte) []byte {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		e := base64.NewEncoder(base64.StdEncoding, &liner{out: w})
		_, _ = e.Write(b)
		_ = e.Close()
		_ = w.Flush()
		return out.Bytes()
	}
	changed := bytes.Replace(zip, []byte("%PDF-1.4 "), []byte("%PDF-1.5 "), 1)
	return bytes.NewBuffer(bytes.Replace(b, wrapped(zip), wrapped(changed), 1))
}

func TestAnAttachmentThatChangesIsAnError(t *testing.T) {
	u := sample()
	n := 0
	u.Entries[1].Attachments[0].Open = func() (io.ReadCloser, error) {
		n++
		return io.NopCloser(strings.NewReader(strings.Repeat("x", 5) + string(rune('0'+n)))), nil
	}
	w := newWriter(options(t), &shelf{}, allowed)
	if err := w.Unit(u); err == nil || !strings.Contains(err.Error(), "not the same") {
		t.Errorf("error %v", err)
	}
}
