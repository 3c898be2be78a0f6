package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/archive/render"
)

func unit(e render.Entry) *render.Unit {
	return &render.Unit{Kind: render.Message, Stem: fmt.Sprintf("%012d", e.Seq), Entries: []render.Entry{e}}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEmptyEntriesAreMails(t *testing.T) {
	withheld := render.Entry{Seq: 2, Kind: "message", Typ: "msg", Withheld: "privileged", Received: noon}
	event := render.Entry{Seq: 3, Kind: "relay", Typ: "epoch", Body: `{"a":1}`, Relayed: noon}
	ancient := render.Entry{Seq: 4, Sent: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), Received: noon}
	units := []*render.Unit{unit(render.Entry{}), unit(render.Entry{Seq: 1, From: &render.Person{}, To: []render.Person{{}}, Conversation: &render.Conversation{}, Attachments: []render.Attachment{{Open: holding("")}}}),
		unit(withheld), unit(event), unit(ancient)}
	for _, o := range []render.Options{{}, {Origin: strings.Repeat("a b", 100), Zone: newYork(t)}} {
		files := produce(t, EML(), o, units...)
		mails := readBy(t, append([]string{"eml"}, files...)...)
		boxed := readBy(t, "mbox", produce(t, MBOX(), o, units...)[0])
		if len(mails) != 5 || len(boxed) != 5 {
			t.Fatalf("%d mails, %d in the mbox", len(mails), len(boxed))
		}
		if m := mails[2]; m.Parts[0].Text != "[withheld: privileged]\n" || header1(m.Headers, "Subject") != "Withheld: privileged" {
			t.Errorf("withheld: %+v", m)
		}
		if m := mails[3]; m.Parts[0].Text != `{"a":1}`+"\n" || m.From[0][0] != "Holdfast archive" || header1(m.Headers, "Subject") != "Entry: epoch" {
			t.Errorf("event: %+v", m)
		}
		if !strings.HasPrefix(mails[4].Date, "2026-03-08") || header1(mails[4].Headers, "X-Holdfast-Sent") != "0001-01-01T00:00:00.000Z" {
			t.Errorf("ancient: %+v", mails[4])
		}
	}
	if b := read(t, produce(t, MBOX(), render.Options{})[0]); len(b) != 0 {
		t.Errorf("an mbox of nothing: %q", b)
	}
	for _, f := range []render.Format{EML(), MBOX()} {
		w, err := f.New(render.Options{}, &folderOf{dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Unit(&render.Unit{Stem: "x"}); !errors.Is(err, errNothing) {
			t.Errorf("%s: a unit of nothing: %v", f.Name, err)
		}
	}
}

// What hangs at a message may have come before it.
func TestTheMessageIsTheHead(t *testing.T) {
	nine := uint64(9)
	u := unit(render.Entry{Seq: 8, Kind: "message", Typ: "receipt", Target: &nine, Status: "read", StatusAt: noon})
	u.Entries = append(u.Entries, render.Entry{Seq: 9, Kind: "message", Typ: "msg", Text: "hello"})
	m := readBy(t, "eml", produce(t, EML(), render.Options{}, u)[0])[0]
	if header1(m.Headers, "X-Holdfast-Seq") != "9" || m.Parts[0].Text != "hello\n" || m.Parts[1].Text != "seq 8, message receipt: read at 2026-03-08T12:30:15.250Z\n" {
		t.Errorf("%+v", m)
	}
}

func TestManyAndMuchPass(t *testing.T) {
	noise := make([]byte, 3<<20+5)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	e := render.Entry{Seq: 1, Kind: "message", Typ: "msg", Text: strings.Repeat(strings.Repeat("x", 5000)+" From\nFrom \t\n.\n", 300), Sent: noon,
		Attachments: []render.Attachment{{Name: "noise.bin", MIME: "application/zip; x=y", Open: holding(string(noise))}, {Name: "r.eml", MIME: "message/rfc822", Open: holding("Subject: x\r\n\r\ny")},
			{Name: "m", MIME: "multipart/mixed", Open: holding("--")}}}
	for i := range 400 {
		e.To = append(e.To, render.Person{Usr: fmt.Sprint("user-", i), Name: strings.Repeat("長い名前", i%9), Mail: fmt.Sprintf("u%d@%s.example", i, strings.Repeat("a", i%60+1))})
	}
	path := produce(t, EML(), render.Options{}, unit(e))[0]
	m := readBy(t, "eml", path)[0]
	if len(m.To) != 400 || m.To[399][1] != "u399@"+strings.Repeat("a", 40)+".example" {
		t.Errorf("%d recipients", len(m.To))
	}
	if m.Parts[0].Text != e.Text+"\n" {
		t.Error("the text is another")
	}
	sum := sha256.Sum256(noise)
	if m.Parts[1].SHA256 != hex.EncodeToString(sum[:]) || m.Parts[1].Type != "application/zip" {
		t.Errorf("%+v", m.Parts[1])
	}
	if m.Parts[2].Type != "application/octet-stream" || m.Parts[3].Type != "application/octet-stream" {
		t.Errorf("%q, %q", m.Parts[2].Type, m.Parts[3].Type)
	}
	// sha256sum, over what a shell takes out of the file.
	_, part, _ := strings.Cut(string(read(t, path)), "noise.bin\"\r\n")
	_, part, _ = strings.Cut(part, "\r\n\r\n")
	encoded, _, _ := strings.Cut(part, "--=_")
	plain := filepath.Join(t.TempDir(), "noise")
	shell := exec.Command("sh", "-c", `base64 -di > "$0" && sha256sum < "$0"`, plain)
	shell.Stdin = strings.NewReader(encoded)
	out, err := shell.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), hex.EncodeToString(sum[:])) {
		t.Errorf("sha256sum: %v: %.200s", err, out)
	}
}

