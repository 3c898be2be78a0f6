package wire

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	arc   = "ward.example"
	epoch = "e1"
	when  = "2026-03-01T06:00:00.000Z"
)

var headKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))

func expect(after uint64, head Head) Expect {
	return Expect{Arc: arc, Epoch: epoch, After: after, Head: head, HeadKey: headKey.Public().(ed25519.PublicKey)}
}

func genesis() Head { return Genesis(arc, epoch, "", Head{}) }

// made returns n events from seq 1 and their signed end.
func made(n int) ([]Event, End) {
	events, head := []Event{}, genesis()
	for i := 1; i <= n; i++ {
		e := Event{Seq: uint64(i), ID: fmt.Sprint("id", i), Kind: KindEnv, Time: when, Data: fmt.Sprint("AMX1.", i)}
		events, head = append(events, e), head.Next(e)
	}
	end := End{Next: uint64(n), High: uint64(n) + 5, Oldest: 1, Head: head, Time: when}
	SignEnd(headKey, arc, epoch, &end)
	return events, end
}

// text is the page's lines as written, the end line last.
func text(t testing.TB, events []Event, end End) []string {
	t.Helper()
	var b bytes.Buffer
	if err := WritePage(&b, events, end); err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(b.String(), "\n"), "\n")
}

func TestReadPage(t *testing.T) {
	events, end := made(3)
	l := text(t, events, end)
	ev1, ev2, ev3, last := l[0], l[1], l[2], l[3]
	whole := ev1 + ev2 + ev3 + last + "\n"
	resigned := func(change func(e *End)) string {
		e := end
		change(&e)
		SignEnd(headKey, arc, epoch, &e)
		return text(t, nil, e)[0] + "\n"
	}
	unsigned := func(change func(e *End)) string {
		e := end
		change(&e)
		return text(t, nil, e)[0] + "\n"
	}
	tests := []struct {
		name string
		page string
		want error
	}{
		{"whole", whole, nil},
		{"no newline at the end", ev1 + ev2 + ev3 + last, nil},
		{"CRLF", strings.ReplaceAll(whole, "\n", "\r\n"), nil},
		{"heartbeats", "\n\n\r\n" + ev1 + "\n" + ev2 + ev3 + "\n\n" + last + "\n", nil},
		{"unknown member", strings.Replace(whole, `{"seq":1`, `{"later":[1],"seq":1`, 1), nil},
		{"empty", "", ErrTruncated},
		{"only heartbeats", "\n\n\n", ErrTruncated},
		{"no end line", ev1 + ev2 + ev3, ErrTruncated},
		{"broken last line", ev1 + ev2 + ev3 + last[:40], ErrTruncated},
		{"broken event", ev1 + ev2[:20], ErrTruncated},
		{"gap", ev1 + ev3 + last, ErrGap},
		{"first missing", ev2 + ev3 + last, ErrGap},
		{"last missing", ev1 + ev2 + last, ErrNext},
		{"repeat", ev1 + ev1 + ev2 + ev3 + last, ErrRepeat},
		{"swap", ev2 + ev1 + ev3 + last, ErrGap},
		{"changed data", strings.Replace(whole, "AMX1.2", "AMX1.9", 1), ErrHead},
		{"changed id", strings.Replace(whole, "id2", "id9", 1), ErrHead},
		{"changed kind", strings.Replace(whole, `"env"`, `"dir"`, 1), ErrHead},
		{"changed event time", strings.Replace(whole, "00.000Z", "00.001Z", 1), ErrHead},
		{"signed wrong head", ev1 + ev2 + ev3 + resigned(func(e *End) { e.Head[0] ^= 1 }), ErrHead},
		{"wrong head", ev1 + ev2 + ev3 + unsigned(func(e *End) { e.Head[0] ^= 1 }), ErrSignature},
		{"wrong signature", ev1 + ev2 + ev3 + unsigned(func(e *End) { e.Sig = bytes.Repeat([]byte{1}, 64) }), ErrSignature},
		{"changed high", ev1 + ev2 + ev3 + unsigned(func(e *End) { e.High++ }), ErrSignature},
		{"changed oldest", ev1 + ev2 + ev3 + unsigned(func(e *End) { e.Oldest++ }), ErrSignature},
		{"changed time", ev1 + ev2 + ev3 + unsigned(func(e *End) { e.Time = "2026-03-01T06:00:00.001Z" }), ErrSignature},
		{"signed high below next", ev1 + ev2 + ev3 + resigned(func(e *End) { e.High = 2 }), ErrMalformed},
		{"signed oldest past high", ev1 + ev2 + ev3 + resigned(func(e *End) { e.Oldest = e.High + 2 }), ErrMalformed},
		{"short signature", ev1 + ev2 + ev3 + unsigned(func(e *End) { e.Sig = e.Sig[:63] }), ErrMalformed},
		{"end false", strings.Replace(whole, `"end":true`, `"end":false`, 1), ErrMalformed},
		{"bytes after the end", whole + "x", ErrMalformed},
		{"heartbeat after the end", whole + "\n", ErrMalformed},
		{"a second page", whole + whole, ErrMalformed},
		{"duplicate member", strings.Replace(whole, `{"seq":1`, `{"seq":1,"seq":1`, 1), ErrMalformed},
		{"case variant", strings.Replace(whole, `{"seq":1`, `{"Seq":1,"seq":1`, 1), ErrMalformed},
		{"case variant alone", strings.Replace(whole, `"seq":1`, `"SEQ":1`, 1), ErrMalformed},
		{"missing data", strings.Replace(whole, `"data":"AMX1.1"`, `"x":1`, 1), ErrMalformed},
		{"null data", strings.Replace(whole, `"data":"AMX1.1"`, `"data":null`, 1), ErrMalformed},
		{"data is an object", strings.Replace(whole, `"data":"AMX1.1"`, `"data":{}`, 1), ErrMalformed},
		{"seq a string", strings.Replace(whole, `"seq":1`, `"seq":"1"`, 1), ErrMalformed},
		{"seq a float", strings.Replace(whole, `"seq":1`, `"seq":1.0`, 1), ErrMalformed},
		{"seq 0", strings.Replace(whole, `"seq":1`, `"seq":0`, 1), ErrRepeat},
		{"seq 2^53", strings.Replace(whole, `"seq":1`, `"seq":9007199254740992`, 1), ErrMalformed},
		{"time without zone", strings.Replace(whole, when, "2026-03-01T06:00:00.000", 1), ErrMalformed},
		{"time with a comma", strings.Replace(whole, when, "2026-03-01T06:00:00,000Z", 1), ErrMalformed},
		{"time of no day", strings.Replace(whole, when, "2026-02-30T06:00:00.000Z", 1), ErrMalformed},
		{"long id", strings.Replace(whole, "id1", strings.Repeat("x", MaxID+1), 1), ErrMalformed},
		{"empty kind", strings.Replace(whole, `"env"`, `""`, 1), ErrMalformed},
		{"event and end in one", strings.Replace(whole, `{"seq":1`, `{"end":true,"seq":1`, 1), ErrMalformed},
		{"end and event in one", strings.Replace(whole, `{"end":true`, `{"seq":4,"end":true`, 1), ErrMalformed},
		{"neither", strings.Replace(whole, `{"seq":1`, `{"time":"`+when+`"}`+"\n"+`{"seq":1`, 1), ErrMalformed},
		{"not JSON", "<html>\n" + whole, ErrMalformed},
		{"an array", "[]\n" + whole, ErrMalformed},
		{"unpaired surrogate", strings.Replace(whole, "AMX1.1", `\ud800`, 1), ErrMalformed},
		{"not UTF-8", strings.Replace(whole, "AMX1.1", "\xff", 1), ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			page, err := ReadPage(strings.NewReader(tt.page), expect(0, genesis()))
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if (err == nil) != (page != nil) {
				t.Fatalf("page %v beside error %v", page, err)
			}
			if err == nil && len(page.Events) != 3 {
				t.Fatalf("%d events", len(page.Events))
			}
		})
	}
}

