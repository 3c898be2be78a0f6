package schedule

import "time"

// DefaultAdult is the age of majority where a class states none, in years.
const DefaultAdult = 18

// Years of birth that can be meant by a message received in a year: farther
// back or ahead, the number is a slip (a year of two digits, say) and tells
// nothing. Ahead, because a message may be about a child not yet born.
const (
	bornBefore = 130
	bornAhead  = 1
)

// Facts are what the triggers ask about an entry.
type Facts struct {
	Received time.Time
	Closed   *time.Time // of its conversation; nil: it is open, or there is none
	Departed *time.Time // of the last of sender and recipients; nil: somebody has not, or is not known
	Born     int        // the subject's year of birth; 0 unknown
}

// Due says when an entry is due to go.
type Due struct {
	At    time.Time // zero unless Known
	Known bool      // false: what the period begins with has not come, or is not known
	Why   string    // for people, free of content
}

// Due says when an entry of the class is due. It is never earlier than the
// class's period after the entry was received, whatever the trigger.
func (c Class) Due(f Facts) Due {
	if c.Period.Forever {
		return Due{Why: "kept for ever"}
	}
	from, event, missing := f.Received, "", ""
	switch c.Trigger {
	case Received:
	case Closed:
		from, event, missing = at(f.Closed, "conversation closed", "conversation not closed")
	case Departed:
		from, event, missing = at(f.Departed, "last custodian departed", "custodian not departed")
	case Majority:
		from, event, missing = c.majority(f)
	default:
		missing = "trigger not known"
	}
	if missing != "" {
		return Due{Why: missing}
	}
	// The later of the two ends, not the end that follows the later beginning:
	// where a month is short, these can be hours apart.
	due, received := c.Period.After(from), c.Period.After(f.Received)
	if event == "" || due.Before(received) {
		return Due{At: received, Known: true, Why: c.why("received", f.Received)}
	}
	return Due{At: due, Known: true, Why: c.why(event, from)}
}

// at gives the time of an event and its name, or what is missing.
func at(t *time.Time, name, not string) (from time.Time, event, missing string) {
	if t == nil {
		return time.Time{}, "", not
	}
	return *t, name, ""
}

// majority gives the beginning of the year after the one in which the subject
// comes of age. The day of birth is not known, so it is taken to be the last
// of its year.
func (c Class) majority(f Facts) (from time.Time, event, missing string) {
	year := f.Received.UTC().Year()
	switch {
	case f.Born == 0:
		return time.Time{}, "", "year of birth unknown"
	case f.Born < year-bornBefore || f.Born > year+bornAhead:
		return time.Time{}, "", "year of birth not plausible"
	}
	return time.Date(f.Born+c.adult()+1, time.January, 1, 0, 0, 0, 0, time.UTC), "subject of age by", ""
}

// adult is the age of majority, in years.
func (c Class) adult() int {
	if c.Adult == 0 {
		return DefaultAdult
	}
	return c.Adult
}

// why says what the period began with. A plan asks for millions of entries, so
// it takes one allocation.
func (c Class) why(event string, from time.Time) string {
	b := append(append(make([]byte, 0, 96), event...), ' ')
	b = append(from.UTC().AppendFormat(b, time.DateOnly), ", kept "...)
	return string(c.Period.appendWords(b))
}
