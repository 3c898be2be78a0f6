package ingest

import (
	"testing"

	"holdfast/ingest/envelope"
)

// Each run of missing numbers is one hole; what comes late fills it, what was
// disposed of is none.
func TestTailGaps(t *testing.T) {
	const msg = envelope.TypMsg
	l := newTailLog(t)
	tails := NewTails(l)
	holes := func(want uint64) {
		t.Helper()
		check(t, tails.CatchUp(t.Context(), uint64(len(l.records))))
		if got := tails.Gaps(); got != want || tails.Through() != uint64(len(l.records)) {
			t.Errorf("%d holes, want %d; through %d of %d", got, want, tails.Through(), len(l.records))
		}
	}
	holes(0)
	l.say("d", msg, 1)
	l.say("d", msg, 2)
	holes(0)
	l.say("d", msg, 5)
	l.say("d", msg, 6)
	holes(1)
	l.say("d", msg, 9)
	holes(2)
	l.say("e", msg, 3)
	holes(3)
	l.say("d", msg, 7)
	l.say("d", msg, 8)
	holes(2)
	l.say("d", msg, 3)
	holes(2)
	l.say("d", msg, 4)
	holes(1)
	l.say("d", msg, 4) // stands for two messages
	holes(2)
	gone := l.say("f", msg, 1)
	l.dispose(gone)
	l.say("f", msg, 2)
	holes(2)
}
