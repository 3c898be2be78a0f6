package search

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"pgregory.net/rapid"

	"holdfast/archive/query"
)

var (
	testWords = strings.Fields(`call calls calling called doctor bed beds pain the a THE Café café cafe don't x-ray
		3pm naïve straße 患者 さくら ラーメン o'brien foo_bar 10:30 K2 mañana manana canción canciones hablar hablamos 😀 병원 général`)
	testPeople = []query.Party{
		{Usr: "u1", UPN: "Ada.Ng@ward.example", Mail: "ada@example.org", Name: "Ada Ng"},
		{Usr: "u2", UPN: "ben@ward.example", Name: "Dr. Ben O'Brien"},
		{Usr: "U3", Mail: "c@example.org", Name: "Cäcilie Ng Ada"},
		{Name: "the doctor"},
		{Usr: "u5", Name: "José García"},
	}
	testBase    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	testDigests = func() (d [5][32]byte) {
		for i := range d {
			d[i][0], d[i][20] = byte(i+1), byte(i)
		}
		return d
	}()
)

// randomDoc makes documents of few words, so that queries hit. of are the seqs
// that a late attachment may stand for.
func randomDoc(r *rand.Rand, size int) *query.Doc {
	d := &query.Doc{Received: randomMoment(r)}
	switch r.IntN(20) {
	case 0:
		return nil
	case 1:
		return &query.Doc{Hangs: true, Ref: testDigests[r.IntN(5)], Received: d.Received, Text: "call", From: testPeople[:1]}
	case 2:
		return &query.Doc{Quarantined: true, Code: "bad-signature", Received: d.Received}
	case 3:
		if size > 0 {
			d.Late, d.Of = true, uint64(r.IntN(size))
		}
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
	d.Text, d.From, d.To, d.Members = words(9), parties(), parties(), parties()
	d.Sent = randomMoment(r)
	d.Typ = []string{"msg", "edit", ""}[r.IntN(3)]
	d.Conversation = query.ConversationRef{ID: []string{"", "AbC1", "abc1"}[r.IntN(3)], Name: words(3), Kind: []string{"group", "direct", ""}[r.IntN(3)]}
	d.Lang = []string{"", "en", "en-US", "ES"}[r.IntN(4)]
	d.MRN = []string{"", "A12", "a13"}[r.IntN(3)]
	d.Prio = []string{"", "urgent", "stat"}[r.IntN(3)]
	if r.IntN(2) == 0 {
		d.Digest, d.Ref = testDigests[r.IntN(5)], testDigests[r.IntN(5)]
	}
	for range r.IntN(3) {
		f := query.File{Name: words(3) + ".pdf", Text: words(6), Unread: r.IntN(3) == 0}
		d.Files = append(d.Files, f)
		d.Unread = d.Unread || f.Unread && r.IntN(2) == 0
	}
	return d
}

func randomMoment(r *rand.Rand) time.Time {
	switch r.IntN(8) {
	case 0:
		return time.Time{}
	case 1:
		return testBase.AddDate(0, 0, r.IntN(5))
	case 2:
		return time.Date(1969, 12, 30+r.IntN(4), r.IntN(24), 0, 0, r.IntN(1e9), time.UTC)
	}
	return testBase.Add(time.Duration(r.Int64N(int64(40 * 24 * time.Hour))).Truncate([]time.Duration{1, time.Millisecond, time.Second, time.Hour}[r.IntN(4)]))
}

var (
	someWord  = rapid.SampledFrom(testWords)
	someValue = rapid.SampledFrom([]string{"u1", "U2", "u3", "ada.ng@WARD.example", "c@example.org", "ng", "Ada", `"ng ada"`, `"Ada Ng"`, `"ben o brien"`, "AbC1", "abc1", "doctor", "jose", `"José Garcia"`, "zzz"})
	someTime  = rapid.SampledFrom([]string{
		"2026-01-01", "2026-01-02", "2026-01-14", "1970-01-01", "1969-12-31", "2026-01-02T05:00:00Z", "2026-01-01T00:00:00.000Z",
		"2026-01-03T00:00:00Z", "2026-01-23T23:30:00+01:00", "2026-01-02T11:22:33.123456789Z", "1969-12-31T12:00:00Z", "2030-01-01", "1900-01-01",
	})
	somePattern = rapid.SampledFrom([]string{"ca*", "man*", "*tor", "*nes", "*all*", "*nci*", "call~1", "coffee~2", "dotcor~1", "manana~1", "gén*"})
	someLeaf    = rapid.OneOf(
		rapid.SampledFrom([]string{
			"kind:group", "kind:direct", "has:attachment", "lang:en", "lang:es", "mrn:a12", "mrn:A13", "prio:urgent", "prio:stat",
			"group:ward", "group:icu", "hold:H-1", "matter:M-1", "quarantined:true", "quarantined:false", "seq:5", "seq:100..420", "seq>=700", "seq<=399",
			`filename:call`, `filename:"doctor"`, `filename:ca*`, "custodian:Ada", "participants:ng", "participants:u2",
			"call NEAR(2) doctor", `"the" NEAR(0) bed`, `(call OR bed) NEAR(3) "a"`, `café NEAR(100) pain`, "ca* NEAR(1) *all*",
		}),
		rapid.Map(someWord, func(w string) string { return w }),
		rapid.Map(someWord, func(w string) string { return `"` + w + `"` }),
		rapid.Map(someWord, func(w string) string { return `exact:"` + w + `"` }),
		rapid.Map(rapid.SliceOfN(someWord, 2, 3), func(w []string) string { return `"` + strings.Join(w, " ") + `"` }),
		somePattern,
		rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"from:", "to:", "participants:", "custodian:", "conversation:"}).Draw(t, "property") + someValue.Draw(t, "value")
		}),
		rapid.Custom(func(t *rapid.T) string {
			property := rapid.SampledFrom([]string{"sent", "received"}).Draw(t, "time")
			if rapid.IntRange(0, 3).Draw(t, "range") == 0 {
				return property + "=2026-01-02.." + rapid.SampledFrom([]string{"2026-01-02", "2026-01-20", "2026-01-03T10:00:00Z"}).Draw(t, "until")
			}
			return property + rapid.SampledFrom([]string{"=", "<", "<=", ">", ">="}).Draw(t, "op") + someTime.Draw(t, "when")
		}),
	)
)

