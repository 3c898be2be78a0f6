package schedule

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func date(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

func TestPeriodAfter(t *testing.T) {
	for _, c := range []struct {
		from, period, want string
	}{
		{"2019-03-04T10:20:30.5Z", "7y", "2026-03-04T10:20:30.5Z"},
		{"2020-02-29T23:59:59Z", "1y", "2021-02-28T23:59:59Z"},
		{"2020-02-29T23:59:59Z", "4y", "2024-02-29T23:59:59Z"},
		{"2096-02-29T00:00:00Z", "4y", "2100-02-28T00:00:00Z"}, // 2100 is no leap year
		{"1996-02-29T00:00:00Z", "4y", "2000-02-29T00:00:00Z"}, // 2000 was one
		{"2019-02-28T00:00:00Z", "1y", "2020-02-28T00:00:00Z"},
		{"2019-01-31T12:00:00Z", "1m", "2019-02-28T12:00:00Z"},
		{"2020-01-31T12:00:00Z", "1m", "2020-02-29T12:00:00Z"},
		{"2019-10-31T12:00:00Z", "1m", "2019-11-30T12:00:00Z"},
		{"2019-12-31T12:00:00Z", "2m", "2020-02-29T12:00:00Z"},
		{"2019-08-31T12:00:00Z", "18m", "2021-02-28T12:00:00Z"},
		{"2019-01-31T12:00:00Z", "1m1d", "2019-03-01T12:00:00Z"}, // months first, then days
		{"2019-03-01T00:00:00Z", "90d", "2019-05-30T00:00:00Z"},
		{"2020-02-28T00:00:00Z", "2d", "2020-03-01T00:00:00Z"},
		{"2019-12-31T23:30:00-05:00", "1m", "2020-02-01T04:30:00Z"}, // in UTC it was January
		{"2019-03-10T01:30:00-05:00", "1d", "2019-03-11T06:30:00Z"}, // no summer time
		{"2019-05-15T00:00:00Z", "1y6m15d", "2020-11-30T00:00:00Z"},
	} {
		p, err := ParsePeriod(c.period)
		if err != nil {
			t.Fatal(err)
		}
		from, err := time.Parse(time.RFC3339Nano, c.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.After(from).Format(time.RFC3339Nano); got != c.want {
			t.Errorf("%s after %s: %s, want %s", c.period, c.from, got, c.want)
		}
	}
	if end := (Period{Forever: true}).After(date(2019, 1, 1)); !end.IsZero() {
		t.Errorf("for ever ended %v", end)
	}
}

// TestPeriodAgainstTheCalendar: the day of the month is the same, or the last
// of a month that has no such day; the time of day never changes.
func TestPeriodAgainstTheCalendar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "from")).UTC()
		p := Period{Years: rapid.IntRange(0, 30).Draw(t, "years"), Months: rapid.IntRange(0, 30).Draw(t, "months")}
		got := p.After(from)
		months := (got.Year()-from.Year())*12 + int(got.Month()) - int(from.Month())
		if months != p.Years*12+p.Months || got.Format("150405.000") != from.Format("150405.000") {
			t.Fatalf("%v after %v: %v", p, from, got)
		}
		if last := got.AddDate(0, 0, 1).Day() == 1; got.Day() != from.Day() && (!last || got.Day() > from.Day()) {
			t.Fatalf("%v after %v: %v", p, from, got)
		}
		p.Days = rapid.IntRange(0, 1000).Draw(t, "days")
		if days := p.After(from).Sub(got); days != time.Duration(p.Days)*24*time.Hour {
			t.Fatalf("%d days are %v", p.Days, days)
		}
	})
}

func TestPeriodIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Period{Years: rapid.IntRange(0, 200).Draw(t, "y"), Months: rapid.IntRange(0, 2400).Draw(t, "m"), Days: rapid.IntRange(0, 73000).Draw(t, "d")}
		if p == (Period{}) {
			p.Forever = true
		}
		if got, err := ParsePeriod(p.String()); err != nil || got != p {
			t.Fatalf("%v: %v, %v", p, got, err)
		}
	})
	for _, text := range []string{"", "7", "y", "7yy", "7Y", "7y 6m", "6m7y", "7y7y", "+7y", "-1d", "0y", "1y0m", "07y", "7.5y", "٧y", "forever7y", "1y2", "2401m", "73001d", "4294967297y"} {
		if p, err := ParsePeriod(text); err == nil {
			t.Errorf("%q was read as %v", text, p)
		}
	}
}

