package docket

import (
	"fmt"
	"slices"
	"sort"
)

// span is the entries from First on, Count of them. In bodies it is [first, count].
type span [2]uint64

// spansOf returns the seqs as spans: ascending, none touching the next.
func spansOf(seqs []uint64) []span {
	sorted := slices.Compact(slices.Sorted(slices.Values(seqs)))
	var out []span
	for _, seq := range sorted {
		if n := len(out); n > 0 && out[n-1][0]+out[n-1][1] == seq {
			out[n-1][1]++
			continue
		}
		out = append(out, span{seq, 1})
	}
	return out
}

// checkSpans reads what a body has: at least one span, ascending, none
// touching the next, all of them below limit.
func checkSpans(spans []span, limit uint64) error {
	next := uint64(0)
	for i, s := range spans {
		if s[1] == 0 || s[0] >= limit || s[1] > limit-s[0] || i > 0 && s[0] <= next {
			return fmt.Errorf("spans that are not in order")
		}
		next = s[0] + s[1]
	}
	if len(spans) == 0 {
		return fmt.Errorf("no span")
	}
	return nil
}

// within reports whether seq is in one of the spans.
func within(spans []span, seq uint64) bool {
	i := sort.Search(len(spans), func(i int) bool { return spans[i][0] > seq })
	return i > 0 && seq-spans[i-1][0] < spans[i-1][1]
}
