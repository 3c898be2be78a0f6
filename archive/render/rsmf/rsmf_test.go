package rsmf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"holdfast/archive/render"
)

// A shelf is a Sink that keeps the files, in the order in which they came.
type shelf struct {
	names []string
	files map[string]*bytes.Buffer
}

type kept struct{ *bytes.Buffer }

func (kept) Close() error { return nil }

func (s *shelf) Create(name string) (io.WriteCloser, error) {
	if s.files == nil {
		s.files = map[string]*bytes.Buffer{}
	}
	if s.files[name] != nil {
		return nil, fmt.Errorf("%s twice", name)
	}
	s.names = append(s.names, name)
	s.files[name] = new(bytes.Buffer)
	return kept{s.files[name]}, nil
}

// show renders units within the limits and returns the files.
func show(t testing.TB, l limits, units ...*render.Unit) *shelf {
	t.Helper()
	s := &shelf{}
	w := newWriter(options(t), s, l)
	for _, u := range units {
		if err := w.Unit(u); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

func options(t testing.TB) render.Options {
	z, err := time.LoadLocation("America/Chicago")
	if err != nil {
		t.Fatal(err)
	}
	return render.Options{Origin: "holdfast.invalid/ARC/0123456789abcdef", Tool: "holdfast 5.0", Zone: z, Legend: "CONFIDENTIAL\nCase No. 26-cv-0001"}
}

// faults returns what the validator says of the files.
func faults(t testing.TB, s *shelf) []string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"testdata/validate.py"}
	for i, name := range s.names {
		path := filepath.Join(dir, fmt.Sprintf("%d.rsmf", i))
		if err := os.WriteFile(path, s.files[name].Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	out, err := exec.CommandContext(t.Context(), "python3", args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 || bytes.Contains(out, []byte("Traceback"))) {
		t.Fatalf("the validator: %v\n%s", err, out)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		found = append(found, strings.TrimPrefix(strings.TrimSpace(line), dir))
	}
	return found
}

func valid(t testing.TB, s *shelf) {
	t.Helper()
	if f := faults(t, s); len(f) > 0 {
		t.Errorf("%d faults:\n%s", len(f), strings.Join(f[:min(len(f), 20)], "\n"))
	}
}

var start = time.Date(2026, 3, 8, 7, 58, 0, 123e6, time.UTC) // two minutes before a clock in Chicago leaps

var (
	ana = render.Person{Usr: "u-ana", UPN: "ana.núñez@hosp.example", Mail: "ana@hosp.example", Name: "Ana Núñez"}
	li  = render.Person{Usr: "u-li", UPN: "li@hosp.example", Mail: "li@hosp.example", Name: "李伟"}
	dov = render.Person{Usr: "u-dov", Name: "דב"}
	eve = render.Person{Usr: "u-eve"}
)

func says(seq uint64, from render.Person, text string) render.Entry {
	at := start.Add(time.Duration(seq) * time.Minute)
	return render.Entry{Seq: seq, Kind: "message", Typ: "msg", Received: at.Add(time.Second), Relayed: at, Sent: at, Mid: fmt.Sprintf("mid-%d", seq), Dev: "phone",
		From: &from, To: []render.Person{ana, li}, Conversation: &render.Conversation{ID: "c-4west", Kind: "group", Name: "4 West", Members: []render.Person{ana, li}},
		Text: text, Assurance: "enrolled", LeafHash: strings.Repeat("0123456789abcdef", 4), Bates: fmt.Sprintf("HF%07d", seq), Custodians: []string{"Ana Núñez"}}
}

func hangs(seq, at uint64, typ string, from render.Person, text string) render.Entry {
	e := says(seq, from, text)
	e.Typ, e.Target, e.To = typ, &at, nil
	return e
}

func member(seq uint64, members ...render.Person) render.Entry {
	e := says(seq, ana, "")
	e.Typ, e.To = "member", nil
	e.Conversation.Members = members
	return e
}

func holds(content string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
}

// sample is a day with all that RSMF can say.
func sample() *render.Unit {
	first := says(1, ana, "K+ 6.1 → repetir")
	first.Prio, first.Subject = "stat", &render.Subject{MRN: "00412345", Encounter: "E-77", Born: 1951}
	files := says(2, li, "two files\r\nand a line")
	files.Attachments = []render.Attachment{
		{BID: "b1", Name: "ECG 心电图.PDF", MIME: "application/pdf", Size: 3, Open: holds("%PDF-1.4 "), SHA256: "ab", Bates: "HF0000003"},
		{BID: "b2", Name: "../../x.exe", MIME: "x", Status: "blob_missing"},
		{BID: "b3", Name: "empty.exe", Open: holds("")}}
	read := hangs(8, 1, "receipt", li, "")
	read.Status, read.StatusAt = "acknowledged", start.Add(90*time.Second)
	got := hangs(9, 1, "receipt", dov, "")
	got.Status = "delivered"
	early := hangs(10, 2, "edit", li, "two files, edited before it was said")
	early.Sent = start.Add(-time.Hour)
	other := hangs(11, 1, "edit", li, "somebody else's words")
	other.Flags = []string{flagEditByOther}
	wipe := render.Entry{Seq: 20, Kind: "relay", Typ: "relay.wipe", Received: start, Relayed: start, Body: `{"dev":"phone"}`}
	alone := says(21, ana, "no conversation")
	alone.Conversation = nil
	direct := says(22, dov, "direct")
	direct.To, direct.Conversation = []render.Person{ana}, &render.Conversation{ID: "c-direct", Kind: "direct"}
	expiry := hangs(23, 1, "expiry", ana, "")
	expiry.Sent = start
	withheld := render.Entry{Seq: 24, Kind: "message", Typ: "msg", Received: start, Withheld: "privileged"}
	return &render.Unit{Kind: render.ConversationDay, Stem: "day/c-4west-2026-03-08", Day: "2026-03-08", Part: 1, Parts: 1, Entries: []render.Entry{
		first, files, member(3, ana, li, dov), says(4, dov, "thanks"), member(5, ana, dov), hangs(6, 1, "reaction", li, "👍"), hangs(7, 1, "reaction", dov, "👍"),
		read, got, early, other, hangs(12, 1, "edit", ana, "K+ 5.1"), hangs(13, 4, "recall", dov, ""), wipe, alone, direct, expiry, withheld}}
}

func TestSampleIsValid(t *testing.T) {
	valid(t, show(t, allowed, sample()))
}

// manifestOf returns a file's manifest, as another reader of JSON and zip sees it.
func manifestOf(t testing.TB, s *shelf, name string) (m manifest, events []event) {
	t.Helper()
	raw := unzip(t, s.files[name].Bytes())
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	for _, b := range m.Events {
		var ev event
		if err := json.Unmarshal(b, &ev); err != nil {
			t.Fatal(err)
		}
		events = append(events, ev)
	}
	return m, events
}

func TestEventsSayWhatBecameOfAMessage(t *testing.T) {
	s := show(t, allowed, sample())
	_, events := manifestOf(t, s, "day/c-4west-2026-03-08.rsmf")
	by := map[string]event{}
	for _, ev := range events {
		by[ev.ID] = ev
	}
	first := by["1"]
	if first.Body != "K+ 5.1" || len(first.Edits) != 2 || first.Edits[0].New != "somebody else's words" || first.Edits[1].Previous != "K+ 6.1 → repetir" {
		t.Errorf("versions: %q %+v", first.Body, first.Edits)
	}
	if first.Importance != "high" || len(first.Reactions) != 1 || first.Reactions[0].Count != 2 || len(first.Receipts) != 2 ||
		first.Receipts[0].Action != "read" || first.Receipts[1].Action != "delivered" {
		t.Errorf("%+v", first)
	}
	if first.Timestamp != "2026-03-08T01:59:00.123-06:00" || by["2"].Timestamp != "2026-03-08T03:00:00.123-05:00" {
		t.Errorf("times %s and %s", first.Timestamp, by["2"].Timestamp)
	}
	if !by["4"].Deleted || by["1"].Deleted {
		t.Error("what was recalled is not what is shown as deleted")
	}
	if by["3"].Type != typeJoin || by["3"].Participant != "u-dov" || by["5"].Type != typeLeave || by["5"].Participant != "u-li" {
		t.Errorf("who came %+v and left %+v", by["3"], by["5"])
	}
	if a := by["2"].Attachments; len(a) != 2 || a[0].ID != "000000000002-1.pdf" || a[0].Size != 9 || a[1].ID != "000000000002-3.bin" {
		t.Errorf("attachments %+v", a)
	}
	if by["23"].Type != typeUnknown || by["23"].Parent != "1" || by["24"].Body != "[withheld: privileged]" || by["legend"].Type != typeDisclaimer {
		t.Errorf("%+v %+v %+v", by["23"], by["24"], by["legend"])
	}
}

func hostile(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile("../testdata/hostile.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range bytes.Lines(b) {
		var h struct{ Text string }
		if err := json.Unmarshal(line, &h); err != nil {
			t.Fatal(err)
		}
		out = append(out, h.Text)
	}
	if len(out) < 50 {
		t.Fatalf("%d hostile texts", len(out))
	}
	return out
}

// villain is what one says of whom the relay, the directory and the sender
// chose all to be h.
func villain(seq uint64, h string) []render.Entry {
	e := says(seq, render.Person{Usr: "u" + h, UPN: h, Mail: h, Name: h}, h)
	e.Lang, e.Prio, e.Mid, e.Dev, e.Assurance = h, h, h, h, h
	e.To = []render.Person{{Usr: "v" + h, Name: h}}
	e.Conversation = &render.Conversation{ID: "x" + h, Name: h, Kind: "group", Members: []render.Person{{Usr: "w" + h, Name: h, Mail: h + "@x.example"}}}
	e.Subject = &render.Subject{MRN: h, Encounter: h}
	e.Flags, e.Custodians, e.Holds = []string{h}, []string{h}, []string{h}
	e.Attachments = []render.Attachment{{Name: h, MIME: h, Status: h}, {Name: h, MIME: h, Open: holds(h)}}
	edit, react, receipt := hangs(seq+1, seq, "edit", e.To[0], h), hangs(seq+2, seq, "reaction", li, h), hangs(seq+3, seq, "receipt", li, "")
	receipt.Status = h
	return []render.Entry{e, edit, react, receipt, {Seq: seq + 4, Kind: "relay", Typ: h, Received: start, Body: h}}
}

func TestHostileIsNeutral(t *testing.T) {
	t.Parallel()
	var units []*render.Unit
	for list := range slices.Chunk(hostile(t), 8) {
		u := &render.Unit{Kind: render.ConversationDay, Stem: fmt.Sprintf("day/villain-%d", len(units)), Day: "2026-03-08", Part: 1, Parts: 1}
		for i, h := range list {
			u.Entries = append(u.Entries, villain(uint64(i*5+1), h)...)
		}
		units = append(units, u)
	}
	valid(t, show(t, allowed, units...))
}

// anyUnit draws a day of any entries, whatever hangs at whatever.
func anyUnit(t *rapid.T) *render.Unit {
	people := []render.Person{ana, li, dov, eve}
	some := rapid.SliceOfN(rapid.SampledFrom(people), 0, 5)
	u := &render.Unit{Kind: render.ConversationDay, Stem: fmt.Sprintf("day/%d", rapid.IntRange(0, 1<<40).Draw(t, "stem")), Day: "2026-03-08", Part: 1, Parts: 1}
	n := rapid.IntRange(1, 14).Draw(t, "n")
	for i := range n {
		e := says(uint64(i+1), rapid.SampledFrom(people).Draw(t, "from"), rapid.String().Draw(t, "text"))
		e.Typ = rapid.SampledFrom([]string{"msg", "msg", "edit", "recall", "receipt", "reaction", "member", "member", "close", "expiry", "call", "checkpoint"}).Draw(t, "typ")
		e.Sent = start.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "sent")) * time.Minute)
		e.To = some.Draw(t, "to")
		if rapid.Bool().Draw(t, "hangs") {
			to := rapid.Uint64Range(1, uint64(n)+1).Draw(t, "target")
			e.Target = &to
		}
		switch rapid.IntRange(0, 7).Draw(t, "shape") {
		case 0:
			e = render.Entry{Seq: e.Seq, Kind: rapid.SampledFrom([]string{"relay", "blob", "quarantine"}).Draw(t, "kind"), Typ: "relay.wipe", Received: e.Received, Target: e.Target}
		case 1:
			e.From, e.To, e.Conversation = nil, nil, nil
		case 2:
			e.Conversation = nil
		case 3:
			e = render.Entry{Seq: e.Seq, Kind: "message", Typ: e.Typ, Received: e.Received, Withheld: "privileged", Target: e.Target}
		default:
			e.Conversation.ID = rapid.SampledFrom([]string{"c-1", "c-2", "people:x"}).Draw(t, "conversation")
			e.Conversation.Kind = rapid.SampledFrom([]string{"direct", "group", "patient"}).Draw(t, "kind")
			e.Conversation.Members = some.Draw(t, "members")
		}
		if e.Withheld == "" && rapid.Bool().Draw(t, "files") {
			e.Attachments = []render.Attachment{{Name: rapid.String().Draw(t, "name"), Open: holds(rapid.String().Draw(t, "content"))}}
		}
		e.Status = rapid.SampledFrom([]string{"", "delivered", "read", "acknowledged"}).Draw(t, "status")
		u.Entries = append(u.Entries, e)
	}
	return u
}

