package search

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"holdfast/archive/query"
)

var (
	testWords = strings.Fields(`call doctor bed pain the a THE Café café don't x-ray 3pm naïve straße
		患者 さくら ラーメン o'brien foo_bar 10:30 K2 mañana`)
	testPeople = []query.Party{
		{Usr: "u1", UPN: "Ada.Ng@ward.example", Mail: "ada@example.org", Name: "Ada Ng"},
		{Usr: "u2", UPN: "ben@ward.example", Name: "Dr. Ben O'Brien"},
		{Usr: "U3", Mail: "c@example.org", Name: "Cäcilie Ng Ada"},
		{Name: "the doctor"},
	}
	testBase = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// randomDoc makes documents of few words, so that queries hit.
func randomDoc(r *rand.Rand) *query.Doc {
	if r.IntN(10) == 0 {
		return nil
	}
	words := func(n int) string {
		var w []string
		for range r.IntN(n) {
			w = append(w, testWords[r.IntN(len(testWords))])
		}
		return strings.Join(w, []string{" ", ", ", "-"}[r.IntN(3)])
	}
	parties := func() (p query.Parties) {
		for range r.IntN(3) {
			p = append(p, testPeople[r.IntN(len(testPeople))])
		}
		return p
	}
	moment := func() time.Time {
		switch r.IntN(8) {
		case 0:
			return time.Time{}
		case 1:
			return testBase.AddDate(0, 0, r.IntN(5))
		case 2:
			return time.Date(1969, 12, 30+r.IntN(4), r.IntN(24), 0, 0, r.IntN(1e9), time.UTC)
		}
		return testBase.Add(time.Duration(r.Int64N(int64(5 * 24 * time.Hour))).Truncate([]time.Duration{1, time.Millisecond, time.Second, time.Hour}[r.IntN(4)]))
	}
	d := &query.Doc{
		Text: words(9), From: parties(), To: parties(), Sent: moment(), Received: moment(),
		Conversation: query.ConversationRef{ID: []string{"", "AbC1", "abc1"}[r.IntN(3)], Name: words(3)},
	}
	for range r.IntN(3) {
		d.Names = append(d.Names, words(3)+".pdf")
	}
	return d
}

// randomQuery draws a query of the documents' words.
func randomQuery(t *rapid.T, depth int) string {
	word := rapid.SampledFrom(testWords)
	value := rapid.SampledFrom([]string{"u1", "U2", "u3", "ada.ng@WARD.example", "c@example.org", "ng", "Ada", `"ng ada"`, `"Ada Ng"`, `"ben o brien"`, "AbC1", "abc1", "doctor", "zzz", `"--"`})
	times := rapid.SampledFrom([]string{
		"2026-01-01", "2026-01-02", "2026-01-04", "1970-01-01", "1969-12-31", "2026-01-02T05:00:00Z", "2026-01-01T00:00:00.000Z",
		"2026-01-03T00:00:00Z", "2026-01-03T23:30:00+01:00", "2026-01-02T11:22:33.123456789Z", "1969-12-31T12:00:00Z", "2030-01-01", "1900-01-01",
	})
	kinds := 8
	if depth > 3 {
		kinds = 5
	}
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0, 1:
		return `"` + word.Draw(t, "word") + `"`
	case 2:
		return `"` + strings.Join(rapid.SliceOfN(word, 2, 3).Draw(t, "phrase"), " ") + `"`
	case 3:
		return rapid.SampledFrom([]string{"from:", "to:", "conversation:"}).Draw(t, "property") + value.Draw(t, "value")
	case 4, 5:
		return rapid.SampledFrom([]string{"sent", "received"}).Draw(t, "time") +
			rapid.SampledFrom([]string{"=", "<", "<=", ">", ">="}).Draw(t, "op") + times.Draw(t, "when")
	case 6:
		return "NOT (" + randomQuery(t, depth+1) + ")"
	}
	op := rapid.SampledFrom([]string{" AND ", " OR ", " "}).Draw(t, "op")
	return "(" + randomQuery(t, depth+1) + op + randomQuery(t, depth+1) + ")"
}

