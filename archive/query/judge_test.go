package query

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"pgregory.net/rapid"
)

// words of the property tests of language 2: few, so that they meet.
var vocabularyOfTwo = []string{
	"call", "Calls", "calling", "Bed", "4", "x-ray", "café", "cafe", "患者", "한국어", "👍", "potassium", "potasium", "habitación", "habitaciones", "habitacion", "don't", "ß", "Ñu", "nu", strings.Repeat("ab", 70),
}

var drawnTextOfTwo = rapid.Custom(func(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(vocabularyOfTwo), " ", "-", ", ")), 0, 8).Draw(t, "words"), rapid.SampledFrom([]string{" ", " ", ""}).Draw(t, "between"))
})

var drawnPartiesOfTwo = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Party {
	id := rapid.SampledFrom([]string{"", "u1", "U1", "u2", "u3", "É@x"})
	return Party{Usr: id.Draw(t, "usr"), UPN: id.Draw(t, "upn"), Name: drawnTextOfTwo.Draw(t, "name")}
}), 0, 2)

var drawnDocOfTwo = rapid.Custom(func(t *rapid.T) *Doc {
	d := &Doc{
		Seq: rapid.Uint64Range(0, 9).Draw(t, "seq"), Typ: rapid.SampledFrom([]string{"msg", "edit"}).Draw(t, "typ"), Text: drawnTextOfTwo.Draw(t, "text"),
		Lang: rapid.SampledFrom([]string{"", "es", "es-MX", "est"}).Draw(t, "lang"), MRN: rapid.SampledFrom([]string{"", "m7", "M7", "m70"}).Draw(t, "mrn"),
		Prio: rapid.SampledFrom([]string{"", "stat", "urgent"}).Draw(t, "prio"),
		From: drawnPartiesOfTwo.Draw(t, "from"), To: drawnPartiesOfTwo.Draw(t, "to"), Members: drawnPartiesOfTwo.Draw(t, "members"),
		Conversation: ConversationRef{ID: rapid.SampledFrom([]string{"", "c1", "C1"}).Draw(t, "conversation"), Name: drawnTextOfTwo.Draw(t, "its name"), Kind: rapid.SampledFrom([]string{"", "group"}).Draw(t, "its kind")},
		Sent:         drawnTime.Draw(t, "sent"), Received: drawnTime.Draw(t, "received"), Quarantined: rapid.IntRange(0, 5).Draw(t, "quarantined") == 0,
		Files: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) File {
			return File{Name: drawnTextOfTwo.Draw(t, "file"), Text: drawnTextOfTwo.Draw(t, "file's text"), Unread: rapid.IntRange(0, 3).Draw(t, "unread") == 0}
		}), 0, 2).Draw(t, "files"),
	}
	if d.Late = rapid.IntRange(0, 5).Draw(t, "late") == 0; d.Late {
		d.Of = rapid.Uint64Range(0, 9).Draw(t, "of")
	}
	d.Unread = slices.ContainsFunc(d.Files, func(f File) bool { return f.Unread })
	return d
})

// drawQueryOfTwo draws a query of language 2.
func drawQueryOfTwo(t *rapid.T, depth int) string {
	if depth > 0 {
		switch rapid.IntRange(0, 4).Draw(t, "node") {
		case 0:
			return "(" + drawQueryOfTwo(t, depth-1) + " AND " + drawQueryOfTwo(t, depth-1) + ")"
		case 1:
			return "(" + drawQueryOfTwo(t, depth-1) + " OR " + drawQueryOfTwo(t, depth-1) + ")"
		case 2:
			return "NOT " + drawQueryOfTwo(t, depth-1)
		}
	}
	one := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	word := rapid.SampledFrom(vocabularyOfTwo)
	switch rapid.IntRange(0, 12).Draw(t, "clause") {
	case 0:
		return one("side", "from:", "to:", "participants:", "custodian:") + one("who", "u1", "u2", "é@x", "nu", "call", "Bed")
	case 1:
		return "conversation:" + one("which", "c1", "cafe", "call")
	case 2:
		return one("time", "sent", "received") + one("op", "=", "<", "<=", ">", ">=") + one("day", "2026-01-01", "2026-01-02", "2026-01-03", "today", `"this year"`, "2026-01-02T23:00:00Z")
	case 3:
		return one("time", "sent:", "received=") + one("range", "2026-01-01..2026-01-02", "2026-01-02..2026-01-04", "2026-01-01T23:00:00Z..today")
	case 4:
		return one("property", "kind:msg", "kind:edit", "kind:group", "has:attachment", "lang:es", "lang:es-mx", "mrn:m7", "prio:stat", "group:night", "hold:7", "matter:m", "quarantined:true", "quarantined:false")
	case 5:
		return one("seq", "seq:3", "seq:2..5", "seq>=4", "seq<7")
	case 6:
		return word.Draw(t, "a") + one("near", " NEAR ", " NEAR(0) ", " NEAR(2) ") + `"` + word.Draw(t, "b") + `"`
	case 7:
		return "(call OR " + word.Draw(t, "a") + ") NEAR(1) bed NEAR(1) " + word.Draw(t, "c")
	case 8:
		return one("pattern", "po*", "*ium", "*tass*", "caf*", "potasium~1", "potasium~2", "x-ra*", "*call-be*", "filename:po*", "filename:*ium", "habit*")
	case 9:
		return "exact:" + word.Draw(t, "exact")
	case 10:
		return "filename:" + word.Draw(t, "file")
	case 11:
		return word.Draw(t, "bare")
	}
	return `"` + strings.Join(rapid.SliceOfN(word, 1, 3).Draw(t, "phrase"), " ") + `"`
}

