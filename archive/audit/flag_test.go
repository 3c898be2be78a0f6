package audit

import (
	"slices"
	"testing"
	"time"

	"holdfast/internal/role"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

var weekdays = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}

// The hours are those of the site's clocks, before, between and after the
// changes of summer time.
func TestOutOfHours(t *testing.T) {
	day := Watch{Location: zone(t, "America/New_York"), From: 7 * 60, To: 19 * 60, Days: weekdays}
	night := Watch{Location: zone(t, "America/New_York"), From: 19 * 60, To: 7 * 60, Days: weekdays}
	always := Watch{Days: weekdays}
	tests := []struct {
		at               string // UTC
		day, night, full bool   // usual by each
	}{
		{"2026-03-06T11:59:59Z", false, true, true},  // Friday before summer time: 06:59:59
		{"2026-03-06T12:00:00Z", true, false, true},  // 07:00
		{"2026-03-06T23:59:59Z", true, false, true},  // 18:59:59
		{"2026-03-07T00:00:00Z", false, true, false}, // 19:00 on Friday, Saturday in UTC
		{"2026-03-07T15:00:00Z", false, false, false},
		{"2026-03-08T15:00:00Z", false, false, false}, // Sunday of the change
		{"2026-03-09T10:59:59Z", false, true, true},   // Monday in summer time: 06:59:59
		{"2026-03-09T11:00:00Z", true, false, true},   // 07:00
		{"2026-03-09T11:59:59Z", true, false, true},
		{"2026-10-30T11:00:00Z", true, false, true},  // Friday, still summer: 07:00
		{"2026-11-02T11:00:00Z", false, true, true},  // Monday after: 06:00
		{"2026-11-02T12:00:00Z", true, false, true},  // 07:00
		{"2026-11-02T04:30:00Z", false, false, true}, // Sunday 23:30 at the site
	}
	for _, tt := range tests {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		i := Item{Received: at, Access: access(ActionLogin, "jdoe")}
		for name, c := range map[string]struct {
			w    Watch
			want bool
		}{"day": {day, tt.day}, "night": {night, tt.night}, "always": {always, tt.full}} {
			if got := !slices.Contains(Flags(i, c.w), FlagOutOfHours); got != c.want {
				t.Errorf("%s at %s (%s): usual %v; want %v", name, tt.at, at.In(c.w.location()).Format(time.RFC1123), got, c.want)
			}
		}
	}
}

func TestFlags(t *testing.T) {
	w := Watch{From: 0, To: 24 * 60, Days: []time.Weekday{time.Sunday, time.Monday}, Volume: 100}
	sunday := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	daemon := access(ActionSearch, "")
	daemon.Principal = role.Daemon()
	tests := map[string]struct {
		i    Item
		want []string
	}{
		"usual":                  {Item{Received: sunday, Access: access(ActionShow, "a"), Outcome: &Outcome{Shown: 100}, DayShown: 100}, nil},
		"unfinished":             {Item{Received: sunday, Access: access(ActionShow, "a")}, []string{FlagUnfinished}},
		"unfinished audit":       {Item{Received: sunday, Access: access(ActionAudit, "a")}, []string{FlagUnfinished}},
		"unfinished report":      {Item{Received: sunday, Access: access(ActionReport, "a")}, []string{FlagUnfinished}},
		"a login has no outcome": {Item{Received: sunday, Access: access(ActionLogin, "a")}, nil},
		"a refusal neither":      {Item{Received: sunday, Access: access(ActionRefused, "a")}, nil},
		"volume":                 {Item{Received: sunday, Access: access(ActionShow, "a"), Outcome: &Outcome{Shown: 1}, DayShown: 101}, []string{FlagVolume}},
		"volume, showed nothing": {Item{Received: sunday, Access: access(ActionShow, "a"), Outcome: &Outcome{}, DayShown: 101}, nil},
		"volume of the audit":    {Item{Received: sunday, Access: access(ActionAudit, "a"), Outcome: &Outcome{Shown: 500}, DayShown: 101}, nil},
		"own":                    {Item{Received: sunday, Access: access(ActionShow, "a"), Outcome: &Outcome{Own: true}}, []string{FlagOwnMessages}},
		"colleagues":             {Item{Received: sunday, Access: access(ActionShow, "a"), Outcome: &Outcome{Colleagues: 3}}, []string{FlagColleagues}},
		"all": {Item{Received: sunday.AddDate(0, 0, 2), Access: access(ActionShow, "a"), DayShown: 101, Outcome: &Outcome{Shown: 1, Own: true, Colleagues: 1}},
			[]string{FlagOutOfHours, FlagVolume, FlagColleagues, FlagOwnMessages}},
		"a session that ended":   {Item{Received: sunday.AddDate(0, 0, 2), Access: access(ActionSessionEnd, "a")}, nil},
		"the daemon at night":    {Item{Received: sunday.AddDate(0, 0, 2), Access: daemon, Outcome: &Outcome{}}, nil},
		"a break-glass at night": {Item{Received: sunday.AddDate(0, 0, 2), Access: access(ActionBreakGlass, "a")}, []string{FlagOutOfHours}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Flags(tt.i, w); !slices.Equal(got, tt.want) {
				t.Errorf("%v; want %v", got, tt.want)
			}
		})
	}
	w.Volume = 0
	if got := Flags(Item{Received: sunday, Access: access(ActionShow, "a"), Outcome: &Outcome{Shown: 1}, DayShown: 1 << 50}, w); got != nil {
		t.Errorf("without a limit: %v", got)
	}
}
