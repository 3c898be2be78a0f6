package hold

import (
	"testing"
	"time"

	"holdfast/archive/proof"
)

// What was received at a time that nobody is sure of is in every range that it
// may be in.
func TestAnUnsureTimeIsInEveryRangeThatItMayBeIn(t *testing.T) {
	day := func(n int) *time.Time { return new(time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC)) }
	for _, c := range []struct {
		from, to *time.Time
		known    bool // held as a message
		unknown  bool // held as quarantine
	}{
		{nil, nil, true, true},
		{day(5), nil, true, true},
		{day(8), nil, true, true},
		{day(9), nil, false, false},
		{nil, day(2), false, true},
		{nil, day(3), true, true},
		{day(4), day(5), true, true},
		{day(9), day(10), false, false},
		{day(1), day(2), false, true},
	} {
		m, err := Compile("M", Scope{All: true, From: c.from, To: c.to}, staff, nil)
		if err != nil {
			t.Fatal(err)
		}
		e := &Entry{Kind: proof.KindMessage, Received: *day(2), Latest: *day(8)}
		if _, held := m.Covers(e); held != c.known {
			t.Errorf("[%v, %v): a message is held: %v", c.from, c.to, held)
		}
		e.Unknown = true
		if _, held := m.Covers(e); held != c.unknown {
			t.Errorf("[%v, %v): quarantine is held: %v", c.from, c.to, held)
		}
	}
}