// The index must give, for every query, exactly the entries that Match gives:
// over several log files, several segments, with an unindexed tail, for any
// page and any earlier state.
func TestEqualsMatch(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	src := newSource(400)
	x := openIndex(t, t.TempDir(), src, Options{BatchDocs: 150})
	for range 600 {
		src.append(randomDoc(r))
	}
	catchUp(t, x)
	for range 300 {
		src.append(randomDoc(r))
	}
	if _, err := x.step(t.Context(), src.Size()); err != nil { // one more batch, then a tail
		t.Fatal(err)
	}
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		q := narrowed(t, parse(t, randomQuery(t, 0)))
		opts := SearchOptions{Limit: rapid.SampledFrom([]int{0, 1, 10, 5000}).Draw(t, "limit")}
		size := src.Size()
		if rapid.Bool().Draw(t, "earlier") {
			opts.AsOf = rapid.Uint64Range(1, size).Draw(t, "as of")
			size = opts.AsOf
		}
		opts.Before = rapid.SampledFrom([]uint64{0, 1, 399, 400, 401, 700, 9999}).Draw(t, "before")
		got, err := x.Search(context.Background(), q, opts)
		if err != nil {
			t.Fatal(err)
		}
		all := src.brute(q, size)
		want := Result{Total: uint64(len(all)), ThroughSeq: size, Hits: page(all, opts)}
		if !slices.Equal(got.Hits, want.Hits) || got.Total != want.Total || got.ThroughSeq != want.ThroughSeq || got.Unindexed != 0 {
			t.Fatalf("%s\n%+v\ngot  %+v\nwant %+v", q, opts, got, want)
		}
		found += len(all)
	})
	if found < 1000 {
		t.Fatalf("the queries found only %d entries; they test nothing", found)
	}
}

// narrowed draws whether people's names widen the query, and whether it is
// narrowed to a scope.
func narrowed(t *rapid.T, q *query.Query) *query.Query {
	usrs := rapid.SliceOfN(rapid.SampledFrom([]string{"u1", "u2", "u3", "u9"}), 0, 3)
	if rapid.IntRange(0, 3).Draw(t, "widened") == 0 {
		q = q.WithNames(func(string) []string { return usrs.Draw(t, "usrs") })
	}
	if rapid.IntRange(0, 3).Draw(t, "scoped") > 0 {
		return q
	}
	moment := func(label string) time.Time {
		if rapid.Bool().Draw(t, label) {
			return time.Time{}
		}
		return time.UnixMilli(1767225600_000 + rapid.Int64Range(-86_400_000, 5*86_400_000).Draw(t, "at")).UTC()
	}
	var stays []query.Stay
	for range rapid.IntRange(0, 3).Draw(t, "stays") {
		stays = append(stays, query.Stay{Usrs: usrs.Draw(t, "of"), From: moment("from"), To: moment("to")})
	}
	return q.Within(stays)
}

func page(all []uint64, opts SearchOptions) []uint64 {
	hits := []uint64{}
	for _, seq := range all {
		if (opts.Before == 0 || seq < opts.Before) && len(hits) < opts.Limit {
			hits = append(hits, seq)
		}
	}
	return hits
}

func TestTailIsFound(t *testing.T) {
	t.Parallel()
	src := newSource(100, nil, &query.Doc{Text: "first"})
	x := openIndex(t, t.TempDir(), src, Options{})
	check := func(text string, want ...uint64) {
		t.Helper()
		got, err := x.Search(t.Context(), parse(t, text), SearchOptions{Limit: 10})
		if err != nil || !slices.Equal(got.Hits, want) || got.Total != uint64(len(want)) {
			t.Errorf("%s: %+v, %v; want %v", text, got, err, want)
		}
	}
	check("first", 1)
	catchUp(t, x)
	check("first", 1)
	src.append(&query.Doc{Text: "second, first"})
	check("first", 2, 1)
	check("second", 2)
	if x.Lag() != 1 {
		t.Errorf("lag %d, want 1", x.Lag())
	}
}

