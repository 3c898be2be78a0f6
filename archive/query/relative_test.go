package query

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestRelative(t *testing.T) {
	at := func(s string, in *time.Location) time.Time {
		parsed, err := time.ParseInLocation("2006-01-02 15:04", s, in)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	madrid, havana, chicago := zone(t, "Europe/Madrid"), zone(t, "America/Havana"), zone(t, "America/Chicago")
	for _, tt := range []struct {
		now  string
		zone *time.Location
		in   string
		want string
	}{
		{"2026-03-11 15:00", time.UTC, `sent:today`, `sent=2026-03-11Z`},
		{"2026-03-11 15:00", time.UTC, `sent:Yesterday`, `sent=2026-03-10Z`},
		{"2026-03-11 15:00", time.UTC, `sent:"this week"`, `sent=2026-03-09Z..2026-03-15Z`},
		{"2026-03-09 00:00", time.UTC, `sent:"This  Week"`, `sent=2026-03-09Z..2026-03-15Z`},
		{"2026-03-15 23:59", time.UTC, `sent:"last week"`, `sent=2026-03-02Z..2026-03-08Z`},
		{"2026-03-31 15:00", time.UTC, `sent:"last month"`, `sent=2026-02-01Z..2026-02-28Z`},
		{"2026-01-31 15:00", time.UTC, `sent:"last month"`, `sent=2025-12-01Z..2025-12-31Z`},
		{"2026-12-31 15:00", time.UTC, `sent:"this month"`, `sent=2026-12-01Z..2026-12-31Z`},
		{"2026-03-11 15:00", time.UTC, `received:"this year" sent<"last year"`, `received=2026-01-01Z..2026-12-31Z AND sent<2025-01-01Z`},
		{"2026-03-11 15:00", time.UTC, `sent>"last month" OR sent>="last month" OR sent<="last month"`, `sent>2026-02-28Z OR sent>=2026-02-01Z OR sent<=2026-02-28Z`},
		{"2026-03-11 15:00", time.UTC, `sent:"last month".."yesterday"`, `sent=2026-02-01Z..2026-03-10Z`},
		// Madrid is an hour ahead of UTC in winter, and two from 29 March on.
		{"2026-03-29 12:00", madrid, `sent:today`, `sent=2026-03-28T23:00:00Z..2026-03-29T21:59:59Z`},
		{"2026-10-25 12:00", madrid, `sent:today`, `sent=2026-10-24T22:00:00Z..2026-10-25T22:59:59Z`},
		{"2026-04-11 12:00", madrid, `sent:"last month"`, `sent=2026-02-28T23:00:00Z..2026-03-31T21:59:59Z`},
		{"2026-03-29 00:30", madrid, `sent:today`, `sent=2026-03-28T23:00:00Z..2026-03-29T21:59:59Z`},
		{"2026-04-11 12:00", madrid, `sent:2026-07-01`, `sent=2026-06-30T22:00:00Z..2026-07-01T21:59:59Z`},
		{"2026-04-11 12:00", madrid, `sent<2026-07-01 OR sent>=2026-07-01`, `sent<2026-06-30T22:00:00Z OR sent>=2026-06-30T22:00:00Z`},
		{"2026-04-11 12:00", madrid, `sent<=2026-07-01 OR sent>2026-07-01`, `sent<=2026-07-01T21:59:59Z OR sent>2026-07-01T21:59:59Z`},
		{"2026-04-11 12:00", madrid, `sent:2026-03-28..2026-03-29`, `sent=2026-03-27T23:00:00Z..2026-03-29T21:59:59Z`},
		{"2026-04-11 12:00", madrid, `sent>=2026-07-01T00:00:00Z`, `sent>=2026-07-01T00:00:00Z`},
		{"2026-03-08 12:00", chicago, `sent:today`, `sent=2026-03-08T06:00:00Z..2026-03-09T04:59:59Z`},
		// Havana's clocks skip from midnight to one on 8 March, and show the hour
		// from midnight to one twice on 1 November.
		{"2026-03-08 12:00", havana, `sent:today`, `sent=2026-03-08T05:00:00Z..2026-03-09T03:59:59Z`},
		{"2026-03-07 12:00", havana, `sent:today`, `sent=2026-03-07T05:00:00Z..2026-03-08T04:59:59Z`},
		{"2026-11-01 12:00", havana, `sent:today`, `sent=2026-11-01T04:00:00Z..2026-11-02T04:59:59Z`},
		{"2026-10-31 12:00", havana, `sent:today`, `sent=2026-10-31T04:00:00Z..2026-11-01T03:59:59Z`},
		// London's winter days are those of UTC.
		{"2026-01-11 12:00", zone(t, "Europe/London"), `sent:today`, `sent=2026-01-11Z`},
	} {
		q, err := ParseIn(Reading{Now: at(tt.now, tt.zone), Zone: tt.zone}, tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if got := q.String(); got != tt.want {
			t.Errorf("%s at %s in %s: %s, want %s", tt.in, tt.now, tt.zone, got, tt.want)
		}
	}
	for _, tt := range []struct{ zone, day, begins string }{
		{"America/Toronto", "1919-03-31", "1919-03-31T04:30:00Z"},  // half past eleven was followed by half past midnight
		{"America/St_Johns", "2006-10-29", "2006-10-29T02:30:00Z"}, // a minute past midnight was followed by a minute past eleven
		{"Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"},     // the 30th never was
	} {
		q, err := ParseIn(Reading{Zone: zone(t, tt.zone)}, "sent>="+tt.day)
		if err != nil || q.String() != "sent>="+tt.begins {
			t.Errorf("%s in %s: %s, %v; it began at %s", tt.day, tt.zone, q, err, tt.begins)
		}
	}
	if q, err := ParseIn(Reading{Zone: zone(t, "Pacific/Apia")}, "sent=2011-12-30"); err == nil {
		t.Errorf("a day that never was is read as %s", q)
	}
	for _, in := range []string{`sent>=0002-01-01`, `sent<=0002-01-01`} {
		var syntax *SyntaxError
		if _, err := ParseIn(Reading{Zone: zone(t, "Asia/Tokyo")}, in); !errors.As(err, &syntax) && in == `sent>=0002-01-01` {
			t.Errorf("%s begins in a year that cannot be written: %v", in, err)
		}
	}
}

// A day begins with the first instant of which a calendar on the wall says so.
func TestDayBegins(t *testing.T) {
	zones := []*time.Location{zone(t, "Europe/Madrid"), zone(t, "America/Havana"), zone(t, "Australia/Lord_Howe"), zone(t, "America/Sao_Paulo"), zone(t, "Africa/Cairo"), zone(t, "Asia/Beirut"), time.UTC}
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SampledFrom(zones).Draw(t, "zone")
		d := date{2026 - rapid.IntRange(0, 20).Draw(t, "years ago"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")), rapid.IntRange(1, 28).Draw(t, "day")}
		start := d.begins(in)
		year, month, day := start.In(in).Date()
		before := start.Add(-time.Nanosecond).In(in)
		if (date{year, month, day}) != d || before.YearDay() == start.In(in).YearDay() {
			t.Fatalf("%v in %s begins at %s, before it is %s", d, in, start.In(in), before)
		}
	})
}
