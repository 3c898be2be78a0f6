package sheet

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"holdfast/archive/render"
)

// shelf is a sink that keeps files in memory.
type shelf struct {
	names []string
	files map[string]*bytes.Buffer
	open  int
}

type leafing struct {
	*bytes.Buffer
	s *shelf
}

func (l leafing) Close() error { l.s.open--; return nil }

func (s *shelf) Create(name string) (io.WriteCloser, error) {
	if s.open > 0 || s.files[name] != nil {
		return nil, errors.New("two files at a time, or twice the same: " + name)
	}
	if s.files == nil {
		s.files = map[string]*bytes.Buffer{}
	}
	s.open++
	s.names = append(s.names, name)
	s.files[name] = &bytes.Buffer{}
	return leafing{s.files[name], s}, nil
}

func produce(t testing.TB, f render.Format, o render.Options, units ...*render.Unit) *shelf {
	t.Helper()
	s := &shelf{}
	w, err := f.New(o, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range units {
		if err := w.Unit(u); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if s.open != 0 {
		t.Fatal("a file is still open")
	}
	return s
}

func hostile(t testing.TB) []string {
	t.Helper()
	f, err := os.Open("../testdata/hostile.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var it struct {
			Text   string
			Repeat int
		}
		if err := json.Unmarshal(lines.Bytes(), &it); err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.Repeat(it.Text, max(1, it.Repeat)))
	}
	return all
}