// randomQuery draws a query of the documents' words.
func randomQuery(t *rapid.T, depth int) string {
	kinds := 5
	if depth > 3 {
		kinds = 1
	}
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0, 1:
		return someLeaf.Draw(t, "leaf")
	case 2:
		return "NOT (" + randomQuery(t, depth+1) + ")"
	}
	op := rapid.SampledFrom([]string{" AND ", " OR "}).Draw(t, "op")
	return "(" + randomQuery(t, depth+1) + op + randomQuery(t, depth+1) + ")"
}

// binder binds what the queries of the tests name.
type binder struct{ t *rapid.T }

func (b binder) Names(string) []string {
	return rapid.SliceOfN(rapid.SampledFrom([]string{"u1", "u2", "u3", "u9"}), 0, 3).Draw(b.t, "usrs")
}

func (b binder) Members(string) ([]query.Stay, error) { return drawStays(b.t), nil }

func (b binder) Held(query.Property, string) (*roaring64.Bitmap, error) {
	if rapid.IntRange(0, 3).Draw(b.t, "unheld") == 0 {
		return nil, nil
	}
	return roaring64.BitmapOf(rapid.SliceOfN(rapid.Uint64Range(0, 900), 0, 40).Draw(b.t, "held")...), nil
}

func drawStays(t *rapid.T) (stays []query.Stay) {
	moment := func(label string) time.Time {
		if rapid.Bool().Draw(t, label) {
			return time.Time{}
		}
		return time.UnixMilli(1767225600_000 + rapid.Int64Range(-86_400_000, 40*86_400_000).Draw(t, "at")).UTC()
	}
	for range rapid.IntRange(0, 3).Draw(t, "stays") {
		stays = append(stays, query.Stay{Usrs: binder{t}.Names(""), From: moment("from"), To: moment("to")})
	}
	return stays
}

