package docket

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"holdfast/archive"
	"holdfast/archive/proof"
)

func TestLabels(t *testing.T) {
	for _, tt := range []struct {
		label, prefix string
		n             uint64
	}{{"SMITH-0000017", "SMITH-", 17}, {"A1-7", "A1-", 7}, {"ABC999999999999", "ABC", 999999999999}} {
		prefix, n, err := ParseLabel(tt.label)
		if err != nil || prefix != tt.prefix || n != tt.n {
			t.Errorf("%s: %s %d %v", tt.label, prefix, n, err)
		}
	}
	for _, label := range []string{"", "A", "17", "A0", "A0000000", "a17", "A 17", "A-17X", "ABCDEFGHIJKLMNOPQ1", "A1000000000000", "A0000000000001", "Ä1", "A\x001"} {
		if _, _, err := ParseLabel(label); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", label, err)
		}
	}
	if s := (Range{Prefix: "A-", Digits: 7}).Label(17); s != "A-0000017" {
		t.Error(s)
	}
	// Two numberings never make one label: no prefix ends in a digit.
	if checkPrefix("AB1") == nil || checkPrefix("AB") != nil {
		t.Error("prefixes that end in a digit")
	}
}

// However numbers are reserved, by however many at once, and whatever fails in
// between, none is given out twice within a matter.
func TestBatesAreNeverReused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLog()
		faults := rapid.SliceOf(rapid.IntRange(0, 4)).Draw(t, "faults") // 3: fails and did not land; 4: fails and landed
		at := 0
		l.fail = func() (error, bool) {
			at++
			if at > len(faults) || faults[at-1] < 3 {
				return nil, true
			}
			return archive.ErrFailed, faults[at-1] == 4
		}
		given := map[string]bool{}
		var mu sync.Mutex
		take := func(r Range) error {
			mu.Lock()
			defer mu.Unlock()
			for n := r.First; n <= r.Last(); n++ {
				k := fmt.Sprint(strings.ToLower(r.Matter), " ", r.Label(n))
				if given[k] {
					return fmt.Errorf("%s was given out twice", k)
				}
				given[k] = true
			}
			return nil
		}
		for range rapid.IntRange(1, 12).Draw(t, "rounds") {
			if rapid.IntRange(0, 9).Draw(t, "reopen") == 0 {
				l.reopen()
			}
			ns := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Numbering {
				return Numbering{
					Matter: rapid.SampledFrom([]string{"M-1", "m-1", "M-3"}).Draw(t, "matter"), Prefix: rapid.SampledFrom([]string{"A", "A-", "B"}).Draw(t, "prefix"),
					Start: rapid.SampledFrom([]uint64{0, 0, 0, 1, 3, 40}).Draw(t, "start"), Count: rapid.Uint64Range(1, 5).Draw(t, "count"),
				}
			}), 1, 4).Draw(t, "numberings")
			var wg sync.WaitGroup
			errs := make([]error, len(ns))
			for i, n := range ns {
				wg.Go(func() {
					r, err := l.book.Reserve(t.Context(), officer(1), n)
					switch {
					case err == nil:
						errs[i] = take(r)
					case errors.Is(err, ErrBatesTaken) && n.Start != 0, errors.Is(err, archive.ErrFailed), errors.Is(err, ErrBusy):
					default:
						errs[i] = err
					}
				})
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
		}
		if f := l.book.Faults(); len(f) > 0 {
			t.Fatalf("faults %+v", f)
		}
	})
}

func TestReserve(t *testing.T) {
	l := newLog()
	b, ctx := l.book, t.Context()
	for _, tt := range []struct {
		n    Numbering
		from uint64
		err  error
	}{
		{Numbering{Matter: "m-1", Prefix: "A", Count: 5}, 1, nil},
		{Numbering{Matter: "M-1", Prefix: "A", Count: 1}, 6, nil},
		{Numbering{Matter: "M-1", Prefix: "A", Start: 100, Count: 1, Digits: 3}, 100, nil},
		{Numbering{Matter: "M-1", Prefix: "A", Start: 7, Count: 93}, 7, nil},
		{Numbering{Matter: "M-1", Prefix: "A", Start: 100, Count: 1}, 0, ErrBatesTaken},
		{Numbering{Matter: "M-1", Prefix: "A", Count: 1}, 101, nil},
		{Numbering{Matter: "M-3", Prefix: "A", Count: 1}, 1, nil},
		{Numbering{Matter: "M-1", Prefix: "A-", Count: 1}, 1, nil},
		{Numbering{Matter: "M-2", Prefix: "A", Count: 1}, 0, ErrMatterClosed},
		{Numbering{Matter: "M-9", Prefix: "A", Count: 1}, 0, ErrUnknownMatter},
		{Numbering{Matter: "", Prefix: "A", Count: 1}, 0, ErrUnknownMatter},
		{Numbering{Matter: "M-1", Prefix: "A1", Count: 1}, 0, ErrInvalid},
		{Numbering{Matter: "M-1", Prefix: "A"}, 0, ErrInvalid},
		{Numbering{Matter: "M-1", Prefix: "A", Count: 1 << 63}, 0, ErrInvalid},
		{Numbering{Matter: "M-1", Prefix: "A", Count: 1, Start: MaxNumber + 1}, 0, ErrInvalid},
		{Numbering{Matter: "M-1", Prefix: "A", Count: 1, Digits: 99}, 0, ErrInvalid},
	} {
		r, err := b.Reserve(ctx, officer(1), tt.n)
		want(t, fmt.Sprintf("%+v", tt.n), err, tt.err)
		if err == nil && (r.First != tt.from || r.Count != tt.n.Count || r.Matter == "m-1") {
			t.Errorf("%+v: %+v", tt.n, r)
		}
	}
}

// While nobody knows whether an entry reached the log, no numbers are given out
// that it might have burned.
func TestUnknownFate(t *testing.T) {
	l := newLog()
	l.fail = func() (error, bool) { return archive.ErrFailed, false }
	n := Numbering{Matter: "M-1", Prefix: "A", Count: 3}
	_, err := l.book.Reserve(t.Context(), officer(1), n)
	want(t, "Reserve", err, archive.ErrFailed)
	l.fail = nil
	_, err = l.book.Reserve(t.Context(), officer(1), n)
	want(t, "before it shows", err, ErrBusy)
	l.put(proof.KindMessage, proof.ClassGeneral, nil)
	r, err := l.book.Reserve(t.Context(), officer(1), n)
	if err != nil || r.First != 1 {
		t.Errorf("once it shows: %+v, %v", r, err)
	}
}