// TestPeriodAtLeast compares with asking on every day, of years around which
// the leap years are irregular as well.
func TestPeriodAtLeast(t *testing.T) {
	days := func(yield func(time.Time) bool) {
		for _, start := range []int{1894, 2019, 2088} {
			for day := range 13 * 366 {
				if !yield(date(start, 1, 1).AddDate(0, 0, day)) {
					return
				}
			}
		}
	}
	for _, c := range []struct {
		p, q string
		want bool
	}{
		{"1m", "28d", true}, {"1m", "29d", false}, {"31d", "1m", true}, {"30d", "1m", false},
		{"12m", "1y", true}, {"1y", "12m", true}, {"365d", "1y", false}, {"366d", "1y", true}, {"1y", "365d", true}, {"1y", "366d", false},
		{"2m", "59d", true}, {"2m", "60d", false}, {"62d", "2m", true}, {"61d", "2m", false},
		{"1m1d", "30d", false}, {"1m2d", "30d", true}, {"4y", "1460d", true}, {"4y", "1461d", false},
		{"1y1m", "13m", true}, {"7y", "7y1d", false}, {"7y1d", "7y", true}, {"2192d", "6y", true}, {"2191d", "6y", false},
	} {
		p, err := ParsePeriod(c.p)
		if err != nil {
			t.Fatal(err)
		}
		q, err := ParsePeriod(c.q)
		if err != nil {
			t.Fatal(err)
		}
		asked := true
		for day := range days {
			asked = asked && !p.After(day).Before(q.After(day))
		}
		if got := p.atLeast(q); got != c.want || asked != c.want {
			t.Errorf("%s at least %s: %t, asked %t, want %t", p, q, got, asked, c.want)
		}
	}
	forever := Period{Forever: true}
	if !forever.atLeast(Period{Years: 200}) || (Period{Years: 200}).atLeast(forever) || !forever.atLeast(forever) {
		t.Error("for ever")
	}
}

// TestCalendar: atLeast counts the days that After gives.
func TestCalendar(t *testing.T) {
	for _, p := range []Period{{Months: 1}, {Years: 1}, {Months: 13, Days: 5}, {Years: 4}, {Days: 40}} {
		months := newCalendar(p.months())
		for begin := range 50 {
			for day := 1; day <= months.days(begin); day++ {
				want := p.After(date(2000, time.January+time.Month(begin), day)).Sub(date(2000, 1, 1)) / (24 * time.Hour)
				if got := months.end(begin, day, p); got != int(want) {
					t.Fatalf("%v from day %d of month %d: %d, want %d", p, day, begin, got, want)
				}
			}
		}
	}
}

// TestSlack: no two periods of about one mean length differ by more days than
// atLeast allows for before it asks the calendar.
func TestSlack(t *testing.T) {
	const most = 2 * maxYears * 12
	months := newCalendar(most)
	for n := 1; n <= most; n += 1 + n/60 {
		p := Period{Months: n}
		for begin := range cycleMonths {
			for _, day := range []int{1, months.days(begin)} {
				length := months.end(begin, day, p) - months[begin] - (day - 1)
				if stray := length*cycleMonths - p.usual(); stray > slack/2*cycleMonths || stray < -slack/2*cycleMonths {
					t.Fatalf("%v from month %d: %d days", p, begin, length)
				}
			}
		}
	}
}