// Any day is valid, also when it has to be cut into files of three events or few bytes.
func TestAnyDayIsValid(t *testing.T) {
	t.Parallel()
	gen := rapid.Custom(anyUnit)
	for _, l := range []limits{allowed, {events: 3, bytes: allowed.bytes}, {events: 10_000, bytes: 12_000}} {
		var units []*render.Unit
		for i := range 20 {
			u := gen.Example(i)
			u.Stem = fmt.Sprintf("day/%d", i)
			units = append(units, u)
		}
		s := show(t, l, units...)
		valid(t, s)
		if l != allowed && len(s.names) < 26 {
			t.Errorf("%d files of 20 days within %+v", len(s.names), l)
		}
		again := show(t, l, units...)
		for name, b := range s.files {
			if !bytes.Equal(b.Bytes(), again.files[name].Bytes()) {
				t.Fatalf("%s is not the same twice", name)
			}
		}
	}
}

func TestMoreThanTenThousandEventsMakeParts(t *testing.T) {
	t.Parallel()
	u := &render.Unit{Kind: render.ConversationDay, Stem: "day/big", Day: "2026-03-08", Part: 1, Parts: 1}
	for i := range 10_050 {
		u.Entries = append(u.Entries, says(uint64(i+1), []render.Person{ana, li}[i%2], "ok"))
	}
	u.Entries = append(u.Entries, hangs(10_051, 1, "expiry", ana, ""))
	s := show(t, allowed, u)
	if !slices.Equal(s.names, []string{"day/big.rsmf", "day/big-s0002.rsmf"}) {
		t.Fatalf("files %v", s.names)
	}
	_, one := manifestOf(t, s, s.names[0])
	_, two := manifestOf(t, s, s.names[1])
	if len(one) != 10_000 || len(one)+len(two) != 10_051+2 {
		t.Errorf("%d and %d events", len(one), len(two))
	}
	last := two[len(two)-1]
	if last.Parent != "" || !slices.Contains(last.Custom, custom{"parent_in_another_part", "1"}) {
		t.Errorf("%+v", last)
	}
}

func BenchmarkRSMF(b *testing.B) {
	u := &render.Unit{Kind: render.ConversationDay, Stem: "day/big", Day: "2026-03-08", Part: 1, Parts: 1}
	for i := range 1000 {
		e := says(uint64(i*3+1), []render.Person{ana, li}[i%2], strings.Repeat("the patient in bed twelve ", 6))
		read := hangs(e.Seq+1, e.Seq, "receipt", li, "")
		read.Status = "read"
		u.Entries = append(u.Entries, e, read)
	}
	bytes := 0
	for b.Loop() {
		for _, f := range show(b, allowed, u).files {
			bytes += f.Len()
		}
	}
	b.ReportMetric(float64(b.N*1000)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64(bytes)/b.Elapsed().Seconds()/1e6, "MB/s")
}
