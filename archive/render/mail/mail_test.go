package mail

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"holdfast/archive/render"
)

// folderOf is a sink in a temporary folder, one file at a time.
type folderOf struct {
	dir   string
	paths []string
	open  int
}

type closing struct {
	*os.File
	f *folderOf
}

func (c closing) Close() error { c.f.open--; return c.File.Close() }

func (f *folderOf) Create(name string) (io.WriteCloser, error) {
	if f.open > 0 {
		return nil, errors.New("two files at a time: " + name)
	}
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	f.open++
	f.paths = append(f.paths, path)
	return closing{file, f}, err
}

func produce(t testing.TB, format render.Format, o render.Options, units ...*render.Unit) []string {
	t.Helper()
	f := &folderOf{dir: t.TempDir()}
	w, err := format.New(o, f)
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
	if f.open != 0 {
		t.Fatal("a file is still open")
	}
	return f.paths
}

type mail struct {
	Headers [][2]string
	Parts   []struct {
		Headers                               [][2]string
		Type, Name, Disposition, SHA256, Text string
	}
	Date     string
	From, To [][2]string
	SHA256   string // of the whole mail, of those in an mbox
}

func header1(headers [][2]string, name string) string {
	var found []string
	for _, h := range headers {
		if h[0] == name {
			found = append(found, h[1])
		}
	}
	return strings.Join(found, "|")
}

func readBy(t testing.TB, args ...string) []mail {
	t.Helper()
	cmd := exec.Command("python3", append([]string{"testdata/read_mail.py"}, args...)...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, complaint.String())
	}
	var mails []mail
	if err := json.Unmarshal(out, &mails); err != nil {
		t.Fatal(err)
	}
	return mails
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

const origin = "holdfast.invalid/ward.example/0123456789abcdef/r1"

var noon = time.Date(2026, 3, 8, 12, 30, 15, 250e6, time.UTC)

func newYork(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func holding(b string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(b)), nil }
}

// full is a unit with s in every field that somebody else has filled in.
func full(seq uint64, s string) *render.Unit {
	who := func() render.Person { return render.Person{Usr: s, UPN: s, Mail: s, Name: s} }
	from, target := who(), seq
	e := render.Entry{
		Seq: seq, Kind: "message", Typ: s, Received: noon.Add(2 * time.Second), Relayed: noon.Add(time.Second), Sent: noon,
		Mid: "AAECAwQFBgcICQoLDA0OD-_", Dev: s, From: &from, To: []render.Person{who(), {Usr: "u2", Name: "Ana, Lopez", Mail: "ana@ward.example"}},
		Conversation: &render.Conversation{ID: s, Kind: s, Name: s, Members: []render.Person{who(), {Usr: "u3"}}},
		Text:         s, Lang: s, Prio: s, Subject: &render.Subject{MRN: s, Encounter: s, Born: 1951},
		Attachments: []render.Attachment{
			{BID: "b", Name: s, MIME: s, Size: 7, Status: s, MD5: s, SHA256: s, Bates: s, Open: holding(s)},
			{BID: "c", Name: s, MIME: "application/pdf", Size: 8, Status: "pending"},
		},
		Status: s, StatusAt: noon, Flags: []string{s, "x"}, Assurance: s, Device: s, LeafHash: "00ff", Custodians: []string{s, "c2"}, Holds: []string{s}, Redacted: true,
	}
	edit := render.Entry{Seq: seq + 1, Kind: "message", Typ: "edit", Target: &target, Text: s, From: &from, Assurance: s, Flags: []string{s}}
	return &render.Unit{Kind: render.Message, Stem: fmt.Sprintf("%012d", seq), Part: 1, Parts: 1, Entries: []render.Entry{e, edit}}
}

// spaced is s as Python's email gives display names back: runs of spaces are one.
func spaced(s string) string { return strings.Join(strings.FieldsFunc(s, unicode.IsSpace), " ") }

// shown is as much of a name as there is room for.
func shown(s string) string {
	if len(s) <= 42 {
		return s
	}
	for n := 39; ; n-- {
		if utf8.ValidString(s[:n]) {
			return s[:n] + "…"
		}
	}
}

func check(t *testing.T, item, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%.60q: %s is %.200q, want %.200q", item, what, got, want)
	}
}