func TestReadPageOfAnother(t *testing.T) {
	events, end := made(3)
	whole := strings.Join(text(t, events, end), "")
	for name, change := range map[string]func(e *Expect){
		"arc":      func(e *Expect) { e.Arc = "other.example" },
		"epoch":    func(e *Expect) { e.Epoch = "e2" },
		"head key": func(e *Expect) { e.HeadKey = ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey) },
		"no key":   func(e *Expect) { e.HeadKey = nil },
	} {
		want := expect(0, genesis())
		change(&want)
		if _, err := ReadPage(strings.NewReader(whole), want); !errors.Is(err, ErrSignature) {
			t.Errorf("another %s: %v, want %v", name, err, ErrSignature)
		}
	}
	want := expect(0, Head{1})
	_, err := ReadPage(strings.NewReader(whole), want)
	var he *HeadError
	if !errors.As(err, &he) || !errors.Is(err, ErrHead) {
		t.Fatalf("another head before: %v, want a HeadError", err)
	}
	if he.End.Verify(want.HeadKey, arc, epoch) != nil || he.End.Head != end.Head || he.Computed == end.Head {
		t.Error("the HeadError is no evidence")
	}
}

func TestReadPageEmpty(t *testing.T) {
	_, end := made(3)
	line := text(t, nil, end)[0]
	page, err := ReadPage(strings.NewReader("\n\n"+line), expect(3, end.Head))
	if err != nil || len(page.Events) != 0 || page.End.Next != 3 {
		t.Fatalf("page %v, error %v", page, err)
	}
	if _, err := ReadPage(strings.NewReader(line), expect(2, end.Head)); !errors.Is(err, ErrNext) {
		t.Errorf("asked after 2, told 3: %v", err)
	}
}

