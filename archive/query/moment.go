package query

import (
	"strings"
	"time"
)

// Moment is a date or time as written. It stands for the whole of its last
// written unit, in UTC: 2026-01-01 is that day, 2026-01-01T10:00:00Z that
// second, 2026-01-01T10:00:00.250Z that millisecond.
type Moment struct {
	Start  time.Time // first instant, UTC
	Date   bool      // written as a date
	Digits int       // digits after the seconds' point, 0 to 9; 0 for a date
}

// End returns the first instant after the unit.
func (m Moment) End() time.Time {
	if m.Date {
		return m.Start.AddDate(0, 0, 1)
	}
	unit := time.Second
	for range m.Digits {
		unit /= 10
	}
	return m.Start.Add(unit)
}

// String returns the form that parses to the same Moment.
func (m Moment) String() string {
	if m.Date {
		return m.Start.Format(time.DateOnly)
	}
	layout := "2006-01-02T15:04:05"
	if m.Digits > 0 {
		layout += "." + strings.Repeat("0", m.Digits)
	}
	return m.Start.Format(layout + "Z")
}

// parseMoment reads YYYY-MM-DD or an RFC 3339 date-time with at most nine
// fraction digits.
func parseMoment(s string) (Moment, bool) {
	if len(s) == len(time.DateOnly) {
		t, err := time.Parse(time.DateOnly, s)
		return Moment{Start: t, Date: true}, err == nil && writable(t)
	}
	// time.Parse takes a comma for the point and any number of fraction
	// digits; RFC 3339 section 5.6 has a point, and ours at most nine digits.
	const seconds = len("2006-01-02T15:04:05")
	if len(s) <= seconds || s[10] != 'T' {
		return Moment{}, false
	}
	digits, zone := 0, s[seconds:]
	if zone[0] == '.' {
		zone = zone[1:]
		for len(zone) > 0 && '0' <= zone[0] && zone[0] <= '9' {
			digits, zone = digits+1, zone[1:]
		}
		if digits == 0 || digits > 9 {
			return Moment{}, false
		}
	}
	if zone != "Z" && len(zone) != len("+00:00") {
		return Moment{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return Moment{}, false
	}
	t = t.UTC()
	return Moment{Start: t, Digits: digits}, writable(t)
}

// writable says whether a time can be written again: a zone can push it out of
// the years with four digits. The first year is left out because it begins with
// Go's zero time, which stands for "none" in Range and Doc.
func writable(t time.Time) bool { return 2 <= t.Year() && t.Year() <= 9999 }

// Range returns the instants for which the clause holds: from Start (zero: no
// lower bound) up to but not including End (zero: no upper bound).
func (t *Time) Range() (start, end time.Time) {
	switch t.Op {
	case Equal:
		return t.Value.Start, t.Value.End()
	case Less:
		return time.Time{}, t.Value.Start
	case LessEqual:
		return time.Time{}, t.Value.End()
	case Greater:
		return t.Value.End(), time.Time{}
	case Between:
		return t.Value.Start, t.Until.End()
	default:
		return t.Value.Start, time.Time{}
	}
}
