package query

import (
	"strings"
	"time"
)

// timeClause makes a clause of a time. What it says in the reader's zone is
// frozen into instants.
func (p *parser) timeClause(x lexeme) (Node, error) {
	op := x.op
	if op == ":" {
		op = "="
	}
	if !isComparison(op) {
		return nil, syntax(x.column, "this property takes = < > <= >= or a colon", "write it as in sent>=2026-01-01 or sent:2026-01-01..2026-01-31")
	}
	first, last, err := p.reading.unit(x.column, x.value)
	if err != nil {
		return nil, err
	}
	n := &Time{Property: Property(x.property), Op: Op(op), Value: first}
	if x.ranged {
		if n.Op != Equal {
			return nil, syntax(x.column, "a range stands after a comparison", "write a range after a colon, as in sent:2026-01-01..2026-01-31")
		}
		if _, last, err = p.reading.unit(x.untilAt, x.until); err != nil {
			return nil, err
		}
		if !first.Start.Before(last.End()) {
			return nil, syntax(x.untilAt, "this range ends before it begins", "write the earlier date or time first")
		}
	}
	switch n.Op {
	case LessEqual, Greater:
		n.Value = last
	case Equal:
		if first != last {
			n.Op, n.Until = Between, last
		}
	}
	return n, nil
}

func isComparison(op string) bool {
	switch Op(op) {
	case Equal, Less, LessEqual, Greater, GreaterEqual:
		return true
	}
	return false
}

// unit reads a date, time or word such as today, and returns the first and the
// last moment of it, in UTC.
func (r Reading) unit(column int, s string) (first, last Moment, err error) {
	s = strings.TrimSpace(s)
	zone := r.Zone
	if zone == nil {
		zone = time.UTC
	}
	from, to, relative := daysOf(r.Now.In(zone), strings.ToLower(s))
	if relative && r.Now.IsZero() {
		return Moment{}, Moment{}, syntax(column, "it is not known here what day it is", "write the date, as in 2026-01-31")
	}
	if !relative {
		day, utc := strings.CutSuffix(s, utcSign)
		if utc = utc && len(day) == len(time.DateOnly); utc {
			s, zone = day, time.UTC
		}
		m, ok := parseMoment(s)
		if !ok {
			return Moment{}, Moment{}, noTime(column)
		}
		if !m.Date {
			return m, m, nil
		}
		from = date{m.Start.Year(), m.Start.Month(), m.Start.Day()}
		to = from.plus(1)
	}
	start, end := from.begins(zone), to.begins(zone)
	if !start.Before(end) {
		return Moment{}, Moment{}, syntax(column, "this day never was in the archive's time zone, whose clocks went past it", "write the day before or after")
	}
	first, last = Moment{Start: start}, Moment{Start: end.Add(-time.Second)}
	if isMidnight(start) && isMidnight(end) {
		first.Date = true
		last = Moment{Start: end.AddDate(0, 0, -1), Date: true}
	}
	if !writable(first.Start) || !writable(last.Start) {
		return Moment{}, Moment{}, noTime(column)
	}
	return first, last, nil
}

func noTime(column int) error {
	return syntax(column, "this is no date or time", "write a date as 2026-01-31, a time as 2026-01-31T18:30:00Z, or one of "+relativeWords+", directly after the sign")
}

// utcSign after a date makes it a day of UTC, as in 2026-01-31Z.
const utcSign = "Z"

const relativeWords = `today, yesterday, "this week", "last week", "this month", "last month", "this year", "last year"`

// date is a day of the calendar.
type date struct {
	year  int
	month time.Month
	day   int
}

func (d date) plus(days int) date { return date{d.year, d.month, d.day + days} }

// daysOf returns the days, [from, to), that a word such as today names at now,
// as the calendar where now is has them. A week begins on Monday (ISO 8601).
func daysOf(now time.Time, word string) (from, to date, ok bool) {
	year, month, day := now.Date()
	today := date{year, month, day}
	monday := today.plus(-(int(now.Weekday()) + 6) % 7)
	switch strings.Join(strings.Fields(word), " ") {
	case "today":
		return today, today.plus(1), true
	case "yesterday":
		return today.plus(-1), today, true
	case "this week":
		return monday, monday.plus(7), true
	case "last week":
		return monday.plus(-7), monday, true
	case "this month":
		return date{year, month, 1}, date{year, month + 1, 1}, true
	case "last month":
		return date{year, month - 1, 1}, date{year, month, 1}, true
	case "this year":
		return date{year, 1, 1}, date{year + 1, 1, 1}, true
	case "last year":
		return date{year - 1, 1, 1}, date{year, 1, 1}, true
	}
	return date{}, date{}, false
}

// begins returns the first instant of the day in a zone, in UTC: where the clock
// skips midnight what comes after, where it strikes twice the first.
func (d date) begins(zone *time.Location) time.Time {
	t := time.Date(d.year, d.month, d.day, 0, 0, 0, 0, zone)
	midnight := time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC)
	if civil(t).Before(midnight) { // skipped, and read by the offset after it
		_, next := t.ZoneBounds()
		return next.UTC()
	}
	since, _ := t.ZoneBounds()
	if since.IsZero() {
		return t.UTC()
	}
	if civil(t).After(midnight) { // skipped, and read by the offset before it
		return since.UTC()
	}
	_, offset := since.Add(-1).Zone()
	if earlier := midnight.Add(-time.Duration(offset) * time.Second); earlier.Before(since) && earlier.Before(t) {
		return earlier
	}
	return t.UTC()
}

// civil returns what the clock shows at t, as if it were UTC.
func civil(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

func isMidnight(t time.Time) bool { return t.Unix()%(24*60*60) == 0 && t.Nanosecond() == 0 }