func TestReadPageLimits(t *testing.T) {
	events, end := made(3)
	want := expect(0, genesis())
	want.Limit = 2
	if _, err := ReadPage(strings.NewReader(strings.Join(text(t, events, end), "")), want); !errors.Is(err, ErrTooLarge) {
		t.Errorf("3 events for a limit of 2: %v", err)
	}
	events, end = made(MaxPageEvents + 1)
	if _, err := ReadPage(strings.NewReader(strings.Join(text(t, events, end), "")), expect(0, genesis())); !errors.Is(err, ErrTooLarge) {
		t.Errorf("1,001 events: %v", err)
	}
	beats := strings.NewReader(strings.Repeat(strings.Repeat("\r", 4095)+"\n", MaxPage/4096) + "\n")
	if _, err := ReadPage(beats, expect(0, genesis())); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a page of heartbeats: %v", err)
	}
	endless := io.MultiReader(strings.NewReader(`{"seq":1,"data":"`), zeros{})
	if _, err := ReadPage(endless, expect(0, genesis())); !errors.Is(err, ErrTooLarge) {
		t.Errorf("an endless line: %v", err)
	}
}

// zeros is a line that never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// A page of exactly the limit is read, one byte more is not; and an envelope above its own limit does not fail its page.
func TestReadPageAtTheLimit(t *testing.T) {
	e := Event{Seq: 1, ID: "big", Kind: KindEnv, Time: when, Data: strings.Repeat("x", MaxEnvelope+1)}
	end := End{Next: 1, High: 1, Oldest: 1, Time: when, Head: genesis().Next(e)}
	SignEnd(headKey, arc, epoch, &end)
	whole := strings.Join(text(t, []Event{e}, end), "") + "\n"
	filler := func(n int) string { // heartbeats of n bytes, 4 KiB each
		return strings.Repeat("\n", n%4096) + strings.Repeat(strings.Repeat("\r", 4095)+"\n", n/4096)
	}
	page, err := ReadPage(strings.NewReader(filler(MaxPage-len(whole))+whole), expect(0, genesis()))
	if err != nil || len(page.Events[0].Data) <= MaxEnvelope {
		t.Fatalf("a page of the limit with a large envelope: %v", err)
	}
	if _, err := ReadPage(strings.NewReader(filler(MaxPage-len(whole)+1)+whole), expect(0, genesis())); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a page one byte over: %v", err)
	}
}

