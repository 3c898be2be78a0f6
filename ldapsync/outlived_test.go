package ldapsync

import (
	"errors"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/people"
	"holdfast/internal/adtest"
)

// TestFailureNamesNobody: what a domain controller says of a failure may quote
// names and is not shown.
func TestFailureNamesNobody(t *testing.T) {
	behind := errors.New("CN=Jane Doe,OU=Staff,DC=hospital,DC=test: no such object")
	for class := range fixes {
		f := &Failure{Class: class, Code: 32, What: "search", Err: behind}
		if text := f.Error(); strings.Contains(text, "Jane") || !strings.Contains(text, string(class)) || !errors.Is(f, behind) {
			t.Errorf("%s: %q", class, text)
		}
		l := &LoginError{Code: string(class), Err: f}
		if strings.Contains(l.Error(), "Jane") {
			t.Errorf("a login's %s: %q", class, l)
		}
	}
}

// TestBatchesAreBounded: neither the number of entries nor their bytes keep a
// relay's page waiting for long.
func TestBatchesAreBounded(t *testing.T) {
	entries := make([]archive.Entry, 2*archive.MaxBatch)
	if n := batchOf(entries); n != archive.MaxBatch {
		t.Errorf("%d small entries in a batch", n)
	}
	large := make([]byte, maxBatchBytes*3/4) // larger than an entry can be; one still has to go
	for i := range entries {
		entries[i].Body = large
	}
	if n := batchOf(entries); n != 1 {
		t.Errorf("%d large entries in a batch", n)
	}
	for i := range entries {
		entries[i].Body = large[:maxBatchBytes/4]
	}
	if n := batchOf(entries); n != 4 {
		t.Errorf("%d of a quarter in a batch", n)
	}
}

// TestWhyHolds: somebody whose account has expired is not somebody who is not
// there, though nothing else about them differs. An approval of the one is none
// of the other.
func TestWhyHolds(t *testing.T) {
	soon := noon.Add(time.Minute)
	old := snapshot(1)
	p := old.People[id(1)]
	p.Expires = &soon
	old.People[id(1)] = p
	missing := Diff(old, snapshot(0), noon)
	expired := Diff(old, old.Clone(), noon.Add(time.Hour))
	if len(missing) != 1 || len(expired) != 1 || missing[0].Why != people.WhyMissing || expired[0].Why != people.WhyExpired {
		t.Fatalf("%+v, %+v", missing, expired)
	}
	if holds(missing, expired) || holds(expired, missing) || !holds(missing, missing) {
		t.Error("why somebody departs makes no difference")
	}
}

// TestFilteredOut: who is not among the people that are read logs in as little
// as somebody who is not there, and no password of theirs is tried.
func TestFilteredOut(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Filter = "(department=Ward)" }, append(staff(3), adtest.Person{Account: "w", Department: "Ward"})...)
	w.sync()
	if got := w.login("p1", adtest.Password); got != CodeNotOne || w.attempts() != 0 {
		t.Errorf("code %q, %d binds", got, w.attempts())
	}
	if got := w.login("w", adtest.Password); got != "" {
		t.Errorf("code %q", got)
	}
}

// TestManyOfAName: several people with one UPN are nobody, however many there are.
func TestManyOfAName(t *testing.T) {
	w := newWorld(t, nil, staff(6)...)
	for i, account := range []string{"p0", "p1", "p2", "p3"} {
		w.do(w.fake.Set(account, "userPrincipalName", "doctor@hospital.test"))
		want := CodeNotOne
		if i == 0 {
			want = ""
		}
		before := w.attempts()
		if got := w.login("doctor@hospital.test", adtest.Password); got != want || i > 0 && w.attempts() != before {
			t.Errorf("%d of a name: code %q, %d binds", i+1, got, w.attempts()-before)
		}
	}
}

// TestGroupsOfSomebody: the groups are those of the very person whose password
// was right, and somebody without any is a person whose groups cannot be seen.
func TestGroupsOfSomebody(t *testing.T) {
	w := newWorld(t, nil, staff(3)...)
	w.group("nurses", "p0")
	w.sync()
	at, err := parseTarget(w.fake.URL())
	w.do(err)
	c, err := w.s.o.connect(t.Context(), at)
	w.do(err)
	defer c.close()
	p := w.standing(w.guid("p0")).Person
	if groups, err := w.s.groupsOf(t.Context(), c, &p); err != nil || len(groups) != 1 {
		t.Errorf("%v, %v", groups, err)
	}
	other := p
	other.GUID = w.guid("p1")
	if groups, err := w.s.groupsOf(t.Context(), c, &other); classOf(err) != ClassPartial {
		t.Errorf("somebody else has the DN: %v, %v", groups, err)
	}
	w.do(w.fake.Set("p2", "primaryGroupID"))
	p = w.standing(w.guid("p2")).Person
	if groups, err := w.s.groupsOf(t.Context(), c, &p); classOf(err) != ClassDenied {
		t.Errorf("no tokenGroups: %v, %v", groups, err)
	}
}

// TestReachInBetween: a directory whose changes are refused has been reached, and
// what fails after it begins a new outage.
func TestReachInBetween(t *testing.T) {
	w := newWorld(t, nil, staff(1)...)
	for _, step := range []struct {
		after   time.Duration
		class   Class
		overdue time.Duration
	}{{0, ClassTimeout, 0}, {30 * time.Minute, ClassRefused, 0}, {70 * time.Minute, ClassTimeout, 0}, {130 * time.Minute, ClassTimeout, time.Hour}} {
		if got := w.s.note(noon.Add(step.after), nil, step.class); got != step.overdue {
			t.Errorf("after %v, %s: overdue by %v, want %v", step.after, step.class, got, step.overdue)
		}
	}
}

// TestLargestPage: more than Active Directory gives is not asked for.
func TestLargestPage(t *testing.T) {
	w := newWorld(t, nil, staff(1)...)
	for page, want := range map[int]int{0: 1000, -1: 1000, 1: 1, 1000: 1000, 1001: 1000} {
		o := options(w.fake)
		o.Page = page
		if err := o.defaults(); err != nil || o.Page != want {
			t.Errorf("page %d: %d, %v", page, o.Page, err)
		}
	}
}
