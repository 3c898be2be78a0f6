package retention

import (
	"errors"
	"strings"
	"testing"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/people"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/retention/hold"
	"holdfast/retention/schedule"
)

const plainSchedule = `version = 1
otherwise = "general"

[[class]]
name = "general"
period = "7y"
trigger = "received"

[[class]]
name = "patient"
period = "10y"
trigger = "majority"

[[class]]
name = "staff"
period = "2y"
trigger = "departed"

[[class]]
name = "case"
period = "1y"
trigger = "closed"

[[rule]]
name = "patients"
class = "patient"
conversation = ["patient"]

[[rule]]
name = "nurses"
class = "staff"
sender = ["nurses"]
over = ["cases", "patients"]

[[rule]]
name = "cases"
class = "case"
label = ["case"]
over = ["patients"]
`

var scheduleMessage = schedule.Message{Type: envelope.TypMsg, Conversation: "group", Senders: []string{"nurses"}}

// group makes the group that plainSchedule names.
func (w *world) group() {
	w.tb.Helper()
	w.change(people.Change{Op: people.OpAdd, Group: &people.Group{GUID: nurses, Name: "nurses"}})
}

func (w *world) apply(text string) *Applied {
	w.tb.Helper()
	a, err := w.book.ApplySchedule(w.ctx(), officer, []byte(text), "policy", false)
	w.no(err)
	return a
}

func TestAWiderScheduleCountsAtOnceANarrowerOneTakesTwo(t *testing.T) {
	inTime(t, func(w *world) {
		w.group()
		if d, seq := w.book.Classify(scheduleMessage); d.Class != proof.ClassGeneral || d.Rule != "" || seq != 0 {
			t.Errorf("before the first: %+v %d", d, seq)
		}
		dry, err := w.book.ApplySchedule(w.ctx(), officer, []byte(plainSchedule), "", true)
		w.no(err)
		if s, seq, _ := w.book.Schedule(); s != nil || seq != 0 || dry.Seq != 0 || dry.Narrows || len(dry.Changes) == 0 {
			t.Errorf("a dry run: %+v", dry)
		}
		first := w.apply(plainSchedule)
		if first.Seq == 0 || first.Narrows || first.Request != 0 || first.Groups["nurses"] != string(nurses) {
			t.Errorf("first: %+v", first)
		}
		if d, seq := w.book.Classify(scheduleMessage); d.Class != "staff" || d.Rule != "nurses" || seq != first.Seq {
			t.Errorf("classified: %+v %d", d, seq)
		}
		wide := strings.Replace(plainSchedule, `"7y"`, `"8y"`, 1)
		if a := w.apply(wide); a.Seq == 0 || a.Narrows {
			t.Errorf("widening: %+v", a)
		}
		narrow := w.apply(plainSchedule)
		if s, _, text := w.book.Schedule(); !narrow.Narrows || narrow.Seq != 0 || narrow.Request == 0 || string(text) != wide || s == nil {
			t.Errorf("narrowing: %+v", narrow)
		}
		if _, err := w.book.ApplyApproved(w.ctx(), officer, []byte(plainSchedule), narrow.Request); !errors.Is(err, errNotApproved) {
			t.Errorf("one person narrowed: %v", err)
		}
		w.approve(narrow.Request)
		if _, err := w.book.ApplyApproved(w.ctx(), officer, []byte(strings.Replace(plainSchedule, `"7y"`, `"6y"`, 1)), narrow.Request); err == nil {
			t.Error("another one was applied than was approved")
		}
		done, err := w.book.ApplyApproved(w.ctx(), officer, []byte(plainSchedule), narrow.Request)
		w.no(err)
		w.reopen()
		if _, seq, text := w.book.Schedule(); string(text) != plainSchedule || seq != done.Seq || w.book.ScheduleGroups()["nurses"] != string(nurses) {
			t.Errorf("in force: %d, applied %+v", seq, done)
		}
		if len(w.book.Faults()) != 0 {
			t.Error(w.book.Faults())
		}
	})
}

