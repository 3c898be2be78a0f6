package audit

import (
	"slices"
	"time"

	"holdfast/internal/role"
)

// Watch says what is usual at the site.
type Watch struct {
	Location *time.Location // the site's time zone; nil is UTC
	From, To int            // working hours, minutes of the local day, From inclusive; From > To spans midnight, equal ones are the whole day
	Days     []time.Weekday // working days
	Volume   uint64         // entries that one principal may be shown in a local day; 0 is no limit
}

// The flags, in the order in which they are given.
const (
	FlagOutOfHours  = "out-of-hours"
	FlagVolume      = "volume"       // the principal was shown more than Volume entries that day
	FlagColleagues  = "colleagues"   // messages of the principal's own department were among what was shown
	FlagOwnMessages = "own-messages" // the principal's own messages were
	FlagUnfinished  = "unfinished"   // a look without an outcome
)

// Flags says what is unusual about an access. Each flag asks a person to look,
// and says nothing about whether there was a good reason.
//
// The volume is judged by i.DayShown, which List and the reports fill in.
func Flags(i Item, w Watch) []string {
	var flags []string
	add := func(flag string, is bool) {
		if is {
			flags = append(flags, flag)
		}
	}
	add(FlagOutOfHours, byPerson(&i.Access) && !w.usual(i.Received))
	if o := i.Outcome; o != nil {
		add(FlagVolume, w.Volume > 0 && i.Access.Action.Reads() && o.Shown > 0 && i.DayShown > w.Volume)
		add(FlagColleagues, o.Colleagues > 0)
		add(FlagOwnMessages, o.Own)
	}
	add(FlagUnfinished, i.Outcome == nil && i.Access.Action.Looks())
	return flags
}

// byPerson reports whether somebody chose the moment of an access.
func byPerson(a *Access) bool {
	return a.Action != ActionSessionEnd && a.Principal.Via != role.ViaDaemon
}

// usual reports whether t lies in the working hours of a working day. Hours are
// those that the site's clocks show: across a change of summer time the day
// keeps its hours.
func (w *Watch) usual(t time.Time) bool {
	t = t.In(w.location())
	if !slices.Contains(w.Days, t.Weekday()) {
		return false
	}
	m := t.Hour()*60 + t.Minute()
	switch {
	case w.From < w.To:
		return w.From <= m && m < w.To
	case w.From > w.To:
		return m >= w.From || m < w.To
	}
	return true
}

func (w *Watch) location() *time.Location {
	if w.Location == nil {
		return time.UTC
	}
	return w.Location
}

// day names the local day of t.
func (w *Watch) day(t time.Time) string { return t.In(w.location()).Format(time.DateOnly) }
