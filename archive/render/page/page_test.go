package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/archive/render"
)

// A shelf is a Sink that keeps the files.
type shelf map[string]*bytes.Buffer

type kept struct{ *bytes.Buffer }

func (kept) Close() error { return nil }

func (s shelf) Create(name string) (io.WriteCloser, error) {
	if s[name] != nil {
		return nil, fmt.Errorf("%s twice", name)
	}
	s[name] = new(bytes.Buffer)
	return kept{s[name]}, nil
}

// show renders units and returns the files.
func show(t testing.TB, f render.Format, o render.Options, units ...*render.Unit) shelf {
	t.Helper()
	s := shelf{}
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
	return s
}

func zone(t testing.TB) *time.Location {
	z, err := time.LoadLocation("America/Chicago")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

var start = time.Date(2026, 3, 8, 7, 58, 0, 123e6, time.UTC) // two minutes before a clock in Chicago leaps

var (
	ana = render.Person{Usr: "u-ana", UPN: "ana.núñez@hosp.example", Mail: "ana@hosp.example", Name: "Ana Núñez"}
	li  = render.Person{Usr: "u-li", UPN: "li.wei@hosp.example", Mail: "li@hosp.example", Name: "李伟 Li Wei"}
	dov = render.Person{Usr: "u-dov", Name: "דב כהן"}
)

// says is a message of the sample conversation.
func says(seq uint64, from render.Person, text string) render.Entry {
	at := start.Add(time.Duration(seq) * time.Minute)
	return render.Entry{Seq: seq, Kind: "message", Typ: "msg", Received: at.Add(time.Second), Relayed: at, Sent: at, Mid: fmt.Sprintf("mid-%d", seq), Dev: "phone",
		From: &from, To: []render.Person{ana, li}, Conversation: &render.Conversation{ID: "c-4west", Kind: "group", Name: "4 West, noche 夜勤", Members: []render.Person{ana, li, dov}},
		Text: text, Assurance: "enrolled", LeafHash: strings.Repeat("0123456789abcdef", 4), Bates: fmt.Sprintf("HF%07d", seq)}
}

func hangs(seq, at uint64, typ string, from render.Person, text string) render.Entry {
	e := says(seq, from, text)
	e.Typ, e.Target, e.To = typ, &at, nil
	return e
}

// sample is a day with all that a page can show.
func sample() *render.Unit {
	u := &render.Unit{Kind: render.ConversationDay, Stem: "day/c-4west-2026-03-08", Day: "2026-03-08", Part: 1, Parts: 1}
	first := says(1, ana, "Bed 12: ¿quién está de guardia? Müller's K+ is 6.1 mmol/L → please repeat, ΔpH −0.04.")
	first.Prio, first.Subject = "stat", &render.Subject{MRN: "00412345", Encounter: "E-77", Born: 1951}
	first.Custodians = []string{"Ana Núñez", "李伟 Li Wei"}
	chinese := says(2, li, "患者血钾六点一，请立即复查，必要时通知肾内科会诊。这一段没有空格，所以必须能在任何两个汉字之间换行，而不会跑出页面的右边。"+strings.Repeat("心电图已做。", 12))
	chinese.Lang = "zh"
	japanese := says(3, li, "かしこまりました。カリウムを再検査します。ﾃｽﾄ「括弧」（全角）")
	korean := says(4, li, "네, 확인했습니다. 칼륨 재검사 부탁드립니다. 㗎 is Cantonese")
	hebrew := says(5, dov, "שלום, החולה במיטה 12 (אשלגן 6.1) יציב.")
	arabic := says(6, dov, "المريض في السرير 12 مستقر الآن")
	emoji := says(7, ana, "👍🏽 ok ❤️ 👩‍⚕️ family 𝔘𝔫𝔦 e\u0301 a\u0300")
	emoji.Attachments = []render.Attachment{
		{BID: "b1", Name: "ECG Bett 12 – très long nom de fichier 心电图.pdf", MIME: "application/pdf", Size: 123456, Status: "stored", Path: "natives/000000000007-1.pdf", SHA256: strings.Repeat("ab", 32), Bates: "HF0000008"},
		{BID: "b2", Name: "x.exe", MIME: "application/x-msdownload", Size: 1, Status: "blob_missing"}}
	emoji.BatesEnd = "HF0000009"
	edit := hangs(11, 1, "edit", ana, "Bed 12: K+ is 5.1, not 6.1.")
	other := hangs(12, 1, "edit", li, "I never said that")
	other.Flags = []string{"edit-by-other"}
	recall := hangs(13, 4, "recall", li, "")
	read := hangs(14, 1, "receipt", li, "")
	read.Status, read.StatusAt = "read", start.Add(3*time.Minute)
	react := hangs(15, 2, "reaction", ana, "👍")
	withheld := render.Entry{Seq: 16, Kind: "message", Typ: "msg", Received: start, Withheld: "privileged", Bates: "HF0000016"}
	redacted := says(17, ana, "The social security number is ███ and the rest stands.")
	redacted.Redacted, redacted.LeafHash, redacted.Mid = true, "", ""
	wipe := render.Entry{Seq: 18, Kind: "relay", Typ: "relay.wipe", Received: start, Relayed: start, Body: `{"dev":"phone"}`}
	u.Entries = []render.Entry{first, chinese, japanese, korean, hebrew, arabic, emoji, edit, other, recall, read, react, withheld, redacted, wipe}
	return u
}

func options(t testing.TB) render.Options {
	return render.Options{Origin: "holdfast.invalid/ARC/0123456789abcdef", Tool: "holdfast 5.0", Zone: zone(t),
		Legend: "CONFIDENTIAL – SUBJECT TO PROTECTIVE ORDER\nCase No. 26-cv-0001 (N.D. Ill.), for attorneys' eyes only"}
}

// keep writes what was rendered where HOLDFAST_PAGES says, for a person to look at.
func keep(t testing.TB, s shelf) {
	dir := os.Getenv("HOLDFAST_PAGES")
	if dir == "" {
		return
	}
	for name, b := range s {
		path := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
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
	return out
}

// villain is a day in which everything that a sender chooses is hostile.
func villain(list []string) *render.Unit {
	u := &render.Unit{Kind: render.ConversationDay, Stem: "day/villain", Day: "2026-03-08", Part: 1, Parts: 1}
	for i, h := range list {
		e := says(uint64(i*4+1), render.Person{Usr: "u" + h, UPN: h, Mail: h, Name: h}, h)
		e.Lang, e.Prio, e.Mid, e.Dev, e.Assurance = h, h, h, h, h
		e.To = []render.Person{{Usr: "v" + h, Name: h}}
		e.Conversation = &render.Conversation{ID: h, Name: h, Kind: h}
		e.Subject = &render.Subject{MRN: h, Encounter: h}
		e.Flags, e.Custodians, e.Holds = []string{h}, []string{h}, []string{h}
		e.Attachments = []render.Attachment{{Name: h, MIME: h, Status: h}}
		edit, react := hangs(e.Seq+1, e.Seq, "edit", ana, h), hangs(e.Seq+2, e.Seq, "reaction", li, h)
		receipt := hangs(e.Seq+3, e.Seq, "receipt", li, "")
		receipt.Status = h
		u.Entries = append(u.Entries, e, edit, react, receipt)
	}
	return u
}

// long is a day of many pages.
func long(n int) *render.Unit {
	u := &render.Unit{Kind: render.ConversationDay, Stem: "day/long", Day: "2026-03-08", Part: 1, Parts: 1}
	words := strings.Fields("the patient in bed twelve was seen by renal and asks whether dialysis will be tonight or tomorrow please call back on extension 4471 gracias señora Núñez")
	for i := range n {
		var text []string
		for j := range 12 + i%17 {
			text = append(text, words[(i*7+j*3)%len(words)])
		}
		u.Entries = append(u.Entries, says(uint64(i+1), []render.Person{ana, li, dov}[i%3], strings.Join(text, " ")))
	}
	return u
}

func TestTheSameBytesAgain(t *testing.T) {
	for _, f := range []render.Format{PDF(), HTML()} {
		one, two := show(t, f, options(t), sample(), villain(hostile(t)[:20])), show(t, f, options(t), sample(), villain(hostile(t)[:20]))
		for name, b := range one {
			if !bytes.Equal(b.Bytes(), two[name].Bytes()) {
				t.Errorf("%s is not the same twice", name)
			}
		}
		keep(t, one)
	}
}

func BenchmarkHTML(b *testing.B) {
	u := long(1600)
	bytes := 0
	for b.Loop() {
		for _, f := range show(b, HTML(), options(b), u) {
			bytes += f.Len()
		}
	}
	b.ReportMetric(float64(b.N*1600)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64(bytes)/b.Elapsed().Seconds()/1e6, "MB/s")
}

func BenchmarkPDF(b *testing.B) {
	for _, n := range []int{5, 100, 1600} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			u := long(n)
			if _, err := newPalette(); err != nil {
				b.Fatal(err)
			}
			bytes, pages := 0, 0
			for b.Loop() {
				for _, f := range show(b, PDF(), options(b), u) {
					bytes += f.Len()
					pages += strings.Count(f.String(), "/Type /Page\n")
				}
			}
			b.ReportMetric(float64(pages)/b.Elapsed().Seconds(), "pages/s")
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "messages/s")
			b.ReportMetric(float64(bytes)/b.Elapsed().Seconds()/1e6, "MB/s")
		})
	}
}