func TestAnEntryAloneNarrowsNothing(t *testing.T) {
	inTime(t, func(w *world) {
		w.group()
		a := w.apply(plainSchedule)
		short := strings.Replace(plainSchedule, `"7y"`, `"1d"`, 1)
		for _, body := range []scheduleBody{
			{Version: 1, Text: short, Previous: a.Seq, Narrows: true, By: officer},
			{Version: 1, Text: short, Previous: a.Seq, Narrows: true, Request: 3, By: officer},
			{Version: 1, Text: plainSchedule, Previous: 1, By: officer},
		} {
			e, err := entry(proof.KindSchedule, body)
			w.no(err)
			w.append(e)
			if _, seq, _ := w.book.Schedule(); seq != a.Seq {
				t.Errorf("%+v came into force", body)
			}
		}
		if f := w.book.Faults(); len(f) != 3 {
			t.Error(f)
		}
	})
}

// A schedule that a newer version wrote, and this one cannot read, leaves
// nothing due by the one before.
func TestNothingIsDueByAScheduleThatCannotBeRead(t *testing.T) {
	inTime(t, func(w *world) {
		w.group()
		a := w.apply(plainSchedule)
		m := w.say(msg{})
		if s := w.standing(m.seq); s.DisposeAfter == nil {
			t.Error("not due under the first")
		}
		e, err := entry(proof.KindSchedule, scheduleBody{Version: 1, Text: "version = 9\n", Previous: a.Seq, By: officer})
		w.no(err)
		w.append(e)
		if s := w.standing(m.seq); s.DisposeAfter != nil || len(w.book.Faults()) != 1 {
			t.Errorf("%+v", s)
		}
		// From there any other is a narrowing: what it replaces is not known.
		if a := w.apply(plainSchedule); !a.Narrows || a.Request == 0 {
			t.Errorf("%+v", a)
		}
	})
}

func TestSchedulesThatAreRefused(t *testing.T) {
	inTime(t, func(w *world) {
		refuse := func(what, text string) {
			t.Helper()
			if _, err := w.book.ApplySchedule(w.ctx(), officer, []byte(text), "r", false); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", what, err)
			}
		}
		refuse("a group that the directory does not have", plainSchedule)
		w.group()
		refuse("nonsense", "version = ")
		w.apply(plainSchedule)
		refuse("the same again", plainSchedule)
		w.say(msg{class: "case"})
		without := strings.NewReplacer("[[class]]\nname = \"case\"\nperiod = \"1y\"\ntrigger = \"closed\"\n", "",
			"[[rule]]\nname = \"cases\"\nclass = \"case\"\nlabel = [\"case\"]\nover = [\"patients\"]\n", "", `over = ["cases", "patients"]`, `over = ["patients"]`).Replace(plainSchedule)
		if _, err := schedule.Parse([]byte(without)); err != nil {
			t.Fatal(err)
		}
		refuse("without a class that entries have", without)
		w.book.disposal.reclass = map[uint64]string{1: "staff"}
		refuse("without a class that entries were given", strings.NewReplacer("[[class]]\nname = \"staff\"\nperiod = \"2y\"\ntrigger = \"departed\"\n", "",
			`class = "staff"`, `class = "patient"`).Replace(plainSchedule))
		// A name that means another group now may bring messages into another class.
		w.change(people.Change{Op: people.OpRemove, Group: &people.Group{GUID: nurses}})
		w.change(people.Change{Op: people.OpAdd, Group: &people.Group{GUID: "00000000-0000-0000-0000-0000000000f2", Name: "nurses"}})
		if a := w.apply(plainSchedule); !a.Narrows || len(a.Changes) != 1 || a.Changes[0].What != "group" {
			t.Errorf("%+v", a)
		}
	})
}

func (w *world) standing(seq uint64) *Standing {
	w.tb.Helper()
	rec, err := w.archive.Record(w.ctx(), seq)
	w.no(err)
	s, err := w.book.Standing(w.ctx(), rec)
	w.no(err)
	return s
}

