package ldapsync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive/people"
)

// office is a world with a mapped group of p0 and p1.
type office struct {
	*world
	guids map[string]people.GUID // of p0 to p59, as they were at first
}

func officers(t *testing.T, change func(*Options)) *office {
	t.Helper()
	w := newWorld(t, func(o *Options) {
		o.Mapped = []string{"officers"}
		if change != nil {
			change(o)
		}
	}, staff(60)...)
	w.group("officers", "p0", "p1")
	w.sync()
	guids := map[string]people.GUID{}
	for i := range 60 {
		account := fmt.Sprintf("p%d", i)
		guids[account] = w.guid(account)
	}
	return &office{w, guids}
}

func (w *office) refused() *Report {
	w.t.Helper()
	r, err := w.s.Sync(w.t.Context())
	if !errors.Is(err, ErrRefused) {
		w.t.Fatal(err)
	}
	return r
}

// suspended are the accounts of those who are suspended.
func (w *office) suspended() string {
	var out []string
	for account, g := range w.guids {
		if w.s.Suspended(g) {
			out = append(out, account)
		}
	}
	return strings.Join(sorted(out), " ")
}

// TestSuspended: who is disabled or expired has no access while the diff that
// says so waits, and has it again once the directory says otherwise. Who is
// missing, or was taken out of a group, waits with the diff.
func TestSuspended(t *testing.T) {
	told := 0
	w := officers(t, func(o *Options) { o.Suspended = func(context.Context) { told++ } })
	want := func(who string, times int) {
		t.Helper()
		if got := w.suspended(); got != who || told != times {
			t.Errorf("suspended %q, told %d times; want %q, %d", got, told, who, times)
		}
		if st := w.s.Status(); st.Pending != nil && st.Pending.Suspended != len(strings.Fields(who)) {
			t.Errorf("the status tells of %d", st.Pending.Suspended)
		}
	}
	w.do(w.fake.RemoveMember("officers", "p0"), w.fake.Disable("p1"), w.fake.Delete("p5"))
	if r := w.refused(); r.Rails[0].Code != RailGroupEmpty {
		t.Fatalf("%+v", r.Rails)
	}
	want("p1", 1)
	w.refused()
	want("p1", 1)
	// What comes after the freeze counts, too.
	w.do(w.fake.Expire("p2", time.Now().Add(-time.Minute)))
	w.refused()
	want("p1 p2", 2)
	w.do(w.fake.Expire("p2", time.Time{}))
	w.refused()
	want("p1", 2)
	// Deleted after having been disabled is not back.
	w.do(w.fake.Delete("p1"))
	w.refused()
	want("p1", 2)
	w.do(w.fake.AddMember("officers", "p3"))
	w.sync()
	if st := w.standing(w.guids["p1"]); st.Status != people.StatusDeparted {
		t.Errorf("applied in the end, and %s", st.Status)
	}
	w.sync()
	want("", 2)
}

// TestSuspendedOutlivesLosses: a reading that loses too many suspends nobody,
// and lets nobody in again who was suspended before it.
func TestSuspendedOutlivesLosses(t *testing.T) {
	w := officers(t, nil)
	w.do(w.fake.Disable("p0"), w.fake.Disable("p1"))
	w.refused()
	for i := range 30 {
		w.do(w.fake.Disable(fmt.Sprintf("p%d", 10+i)))
	}
	if r := w.refused(); !slices.ContainsFunc(r.Rails, func(r Rail) bool { return r.Code == RailPeopleLoss }) {
		t.Fatalf("%+v", r.Rails)
	}
	if got := w.suspended(); got != "p0 p1" {
		t.Errorf("suspended %q", got)
	}
	w.do(w.fake.Enable("p0"))
	w.refused()
	if got := w.suspended(); got != "p1" {
		t.Errorf("suspended %q", got)
	}
}

// TestLossSuspendsNobody: each of the rails that a wrong reading runs into.
func TestLossSuspendsNobody(t *testing.T) {
	for _, rail := range []string{RailPeopleLoss, RailNoPeople, RailNoGroups, RailGroupLoss, RailGroupEmpty, RailGroupMissing, RailGroupOther, RailGroupUnclear} {
		w := newWorld(t, nil, staff(1)...)
		old, is := snapshot(1), snapshot(1)
		edit(is, 1, func(p *people.Person) { p.Disabled = true })
		r := &Report{Changes: Diff(old, is, noon), Rails: []Rail{{Code: RailGroupEmpty}, {Code: rail}}}
		w.s.suspend(t.Context(), r)
		loss := rail == RailPeopleLoss || rail == RailNoPeople || rail == RailNoGroups || rail == RailGroupLoss
		if w.s.Suspended(id(1)) == loss {
			t.Errorf("%s: suspended %v", rail, !loss)
		}
	}
}

// TestSuspendedWhileTheLogFails: a refusal that the log does not take suspends
// all the same, and so does a departure that it does not take.
func TestSuspendedWhileTheLogFails(t *testing.T) {
	for _, account := range []string{"p2", "p1"} { // without a rail, and with one
		w := officers(t, nil)
		w.do(w.fake.RemoveMember("officers", "p0"), w.fake.Disable(account))
		w.log.fault = func(int) (bool, error) { return false, errors.New("no space left") }
		if _, err := w.s.Sync(t.Context()); classOf(err) != ClassLog {
			t.Fatal(err)
		}
		if got := w.suspended(); got != account {
			t.Errorf("suspended %q, want %s", got, account)
		}
	}
}
