package search

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/query"
)

func expectHits(t *testing.T, x *Index, text string, asOf uint64, want ...Hit) {
	t.Helper()
	got, err := x.Search(t.Context(), parse(t, text), SearchOptions{Limit: 10, AsOf: asOf})
	if err != nil || !slices.Equal(got.Hits, want) || got.Total != uint64(len(want)) {
		t.Errorf("%s as of %d: %+v, %v; want %v", text, asOf, got, err, want)
	}
}

// Neither a phrase nor a NEAR reaches from one text of a message into another.
func TestPassagesAreApart(t *testing.T) {
	t.Parallel()
	src := newSource(100, &query.Doc{Text: "alpha beta", Files: []query.File{{Name: "gamma", Text: "delta epsilon"}, {Name: "zeta"}}})
	x := openIndex(t, t.TempDir(), src, Options{})
	catchUp(t, x)
	for _, text := range []string{`"beta gamma"`, `"gamma delta"`, `"epsilon zeta"`, "beta NEAR(100) gamma", "gamma NEAR(100) delta", "epsilon NEAR(100) zeta", `"epsilon delta"`, "filename:delta", "filename:alpha"} {
		expectHits(t, x, text, 0)
	}
	for _, text := range []string{`"alpha beta"`, `"delta epsilon"`, "epsilon NEAR(0) delta", "alpha epsilon zeta", "filename:gamma AND filename:zeta"} {
		expectHits(t, x, text, 0, Hit{})
	}
}

// A word finds its other forms after a restart, when only the dictionaries are
// left to learn them from.
func TestFormsAfterRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := newSource(100, &query.Doc{Text: "calling the canciones of José, hablamos"})
	x := openIndex(t, dir, src, Options{})
	catchUp(t, x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	src.fail = errors.New("nothing is scanned")
	x = openIndex(t, dir, src, Options{})
	for _, text := range []string{"called", "canción", "hablar", "jose", "jos*", `"the canciones of jose"`} {
		expectHits(t, x, text, 0, Hit{})
	}
	expectHits(t, x, `"called"`, 0)
	expectHits(t, x, "exact:jose", 0)
}

// Nothing of a forgotten file's words stays in memory.
func TestForgetForgetsWords(t *testing.T) {
	t.Parallel()
	src := newSource(100, &query.Doc{Text: "quokkas"})
	x := openIndex(t, t.TempDir(), src, Options{})
	catchUp(t, x)
	p := x.parts[0]
	if words := p.words; words == nil || !words.knows("quokkas") {
		t.Fatal("the word was not learned")
	}
	src.docs[0] = nil // disposed of
	if err := x.Forget(t.Context(), []uint64{0}); err != nil {
		t.Fatal(err)
	}
	if p.words != nil {
		t.Error("the vocabulary outlives the index")
	}
	catchUp(t, x)
	if strings.Contains(string(p.words.blob), "quokka") || len(p.words.simple) > 0 {
		t.Error("the word was learned again")
	}
}

// A late attachment makes its message found by what it says from its own seq on,
// whichever log file each is in and whatever of them is indexed.
func TestLateAttachment(t *testing.T) {
	t.Parallel()
	text := "see the scan"
	late := func(of uint64, name, content string) *query.Doc {
		return &query.Doc{Text: text, Files: []query.File{{Name: name, Text: content}}, Late: true, Of: of}
	}
	src := newSource(2, &query.Doc{Text: "first"}, &query.Doc{Text: text, Files: []query.File{{Name: "scan.pdf", Unread: true}}})
	src.append(&query.Doc{Text: "third"}, late(1, "scan.pdf", "potassium"), &query.Doc{Text: "scan"}, late(1, "scan.pdf", "sodium"))
	x := openIndex(t, t.TempDir(), src, Options{})
	for {
		expectHits(t, x, "scan", 0, Hit{Seq: 4, Entry: 4}, Hit{Seq: 1, Entry: 5})
		expectHits(t, x, "scan", 4, Hit{Seq: 1, Entry: 3})
		expectHits(t, x, "scan", 3, Hit{Seq: 1, Entry: 1})
		expectHits(t, x, "potassium", 0)
		expectHits(t, x, "potassium", 5, Hit{Seq: 1, Entry: 3})
		expectHits(t, x, "sodium", 0, Hit{Seq: 1, Entry: 5})
		expectHits(t, x, "seq:1", 0, Hit{Seq: 1, Entry: 5})
		more, err := x.step(t.Context(), src.Size())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
	}
	got, err := x.Search(t.Context(), parse(t, "potassium"), SearchOptions{AsOf: 3})
	if err != nil || got.Total != 0 || got.Unread != 1 {
		t.Errorf("before the attachment came: %+v, %v", got, err)
	}
}

func TestOtherLanguage(t *testing.T) {
	t.Parallel()
	x := openIndex(t, t.TempDir(), newSource(10, &query.Doc{Text: "one"}), Options{})
	q, err := query.ParseLanguage(1, "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Search(t.Context(), q, SearchOptions{}); !errors.Is(err, ErrLanguage) {
		t.Error(err)
	}
}

// What could not be examined, or is damaged, is an error where there is no
// number to say it by.
func TestFollowersAreWholeOrAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := newSource(1000)
	for range 100 {
		src.append(&query.Doc{Hangs: true, Ref: testDigests[1]})
	}
	x := openIndex(t, dir, src, Options{ScanLimit: 60})
	got, err := x.Followers(t.Context(), testDigests[:2], 0)
	if !errors.Is(err, ErrUnindexed) || len(got[testDigests[1]]) != 60 {
		t.Errorf("%d, %v", len(got[testDigests[1]]), err)
	}
	catchUp(t, x)
	got, err = x.Followers(t.Context(), testDigests[:2], 99)
	if err != nil || len(got) != 1 || len(got[testDigests[1]]) != 99 {
		t.Errorf("%d, %v", len(got[testDigests[1]]), err)
	}
	for _, zap := range indexFiles(t, dir, "*.zap") {
		edit(t, zap, garble) // under the mapping
	}
	if _, err := x.Followers(t.Context(), testDigests[:2], 0); !errors.Is(err, ErrDamaged) {
		t.Errorf("followers in a damaged index: %v", err)
	}
	catchUp(t, x)
	for _, zap := range indexFiles(t, dir, "*.zap") {
		edit(t, zap, garble)
	}
	if _, _, err := x.Count(context.Background(), parse(t, "NOT zzz"), ByMonth, nil, 0); !errors.Is(err, ErrDamaged) {
		t.Errorf("count in a damaged index: %v", err)
	}
}

func garble(b []byte) {
	for i := range b[:len(b)-200] {
		b[i] ^= 0x55
	}
}