func TestWhenAnEntryIsDue(t *testing.T) {
	inTime(t, func(w *world) {
		w.group()
		w.person(ann, "ann")
		w.person(bob, "bob")
		w.match("ann", ann)
		w.match("bob", bob)
		w.apply(plainSchedule)
		at := time.Now().UTC()
		check := func(what string, seq uint64, want time.Time) {
			t.Helper()
			w.settle()
			s := w.standing(seq)
			if want.IsZero() != (s.DisposeAfter == nil) || s.DisposeAfter != nil && !s.DisposeAfter.Equal(want) {
				t.Errorf("%s: due %v (%s), want %v", what, s.DisposeAfter, s.Why, want)
			}
		}
		never := time.Time{}
		check("general", w.say(msg{}).seq, at.AddDate(7, 0, 0))
		child := w.say(msg{class: "patient", born: 1998})
		check("a minor", child.seq, time.Date(1998+19+10, 1, 1, 0, 0, 0, 0, time.UTC))
		check("its receipt", w.say(msg{class: "patient", typ: envelope.TypReceipt, from: "bob", of: child}).seq, time.Date(1998+19+10, 1, 1, 0, 0, 0, 0, time.UTC))
		check("of unknown birth", w.say(msg{class: "patient"}).seq, never)
		m := w.say(msg{class: "staff"})
		edit := w.say(msg{class: "staff", typ: envelope.TypEdit, of: m})
		check("before anybody departed", m.seq, never)
		gone := people.Person{GUID: ann, Account: "ann", Name: "ann"}
		w.change(people.Change{Op: people.OpDepart, Person: &gone, Why: people.WhyMissing})
		check("when one has departed", m.seq, never)
		pass(day)
		gone = people.Person{GUID: bob, Account: "bob", Name: "bob"}
		w.change(people.Change{Op: people.OpDepart, Person: &gone, Why: people.WhyMissing})
		check("when the last has", m.seq, at.Add(day).AddDate(2, 0, 0))
		check("its edit, which names nobody", edit.seq, at.Add(day).AddDate(2, 0, 0))
		check("to somebody unknown", w.say(msg{class: "staff", to: []string{"guest"}}).seq, never)
		c := w.say(msg{class: "case", conv: "c1"})
		receipt := w.say(msg{class: "case", typ: envelope.TypReceipt, from: "bob", of: c})
		check("an open case", c.seq, never)
		pass(day)
		closed := time.Now().UTC()
		w.say(msg{class: "case", typ: envelope.TypClose, conv: "c1"})
		check("a closed case", c.seq, closed.AddDate(1, 0, 0))
		check("its receipt, of no conversation", receipt.seq, closed.AddDate(1, 0, 0))
		w.say(msg{class: "case", conv: "c1"})
		check("a case that goes on", c.seq, never)
		orphan := w.say(msg{class: "case", typ: envelope.TypReceipt, from: "bob", of: &said{dev: "d", mid: child.mid, digest: w.strange()}})
		check("about what is not there", orphan.seq, closed.AddDate(1, 0, 0))
		access, _ := w.look(audit.Access{Action: audit.ActionLogin}, nil)
		check("who looked", access, never)
		check("the archive's own", 0, never)
		check("of a class that the schedule has not", w.say(msg{class: "other"}).seq, never)
	})
}

// strange is the digest of a message that never came.
func (w *world) strange() string {
	_, s := w.message(msg{from: "ann", to: []string{"bob"}})
	w.relaySeq--
	return s.digest
}

// Hold beats schedule: what is due says so, and is held.
func TestAHoldSaysNothingOfWhenAnEntryIsDue(t *testing.T) {
	inTime(t, func(w *world) {
		w.group()
		w.apply(strings.Replace(plainSchedule, `"7y"`, `"1d"`, 1))
		w.matter()
		m := w.say(msg{})
		h := w.place(hold.Scope{All: true})
		pass(2 * day)
		s := w.standing(m.seq)
		if s.DisposeAfter == nil || s.DisposeAfter.After(time.Now()) || len(s.HeldBy) != 1 || s.HeldBy[0].Hold != h || s.HeldBy[0].Matter != "M" {
			t.Errorf("%+v", s)
		}
		p, err := w.book.PreviewRelease(w.ctx(), h, nil)
		w.no(err)
		if p.Entries != 1 || p.DueNow != 1 || p.ClassMonths[0] != (PreviewMonth{Class: "general", Month: "2000-01", Entries: 1, Due: 1}) {
			t.Errorf("%+v", p)
		}
	})
}