// binding is what the property tests bind.
type binding struct{}

func (binding) Names(value string) []string {
	return map[string][]string{"nu": {"u1"}, "call": {"U2", "u3"}}[value]
}

func (binding) Members(string) ([]Stay, error) {
	return []Stay{{Usrs: []string{"U1"}, From: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}, {Usrs: []string{"u3"}, To: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)}}, nil
}

func (binding) Held(p Property, value string) (*roaring64.Bitmap, error) {
	if p == OnHold {
		return roaring64.BitmapOf(1, 2, 3), nil
	}
	return roaring64.BitmapOf(2, 9), nil
}

func TestJudgeTwoAsPlainly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, d := drawQueryOfTwo(t, 4), drawnDocOfTwo.Draw(t, "entry")
		q, err := ParseIn(Reading{Now: time.Date(2026, 1, 3, 12, 0, 0, 0, time.UTC)}, text)
		if err != nil {
			t.Fatal(text, err)
		}
		if rapid.Bool().Draw(t, "bound") {
			bound, err := q.Bind(binding{})
			if err != nil || bound.String() != q.String() || bound.Quarantined() != q.Quarantined() {
				t.Fatalf("%s bound as %s: %v", q, bound, err)
			}
			q = bound
		}
		if got, want := q.Judge(d), plainlyTwo(q.root, d, q, unread(d)); got != want {
			t.Fatalf("%s: judged %d, plainly %d", text, got, want)
		}
		if got, want := q.Match(d), plainlyTwo(q.root, d, q, No); got != (want == Yes) {
			t.Fatalf("%s: match %v, plainly %d", text, got, want)
		}
		from, to, first, last := q.Span()
		if q.Match(d) && (d.About() < first || d.About() > last || d.Received.Before(from) || !to.IsZero() && !d.Received.Before(to)) {
			t.Fatalf("%s: a hit outside of its span %v %v %d %d", text, from, to, first, last)
		}
		hanging := *d
		hanging.Hangs = true
		if q.Match(&hanging) || q.Judge(&hanging) != q.Judge(d) {
			t.Fatalf("%s: a hit that hangs", text)
		}
	})
}

// Whatever a file turns out to say, a yes stays one and so does a no.
func TestJudgeTwoForesees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, d := drawQueryOfTwo(t, 4), drawnDocOfTwo.Draw(t, "entry")
		q, err := ParseIn(Reading{Now: wednesday}, text)
		if err != nil {
			t.Fatal(text, err)
		}
		read := *d
		read.Files = slices.Clone(d.Files)
		for i := range read.Files {
			if read.Files[i].Unread {
				read.Files[i].Text += " " + drawnTextOfTwo.Draw(t, "what it says")
			}
		}
		for i := range read.Files {
			read.Files[i].Unread = false
		}
		read.Unread = false
		if got, later := q.Judge(d), q.Judge(&read); got == No && later == Yes && !d.Quarantined {
			t.Fatalf("%s: judged no, and what was read makes it yes", text)
		}
	})
}

func TestFuzzyAsWholeTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.StringOfN(rapid.RuneFrom([]rune("abcdé患")), 0, 12, -1)
		a, b, n := letters.Draw(t, "a"), letters.Draw(t, "b"), rapid.IntRange(0, maxEdits).Draw(t, "edits")
		if got, want := within(a, b, n), plainDistance([]rune(a), []rune(b)) <= n; got != want {
			t.Fatalf("%s, %s: within %d edits %v", a, b, n, got)
		}
	})
}