func TestDue(t *testing.T) {
	received := date(2019, 3, 4)
	early, late := date(2019, 1, 1), date(2024, 6, 30)
	for _, c := range []struct {
		name    string
		trigger Trigger
		facts   Facts
		want    string // the day, or nothing
		why     string
	}{
		{"received", Received, Facts{Received: received}, "2026-03-04", "received 2019-03-04, kept 7 years"},
		{"received ignores the rest", Received, Facts{Received: received, Closed: &late, Departed: &late, Born: 2019}, "2026-03-04", "received 2019-03-04, kept 7 years"},
		{"closed", Closed, Facts{Received: received, Closed: &late}, "2031-06-30", "conversation closed 2024-06-30, kept 7 years"},
		{"closed before", Closed, Facts{Received: received, Closed: &early}, "2026-03-04", "received 2019-03-04, kept 7 years"},
		{"not closed", Closed, Facts{Received: received, Departed: &late}, "", "conversation not closed"},
		{"departed", Departed, Facts{Received: received, Departed: &late}, "2031-06-30", "last custodian departed 2024-06-30, kept 7 years"},
		{"departed before", Departed, Facts{Received: received, Departed: &early}, "2026-03-04", "received 2019-03-04, kept 7 years"},
		{"not departed", Departed, Facts{Received: received, Closed: &late}, "", "custodian not departed"},
		{"no such trigger", "sent", Facts{Received: received}, "", "trigger not known"},
	} {
		got := Class{Period: Period{Years: 7}, Trigger: c.trigger}.Due(c.facts)
		day := ""
		if got.Known {
			day = got.At.Format(time.DateOnly)
		}
		if day != c.want || got.Why != c.why || got.Known == got.At.IsZero() {
			t.Errorf("%s: %+v", c.name, got)
		}
		if forever := (Class{Period: Period{Forever: true}, Trigger: c.trigger}).Due(c.facts); forever.Known || forever.Why != "kept for ever" {
			t.Errorf("%s, for ever: %+v", c.name, forever)
		}
	}
}

// TestMinors: a message about a minor is kept until its subject is of age and
// the period after that, one about an adult for the period.
func TestMinors(t *testing.T) {
	received := date(2019, 3, 4)
	for _, c := range []struct {
		name        string
		born, adult int
		want, why   string
	}{
		{"newborn, 18", 2019, 18, "2045-01-01", "subject of age by 2038-01-01, kept 7 years"},
		{"newborn, no age stated", 2019, 0, "2045-01-01", "subject of age by 2038-01-01, kept 7 years"},
		{"newborn, Alabama", 2019, 19, "2046-01-01", "subject of age by 2039-01-01, kept 7 years"},
		{"newborn, Mississippi", 2019, 21, "2048-01-01", "subject of age by 2041-01-01, kept 7 years"},
		{"not yet born", 2020, 18, "2046-01-01", "subject of age by 2039-01-01, kept 7 years"},
		{"of age in the year of the message", 2001, 18, "2027-01-01", "subject of age by 2020-01-01, kept 7 years"},
		{"of age the year before", 2000, 18, "2026-03-04", "received 2019-03-04, kept 7 years"},
		{"the same in Alabama", 2000, 19, "2027-01-01", "subject of age by 2020-01-01, kept 7 years"},
		{"old", 1930, 18, "2026-03-04", "received 2019-03-04, kept 7 years"},
		{"as old as people get", 1889, 18, "2026-03-04", "received 2019-03-04, kept 7 years"},
		{"older than that", 1888, 18, "", "year of birth not plausible"},
		{"two digits", 19, 18, "", "year of birth not plausible"},
		{"in two years", 2021, 18, "", "year of birth not plausible"},
		{"far too much", 1 << 40, 18, "", "year of birth not plausible"},
		{"negative", -2019, 18, "", "year of birth not plausible"},
		{"not stated", 0, 18, "", "year of birth unknown"},
	} {
		got := Class{Period: Period{Years: 7}, Trigger: Majority, Adult: c.adult}.Due(Facts{Received: received, Born: c.born})
		day := ""
		if got.Known {
			day = got.At.Format(time.DateOnly)
		}
		if day != c.want || got.Why != c.why {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestNeverBeforeThePeriod: whatever the trigger, an entry is kept at least its
// class's period from when it was received.
func TestNeverBeforeThePeriod(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, f := drawClass(t, "c"), drawFacts(t)
		due := c.Due(f)
		if due.Known && (c.Period.Forever || due.At.Before(c.Period.After(f.Received))) || due.Why == "" || due.Known == due.At.IsZero() {
			t.Fatalf("%+v: %+v", f, due)
		}
		if !due.Known && strings.ContainsAny(due.Why, "0123456789") {
			t.Fatalf("%q", due.Why)
		}
	})
}