func checkMail(t *testing.T, m *mail, seq uint64, s string) {
	t.Helper()
	visible := render.Visible(s)
	who := render.Person{Usr: s, UPN: s, Mail: s, Name: s}
	for i, people := range [][][2]string{m.From, m.To} {
		check(t, s, "display name", spaced(people[0][0]), spaced(shown(visible)))
		check(t, s, "address", people[0][1], who.Address())
		if len(people) != 1+i {
			t.Errorf("%.60q: %d people", s, len(people))
		}
	}
	check(t, s, "second To", m.To[1][0]+m.To[1][1], "Ana, Lopezana@ward.example")
	for _, name := range []string{"Event-Type", "Conversation-ID", "Conversation-Type", "Conversation-Name", "From", "From-UPN", "From-Mail", "From-Name", "Device-ID", "Device-Key",
		"Assurance", "Status", "Language", "Priority", "MRN", "Encounter"} {
		check(t, s, name, header1(m.Headers, "X-Holdfast-"+name), visible)
	}
	item := render.Item(visible)
	for name, want := range map[string]string{"Members": item + "; u3", "Member-Names": render.Item(render.Visible(who.Called())) + "; u3", "Custodian": item + "; c2", "To": item + "; u2", "To-Names": render.Item(render.Visible(who.Called())) + "; Ana, Lopez",
		"Flags": item + "; x", "Holds": item, "Seq": fmt.Sprint(seq), "Leaf-Hash": "00ff", "Kind": "message", "Born": "1951", "Sent": "2026-03-08T12:30:15.250Z",
		"Relayed": "2026-03-08T12:30:16.250Z", "Received": "2026-03-08T12:30:17.250Z", "Redacted": "yes", "Withheld": "", "Legend": "SECRET"} {
		check(t, s, name, header1(m.Headers, "X-Holdfast-"+name), want)
	}
	check(t, s, "Message-ID", header1(m.Headers, "Message-ID"), fmt.Sprintf("<%d.AAECAwQFBgcICQoLDA0OD-_@%s>", seq, origin))
	root := "<conversation." + render.Token(s) + "@" + origin + ">"
	check(t, s, "References", header1(m.Headers, "References")+header1(m.Headers, "In-Reply-To"), root+root)
	check(t, s, "Date", m.Date, "2026-03-08T08:30:15-04:00")
	if s != "" {
		check(t, s, "Subject", header1(m.Headers, "Subject"), visible)
	}
	if len(m.Parts) != 3 {
		t.Fatalf("%.60q: %d parts", s, len(m.Parts))
	}
	check(t, s, "text", m.Parts[0].Text, "SECRET\n\n"+render.Lines(s)+"\n")
	history := m.Parts[1]
	check(t, s, "name of the history", history.Name, "history.txt")
	for _, line := range []string{fmt.Sprintf("seq %d, attachment 2 is not here (pending): %s\n", seq, visible), fmt.Sprintf("seq %d, message edit", seq+1),
		strings.ReplaceAll(render.Lines(s), "\n", "\n    ")} {
		if !strings.Contains(history.Text, line) {
			t.Errorf("%.60q: history has no %q:\n%s", s, line, history.Text)
		}
	}
	file := m.Parts[2]
	sum := sha256.Sum256([]byte(s))
	check(t, s, "content", file.SHA256, hex.EncodeToString(sum[:]))
	check(t, s, "disposition", file.Disposition, "attachment")
	check(t, s, "file name", file.Name, render.FileName(s))
	for _, name := range []string{"Name", "Type", "MD5", "SHA256", "Bates"} {
		check(t, s, name, header1(file.Headers, "X-Holdfast-"+name), visible)
	}
}

func TestMailGivesBackWhatWasSaid(t *testing.T) {
	items := hostile(t)
	var units []*render.Unit
	for i, s := range items {
		units = append(units, full(uint64(2*i), s))
	}
	o := render.Options{Origin: origin, Zone: newYork(t), Legend: "SECRET"}
	files := produce(t, EML(), o, units...)
	box := produce(t, MBOX(), o, units...)
	mails, boxed := readBy(t, append([]string{"eml"}, files...)...), readBy(t, "mbox", box[0])
	if len(mails) != len(items) || len(boxed) != len(items) {
		t.Fatalf("%d mails, %d in the mbox, want %d", len(mails), len(boxed), len(items))
	}
	for i := range items {
		checkMail(t, &mails[i], uint64(2*i), items[i])
	}
	// Each mail of the mbox is its file, to the byte, once the quoting is undone.
	raw, err := os.ReadFile(box[0])
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	for i, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(b); boxed[i].SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("mail %d of the mbox, as Python reads it, is not %s", i, path)
		}
		e := &units[i].Entries[0]
		fmt.Fprintf(&want, "From %s Sun Mar  8 12:30:15 2026\n", e.From.Address())
		for line := range strings.SplitSeq(strings.TrimSuffix(string(b), "\r\n"), "\r\n") {
			if strings.HasPrefix(strings.TrimLeft(line, ">"), "From ") {
				line = ">" + line
			}
			want.WriteString(line + "\n")
		}
		want.WriteString("\n")
	}
	if !bytes.Equal(raw, want.Bytes()) {
		t.Error("the mbox is not its mails")
	}
	if got := bytes.Count(raw, []byte("\n>From ")); got < 10 {
		t.Errorf("only %d quoted lines: the list does not try the quoting", got)
	}
	shellTools(t, box[0], len(items))
}

// shellTools has formail take the mails apart.
func shellTools(t *testing.T, box string, want int) {
	t.Helper()
	in, err := os.Open(box)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	formail := exec.Command("formail", "-s", "sed", "-n", "1,/^$/s/^X-Holdfast-Seq: //p")
	formail.Stdin = in
	out, err := formail.Output()
	if err != nil {
		t.Fatalf("formail: %v", err)
	}
	seqs := strings.Fields(string(out))
	if len(seqs) != want {
		t.Errorf("formail finds %d mails, want %d", len(seqs), want)
	}
	for i, s := range seqs {
		if s != fmt.Sprint(2*i) {
			t.Fatalf("formail's mail %d has seq %s", i, s)
		}
	}
}
