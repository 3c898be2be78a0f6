package schedule

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxYears bounds a period, and each of its parts, in years.
const maxYears = 200

// A Period is how long something is kept: calendar years and months, then days.
type Period struct {
	Years, Months, Days int
	Forever             bool
}

// ParsePeriod reads a period as the file writes it: "7y", "18m", "90d",
// "1y6m", "forever". A period is at least a day, and none of its parts is
// longer than 200 years.
func ParsePeriod(text string) (Period, error) {
	if text == "forever" {
		return Period{Forever: true}, nil
	}
	var p Period
	rest := text
	for _, part := range []struct {
		unit string
		n    *int
		max  int
	}{{"y", &p.Years, maxYears}, {"m", &p.Months, maxYears * 12}, {"d", &p.Days, maxYears * 365}} {
		digits, after, ok := strings.Cut(rest, part.unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil || n == 0 || digits[0] == '0' {
			return Period{}, errPeriod(text)
		}
		if n > uint64(part.max) {
			return Period{}, fmt.Errorf("%q is longer than %d years; write \"forever\"", text, maxYears)
		}
		*part.n, rest = int(n), after
	}
	if rest != "" || p == (Period{}) {
		return Period{}, errPeriod(text)
	}
	return p, nil
}

func errPeriod(text string) error {
	return fmt.Errorf("%q is not a period: write years, months, days in this order, like \"7y\", \"18m\", \"90d\", \"1y6m\", or \"forever\"", text)
}

// String writes a period as the file does; ParsePeriod reads it back.
func (p Period) String() string {
	if p.Forever {
		return "forever"
	}
	var b strings.Builder
	for _, part := range p.parts() {
		if part.n != 0 {
			fmt.Fprintf(&b, "%d%c", part.n, part.unit[0])
		}
	}
	return b.String()
}

// appendWords says a period in words, as in "7 years" or "1 year 6 months".
func (p Period) appendWords(b []byte) []byte {
	begun := false
	for _, part := range p.parts() {
		if part.n == 0 {
			continue
		}
		if begun {
			b = append(b, ' ')
		}
		begun = true
		b = append(append(strconv.AppendInt(b, int64(part.n), 10), ' '), part.unit...)
		if part.n > 1 {
			b = append(b, 's')
		}
	}
	return b
}

type part struct {
	n    int
	unit string
}

func (p Period) parts() []part {
	return []part{{p.Years, "year"}, {p.Months, "month"}, {p.Days, "day"}}
}

// After is the end of a period that begins at t, in UTC: the same day and time
// of day so many years and months later, the month's last day where the month
// has no such day, and so many days after that. A period without end has none:
// the zero time.
func (p Period) After(t time.Time) time.Time {
	if p.Forever {
		return time.Time{}
	}
	t = t.UTC()
	year, month, day := t.Date()
	month += time.Month(p.months())
	if day > 28 { // the month may have no such day; its last is the day before the next one's first
		day = min(day, time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day())
	}
	return time.Date(year, month, day+p.Days, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// months is the calendar part of a period.
func (p Period) months() int { return p.Years*12 + p.Months }

// compare orders periods by their usual length: +1 when p is the longer one.
func (p Period) compare(q Period) int {
	if p.Forever || q.Forever {
		return boolCompare(p.Forever, q.Forever)
	}
	return cmp.Or(cmp.Compare(p.usual(), q.usual()), cmp.Compare(p.months(), q.months()))
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// The calendar repeats itself after 400 years, which are so many months and days.
const (
	cycleMonths = 400 * 12
	cycleDays   = 400*365 + 97
)

// usual is a period's mean length, in units of a day divided by cycleMonths.
func (p Period) usual() int { return p.months()*cycleDays + p.Days*cycleMonths }

// atLeast says whether a period never ends before one of q that begins at the
// same time, whenever that is: "1m" is at least "28d" but not at least "30d".
func (p Period) atLeast(q Period) bool {
	switch {
	case p.Forever || q.Forever:
		return p.Forever
	case p.months() == q.months():
		return p.Days >= q.Days
	case p.usual()-q.usual() > slack*cycleMonths:
		return true
	case q.usual()-p.usual() > slack*cycleMonths:
		return false
	}
	months := newCalendar(max(p.months(), q.months()))
	for begin := range cycleMonths {
		for day := 1; day <= months.days(begin); day++ {
			if months.end(begin, day, p) < months.end(begin, day, q) {
				return false
			}
		}
	}
	return true
}

// slack is more days than two periods of one mean length ever differ by: each
// strays from its mean by the length of a month and by the leap days.
const slack = 12

// A calendar counts the days before each month, from January 2000 on.
type calendar []int

// newCalendar reaches from every month of the cycle so many months ahead.
func newCalendar(ahead int) calendar {
	first := time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	c := make(calendar, cycleMonths+ahead+2)
	for i := range c {
		c[i] = int((first.AddDate(0, i, 0).Unix() - first.Unix()) / (24 * 60 * 60))
	}
	return c
}

func (c calendar) days(month int) int { return c[month+1] - c[month] }

// end is the day on which a period ends that begins on that day of the month,
// as Period.After counts.
func (c calendar) end(month, day int, p Period) int {
	month += p.months()
	return c[month] + min(day, c.days(month)) - 1 + p.Days
}
