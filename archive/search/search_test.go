package search

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/query"
)

func TestTailIsFound(t *testing.T) {
	t.Parallel()
	src := newSource(100, nil, &query.Doc{Text: "first"})
	x := openIndex(t, t.TempDir(), src, Options{})
	check := func(text string, want ...uint64) {
		t.Helper()
		got, err := x.Search(t.Context(), parse(t, text), SearchOptions{Limit: 10})
		if err != nil || !slices.Equal(seqsOf(got.Hits), want) || got.Total != uint64(len(want)) {
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
	if err != nil || got.Total != 60 || got.Unindexed != 60 || !slices.Equal(seqsOf(got.Hits), []uint64{119}) {
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
