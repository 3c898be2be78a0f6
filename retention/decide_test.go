package retention

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive/proof"
	"holdfast/internal/jws"
	"holdfast/retention/schedule"

	"pgregory.net/rapid"
)

func TestSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.IntRange(0, 2), 0, 60).Draw(t, "entries") // 0: of another class, 1: goes, 2: stays
		var s spans
		joined := false
		for seq, what := range in {
			switch what {
			case 1:
				s.add(uint64(seq), joined)
				joined = true
			case 2:
				joined = false
			}
		}
		back, err := parseSpansText(s.text())
		if err != nil || !slices.Equal(back, s) {
			t.Fatalf("%v came back as %v, %v", s, back, err)
		}
		for seq, what := range in {
			if what != 0 && back.has(uint64(seq)) != (what == 1) {
				t.Fatalf("entry %d: %v", seq, what)
			}
		}
	})
}

func FuzzSpans(f *testing.F) {
	for _, s := range []spans{nil, {{0, 0}}, {{1, 5}, {7, 7}}, {{1 << 40, 1<<40 + 9}}} {
		f.Add(s.bytes())
	}
	f.Add([]byte{0x80, 0x00, 0x01})
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSpans(b)
		if err != nil {
			return
		}
		if !bytes.Equal(s.bytes(), b) {
			t.Fatalf("%x was read as %v, which is %x", b, s, s.bytes())
		}
		for i, r := range s {
			if r.to < r.from || i > 0 && r.from <= s[i-1].to {
				t.Fatalf("%v is not in order", s)
			}
		}
	})
}

func TestDecide(t *testing.T) {
	at := func(m time.Month) time.Time { return time.Date(2030, m, 1, 0, 0, 0, 0, time.UTC) }
	hold := []HeldBy{{Hold: 7, Matter: "M", Why: "custodian"}}
	known := schedule.Due{At: at(3), Known: true, Why: "due"}
	for _, c := range []struct {
		name  string
		kind  PlanKind
		asOf  time.Time
		class string
		due   schedule.Due
		cut   time.Time
		held  []HeldBy
		goes  bool
		why   string
		asked bool // about holds
	}{
		{"due", PlanCutoff, at(3), "general", known, at(2), nil, true, "due", true},
		{"a moment early", PlanCutoff, at(3).Add(-1), "general", known, at(2), nil, false, "due", false},
		{"before its cutoff", PlanCutoff, at(3), "general", known, at(4), nil, false, "due", false},
		{"at its cutoff", PlanCutoff, at(4), "general", known, at(4), nil, true, "due", true},
		{"held", PlanCutoff, at(5), "general", known, at(2), hold, false, "held", true},
		{"trigger not come", PlanCutoff, at(12), "general", schedule.Due{Why: "conversation not closed"}, at(2), nil, false, "conversation not closed", false},
		{"control", PlanCutoff, at(12), proof.ClassControl, known, at(2), nil, false, "class control is never disposed of", false},
		{"control by order", PlanErase, at(12), proof.ClassControl, known, at(2), nil, false, "class control is never disposed of", false},
		{"by order, not due", PlanErase, at(1), "general", schedule.Due{}, at(2), nil, true, "", true},
		{"by order, held", PlanErase, at(1), "general", schedule.Due{}, at(2), hold, false, "held", true},
		{"reclass destroys nothing", PlanReclass, at(12), "general", known, at(2), nil, false, "a plan of this kind destroys nothing", false},
	} {
		asked := false
		f := &fact{seq: 1, class: c.class, kind: proof.KindMessage, due: c.due, cut: c.cut, held: func() []HeldBy { asked = true; return c.held }}
		r := decide(c.kind, c.asOf, f)
		if r.goes != c.goes || r.why != c.why || asked != c.asked || (r.at != nil) != (c.kind == PlanCutoff && c.class != proof.ClassControl && c.due.Known && !c.goes && c.held == nil) {
			t.Errorf("%s: %+v, asked %v", c.name, r, asked)
		}
	}
}

