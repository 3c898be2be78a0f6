package command

import (
	"regexp"
	"time"
)

// whenHelp says how the ends of a hold's range are written.
const whenHelp = `DATE is a day in UTC (2026-01-01), a time (2026-01-01T08:00:00Z), today, or so far back from today:
-90d, -6w, -18m, -7y (days, weeks, months, years). What is relative is frozen when the hold is
placed, by the archive's own time, and the answer shows what it was frozen to.`

// back is how a relative date is written.
var back = regexp.MustCompile(`^-[0-9]{1,4}[dwmy]$`)

// checkWhen refuses what the daemon could not read as a date, so that a slip is
// told before anything is asked for. The daemon freezes what is relative; here
// nothing is computed. What was typed is part of a hold's scope, and is not
// repeated.
func checkWhen(flag, s string) error {
	if s == "" || s == "today" || back.MatchString(s) || absolute(s) {
		return nil
	}
	return usage("%s takes a date: 2026-01-01, 2026-01-01T08:00:00Z, today, or so far back from today: -90d, -6w, -18m, -7y", flag)
}

// absolute reports whether s is a day or a time. A time says its zone: which
// one was meant is nothing to guess at.
func absolute(s string) bool {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

// bound is how an end of a range is shown: the instant in UTC, and the day
// alone when the range begins or ends with it.
func bound(t *time.Time, open string) string {
	switch {
	case t == nil:
		return open
	case t.Equal(t.Truncate(24 * time.Hour)): // since the zero time, which was midnight in UTC
		return t.UTC().Format(time.DateOnly)
	}
	return stamp(*t)
}

// between describes [from, to).
func between(from, to *time.Time) string {
	switch {
	case from == nil && to == nil:
		return "at any time"
	case to == nil:
		return "from " + bound(from, "") + " on"
	case from == nil:
		return "before " + bound(to, "")
	}
	return "from " + bound(from, "") + " on, before " + bound(to, "")
}
