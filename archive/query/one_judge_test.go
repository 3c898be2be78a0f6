package query

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// clauses are one of each truth on the entry of TestTruthTables.
var clauses = map[Truth]string{Yes: "potassium", Maybe: "heparin", No: "from:nobody"}

func judged(t testing.TB, text string, d *Doc) Truth {
	t.Helper()
	q, err := ParseLanguage(1, text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return q.Judge(d)
}

// AND gives the least, OR the greatest, NOT turns no and yes round.
func TestTruthTables(t *testing.T) {
	d := &Doc{Text: "Potassium 5.9", Unread: true}
	and := [3][3]Truth{{No, No, No}, {No, Maybe, Maybe}, {No, Maybe, Yes}}
	or := [3][3]Truth{{No, Maybe, Yes}, {Maybe, Maybe, Yes}, {Yes, Yes, Yes}}
	not := [3]Truth{Yes, Maybe, No}
	for a, x := range clauses {
		if got := judged(t, x, d); got != a {
			t.Fatalf("%s: %d, want %d", x, got, a)
		}
		if got := judged(t, "NOT "+x, d); got != not[a] {
			t.Errorf("NOT %s: %d, want %d", x, got, not[a])
		}
		for b, y := range clauses {
			if got := judged(t, x+" AND "+y, d); got != and[a][b] {
				t.Errorf("%s AND %s: %d, want %d", x, y, got, and[a][b])
			}
			if got := judged(t, x+" OR "+y, d); got != or[a][b] {
				t.Errorf("%s OR %s: %d, want %d", x, y, got, or[a][b])
			}
		}
	}
}

// Only words hang on what could not be read: properties are known.
func TestJudgeUnread(t *testing.T) {
	d := &Doc{
		Text: "see the scan", Files: []File{{Name: "left knee.png"}}, Unread: true,
		From: Parties{{Usr: "u1", Name: "Ada Ng"}}, Conversation: ConversationRef{ID: "c1", Name: "4 East"},
		Sent: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
	}
	for text, want := range map[string]Truth{
		`scan`: Yes, `knee`: Yes, `"left knee"`: Yes, `fracture`: Maybe, `"scan left"`: Maybe, `NOT fracture`: Maybe, `NOT scan`: No,
		`from:ada`: Yes, `from:ben`: No, `NOT from:ben`: Yes, `to:ada`: No, `conversation:c1`: Yes, `conversation:west`: No,
		`sent=2026-01-02`: Yes, `sent>2026-01-02`: No, `received>2026-01-01`: No,
		`fracture from:ada`: Maybe, `fracture from:ben`: No, `fracture OR from:ada`: Yes, `fracture OR from:ben`: Maybe,
		`fracture NOT fracture`: Maybe, `NOT (fracture OR scan)`: No, `NOT (fracture from:ben)`: Yes,
	} {
		if got := judged(t, text, d); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
		q, err := ParseLanguage(1, text)
		if err != nil {
			t.Fatal(err)
		}
		read := *d
		read.Unread = false
		if q.Match(d) != q.Match(&read) {
			t.Errorf("%s: Match asks whether the entry was read", text)
		}
	}
}

// words of the property tests: few, so that they meet.
var vocabulary = []string{"call", "Bed", "4", "x-ray", "café", "CAFÉ", "患者", "don't", "ß"}

var drawnText = rapid.Custom(func(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(vocabulary), " ", "-", ", ")), 0, 8).Draw(t, "words"), rapid.SampledFrom([]string{" ", ""}).Draw(t, "between"))
})

var drawnTime = rapid.Custom(func(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "absent") {
		return time.Time{}
	}
	return time.Date(2026, 1, rapid.IntRange(1, 4).Draw(t, "day"), rapid.SampledFrom([]int{0, 23}).Draw(t, "hour"), 0, 0, 0, time.UTC)
})

var drawnParties = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Party {
	id := rapid.SampledFrom([]string{"", "u1", "U1", "u2", "É@x", "é@X"})
	return Party{Usr: id.Draw(t, "usr"), UPN: id.Draw(t, "upn"), Mail: id.Draw(t, "mail"), Name: drawnText.Draw(t, "name")}
}), 0, 3)

var drawnFile = rapid.Custom(func(t *rapid.T) File { return File{Name: drawnText.Draw(t, "file's name")} })

