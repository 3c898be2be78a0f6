package people

import (
	"math"
	"slices"
	"time"
)

// Times inside a History are milliseconds since the Unix epoch, as leaves have
// them.
const (
	forever = math.MaxInt64 // the end of what has not ended
	present = forever - 1   // later than every entry
)

// moment returns the time that stands for at: the present for the zero time.
func moment(at time.Time) int64 {
	if at.IsZero() {
		return present
	}
	return at.UnixMilli()
}

func timeOf(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// span is the time from <= t < to.
type span struct{ from, to int64 }

func (s span) has(t int64) bool { return s.from <= t && t < s.to }

// spans are times: ascending, and neither empty nor touching one another where
// normal says so.
type spans []span

func (s spans) has(t int64) bool {
	return slices.ContainsFunc(s, func(x span) bool { return x.has(t) })
}

// normal returns the same times in the fewest spans, ascending.
func (s spans) normal() spans {
	s = slices.DeleteFunc(slices.Clone(s), func(x span) bool { return x.from >= x.to })
	slices.SortFunc(s, func(a, b span) int {
		switch {
		case a.from < b.from:
			return -1
		case a.from > b.from:
			return 1
		}
		return 0
	})
	var out spans
	for _, x := range s {
		if n := len(out); n > 0 && x.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, x.to)
		} else {
			out = append(out, x)
		}
	}
	return out
}

// both returns the times that are in s and in t, which are normal.
func (s spans) both(t spans) spans {
	var out spans
	for len(s) > 0 && len(t) > 0 {
		if from, to := max(s[0].from, t[0].from), min(s[0].to, t[0].to); from < to {
			out = append(out, span{from, to})
		}
		if s[0].to < t[0].to {
			s = s[1:]
		} else {
			t = t[1:]
		}
	}
	return out
}

// without returns the times of s that are not in t; both are normal.
func (s spans) without(t spans) spans {
	var out spans
	for _, x := range s {
		for _, y := range t {
			if y.to <= x.from || y.from >= x.to {
				continue
			}
			if x.from < y.from {
				out = append(out, span{x.from, y.from})
			}
			x.from = y.to
		}
		if x.from < x.to {
			out = append(out, x)
		}
	}
	return out
}