func TestReadPageSlowAndBroken(t *testing.T) {
	events, end := made(3)
	whole := strings.Join(text(t, events, end), "") + "\n"
	if _, err := ReadPage(iotest.OneByteReader(strings.NewReader(whole)), expect(0, genesis())); err != nil {
		t.Errorf("byte by byte: %v", err)
	}
	broken := errors.New("connection reset")
	for n := range whole {
		r := io.MultiReader(strings.NewReader(whole[:n]), iotest.ErrReader(broken))
		if _, err := ReadPage(r, expect(0, genesis())); !errors.Is(err, broken) {
			t.Fatalf("broken after %d bytes: %v", n, err)
		}
		r = io.MultiReader(strings.NewReader(whole[:n]), iotest.ErrReader(io.ErrUnexpectedEOF))
		if _, err := ReadPage(r, expect(0, genesis())); !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
		if n < len(whole)-1 {
			if _, err := ReadPage(strings.NewReader(whole[:n]), expect(0, genesis())); err == nil {
				t.Fatalf("%d of %d bytes were taken for a page", n, len(whole))
			}
		}
	}
}

// Every flipped bit of a page is noticed, or leaves the verified page the same.
func TestReadPageFlips(t *testing.T) {
	events, end := made(2)
	whole := []byte(strings.Join(text(t, events, end), "") + "\n")
	for i := range whole {
		for bit := range 8 {
			whole[i] ^= 1 << bit
			page, err := ReadPage(bytes.NewReader(whole), expect(0, genesis()))
			if err == nil && !samePage(page, events, end) {
				t.Fatalf("flip of bit %d at %d (%q) passed", bit, i, whole)
			}
			whole[i] ^= 1 << bit
		}
	}
}

func samePage(p *Page, events []Event, end End) bool {
	if len(p.Events) != len(events) || !bytes.Equal(p.End.signed(arc, epoch), end.signed(arc, epoch)) {
		return false
	}
	for i := range events {
		if p.Events[i] != events[i] {
			return false
		}
	}
	return true
}

// FuzzReadPage: what is read writes to a page that reads back the same, whatever came in. The key is known, so that the fuzzer could only
// get past the signature with a page from the corpus.
func FuzzReadPage(f *testing.F) {
	events, end := made(3)
	f.Add([]byte(strings.Join(text(f, events, end), "")))
	f.Add([]byte("\n" + strings.Join(text(f, nil, end), "")))
	f.Add([]byte(`{"seq":1,"id":"a","kind":"env","time":"` + when + `","data":"\u00e9\ud83d\ude00"}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		page, err := ReadPage(bytes.NewReader(b), expect(0, genesis()))
		if err != nil {
			if page != nil {
				t.Fatal("a page beside an error")
			}
			return
		}
		var again bytes.Buffer
		if err := WritePage(&again, page.Events, page.End); err != nil {
			t.Fatal(err)
		}
		back, err := ReadPage(&again, expect(0, genesis()))
		if err != nil || !samePage(back, page.Events, page.End) {
			t.Fatalf("read back: %v", err)
		}
	})
}

// FuzzParseLine looks past the signature: a line is refused, or writes to a line that parses to the same.
func FuzzParseLine(f *testing.F) {
	events, end := made(1)
	for _, l := range text(f, events, end) {
		f.Add([]byte(strings.TrimSpace(l)))
	}
	f.Add([]byte(`{"data":"","kind":"relay.lost","seq":9007199254740991,"id":"","time":"` + when + `"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseLine(b)
		if err != nil {
			return
		}
		var again []byte
		if l.end != nil {
			again, err = AppendEnd(nil, *l.end)
		} else if l.event.Seq > 0 {
			again, err = AppendEvent(nil, l.event)
		} else {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseLine(bytes.TrimSpace(again))
		if err != nil || back.event != l.event || (back.end == nil) != (l.end == nil) {
			t.Fatalf("%s reads back as %+v, %v", again, back, err)
		}
		if l.end != nil && !bytes.Equal(back.end.signed("", ""), l.end.signed("", "")) {
			t.Fatalf("%s reads back as another end", again)
		}
	})
}