var drawnDoc = rapid.Custom(func(t *rapid.T) *Doc {
	return &Doc{
		Text: drawnText.Draw(t, "text"), Files: rapid.SliceOfN(drawnFile, 0, 3).Draw(t, "files"),
		From: drawnParties.Draw(t, "from"), To: drawnParties.Draw(t, "to"),
		Conversation: ConversationRef{ID: rapid.SampledFrom([]string{"", "c1", "C1"}).Draw(t, "conversation"), Name: drawnText.Draw(t, "conversation's name")},
		Sent:         drawnTime.Draw(t, "sent"), Received: drawnTime.Draw(t, "received"),
	}
})

func drawQuery(t *rapid.T, depth int) string {
	if depth > 0 {
		switch rapid.IntRange(0, 4).Draw(t, "node") {
		case 0:
			return "(" + drawQuery(t, depth-1) + " AND " + drawQuery(t, depth-1) + ")"
		case 1:
			return "(" + drawQuery(t, depth-1) + " OR " + drawQuery(t, depth-1) + ")"
		case 2:
			return "NOT " + drawQuery(t, depth-1)
		}
	}
	word := rapid.SampledFrom(vocabulary)
	switch rapid.IntRange(0, 5).Draw(t, "clause") {
	case 0:
		return rapid.SampledFrom([]string{"from:", "to:"}).Draw(t, "side") + rapid.SampledFrom(append([]string{"u1", "u2", "é@x"}, vocabulary...)).Draw(t, "who")
	case 1:
		return "conversation:" + rapid.SampledFrom(append([]string{"c1"}, vocabulary...)).Draw(t, "which")
	case 2:
		return rapid.SampledFrom([]string{"sent", "received"}).Draw(t, "time") + rapid.SampledFrom([]string{"=", "<", "<=", ">", ">="}).Draw(t, "op") + "2026-01-0" + rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "day")
	}
	return `"` + strings.Join(rapid.SliceOfN(word, 1, 3).Draw(t, "phrase"), " ") + `"`
}

// plainly evaluates without any shortcut: every text is cut into words.
func plainly(n Node, d *Doc) Truth {
	stands := func(text string, phrase []string) bool {
		return strings.Contains("\x00"+strings.Join(wordsOf(1, text), "\x00")+"\x00", "\x00"+strings.Join(phrase, "\x00")+"\x00")
	}
	found := func(b bool) Truth {
		if b {
			return Yes
		}
		return No
	}
	switch n := n.(type) {
	case *And:
		least := Yes
		for _, p := range n.Of {
			least = min(least, plainly(p, d))
		}
		return least
	case *Or:
		most := No
		for _, p := range n.Of {
			most = max(most, plainly(p, d))
		}
		return most
	case *Not:
		return map[Truth]Truth{No: Yes, Maybe: Maybe, Yes: No}[plainly(n.Of, d)]
	case *Text:
		var tokens []string
		for _, w := range n.Words {
			tokens = append(tokens, w.Text)
		}
		if stands(d.Text, tokens) || slices.ContainsFunc(d.Files, func(f File) bool { return stands(f.Name, tokens) || stands(f.Text, tokens) }) {
			return Yes
		}
		if d.Unread {
			return Maybe
		}
		return No
	case *Person:
		return found(slices.ContainsFunc(map[Property]Parties{From: d.From, To: d.To}[n.Property], func(p Party) bool {
			return slices.ContainsFunc(p.IDs(), func(id string) bool { return FoldKey(id) == FoldKey(n.Value) }) || len(n.Tokens) > 0 && stands(p.Name, n.Tokens)
		}))
	case *Conversation:
		return found(d.Conversation.ID == n.Value || len(n.Tokens) > 0 && stands(d.Conversation.Name, n.Tokens))
	case *Time:
		at := map[Property]time.Time{Sent: d.Sent, Received: d.Received}[n.Property]
		start, end := n.Range()
		return found(!at.IsZero() && !at.Before(start) && (end.IsZero() || at.Before(end)))
	}
	return No
}

