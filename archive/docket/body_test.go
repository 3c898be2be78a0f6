package docket

import (
	"slices"
	"strings"
	"testing"

	"holdfast/archive/proof"
)

// The bodies are a format: these bytes are what FORMAT.md says.
func TestBodies(t *testing.T) {
	l := newLog()
	b, ctx := l.book, t.Context()
	by := `"by":{"uid":1,"name":"officer","via":"socket"}`
	want(t, "SetTag", b.SetTag(ctx, officer(1), TagChange{Tag: Part2, Matter: "m-1", Seqs: []uint64{9, 4, 5, 4}, Basis: "consent missing", Description: "counselling", Reason: "asked"}), nil)
	want(t, "SetTag", b.SetTag(ctx, officer(1), TagChange{Tag: Part2, Matter: "M-1", Seqs: []uint64{9}, Remove: true, Reason: "consent came"}), nil)
	l.produce(t, "M-1", "SMITH-", 10, 11, " 0815 ")
	n := newProduction("")
	n.Include, n.Authority = []Tag{Part2}, "consent"
	seq, err := b.Begin(ctx, officer(1), n)
	want(t, "Begin", err, nil)
	want(t, "Fail", b.Fail(ctx, seq, "interrupted"), nil)
	_, err = b.Claw(ctx, officer(1), NewClawback{Matter: "M-1", From: "SMITH-0000001", To: "SMITH-0000009", Reason: "counsel"})
	want(t, "Claw", err, nil)
	_, err = b.SaveSearch(ctx, officer(1), SavedSearch{Matter: "M-1", Name: "K", Query: "potassium", Language: 2})
	want(t, "SaveSearch", err, nil)
	want(t, "RemoveSearch", b.RemoveSearch(ctx, officer(1), "M-1", "k", "done"), nil)
	begin := `"query":"potassium","language":2,"format":"dat","at":101,"recipient":{"name":"Smith \u0026 Roe","address":"1 Main St"},"purpose":{"category":"litigation","text":"first request"}`
	golden := []string{
		`tag {"v":1,"op":"add","tag":"part2","matter":"M-1","seqs":[[4,2],[9,1]],"basis":"consent missing","description":"counselling",` + by + `,"reason":"asked"}`,
		`tag {"v":1,"op":"remove","tag":"part2","matter":"M-1","seqs":[[9,1]],` + by + `,"reason":"consent came"}`,
		`production {"v":1,"op":"reserve","matter":"M-1","prefix":"SMITH-","first":1,"count":2,"digits":7,` + by + `}`,
		`production {"v":1,"op":"begin","matter":"M-1","begin":{` + begin + `,"bates":103},` + by + `}`,
		`production {"v":1,"op":"part","of":104,"rows":[[1,1,10],[2,2,11]]}`,
		`production {"v":1,"op":"part","of":104,"mrns":["0815"]}`,
		`production {"v":1,"op":"complete","of":104,"parts":[105,106],"made":{"manifest":"` + manifest + `","files":3,"bytes":0,"matched":0,"produced":0,"withheld":0,"first":1,"last":2,"patients":1}}`,
		`production {"v":1,"op":"begin","begin":{` + begin + `,"include":["part2"],"authority":"consent"},` + by + `}`,
		`production {"v":1,"op":"fail","of":108,"code":"interrupted"}`,
		`clawback {"v":1,"matter":"M-1","prefix":"SMITH-","first":1,"last":9,"digits":7,"productions":[{"of":104,"first":1,"last":2}],"entries":2,` + by + `,"reason":"counsel"}`,
		`tag {"v":1,"op":"add","tag":"privileged","matter":"M-1","seqs":[[10,2]],"clawback":true,` + by + `,"reason":"counsel"}`,
		`search {"v":1,"op":"save","matter":"M-1","name":"K","query":"potassium","language":2,` + by + `}`,
		`search {"v":1,"op":"remove","matter":"M-1","name":"k",` + by + `,"reason":"done"}`,
	}
	var got []string
	for _, rec := range l.recs[101:] {
		got = append(got, rec.Leaf.Kind.String()+" "+string(rec.Body))
		if rec.Leaf.Class != proof.ClassControl {
			t.Errorf("entry %d is of class %s", rec.Leaf.Seq, rec.Leaf.Class)
		}
	}
	if !slices.Equal(got, golden) {
		t.Errorf("bodies\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(golden, "\n"))
	}
	if f := b.Faults(); len(f) > 0 {
		t.Errorf("faults %+v", f)
	}
}

// Entries that break a rule are faults: they give nobody anything, but they may
// withhold more, and burn numbers.
func TestFaults(t *testing.T) {
	by := `,"by":{"name":"x"},"reason":"r"`
	for name, tt := range map[string]struct {
		kind  proof.Kind
		body  string
		code  string
		check func(b *Book) bool
	}{
		"tag of no matter":                {proof.KindTag, `{"v":1,"op":"add","tag":"privileged","matter":"M-9","seqs":[[7,1]]` + by + `}`, "unknown-matter", withholds(7)},
		"tag of a kind that is not known": {proof.KindTag, `{"v":1,"op":"add","tag":"sealed","matter":"M-1","seqs":[[7,1]]` + by + `}`, "unreadable", withholds(7)},
		"untag of no matter":              {proof.KindTag, `{"v":1,"op":"remove","tag":"privileged","matter":"M-9","seqs":[[50,1]]` + by + `}`, "unknown-matter", withholds(50)},
		"untag by another matter":         {proof.KindTag, `{"v":1,"op":"remove","tag":"privileged","matter":"M-2","seqs":[[50,1]]` + by + `}`, "not-tagged", withholds(50)},
		"numbers twice":                   {proof.KindProduction, `{"v":1,"op":"reserve","matter":"M-1","prefix":"A","first":2,"count":9,"digits":7}`, "bates-taken", burned("A", 11)},
		"numbers of no matter":            {proof.KindProduction, `{"v":1,"op":"reserve","matter":"M-9","prefix":"A","first":1,"count":9,"digits":7}`, "unknown-matter", burned("A", 3)},
		"numbers of a closed matter":      {proof.KindProduction, `{"v":1,"op":"reserve","matter":"M-2","prefix":"A","first":1,"count":9,"digits":7}`, "matter-closed", burned("A", 3)},
		"no prefix":                       {proof.KindProduction, `{"v":1,"op":"reserve","matter":"M-1","prefix":"A1","first":1,"count":9,"digits":7}`, "invalid", burned("A", 3)},
		"numbers without end":             {proof.KindProduction, `{"v":1,"op":"reserve","matter":"M-1","prefix":"A","first":3,"count":9007199254740991,"digits":7}`, "invalid", burned("A", 3)},
		"begun with others' numbers": {proof.KindProduction, `{"v":1,"op":"begin","matter":"M-1","begin":{"query":"","language":2,"format":"csv","at":1,"recipient":{"name":"x"},"purpose":{"category":"other"},"bates":101},"by":{"name":"x"}}`,
			"no-reservation", productions(1)},
		"completed from nowhere":           {proof.KindProduction, `{"v":1,"op":"complete","of":7,"parts":[],"made":{"manifest":"x"}}`, "unknown-production", productions(1)},
		"completed twice":                  {proof.KindProduction, `{"v":1,"op":"complete","of":102,"parts":[],"made":{"manifest":"x"}}`, "ended", productions(1)},
		"failed afterwards":                {proof.KindProduction, `{"v":1,"op":"fail","of":102,"code":"x"}`, "ended", productions(1)},
		"a part afterwards":                {proof.KindProduction, `{"v":1,"op":"part","of":102,"mrns":["9"]}`, "ended", productions(1)},
		"what it does not know":            {proof.KindProduction, `{"v":1,"op":"share","of":102}`, "unreadable", productions(1)},
		"clawback of no matter":            {proof.KindClawback, `{"v":1,"matter":"M-9","prefix":"A","first":1,"last":1,"digits":7,"productions":[{"of":102,"first":1,"last":1}],"entries":1` + by + `}`, "unknown-matter", clawbacks(0)},
		"clawback of another matter's":     {proof.KindClawback, `{"v":1,"matter":"M-3","prefix":"A","first":1,"last":1,"digits":7,"productions":[{"of":102,"first":1,"last":1}],"entries":1` + by + `}`, "not-produced", clawbacks(0)},
		"clawback of other numbers":        {proof.KindClawback, `{"v":1,"matter":"M-1","prefix":"A","first":1,"last":9,"digits":7,"productions":[{"of":102,"first":1,"last":3}],"entries":1` + by + `}`, "not-produced", clawbacks(0)},
		"clawback twice of one":            {proof.KindClawback, `{"v":1,"matter":"M-1","prefix":"A","first":1,"last":2,"digits":7,"productions":[{"of":102,"first":1,"last":1},{"of":102,"first":2,"last":2}],"entries":1` + by + `}`, "not-produced", clawbacks(0)},
		"clawback of nothing":              {proof.KindClawback, `{"v":1,"matter":"M-1","prefix":"A","first":1,"last":1,"digits":7,"productions":[],"entries":1` + by + `}`, "not-produced", clawbacks(0)},
		"clawback without digits":          {proof.KindClawback, `{"v":1,"matter":"M-1","prefix":"A","first":1,"last":1,"digits":99999999,"productions":[{"of":102,"first":1,"last":1}],"entries":1` + by + `}`, "invalid", clawbacks(0)},
		"search of a closed matter":        {proof.KindSearch, `{"v":1,"op":"save","matter":"M-2","name":"n","query":"q","language":2` + by + `}`, "matter-closed", searches(1)},
		"search twice":                     {proof.KindSearch, `{"v":1,"op":"save","matter":"M-1","name":"K","query":"q","language":2` + by + `}`, "search-exists", searches(1)},
		"search removed that is not there": {proof.KindSearch, `{"v":1,"op":"remove","matter":"M-1","name":"n"` + by + `}`, "unknown-search", searches(1)},
		"search of a name that is none":    {proof.KindSearch, `{"v":1,"op":"save","matter":"M-1","name":"\u0007","query":"q","language":2` + by + `}`, "invalid", searches(1)},
		"search that does something else":  {proof.KindSearch, `{"v":1,"op":"share","matter":"M-1","name":"k"` + by + `}`, "unreadable", searches(1)},
	} {
		l := newLog()
		l.produce(t, "M-1", "A", 1, 2)
		want(t, "SetTag", l.book.SetTag(t.Context(), officer(1), TagChange{Tag: Privileged, Matter: "M-1", Seqs: []uint64{50}, Reason: "r"}), nil)
		_, err := l.book.SaveSearch(t.Context(), officer(1), SavedSearch{Matter: "M-1", Name: "k", Query: "q", Language: 1})
		want(t, "SaveSearch", err, nil)
		l.forge(t, tt.kind, tt.body)
		f := l.book.Faults()
		if len(f) != 1 || f[0].Code != tt.code || f[0].Seq != l.Size()-1 || f[0].Kind != tt.kind {
			t.Errorf("%s: faults %+v", name, f)
		}
		if !tt.check(l.book) {
			t.Errorf("%s: it counted", name)
		}
	}
}

func withholds(seq uint64) func(*Book) bool {
	return func(b *Book) bool { _, ok := b.Withheld("M-3", seq); return ok && len(b.Tagged(seq)) == 1 }
}

func burned(prefix string, next uint64) func(*Book) bool {
	return func(b *Book) bool { return b.numbers[numbering{"m-1", prefix}].next() == next }
}

func productions(n int) func(*Book) bool {
	return func(b *Book) bool {
		all := b.Productions()
		return len(all) == n && all[0].State == StateMade && all[0].Made.Manifest == manifest
	}
}

func clawbacks(n int) func(*Book) bool {
	return func(b *Book) bool { return len(b.Clawbacks()) == n && len(b.Productions()[0].Clawbacks) == n }
}

func searches(n int) func(*Book) bool {
	return func(b *Book) bool {
		q, language, ok := b.Saved("M-1", "k")
		return len(b.Searches("M-1")) == n && ok && q == "q" && language == 1 && len(b.Searches("M-2")) == 0
	}
}

// What cannot be read at all is an error, which stops the log from being applied
// and quotes nothing.
func TestUnreadable(t *testing.T) {
	for kind, bodies := range map[proof.Kind][]string{
		proof.KindTag: {``, `{}`, `{"v":2}`, `{"v":1,"op":"add","tag":"part2","matter":"M-1","seqs":[]}`, `{"v":1,"seqs":[[7,0]]}`, `{"v":1,"seqs":[[7,1],[7,1]]}`, `{"v":1,"seqs":[[7,1],[8,1]]}`,
			`{"v":1,"seqs":[[7]]}`, `{"v":1,"seqs":[[101,1]]}`, `{"v":1,"seqs":[[1,9007199254740991]]}`, `{"v":1,"V":1}`},
		proof.KindProduction: {`canary`, `{"v":3}`, `{"v":1,"op":"begin"}`, `{"v":1,"op":"begin","by":{"name":"canary"}}`, `{"v":1,"rows":[["canary"]]}`},
		proof.KindClawback:   {`[]`, `{"v":0}`, `{"v":1,"first":-1}`},
		proof.KindSearch:     {`"canary"`, `{"v":9}`, strings.Repeat(" ", maxBody) + `{"v":1}`},
	} {
		for _, body := range bodies {
			l := newLog()
			l.put(kind, proof.ClassControl, []byte(body))
			err := l.catchUp(t.Context(), l.Size())
			if err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s %.40s: %v", kind, body, err)
			}
			if len(l.book.Faults()) != 0 || len(l.book.Productions()) != 0 {
				t.Errorf("%s %.40s: it left something", kind, body)
			}
		}
	}
}
