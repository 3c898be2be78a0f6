package search

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/query"
)

// wards returns messages about patients: of three log files of four entries,
// the last of which is not full.
func wards() []*query.Doc {
	return []*query.Doc{
		{Text: "a", MRN: "00123"}, {Text: "b", MRN: "mrn-7"}, nil, {Text: "c"},
		{Text: "d", MRN: "00123"}, {Text: "prio", Prio: "124", MRN: "124"}, {Hangs: true, MRN: "999"}, {Quarantined: true, MRN: "998"},
		{Text: "e", MRN: "É-1"}, {Text: "f", MRN: "MRN-7"},
	}
}

// The numbers of the archive are the same whether they are indexed, partly or
// not at all, and those of what is no message are not among them.
func TestMRNs(t *testing.T) {
	t.Parallel()
	want := []string{"00123", "124", "mrn-7", query.FoldKey("É-1")}
	for _, indexed := range []int{3, 6, 10} {
		src := newSource(4, wards()[:indexed]...)
		x := openIndex(t, t.TempDir(), src, Options{BatchDocs: 3, Linger: -1})
		catchUp(t, x)
		src.append(wards()[indexed:]...)
		got, err := x.MRNs(t.Context(), func(string) bool { return true })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d of them indexed: %q, %v", indexed, got, err)
		}
	}
	x := openIndex(t, t.TempDir(), newSource(4, wards()...), Options{})
	got, err := x.MRNs(t.Context(), func(string) bool { return true })
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("scanned: %q, %v", got, err)
	}
	if got, err = x.MRNs(t.Context(), func(key string) bool { return strings.HasPrefix(key, "00") }); err != nil || !slices.Equal(got, []string{"00123"}) {
		t.Errorf("asked for some: %q, %v", got, err)
	}
}

// Who asks while the index lags too far behind is told, and so is who asks an
// index that fails.
func TestMRNsAreNotMissedInSilence(t *testing.T) {
	t.Parallel()
	all := func(string) bool { return true }
	src := newSource(4, wards()...)
	x := openIndex(t, t.TempDir(), src, Options{ScanLimit: 3})
	if got, err := x.MRNs(t.Context(), all); !errors.Is(err, ErrUnindexed) || !slices.Equal(got, []string{"mrn-7", query.FoldKey("É-1")}) {
		t.Errorf("%q, %v", got, err)
	}
	x = openIndex(t, t.TempDir(), src, Options{})
	src.mu.Lock()
	src.fail = os.ErrInvalid
	src.mu.Unlock()
	if _, err := x.MRNs(t.Context(), all); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("%v", err)
	}
	x = openIndex(t, t.TempDir(), newSource(4, wards()...), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.MRNs(ctx, all); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