// What is too much to scan is counted, the newest is scanned, and the index is
// asked for the rest.
func TestScanLimit(t *testing.T) {
	t.Parallel()
	src := newSource(50)
	for range 120 {
		src.append(&query.Doc{Text: "word"})
	}
	x := openIndex(t, t.TempDir(), src, Options{ScanLimit: 60, BatchDocs: 1000})
	got, err := x.Search(t.Context(), parse(t, "word"), SearchOptions{Limit: 1})
	if err != nil || got.Total != 60 || got.Unindexed != 60 || !slices.Equal(got.Hits, []uint64{119}) {
		t.Errorf("nothing indexed: %+v, %v", got, err)
	}
	if _, err := x.step(t.Context(), src.Size()); err != nil { // the newest file comes first
		t.Fatal(err)
	}
	got, err = x.Search(t.Context(), parse(t, "word"), SearchOptions{})
	if err != nil || got.Total != 80 || got.Unindexed != 40 {
		t.Errorf("newest file indexed: %+v, %v", got, err)
	}
}

func TestSearchErrors(t *testing.T) {
	t.Parallel()
	src := newSource(100, &query.Doc{Text: "one"})
	x := openIndex(t, t.TempDir(), src, Options{})
	q := parse(t, "one")
	if _, err := x.Search(t.Context(), q, SearchOptions{AsOf: 2}); !errors.Is(err, ErrAsOf) {
		t.Errorf("as of a later state: %v", err)
	}
	src.fail = errors.New("no such body")
	if _, err := x.Search(t.Context(), q, SearchOptions{}); !errors.Is(err, src.fail) {
		t.Errorf("a tail that cannot be read: %v", err)
	}
	src.fail = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Search(ctx, q, SearchOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Search(t.Context(), q, SearchOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, err := Open(t.Context(), t.TempDir(), failingKeys{}, src, Options{}); err == nil || !strings.Contains(err.Error(), "keyring is locked") {
		t.Errorf("no key: %v", err)
	}
}

func TestRestartContinues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := newSource(40)
	for i := range 100 {
		src.append(&query.Doc{Text: fmt.Sprintf("message number %d", i)})
	}
	x := openIndex(t, dir, src, Options{BatchDocs: 30})
	catchUp(t, x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	src.scanned = 0
	x = openIndex(t, dir, src, Options{})
	if x.Lag() != 0 {
		t.Errorf("lag %d after a restart", x.Lag())
	}
	got, err := x.Search(t.Context(), parse(t, "message"), SearchOptions{})
	if err != nil || got.Total != 100 || src.scanned != 0 {
		t.Errorf("%+v, %v, %d entries read again", got, err, src.scanned)
	}
}

func TestDeletedDirectoryIsRebuilt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/index"
	src := newSource(40)
	for range 100 {
		src.append(&query.Doc{Text: "word"})
	}
	x := openIndex(t, dir, src, Options{})
	catchUp(t, x)
	if err := errors.Join(x.Close(), os.RemoveAll(dir)); err != nil {
		t.Fatal(err)
	}
	x = openIndex(t, dir, src, Options{})
	if x.Lag() != 100 {
		t.Errorf("lag %d with an empty index", x.Lag())
	}
	catchUp(t, x)
	got, err := x.Search(t.Context(), parse(t, "word"), SearchOptions{})
	if err != nil || got.Total != 100 {
		t.Errorf("%+v, %v", got, err)
	}
}

// An index that is ahead of the log belongs to another log, such as the one
// before a restore.
func TestIndexAheadOfLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := newSource(100, &query.Doc{Text: "old"}, &query.Doc{Text: "lost"})
	x := openIndex(t, dir, src, Options{})
	catchUp(t, x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	src = newSource(100, &query.Doc{Text: "new"})
	x = openIndex(t, dir, src, Options{})
	catchUp(t, x)
	for text, want := range map[string]uint64{"old": 0, "lost": 0, "new": 1} {
		if got, err := x.Search(t.Context(), parse(t, text), SearchOptions{}); err != nil || got.Total != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}