func TestJudgeAsPlainly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, d := drawQuery(t, 4), drawnDoc.Draw(t, "entry")
		q, err := ParseLanguage(1, text)
		if err != nil {
			t.Fatal(text, err)
		}
		want := plainly(q.root, d)
		if got := q.Judge(d); got != want {
			t.Fatalf("%s: judged %d, plainly %d", text, got, want)
		}
		if got := q.Match(d); got != (want == Yes) {
			t.Fatalf("%s: match %v, plainly %d", text, got, want)
		}
		d.Unread = true
		if got := q.Match(d); got != (want == Yes) {
			t.Fatalf("%s: match %v once it is unread, plainly %d", text, got, want)
		}
		if got, want := q.Judge(d), plainly(q.root, d); got != want {
			t.Fatalf("%s: unread judged %d, plainly %d", text, got, want)
		}
	})
}

// Whatever an attachment turns out to say, a yes stays one and so does a no: only
// a maybe hangs on it.
func TestJudgeForeseesEveryReading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, d := drawQuery(t, 4), drawnDoc.Draw(t, "entry")
		q, err := ParseLanguage(1, text)
		if err != nil {
			t.Fatal(text, err)
		}
		unread, read := *d, *d
		unread.Unread = true
		read.Files = append(slices.Clone(d.Files), File{Text: drawnText.Draw(t, "what it says")})
		switch q.Judge(&unread) {
		case Yes:
			if !q.Match(&read) {
				t.Fatalf("%s: judged yes, and what was read makes it no", text)
			}
		case No:
			if q.Match(&read) {
				t.Fatalf("%s: judged no, and what was read makes it yes", text)
			}
		}
	})
}

// Reading a text through finds what its words do, however often it is asked.
func TestPassageAsWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		runes := rapid.StringOfN(rapid.RuneFrom([]rune("aAbB4 -\n\u00adéß\u0301患K한\U0001f44d\x00")), 0, 40, -1)
		text := runes.Draw(t, "text") + strings.Repeat(rapid.SampledFrom([]string{"", "a", "Ab"}).Draw(t, "long"), rapid.IntRange(0, 200).Draw(t, "times"))
		language := rapid.IntRange(1, Language).Draw(t, "language")
		words := wordsOf(language, text)
		var p passage
		for range 4 {
			var tokens []string
			if len(words) > 0 && rapid.Bool().Draw(t, "of it") {
				i := rapid.IntRange(0, len(words)-1).Draw(t, "first")
				tokens = words[i:rapid.IntRange(i, min(i+3, len(words))).Draw(t, "last")]
			} else {
				tokens = wordsOf(language, runes.Draw(t, "phrase"))
			}
			var phrase []Word
			for _, token := range tokens {
				phrase = append(phrase, NewWord(Form(rapid.IntRange(int(Stem), int(Fuzzy)).Draw(t, "form")), token, 1))
			}
			var want []int
			for i := 0; len(phrase) > 0 && i+len(phrase) <= len(words); i++ {
				ok := true
				for j, w := range phrase {
					ok = ok && w.Accepts(words[i+j])
				}
				if ok {
					want = append(want, i)
				}
			}
			if got := p.has(language, text, phrase); got != (want != nil) {
				t.Fatalf("%q in %q: %v, its words say %v", tokens, text, got, want)
			}
			if len(phrase) > 0 {
				if got := p.places(language, text, phrase); !slices.Equal(got, want) {
					t.Fatalf("%q in %q: at %v, its words say %v", tokens, text, got, want)
				}
			}
		}
	})
}

// Judging ASCII text allocates nothing.
func TestJudgeAllocatesNothing(t *testing.T) {
	d := benchDoc()
	q, err := ParseLanguage(1, `"call dr ng" OR heparin AND from:ada.ng@ward.example NOT conversation:west sent>=2026-01-01`)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { q.Judge(d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func benchDoc() *Doc {
	return &Doc{
		Text: "Please call back about bed 4: potassium is 5.9, repeat at six and tell the night team if it is above 6",
		From: Parties{{Usr: "u-17", UPN: "Ada.Ng@ward.example", Mail: "ada@example.org"}}, To: Parties{{Usr: "u-2"}, {Usr: "u-3"}},
		Conversation: ConversationRef{ID: "c-4", Name: "4 East night"}, Sent: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func BenchmarkJudge(b *testing.B) {
	many := strings.Join(strings.Fields(strings.Repeat("zzz ", 100)), " OR ")
	for name, text := range map[string]string{"word": "heparin", "two and a name": `heparin OR "potassium was" from:ada.ng@ward.example`, "100 words": many} {
		q, err := ParseLanguage(1, text)
		if err != nil {
			b.Fatal(err)
		}
		d := benchDoc()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				q.Judge(d)
			}
		})
	}
}
