package query

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCanonicalForm(t *testing.T) {
	for in, want := range map[string]string{
		`bed`:                                   `bed`,
		`"bed"`:                                 `"bed"`,
		`bed 4 OR "Bed 4"`:                      `bed AND 4 OR "Bed 4"`,
		`exact:Café exact:"au lait"`:            `exact:Café AND exact:"au lait"`,
		`pot* *ium *tass* potasium~1`:           `pot* AND *ium AND *tass* AND potasium~1`,
		`x-ra* *tan-beta*`:                      `x-ra* AND *tan-beta*`,
		`a NEAR b`:                              `a NEAR(8) b`,
		`a NEAR(n=3) "b c"`:                     `a NEAR(3) "b c"`,
		`NOT a NEAR(0) b c`:                     `NOT a NEAR(0) b AND c`,
		`a NEAR(2) b NEAR(3) c`:                 `a NEAR(2) b AND b NEAR(3) c`,
		`(a OR bc*) NEAR(2) c d`:                `(a NEAR(2) c OR bc* NEAR(2) c) AND d`,
		`NOT (a OR b) NEAR(2) (c OR d)`:         `NOT (a NEAR(2) c OR a NEAR(2) d OR b NEAR(2) c OR b NEAR(2) d)`,
		`near NEAR not`:                         `near NEAR(8) not`,
		`From:ada TO:"Dr. B"`:                   `from:ada AND to:"Dr. B"`,
		`participants:ada custodian:"A B"`:      `participants:ada AND custodian:"A B"`,
		`group:"Night team" Kind:EDIT`:          `group:"Night team" AND kind:edit`,
		`has:Attachment lang:pt-BR`:             `has:attachment AND lang:pt-br`,
		`filename:scan* filename:"a b.pdf"`:     `!`,
		`filename:scan*`:                        `filename:scan*`,
		`filename:"scan 4.pdf"`:                 `filename:"scan 4.pdf"`,
		`filename:scan.pdf`:                     `filename:scan.pdf`,
		`filename:"a~1"`:                        `filename:"a~1"`,
		`mrn:00-123 prio:STAT`:                  `mrn:00-123 AND prio:stat`,
		`hold:7 AND hold:8 matter:"M 1"`:        `hold:7 AND hold:8 AND matter:"M 1"`,
		`seq:7`:                                 `seq:7`,
		`seq=7..9 OR seq>=7 OR seq>7`:           `seq:7..9 OR seq>=7 OR seq>=8`,
		`seq<7 OR seq<=7 OR seq:0..7`:           `seq<=6 OR seq<=7 OR seq<=7`,
		`seq:18446744073709551615`:              `seq:18446744073709551615`,
		`quarantined:true OR quarantined:False`: `quarantined:true OR quarantined:false`,
		`sent:2026-01-01`:                       `sent=2026-01-01Z`,
		`sent:2026-01-01..2026-01-31`:           `sent=2026-01-01Z..2026-01-31Z`,
		`sent="2026-01-01".."2026-01-31"`:       `sent=2026-01-01Z..2026-01-31Z`,
		`sent:2026-01-01..2026-01-01`:           `sent=2026-01-01Z`,
		`sent:2026-01-01Z`:                      `sent=2026-01-01Z`,
		`received>=2026-01-01T10:00:00+02:00`:   `received>=2026-01-01T08:00:00Z`,
		`sent:2026-01-01T10:00:00Z..2026-01-02`: `sent=2026-01-01T10:00:00Z..2026-01-02Z`,
		`👍 "👍 ok"`:                              `👍 AND "👍 ok"`,
		`患者`:                                    `患者`,
		`"a * b"`:                               `"a * b"`,
		`10:30 ~`:                               `!`,
	} {
		q, err := Parse(in)
		if want == "!" {
			if err == nil {
				t.Errorf("%s: read as %s", in, q)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := q.String(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for in, want := range map[string]struct {
		column int
		hint   string
	}{
		`fron:ada`:                         {1, "did you mean from?"},
		`a sendt>=2026-01-01`:              {3, "did you mean sent?"},
		`bed recieved>2026-01-01`:          {5, "did you mean received?"},
		`sender:ada`:                       {1, "did you mean from?"},
		`subject:x`:                        {1, "no subject"},
		`qqqqq:x`:                          {1, "the properties are"},
		`http://x`:                         {1, "in quotes"},
		`a "b`:                             {3, "close it"},
		`from:ada from:ben`:                {10, "(from:A OR from:B)"},
		`from:ada potassium from:ben`:      {20, "(from:A OR from:B)"},
		`sent>=2026-01-01 sent<2026-02-01`: {18, "sent>=A AND sent>=B"},
		`sent:2026-13-01`:                  {1, "2026-01-31"},
		`sent:2026-01-01ZZ`:                {1, "2026-01-31"},
		`sent:1/31/2026`:                   {1, "2026-01-31"},
		`sent:last month`:                  {1, `"last month"`},
		`sent:today`:                       {1, "write the date"},
		`sent:2026-02-01..2026-01-01`:      {18, "earlier"},
		`sent>2026-01-01..2026-02-01`:      {1, "after a colon"},
		`sent:2026-01-01..x`:               {18, "2026-01-31"},
		`kind:edits`:                       {1, "did you mean kind:edit?"},
		`bed kind:receipt`:                 {5, "it is shown with its receipts"},
		`from:*`:                           {1, "write a whole id"},
		`mrn:"* *"`:                        {1, "write a whole id"},
		`kind:email`:                       {1, "the values are msg"},
		`has:picture`:                      {1, "attachment"},
		`prio:urgnet`:                      {1, "did you mean prio:urgent?"},
		`quarantined:maybe`:                {1, "true, false"},
		`lang:"not a tag"`:                 {1, "lang:es"},
		`from=ada`:                         {1, "from:name"},
		`mrn: 7`:                           {1, "directly after"},
		`seq:x`:                            {1, "seq:4711"},
		`seq:9..5`:                         {1, "lower seq first"},
		`seq<0`:                            {1, "lower seq"},
		`seq:07`:                           {1, "seq:4711"},
		`from:(a OR b)`:                    {6, "repeat the property"},
		`from:ad*`:                         {1, "whole id"},
		`to:"ad*"`:                         {1, "whole id"},
		`po*um`:                            {1, "beginning or the end"},
		`*`:                                {1, "everything"},
		`a*`:                               {1, "at least 2"},
		`*um`:                              {1, "3 after"},
		`患*`:                               {1, "leave the star out"},
		`"pot*"`:                           {1, "without quotes"},
		`-*a`:                              {1, "NOT"},
		`+a`:                               {1, "leave the sign out"},
		`pot~`:                             {1, "word~1"},
		`pot~3`:                            {1, "word~1"},
		`potas~2 pot~2`:                    {9, "at least 5"},
		`pot*~1`:                           {1, "word~1"},
		`exact:pot*`:                       {1, "whole word"},
		`a NEAR`:                           {7, "after the operator"},
		`NEAR a`:                           {1, "lower case"},
		`a NEAR NOT b`:                     {8, "lower case"},
		`a NEAR(x) b`:                      {7, "NEAR(5)"},
		`a NEAR(101) b`:                    {7, "from 0 to 100"},
		`a NEAR(5 b`:                       {7, "NEAR(5)"},
		`a NEAR from:b`:                    {8, "join words"},
		`(a b) NEAR c`:                     {1, "join words"},
		`a ONEAR(2) b`:                     {3, "NEAR"},
		`a XRANK b`:                        {3, "in quotes"},
		`ANY(a b)`:                         {1, "in quotes"},
		`“a”`:                              {1, "straight"},
		`...`:                              {1, "leave it out"},
		strings.Repeat("NOT ", 32) + "a NEAR b NEAR c":                                                                 {1, "simplify"},
		strings.Repeat("("+strings.Repeat("a OR ", 7)+"a) NEAR ("+strings.Repeat("a OR ", 7)+"a) OR ", 2) + "b NEAR b": {1, "split"},
		"(" + strings.Repeat("a OR ", 20) + "a) NEAR (" + strings.Repeat("a OR ", 20) + "a)":                           {1, "split"},
	} {
		_, err := Parse(in)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if syntax.Column != want.column || !strings.Contains(syntax.Hint, want.hint) {
			t.Errorf("%s: %v; want column %d and %q", in, err, want.column, want.hint)
		}
	}
}

// Both readings of a property written twice are queries, and mean what they say.
func TestReadings(t *testing.T) {
	for in, want := range map[string][]string{
		`from:ada from:ben`:                         {`(from:ada OR from:ben)`, `from:ada AND from:ben`},
		`x from:ada y from:"b c" (z w) from:c OR v`: {`x (from:ada OR from:"b c" OR from:c) y (z w) OR v`, `x from:ada y AND from:"b c" (z w) AND from:c OR v`},
		`(sent>2026-01-01 sent<2026-02-01)`:         {`((sent>2026-01-01 OR sent<2026-02-01))`, `(sent>2026-01-01 AND sent<2026-02-01)`},
	} {
		_, err := Parse(in)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !slices.Equal(syntax.Readings, want) {
			t.Errorf("%s: %q, want %q", in, syntax.Readings, want)
			continue
		}
		for _, reading := range syntax.Readings {
			if _, err := Parse(reading); err != nil {
				t.Errorf("%s: %v", reading, err)
			}
		}
	}
	for _, in := range []string{`from:a to:b`, `from:a OR from:b`, `from:a AND from:b`, `from:a NOT from:b`, `exact:a exact:b`, `from:a (from:b)`} {
		if _, err := Parse(in); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// What a query says may name a patient; an error's message goes to logs.
func TestMessagesHoldNoQueryText(t *testing.T) {
	const canary = "zyxwvut"
	for _, in := range []string{
		canary + `"`, canary + ":x", "-" + canary, canary + "*a", "“" + canary + "”", "kind:" + canary, "lang:" + canary + canary + canary + canary + canary + canary, "sent:" + canary, "from:" + canary + " from:" + canary,
		"from:" + canary + "*", canary + "~9", `"` + canary + `*"`, "exact:" + canary + "*", "seq:" + canary, "sent:2026-01-01.." + canary, "a NEAR(" + canary + ") b", "prio:" + canary,
	} {
		_, err := Parse(in)
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

var wednesday = time.Date(2026, 3, 11, 15, 0, 0, 0, time.UTC)

// drawnReading has zones whose clocks skip and repeat hours.
var drawnReading = rapid.Custom(func(t *rapid.T) Reading {
	name := rapid.SampledFrom([]string{"UTC", "Europe/Madrid", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu"}).Draw(t, "zone")
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return Reading{Now: wednesday.Add(time.Duration(rapid.IntRange(0, 500*24).Draw(t, "hours")) * time.Hour), Zone: zone}
})

// checkPrinted says whether the canonical form of q, read anywhere, is q.
func checkPrinted(t interface{ Fatalf(string, ...any) }, q *Query) {
	printed := q.String()
	for _, r := range []Reading{{}, {Now: wednesday, Zone: time.FixedZone("", 5*3600+45*60)}} {
		again, err := ParseIn(r, printed)
		if err != nil {
			t.Fatalf("printed as %q: %v", printed, err)
		}
		if !reflect.DeepEqual(q, again) || again.String() != printed {
			t.Fatalf("printed as %q, read again as %q", printed, again)
		}
	}
}

func TestPrintedIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, r := drawQueryOfTwo(t, 4), drawnReading.Draw(t, "reading")
		q, err := ParseIn(r, text)
		if err != nil {
			t.Fatal(text, err)
		}
		checkPrinted(t, q)
		if x := q.Explain(); x.Canonical != q.String() || len(x.Parts) == 0 || slices.ContainsFunc(x.Parts, func(p Part) bool { return p.Reads == "" || p.Text == "" }) {
			t.Fatalf("%s: explained as %+v", text, x)
		}
	})
}

func FuzzParseTwo(f *testing.F) {
	for _, s := range []string{
		`a`, `a AND (b OR "c d") NOT e`, `from:ada to:"Dr. B" conversation:4E`, `sent:"last month"..today received<2026-01-01T10:00:00.5+02:00`,
		`NOT NOT (a)`, `10:30 3>2 don't "AND" and`, `"unbalanced`, `(((`, `“x”`, `ǅ ﬁ ℌ`, "a\x00", "\"a\n\xf0\x9f\"", "a\u200bb\u00adc",
		`(a OR b) NEAR(3) c NEAR d*`, `*tass* x-ra* potasium~2 exact:"é"`, `filename:a*b filename:"x~1"`, `seq:1..9 hold:7 quarantined:true`, `from:a from:b`, `👍🏽 🇪🇸 患者*`, `fron:x kind:edt`, `mrn:é prio:stat`,
	} {
		f.Add(s)
	}
	madrid, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := ParseIn(Reading{Now: wednesday, Zone: madrid}, s)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Column < 1 || syntax.Column > utf8.RuneCountInString(s)+1 {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		checkPrinted(t, q)
		p := Party{Usr: s, Name: s}
		for _, d := range []*Doc{
			{Text: s, Files: []File{{Name: s, Text: s}}, From: Parties{p}, Members: Parties{p}, MRN: s, Conversation: ConversationRef{Name: s}, Received: wednesday},
			{Text: "potassium", Unread: true, Sent: wednesday}, {Quarantined: true, Seq: 7, Received: wednesday},
		} {
			if got := q.Match(d); got != (q.judge(d, No) == Yes) || got != (plainlyTwo(q.root, d, q, No) == Yes) || q.Judge(d) != plainlyTwo(q.root, d, q, unread(d)) {
				t.Fatalf("%q of %+v: match %v, judged %d, plainly %d", s, d, got, q.Judge(d), plainlyTwo(q.root, d, q, unread(d)))
			}
		}
		q.Explain()
		q.Terms()
		q.Span()
		for _, name := range Properties(s) { // a query that parses has no others
			if !slices.Contains(properties, Property(name)) {
				t.Fatalf("%q: property %q", s, name)
			}
		}
	})
}

// The generator of these tests makes every kind of node.
func TestDrawnQueriesHaveEveryNode(t *testing.T) {
	seen := map[reflect.Type]bool{}
	drawn := rapid.Custom(func(t *rapid.T) string { return drawQueryOfTwo(t, 4) })
	for seed := range 1000 {
		q, err := ParseIn(Reading{Now: wednesday}, drawn.Example(seed))
		if err != nil {
			t.Fatal(err)
		}
		walk(q.root, func(n Node) { seen[reflect.TypeOf(n)] = true })
	}
	if len(seen) != 17 {
		t.Errorf("%d kinds of node: %v", len(seen), seen)
	}
}