// bound draws what a query's names, groups and holds stand for, and whether it
// is narrowed to a scope.
func bound(t *rapid.T, q *query.Query) *query.Query {
	if rapid.IntRange(0, 4).Draw(t, "unbound") > 0 {
		var err error
		if q, err = q.Bind(binder{t}); err != nil {
			t.Fatal(err)
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "scoped") == 0 {
		q = q.Within(drawStays(t))
	}
	return q
}

// truth is what a plain look at every entry says.
type truth struct {
	hits   []*query.Doc
	unread uint64
}

// plainly evaluates a query by query.Match alone.
func (s *memSource) plainly(q *query.Query, size uint64) (found truth) {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := map[uint64]uint64{} // of each message's entries
	for _, d := range s.docs[:size] {
		if d != nil {
			newest[d.About()] = max(newest[d.About()], d.Seq)
		}
	}
	for _, d := range s.docs[:size] {
		switch {
		case d == nil || d.Hangs || newest[d.About()] != d.Seq:
		case q.Match(d):
			found.hits = append(found.hits, d)
		case q.Judge(d) == query.Maybe:
			found.unread++
		}
	}
	return found
}

func (f truth) sorted(by Sort) []Hit {
	hits := []Hit{}
	for _, d := range f.hits {
		hits = append(hits, Hit{Seq: d.About(), Entry: d.Seq, Sent: d.Sent.UTC()})
	}
	slices.SortFunc(hits, func(a, b Hit) int {
		if by == BySent {
			if c := b.Sent.Compare(a.Sent); c != 0 && (a.Sent.IsZero() == b.Sent.IsZero()) {
				return c
			} else if c != 0 && a.Sent.IsZero() {
				return 1
			} else if c != 0 {
				return -1
			}
		}
		return cmp.Compare(b.Seq, a.Seq)
	})
	return hits
}

// mixed is a log of several files, most of it indexed: the newest file in part,
// the oldest not at all.
func mixed(t *testing.T) (*memSource, *Index) {
	r := rand.New(rand.NewPCG(1, 2))
	src := newSource(300)
	x := openIndex(t, t.TempDir(), src, Options{BatchDocs: 110})
	for i := range 700 {
		src.append(randomDoc(r, i))
	}
	step := func() {
		if _, err := x.step(t.Context(), src.Size()); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // the newest file and the one before it
		step()
	}
	for i := range 300 {
		src.append(randomDoc(r, 700+i))
	}
	step() // some of the newest, not all
	return src, x
}

// The index must give, for every query, exactly the entries that Match gives:
// over several log files, several segments, with unindexed parts, late entries,
// in any order, for any page and any earlier state.
func TestEqualsMatch(t *testing.T) {
	t.Parallel()
	src, x := mixed(t)
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		q := bound(t, parse(t, randomQuery(t, 0)))
		opts := SearchOptions{Limit: rapid.SampledFrom([]int{0, 1, 10, 5000}).Draw(t, "limit"), Sort: rapid.SampledFrom([]Sort{BySeq, BySent}).Draw(t, "sort")}
		size := src.Size()
		if rapid.Bool().Draw(t, "earlier") {
			opts.AsOf = rapid.Uint64Range(1, size).Draw(t, "as of")
			size = opts.AsOf
		}
		all := src.plainly(q, size)
		want := all.sorted(opts.Sort)
		total := len(want)
		if total > 0 && rapid.Bool().Draw(t, "later page") {
			at := rapid.IntRange(0, total-1).Draw(t, "after")
			opts.Before = &Place{Sent: want[at].Sent, Seq: want[at].Seq}
			want = want[at+1:]
		}
		want = want[:min(opts.Limit, len(want))]
		got, err := x.Search(context.Background(), q, opts)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Hits, want) || got.Total != uint64(total) || got.Unread != all.unread || got.ThroughSeq != size || got.Unindexed != 0 {
			t.Fatalf("%s\n%+v\ngot  %+v\nwant %d, unread %d, %+v", q, opts, got, total, all.unread, want)
		}
		found += total
	})
	if found < 1000 {
		t.Fatalf("the queries found only %d entries; they test nothing", found)
	}
}