// readBy has a reader that is not ours read a file.
func readBy(t testing.TB, script string, file []byte) []map[string]any {
	t.Helper()
	cmd := exec.Command("python3", "testdata/"+script)
	cmd.Stdin = bytes.NewReader(file)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, complaint.String())
	}
	var rows []map[string]any
	if err := json.Unmarshal(out, &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

var noon = time.Date(2026, 3, 8, 12, 30, 15, 250e6, time.UTC)

func newYork(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// full is an entry with s in every field that somebody else has filled in.
func full(seq uint64, s string) render.Entry {
	who := func() render.Person { return render.Person{Usr: s, UPN: s, Mail: s, Name: s} }
	from, target := who(), seq+1000
	return render.Entry{
		Seq: seq, Kind: "message", Typ: s, Received: noon.Add(2 * time.Second), Relayed: noon.Add(time.Second), Sent: noon,
		Mid: s, Dev: s, From: &from, To: []render.Person{who(), {Usr: "u2", Name: "Ana; Lopez"}},
		Conversation: &render.Conversation{ID: s, Kind: s, Name: s, Members: []render.Person{who(), {Usr: "u3"}}},
		Text:         s, Lang: s, Prio: s, Subject: &render.Subject{MRN: s, Encounter: s, Born: 1951},
		Attachments: []render.Attachment{
			{BID: "b", Name: s, MIME: s, Size: 7, Status: s, Bates: "HF0000002", Path: "natives/000000000001-1.bin", TextPath: "texts/000000000001-1.txt", MD5: "m", SHA256: "s", Text: s},
			{BID: "c", Name: "x.PDF", MIME: "application/pdf", Size: 8, Status: "pending"},
		},
		Target: &target, Status: s, StatusAt: noon, Flags: []string{s, "x"}, Assurance: s, Device: s, LeafHash: "00ff", Custodians: []string{s, "c2"}, Holds: []string{s},
		Bates: "HF0000001", BatesEnd: "HF0000003", Redacted: true, Body: s, TextPath: "texts/000000000001.txt",
	}
}

func message(e render.Entry) *render.Unit {
	return &render.Unit{Kind: render.Message, Stem: "x", Part: 1, Parts: 1, Entries: []render.Entry{e}}
}

// broken is s with its line breaks as readers get them back.
func broken(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

func equal(t *testing.T, row map[string]any, name string, want ...string) {
	t.Helper()
	got := row[name]
	if list, ok := got.([]any); ok {
		if len(list) != len(want) {
			t.Errorf("%s: %q, want %q", name, list, want)
			return
		}
		for i := range want {
			if list[i] != want[i] {
				t.Errorf("%s: %q, want %q", name, list[i], want[i])
			}
		}
		return
	}
	if got != want[0] {
		t.Errorf("%s: %q, want %q", name, got, want[0])
	}
}

func TestEmptyEntriesAreRows(t *testing.T) {
	for _, f := range []render.Format{CSV(), DAT()} {
		t.Run(f.Name, func(t *testing.T) {
			s := produce(t, f, render.Options{}, message(render.Entry{}), &render.Unit{}, message(render.Entry{Seq: 1, Attachments: []render.Attachment{{}}}))
			rows := readBy(t, "read_"+f.Name+".py", s.files[s.names[0]].Bytes())
			if want := map[string]int{"csv": 2, "dat": 3}[f.Name]; len(rows) != want {
				t.Errorf("%d rows, want %d", len(rows), want)
			}
			if s := produce(t, f, render.Options{}); len(readBy(t, "read_"+f.Name+".py", s.files[s.names[0]].Bytes())) != 0 {
				t.Error("rows of nothing")
			}
		})
	}
}

func TestTheSameUnitsGiveTheSameBytes(t *testing.T) {
	var units []*render.Unit
	for i, s := range hostile(t) {
		units = append(units, message(full(uint64(i), s)))
	}
	for _, f := range []render.Format{CSV(), DAT()} {
		var sums [2][32]byte
		for i := range sums {
			s := produce(t, f, render.Options{Zone: newYork(t), Legend: "SECRET"}, units...)
			sums[i] = sha256.Sum256(s.files[s.names[0]].Bytes())
		}
		if sums[0] != sums[1] {
			t.Errorf("%s: two renderings differ", f.Name)
		}
	}
}

func TestGiantTextsPass(t *testing.T) {
	giant := strings.Repeat(strings.Repeat("word ", 100)+"a\u202e\"b;\n", 1<<12)
	e := full(1, "x")
	e.Text = giant
	e.Conversation.Name = giant
	s := produce(t, CSV(), render.Options{}, message(e))
	equal(t, readBy(t, "read_csv.py", s.files["records.csv"].Bytes())[0], "text", giant)
	s = produce(t, DAT(), render.Options{}, message(e))
	equal(t, readBy(t, "read_dat.py", s.files["loadfile.dat"].Bytes())[0], "CONVERSATION_NAME", giant)
}

// A failing disk fails the unit at once, nothing is taken for written.
func TestFailedWritesAreErrors(t *testing.T) {
	for _, f := range []render.Format{CSV(), DAT()} {
		if _, err := f.New(render.Options{}, broke{}); !errors.Is(err, errFull) {
			t.Errorf("%s: heading: %v", f.Name, err)
		}
		w, err := f.New(render.Options{}, broke{after: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Unit(message(full(1, "x"))); !errors.Is(err, errFull) {
			t.Errorf("%s: unit: %v", f.Name, err)
		}
		if err := w.Close(); !errors.Is(err, errFull) {
			t.Errorf("%s: close: %v", f.Name, err)
		}
	}
}

var errFull = errors.New("disk full")

type broke struct{ after int }

func (b broke) Create(string) (io.WriteCloser, error) { return &b, nil }
func (b *broke) Close() error                         { return errFull }
func (b *broke) Write(p []byte) (int, error) {
	if b.after--; b.after < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func benchmark(b *testing.B, f render.Format) {
	var units []*render.Unit
	for i := range 1000 {
		e := full(uint64(i), "Ana Lopez")
		e.Text = strings.Repeat("Patient in bed 4 needs the results of this morning's labs. ", 4)
		e.Body = ""
		units = append(units, message(e))
	}
	s := produce(b, f, render.Options{Zone: newYork(b)}, units...)
	out := s.files[s.names[0]].Bytes()
	b.SetBytes(int64(len(out)))
	var rendering, hashing time.Duration
	for b.Loop() {
		begun := time.Now()
		produce(b, f, render.Options{Zone: newYork(b)}, units...)
		rendering += time.Since(begun)
		begun = time.Now()
		sha256.Sum256(out)
		hashing += time.Since(begun)
	}
	b.ReportMetric(float64(hashing)/float64(rendering), "of-SHA-256")
}

func BenchmarkCSV(b *testing.B) { benchmark(b, CSV()) }
func BenchmarkDAT(b *testing.B) { benchmark(b, DAT()) }