func TestNear(t *testing.T) {
	d := &Doc{Text: "one two three four. five one", Files: []File{{Name: "six.pdf", Text: "seven"}}}
	for text, want := range map[string]bool{
		"one NEAR(2) four": true, "one NEAR(0) four": false, "four NEAR(2) one": true, "one NEAR(0) two": true, "four NEAR(0) three": true, "two NEAR(2) five": true, "two NEAR(1) five": false,
		`"one two" NEAR(1) four`: true, `"one two" NEAR(0) four`: false, `four NEAR(1) "one two"`: true, `"one two" NEAR "two three"`: false, "one NEAR(4) one": true, "one NEAR(3) one": false,
		"two NEAR two": false, "tw* NEAR two": false, "one NEAR six": false, "six NEAR seven": false, "six NEAR(0) pdf": true, "one NEAR(0) two NEAR(0) three": true, "one NEAR(0) two NEAR(0) four": false,
		"(nine OR one) NEAR(0) (two OR ten)": true, "NOT one NEAR(0) four": true,
	} {
		q, err := Parse(text)
		if err != nil {
			t.Fatal(text, err)
		}
		if q.Match(d) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
}

// One unread file is enough for a maybe, and only Judge asks.
func TestUnreadFile(t *testing.T) {
	q, err := Parse("potassium")
	if err != nil {
		t.Fatal(err)
	}
	d := &Doc{Files: []File{{Text: "heparin"}, {Unread: true}}}
	if q.Judge(d) != Maybe || q.Match(d) {
		t.Errorf("judged %d, match %v", q.Judge(d), q.Match(d))
	}
}

// A late attachment stands for its message.
func TestLate(t *testing.T) {
	d := &Doc{Seq: 9, Late: true, Of: 5, Files: []File{{Text: "potassium"}}}
	for text, want := range map[string]bool{"potassium seq:5": true, "potassium seq:9": false, "potassium AND hold:1": true, "potassium AND hold:2": false} {
		q, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if q, err = q.Bind(held{}); err != nil || q.Match(d) != want {
			t.Errorf("%s: %v, %v", text, !want, err)
		}
	}
}

// held is a binding in which hold:1 covers 5, matter:1 covers 6, and hold:2 covers 9.
type held struct{ binding }

func (held) Held(p Property, value string) (*roaring64.Bitmap, error) {
	switch {
	case p == ForMatter:
		return roaring64.BitmapOf(6), nil
	case value == "1":
		return roaring64.BitmapOf(5), nil
	}
	return roaring64.BitmapOf(9), nil
}

var errUnbound = errors.New("not known")

// unknown is a binding that knows no group and no hold.
type unknown struct{ binding }

func (unknown) Members(string) ([]Stay, error)                   { return nil, errUnbound }
func (unknown) Held(Property, string) (*roaring64.Bitmap, error) { return nil, errUnbound }

func TestBind(t *testing.T) {
	q, err := Parse("hold:1 matter:1")
	if err != nil {
		t.Fatal(err)
	}
	bound, err := q.Bind(held{})
	if err != nil || bound.Match(&Doc{Seq: 5}) || bound.Match(&Doc{Seq: 6}) {
		t.Errorf("a hold and a matter of one name are taken for one: %v", err)
	}
	for _, text := range []string{"a group:x", "NOT hold:1", "matter:x OR b"} {
		q, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Bind(unknown{}); !errors.Is(err, errUnbound) {
			t.Errorf("%s: %v", text, err)
		}
		if q.Match(&Doc{Seq: 1}) != strings.HasPrefix(text, "NOT") {
			t.Errorf("%s finds something before it is bound", text)
		}
	}
}

func TestSpan(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	for text, want := range map[string]struct {
		from, to    time.Time
		first, last uint64
	}{
		"a":                                 {last: lastSeq},
		"seq:3..9 a":                        {first: 3, last: 9},
		"seq>=3 AND seq<8 b":                {first: 3, last: 7},
		"a OR seq:3":                        {last: lastSeq},
		"NOT seq:3":                         {last: lastSeq},
		"received:2026-01-02..2026-01-03 x": {from: day(2), to: day(4), last: lastSeq},
		"received>=2026-01-02 AND received<2026-01-05 AND (received>2026-01-02 AND received<2026-01-09)": {from: day(3), to: day(5), last: lastSeq},
		"sent=2026-01-02": {last: lastSeq},
	} {
		q, err := Parse(text)
		if err != nil {
			t.Fatal(text, err)
		}
		if from, to, first, last := q.Span(); from != want.from || to != want.to || first != want.first || last != want.last {
			t.Errorf("%s: %v %v %s %s", text, from, to, strconv.FormatUint(first, 10), strconv.FormatUint(last, 10))
		}
	}
}

func TestTerms(t *testing.T) {
	q, err := Parse(`potassium OR "bed 4" NOT (heparin OR NOT exact:x) AND ab* NEAR potassium AND filename:scan from:ada`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, term := range q.Within(nil).Terms() {
		got = append(got, term.String())
	}
	if strings.Join(got, "|") != `potassium|"bed 4"|exact:x|ab*|filename:scan` {
		t.Errorf("%q", got)
	}
}