// An attachment that ends too early is an error, never a shorter attachment.
func TestACutOffAttachmentIsAnError(t *testing.T) {
	for _, want := range []error{io.ErrUnexpectedEOF, errFull} {
		e := render.Entry{Attachments: []render.Attachment{{Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{want})), nil
		}}}}
		for _, f := range []render.Format{EML(), MBOX()} {
			w, err := f.New(render.Options{}, &folderOf{dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Unit(unit(e)); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", f.Name, err, want)
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

var errFull = errors.New("disk full")

// broke takes so many bytes in all.
type broke struct{ room *int }

func (b broke) Create(string) (io.WriteCloser, error) { return b, nil }
func (b broke) Close() error                          { return nil }
func (b broke) Write(p []byte) (int, error) {
	if *b.room -= len(p); *b.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestFailedWritesAreErrors(t *testing.T) {
	u := full(1, "x")
	u.Entries[0].Text = strings.Repeat("text and more text ", 10000)
	for _, f := range []render.Format{EML(), MBOX()} {
		whole := 1 << 30
		write := func(room int) error {
			w, err := f.New(render.Options{}, broke{&room})
			if err != nil {
				return err
			}
			defer func() { whole = room }()
			return errors.Join(w.Unit(u), w.Close())
		}
		if err := write(whole); err != nil {
			t.Fatal(err)
		}
		size := 1<<30 - whole
		for _, room := range []int{0, size / 3, size / 2, size - 1} {
			if err := write(room); !errors.Is(err, errFull) {
				t.Errorf("%s: room for %d of %d: %v", f.Name, room, size, err)
			}
		}
		if err := write(size); err != nil {
			t.Errorf("%s: room for all: %v", f.Name, err)
		}
	}
}

func TestTheSameUnitsGiveTheSameBytes(t *testing.T) {
	var units []*render.Unit
	for i, s := range hostile(t) {
		units = append(units, full(uint64(2*i), s))
	}
	o := render.Options{Origin: origin, Zone: newYork(t), Legend: "SECRET"}
	if a, b := produce(t, MBOX(), o, units...), produce(t, MBOX(), o, units...); !bytes.Equal(read(t, a[0]), read(t, b[0])) {
		t.Error("two renderings differ")
	}
}

func TestMailIsWhatItWas(t *testing.T) {
	e := render.Entry{Seq: 42, Kind: "message", Typ: "msg", Mid: "AAECAwQFBgcICQoLDA0ODw", Sent: noon, Received: noon, From: &render.Person{Usr: "u1", Name: "Ana López", Mail: "ana@ward.example"},
		To: []render.Person{{Usr: "u2", Name: "Dr. Who"}}, Text: "Potassium 5,9 = high\nFrom lab", LeafHash: "00ff",
		Attachments: []render.Attachment{{Name: "résumé.pdf", MIME: "application/pdf", SHA256: "ab", Open: holding("%PDF")}}}
	want := strings.ReplaceAll(`From: =?utf-8?B?QW5hIEzDs3Bleg==?= <ana@ward.example>
To: "Dr. Who" <u2@relay-user.invalid>
Subject: =?utf-8?B?TWVzc2FnZSBmcm9tIEFu?= =?utf-8?B?YSBMw7NwZXo=?=
Date: Sun, 08 Mar 2026 08:30:15 -0400
Message-ID: <42.AAECAwQFBgcICQoLDA0ODw@holdfast.invalid/ward.example/0123456789abcdef/r1>
X-Holdfast-Seq: 42
X-Holdfast-Leaf-Hash: 00ff
X-Holdfast-Kind: message
X-Holdfast-Event-Type: msg
X-Holdfast-From: u1
X-Holdfast-From-Mail: ana@ward.example
X-Holdfast-From-Name: =?utf-8?B?QW5hIEzDs3Bleg==?=
X-Holdfast-To: u2
X-Holdfast-To-Names: Dr. Who
X-Holdfast-Sent: 2026-03-08T12:30:15.250Z
X-Holdfast-Received: 2026-03-08T12:30:15.250Z
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_holdfast_000000000042"

--=_holdfast_000000000042
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Potassium 5,9 =3D high
From lab

--=_holdfast_000000000042
Content-Type: application/pdf
Content-Disposition: attachment;
 filename*=utf-8''r%C3%A9sum%C3%A9.pdf
X-Holdfast-Seq: 42
X-Holdfast-Name: =?utf-8?B?csOpc3Vtw6kucGRm?=
X-Holdfast-Type: application/pdf
X-Holdfast-SHA256: ab
Content-Transfer-Encoding: base64

JVBERg==

--=_holdfast_000000000042--
`, "\n", "\r\n")
	got := string(read(t, produce(t, EML(), render.Options{Origin: origin, Zone: newYork(t)}, unit(e))[0]))
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func benchmark(b *testing.B, f render.Format) {
	var units []*render.Unit
	for i := range 1000 {
		u := full(uint64(i), "Ana Lopez")
		u.Entries = u.Entries[:1]
		u.Entries[0].Text = strings.Repeat("Patient in bed 4 needs the results of this morning's labs. ", 4)
		u.Entries[0].Body = ""
		u.Entries[0].Attachments = nil
		units = append(units, u)
	}
	produceTo := func() *counter {
		c := &counter{}
		w, err := f.New(render.Options{Origin: origin}, c)
		if err != nil {
			b.Fatal(err)
		}
		for _, u := range units {
			if err := w.Unit(u); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		return c
	}
	out := make([]byte, produceTo().n)
	b.SetBytes(int64(len(out)))
	var rendering, hashing time.Duration
	for b.Loop() {
		begun := time.Now()
		produceTo()
		rendering += time.Since(begun)
		begun = time.Now()
		sha256.Sum256(out)
		hashing += time.Since(begun)
	}
	b.ReportMetric(float64(hashing)/float64(rendering), "of-SHA-256")
}

type counter struct{ n int }

func (c *counter) Create(string) (io.WriteCloser, error) { return c, nil }
func (c *counter) Close() error                          { return nil }
func (c *counter) Write(p []byte) (int, error)           { c.n += len(p); return len(p), nil }

func BenchmarkEML(b *testing.B)  { benchmark(b, EML()) }
func BenchmarkMBOX(b *testing.B) { benchmark(b, MBOX()) }