func TestCutoff(t *testing.T) {
	for _, c := range []struct {
		received string
		yearly   bool
		want     string
	}{
		{"2030-01-01T00:00:00Z", false, "2030-02-01T00:00:00Z"},
		{"2030-01-31T23:59:59Z", false, "2030-02-01T00:00:00Z"},
		{"2030-12-31T23:59:59Z", false, "2031-01-01T00:00:00Z"},
		{"2030-12-31T23:30:00-01:00", false, "2031-02-01T00:00:00Z"}, // in UTC it is January
		{"2030-01-01T00:00:00Z", true, "2031-01-01T00:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, c.received)
		if err != nil {
			t.Fatal(err)
		}
		if got := cutoff(at, c.yearly).Format(time.RFC3339); got != c.want {
			t.Errorf("%s: %s, want %s", c.received, got, c.want)
		}
	}
	for _, bad := range []string{"", "2030", "2030-1", "2030-13", "2030-01-01", "x030-01"} {
		if _, _, err := monthOf(bad); err == nil {
			t.Errorf("%q is a month", bad)
		}
	}
}

// A certificate of which any part was changed does not verify.
func TestCertificateTampered(t *testing.T) { synctest.Test(t, testCertificateTampered) }

func testCertificateTampered(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	s.send(letter{from: "anna", to: "bela", body: "one"})
	s.advance(4 * aMonth)
	c := s.run(s.planned().Seq).Certificates[0]
	says, err := VerifyCertificate([]byte(c.JWS), l.id)
	if err != nil || says.Count != 1 || says.Method != Method {
		t.Fatalf("%+v, %v", says, err)
	}
	sign := func(change func(*Statement)) []byte {
		t.Helper()
		st := c.Statement
		change(&st)
		e, err := s.book.signed(&st)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(e.Body), `"jws":"`)
		compact, _, _ := strings.Cut(rest, `"`)
		return []byte(compact)
	}
	if _, err := VerifyCertificate(sign(func(*Statement) {}), l.id); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Statement){
		"version":       func(st *Statement) { st.V = 2 },
		"archive":       func(st *Statement) { st.Archive = "other.test" },
		"origin":        func(st *Statement) { st.Origin = "holdfast.invalid/other/00" },
		"first":         func(st *Statement) { st.First++ },
		"last":          func(st *Statement) { st.Last++ },
		"count":         func(st *Statement) { st.Count = 2 },
		"no count":      func(st *Statement) { st.Count = 0 },
		"ranges":        func(st *Statement) { st.Ranges = spans{{1, 1}}.text() },
		"ranges digest": func(st *Statement) { st.RangesDigest = strings.Repeat("0", 64) },
		"leaf range":    func(st *Statement) { st.LeafRange.To = st.First },
		"complete":      func(st *Statement) { st.Copies = []Remaining{{What: CopyBackup, ID: "x"}} },
		"not complete":  func(st *Statement) { st.Complete = false },
		"before":        func(st *Statement) { st.Before = st.After },
		"after":         func(st *Statement) { st.After = st.Before },
		"no checkpoint": func(st *Statement) { st.After = "" },
		"intent":        func(st *Statement) { st.Intent = 1 },
		"plan":          func(st *Statement) { st.Plan = st.Intent + 1 },
	} {
		if _, err := VerifyCertificate(sign(change), l.id); err == nil {
			t.Errorf("%s was changed, and nobody noticed", name)
		}
	}
	for i := range c.JWS { // the signature covers every byte
		b := []byte(c.JWS)
		if b[i]++; string(b) == c.JWS || bytes.IndexByte(b, '.') < 0 {
			continue
		}
		if _, err := VerifyCertificate(b, l.id); err == nil {
			t.Fatalf("byte %d was changed, and nobody noticed", i)
		}
	}
	other := newMemLog(t)
	if _, err := VerifyCertificate([]byte(c.JWS), other.id); err == nil {
		t.Error("another archive's identity verified it")
	}
}

func FuzzCertificate(f *testing.F) {
	f.Add([]byte("x.y.z"))
	f.Add([]byte(jws.EncodeB64([]byte(`{"alg":"EdDSA","kid":"`+jws.EncodeB64(make([]byte, 32))+`","typ":"`+CertificateType+`"}`)) + "." + jws.EncodeB64([]byte(`{"v":1}`)) + ".AA"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseCertificate(b); err == nil && s.Count == 0 {
			t.Fatal("a certificate of nothing")
		}
	})
}