func TestCountEqualsMatch(t *testing.T) {
	t.Parallel()
	src, x := mixed(t)
	madrid, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		q := bound(t, parse(t, randomQuery(t, 1)))
		by := rapid.SampledFrom([]By{ByMonth, ByConversation, ByParty, ByTerm}).Draw(t, "by")
		zone := rapid.SampledFrom([]*time.Location{nil, time.UTC, madrid, time.FixedZone("", -11*3600)}).Draw(t, "zone")
		size := rapid.Uint64Range(1, src.Size()).Draw(t, "as of")
		all := src.plainly(q, size)
		want := plainCount(t, q, all.hits, by, zone)
		got, r, err := x.Count(context.Background(), q, by, zone, size)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) || r.Total != uint64(len(all.hits)) || r.Unread != all.unread {
			t.Fatalf("%s by %d\ngot  %v\nwant %v", q, by, got, want)
		}
	})
}

func plainCount(t *rapid.T, q *query.Query, hits []*query.Doc, by By, zone *time.Location) (buckets []Bucket) {
	if zone == nil {
		zone = time.UTC
	}
	counts := map[string]uint64{}
	if by == ByTerm {
		texts := clauses(q.Root())
		for _, text := range texts {
			b := Bucket{Key: text}
			for _, d := range hits {
				others := slices.ContainsFunc(texts, func(o string) bool { return o != text && parse(t, o).Match(d) })
				if parse(t, text).Match(d) {
					b.Count++
					if !others {
						b.Alone++
					}
				}
			}
			buckets = append(buckets, b)
		}
		return buckets
	}
	for _, d := range hits {
		keys := map[string]bool{}
		switch by {
		case ByMonth:
			keys[d.Received.In(zone).Format("2006-01")] = !d.Received.IsZero()
		case ByConversation:
			keys[d.Conversation.ID] = true
		case ByParty:
			for _, p := range slices.Concat(d.From, d.To, d.Members) {
				keys[p.Usr] = true
			}
		}
		for key, ok := range keys {
			if ok && key != "" {
				counts[key]++
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		buckets = append(buckets, Bucket{Key: key, Count: counts[key]})
	}
	return buckets
}

func TestFollowersEqualRefs(t *testing.T) {
	t.Parallel()
	src, x := mixed(t)
	for _, asOf := range []uint64{0, 1, 250, 300, 301, 555, 1000} {
		want := map[[32]byte][]uint64{}
		size := asOf
		if size == 0 {
			size = src.Size()
		}
		for _, d := range src.docs[:size] {
			if d != nil && slices.Contains(testDigests[:3], d.Ref) && !d.Late {
				want[d.Ref] = append(want[d.Ref], d.Seq)
			}
		}
		got, err := x.Followers(t.Context(), append(testDigests[:3:3], [32]byte{}), asOf)
		if err != nil || !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("as of %d: %v, %v; want %v", asOf, got, err, want)
		}
	}
	if _, err := x.Followers(t.Context(), testDigests[:1], 1001); !errors.Is(err, ErrAsOf) {
		t.Errorf("as of a later state: %v", err)
	}
}
