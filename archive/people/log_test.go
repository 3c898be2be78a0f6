package people

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// tb is what testing and rapid have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// log appends entries to a history as the archive would hand them over.
type log struct {
	tb  tb
	h   *History
	seq uint64
	now time.Time
}

var monday = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

func begin(tb tb) *log { return &log{tb: tb, h: NewHistory(), now: monday} }

func (l *log) day(n int) time.Time { return monday.AddDate(0, 0, n) }

// at sets the received time of what comes.
func (l *log) at(t time.Time) *log {
	l.now = t
	return l
}

func (l *log) record(kind proof.Kind, body []byte) archive.Record {
	return archive.Record{Leaf: proof.Leaf{Seq: l.seq, Kind: kind, Class: proof.ClassControl, Received: l.now.UnixMilli()}, Body: body}
}

// try hands over an entry and reports what the history says of it.
func (l *log) try(e archive.Entry, err error) error {
	if err != nil {
		return err
	}
	if err := l.h.Apply(l.record(e.Kind, e.Body)); err != nil {
		return err
	}
	l.seq += 3 // other entries lie between
	return nil
}

func (l *log) do(changes ...Change) {
	l.tb.Helper()
	for _, c := range changes {
		if err := l.h.Check([]Change{c}); err != nil {
			l.tb.Fatalf("Check of %s: %v", c.Op, err)
		}
		if err := l.try(c.Entry()); err != nil {
			l.tb.Fatalf("%s: %v", c.Op, err)
		}
	}
}

func (l *log) match(matches ...MatchBody) {
	l.tb.Helper()
	for _, m := range matches {
		if err := l.try(m.Entry()); err != nil {
			l.tb.Fatalf("match: %v", err)
		}
	}
}

// state is everything that the history would answer, to see that nothing changed.
func (l *log) state() string {
	l.tb.Helper()
	out := []any{l.h.Snapshot(), l.h.All(true), l.h.Matches(), l.h.next, l.h.last, l.h.names, l.h.upns, l.h.mails, l.h.sids, l.h.usrs}
	for _, s := range l.h.All(true) {
		out = append(out, l.h.Versions(s.Person.GUID), l.h.Memberships(s.Person.GUID))
	}
	for _, usr := range l.h.matches {
		out = append(out, usr.undone)
	}
	b, err := json.Marshal(out)
	if err != nil {
		l.tb.Fatalf("%v", err)
	}
	return string(b)
}

// refuse hands over an entry that must be refused and change nothing.
func (l *log) refuse(e archive.Entry, err error) {
	l.tb.Helper()
	if err != nil {
		if !errors.Is(err, ErrInvalid) {
			l.tb.Errorf("Entry: %v", err)
		}
		return
	}
	l.refuseRecord(l.record(e.Kind, e.Body))
}

func (l *log) refuseRecord(rec archive.Record) {
	l.tb.Helper()
	before := l.state()
	if err := l.h.Apply(rec); !errors.Is(err, ErrInvalid) {
		l.tb.Errorf("Apply of %s: %v", rec.Body, err)
	}
	if l.state() != before {
		l.tb.Errorf("a refused entry changed something: %s", rec.Body)
	}
}

// id makes GUIDs: a letter for the sort of thing, and a number.
func id(sort byte, n int) GUID { return GUID(fmt.Sprintf("%08x-0000-4000-8000-%010x%02x", n, n, sort)) }

var (
	ann, bob, cid        = id('p', 1), id('p', 2), id('p', 3)
	nurses, staff, night = id('g', 1), id('g', 2), id('g', 3)
)

func someone(g GUID, name string) Person {
	return Person{GUID: g, Account: name, UPN: name + "@st.example", Mail: name + "@mail.example", Name: name + " Doe",
		Department: "ICU", DN: "CN=" + name + ",OU=ICU,DC=st,DC=example", SID: "S-1-5-21-1-2-3-" + fmt.Sprint(1000+len(name))}
}

func add(p Person) Change { return Change{Op: OpAdd, Person: &p} }

// change is what becomes of a person by edit, from what h knows now.
func (l *log) change(g GUID, edit func(*Person)) Change {
	l.tb.Helper()
	s, ok := l.h.Person(g, time.Time{})
	if !ok {
		l.tb.Fatalf("nobody to change")
	}
	was, is := s.Person, s.Person
	edit(&is)
	return Change{Op: OpChange, Person: &is, Was: &was, Fields: was.Differs(&is)}
}

func (l *log) depart(g GUID) Change {
	c := l.change(g, func(*Person) {})
	c.Op, c.Why = OpDepart, WhyMissing
	return c
}

func (l *log) back(g GUID, edit func(*Person)) Change {
	c := l.change(g, edit)
	c.Op = OpReturn
	return c
}

func addGroup(g GUID, name string, members ...GUID) Change {
	slices.Sort(members)
	return Change{Op: OpAdd, Group: &Group{GUID: g, Name: name, Account: name, DN: "CN=" + name + ",OU=Groups,DC=st,DC=example", Members: members}}
}

func (l *log) members(g GUID, added, removed []GUID) Change {
	is, ok, err := l.h.GroupNow(string(g))
	if !ok || err != nil {
		l.tb.Fatalf("no such group: %v", err)
	}
	slices.Sort(added)
	slices.Sort(removed)
	return Change{Op: OpChange, Group: &is, Added: added, Removed: removed}
}

var officer = role.Principal{Name: "Olga", Person: string(id('p', 99)), Via: role.ViaHTTPS}

func byHand(op Op, g GUID) Change {
	return Change{Op: op, Person: &Person{GUID: g}, By: officer, Reason: "lost badge"}
}

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	a, errA := json.Marshal(got)
	b, errB := json.Marshal(want)
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Errorf("%s:\n got %s\nwant %s", what, a, b)
	}
}
