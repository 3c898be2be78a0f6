package retention

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/retention/schedule"
)

// whyDamage is the reason that keeps a class-month of which an entry cannot
// be read: what it says, and so whether it is held, is not known.
const whyDamage = "damage"

// fact is what a decision about one entry rests on.
type fact struct {
	seq   uint64
	class string // the one that counts
	kind  proof.Kind
	bytes uint64
	due   schedule.Due
	cut   time.Time // when its month, of a class that is cut off yearly its year, is over
	held  func() []HeldBy

	attached bool // it has attachments
}

// ruling is the decision about one entry.
type ruling struct {
	goes bool
	held []HeldBy   // what keeps it although it is due
	at   *time.Time // when it becomes due, if that is known and not yet
	why  string     // free of content
}

// decide says whether an entry may go as of a time. Holds are asked only about
// what would go otherwise; an entry about which nothing is known stays.
func decide(kind PlanKind, asOf time.Time, f *fact) ruling {
	if f.class == proof.ClassControl || f.kind == proof.KindGenesis {
		return ruling{why: "class control is never disposed of"}
	}
	switch kind {
	case PlanErase:
	case PlanCutoff:
		if !f.due.Known {
			return ruling{why: f.due.Why}
		}
		at := f.due.At
		if at.Before(f.cut) {
			at = f.cut
		}
		if asOf.Before(at) {
			return ruling{at: &at, why: f.due.Why}
		}
	default:
		return ruling{why: "a plan of this kind destroys nothing"}
	}
	if held := f.held(); len(held) > 0 {
		return ruling{held: held, why: "held"}
	}
	return ruling{goes: true, why: f.due.Why}
}

// cutoff returns when the period in which something was received is over: the
// month, or the year of a class that is cut off yearly, in UTC.
func cutoff(received time.Time, yearly bool) time.Time {
	y, m, _ := received.UTC().Date()
	if yearly {
		return time.Date(y+1, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
}

// monthOf reads YYYY-MM.
func monthOf(month string) (start, end time.Time, err error) {
	start, err = time.Parse("2006-01", month)
	if err != nil || start.Format("2006-01") != month {
		return time.Time{}, time.Time{}, fmt.Errorf("%q is not a month; write it as 2026-01", month)
	}
	return start, start.AddDate(0, 1, 0), nil
}

// tally adds the rulings on one class-month's entries up to its line.
type tally struct {
	line    PlanLine
	spans   spans
	joined  bool // nothing that stays came since the last one that goes
	back    map[HeldBy]uint64
	damaged uint64

	disposed uint64 // that were disposed of before
	attached bool   // one of them has attachments
}

func newTally(cm archive.ClassMonth) *tally {
	return &tally{line: PlanLine{Class: cm.Class, Month: cm.Month}, back: map[HeldBy]uint64{}}
}

// gap notes an entry of the class-month that is not looked at: it was disposed
// of before.
func (t *tally) gap() { t.joined = false }

// damage notes an entry that could not be read.
func (t *tally) damage() {
	t.line.Due++
	t.damaged++
	t.joined = false
}

func (t *tally) add(f *fact, r ruling) {
	t.attached = t.attached || f.attached
	if r.goes {
		t.spans.add(f.seq, t.joined)
		t.joined = true
		if t.line.Entries == 0 {
			t.line.First = f.seq
		}
		t.line.Entries++
		t.line.Due++
		t.line.Bytes += f.bytes
		t.line.Last = f.seq
		return
	}
	t.joined = false
	if len(r.held) > 0 {
		t.line.Due++
		for _, h := range r.held {
			t.back[h]++
		}
		return
	}
	t.line.NotDue++
	if r.at != nil && (t.line.NextDue == nil || r.at.Before(*t.line.NextDue)) {
		t.line.NextDue = r.at
	}
}

// close returns the line. One entry that cannot be read keeps all of them.
func (t *tally) close(why string) (PlanLine, spans) {
	l, s := t.line, t.spans
	for h, n := range t.back {
		l.HeldBack = append(l.HeldBack, HeldBack{Hold: h.Hold, Matter: h.Matter, Why: h.Why, Entries: n})
	}
	slices.SortFunc(l.HeldBack, func(a, b HeldBack) int {
		return cmp.Or(cmp.Compare(a.Hold, b.Hold), cmp.Compare(a.Why, b.Why))
	})
	l.Why = why
	if t.damaged > 0 {
		l.HeldBack = append(l.HeldBack, HeldBack{Why: whyDamage, Entries: l.Entries + t.damaged})
		l.Entries, l.Bytes, l.First, l.Last, s = 0, 0, 0, 0, nil
		l.Why = fmt.Sprintf("%d entries cannot be read; have the archive checked and repaired before anything of this month goes", t.damaged)
	}
	return l, s
}

func sortLines(lines []planLineBody) {
	slices.SortFunc(lines, func(a, b planLineBody) int {
		return cmp.Or(cmp.Compare(a.Month, b.Month), cmp.Compare(a.Class, b.Class))
	})
}
