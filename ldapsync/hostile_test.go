package ldapsync

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"holdfast/archive"
	"holdfast/archive/people"
	"holdfast/archive/proof"
	"holdfast/internal/adtest"
)

// replay applies a log's entries to a new history, as a start does. Whatever a
// Syncer appended has to pass.
func replay(t *testing.T, records []archive.Record) *people.History {
	t.Helper()
	h := people.NewHistory()
	for _, rec := range records {
		switch rec.Leaf.Kind {
		case proof.KindPerson, proof.KindGroup, proof.KindSync:
			if err := h.Apply(rec); err != nil {
				t.Fatalf("entry %d stops whatever follows the log: %v", rec.Leaf.Seq, err)
			}
		}
	}
	return h
}

// TestOddText: whatever bytes a directory holds, they become entries that every
// start can read, and they are not found to have changed the next time.
func TestOddText(t *testing.T) {
	w := newWorld(t, nil, staff(9)...)
	for account, value := range map[string]string{
		"p0": "\xff\xfe invalid \xc3", "p1": strings.Repeat("x", people.MaxText+1), "p2": strings.Repeat("é", people.MaxText/2) + "é",
		"p3": "NUL \x00 and \x1b[2J", "p4": "\u2028 \ufffe \U0010ffff", "p5": `"</script>\` + "\r\n", "p6": " ", "p7": strings.Repeat("\x80", 100_000),
	} {
		for _, attribute := range []string{"displayName", "mail", "department", "userPrincipalName"} {
			w.do(w.fake.Set(account, attribute, value))
		}
	}
	if got := w.sync(); strings.Count(got, "add") != 9 {
		t.Errorf("%q", got)
	}
	if again := w.sync(); again != "" {
		t.Errorf("changed by itself: %q", again)
	}
	h := replay(t, w.log.records)
	for _, s := range h.All(true) {
		if len(s.Person.Department) > people.MaxText {
			t.Errorf("%d bytes", len(s.Person.Department))
		}
	}
}

// TestNobodysAccounts: what is a machine by its class or by its flags is no
// person, and a person who becomes one departs.
func TestNobodysAccounts(t *testing.T) {
	guid := string(make([]byte, 15)) + "\x01"
	sid := "\x01\x05\x00\x00\x00\x00\x00\x05" + string(make([]byte, 20))
	for name, c := range map[string]struct {
		class, flags string
		person       bool
	}{
		"person":                {"user", "512", true},
		"computer by its class": {"Computer", "512", false},
		"workstation":           {"user", "4096", false},
		"server":                {"user", "8192", false},
		"trust":                 {"user", "2048", false},
	} {
		e := ldap.NewEntry("CN=x", map[string][]string{
			"objectClass": {"top", "person", "user", c.class}, "objectGUID": {guid}, "objectSid": {sid}, "userAccountControl": {c.flags},
		})
		p, err := personOf(e)
		if err != nil || (p != nil) != c.person {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	w := newWorld(t, nil, staff(2)...)
	w.sync()
	w.do(w.fake.Set("p1", "userAccountControl", "4096"))
	if got := w.sync(); got != "depart p1 missing" {
		t.Errorf("%q", got)
	}
}

// TestRangesOfNothing: a first answer that is not the first range, and a group
// that goes away before the rest of its members is read, end the reading.
func TestRangesOfNothing(t *testing.T) {
	w := newWorld(t, nil, staff(1)...)
	at, err := parseTarget(w.fake.URL())
	w.do(err)
	c, err := w.s.o.connect(t.Context(), at)
	w.do(err)
	defer c.close()
	r := &reading{o: &w.s.o, c: c, snap: snapshot(0), byDN: map[string]people.GUID{}, links: map[people.GUID][]named{}}
	guid := string(make([]byte, 15)) + "\x01"
	e := ldap.NewEntry("CN=g", map[string][]string{
		"objectGUID": {guid}, "objectSid": {"\x01\x00\x00\x00\x00\x00\x00\x05"}, "cn": {"g"}, "member;range=1-*": {"CN=p0"},
	})
	if err := r.group(adtest.GroupsDN, e); classOf(err) != ClassPartial {
		t.Errorf("a range from 1: %v", err)
	}
	gone := ranged{guid: id(1), raw: []byte(guid), base: adtest.GroupsDN, next: 1500}
	if err := r.rest(t.Context(), gone); classOf(err) != ClassPartial {
		t.Errorf("a group that went away: %v", err)
	}
}

// TestLinksAreSmall: a member whose objectGUID is told is kept by that alone, so
// that two million memberships do not keep two million DNs.
func TestLinksAreSmall(t *testing.T) {
	o := Options{bounds: defaultBounds}
	known := snapshot(1)
	r := &reading{o: &o, snap: known, links: map[people.GUID][]named{}}
	values := []string{
		"<GUID=" + string(id(1)) + ">;<SID=S-1-5-21-1>;CN=p1,DC=x", "<GUID=" + string(id(2)) + ">;CN=p2,DC=x", "CN=p3,DC=x",
	}
	if err := r.link(id(9), values); err != nil {
		t.Fatal(err)
	}
	if got := r.links[id(9)]; got[0] != (named{guid: id(1)}) || got[1] != (named{guid: id(2)}) || got[2] != (named{dn: "CN=p3,DC=x"}) {
		t.Errorf("%+v", got)
	}
}

// TestRace has synchronisations, approvals and blocks at once, on a log that
// fails now and then with and without its effect. Nothing is ever appended that
// a start could not read.
func TestRace(t *testing.T) {
	var log *stale
	w := newWorld(t, func(o *Options) {
		log = &stale{memory: o.Log.(*memory)}
		o.Log, o.MaxLoss, o.MaxLossPercent, o.Applied = log, 3, 5, nil
	}, staff(1)...)
	h, full := w.log.history, snapshot(40, []int{1, 2, 3}, []int{4, 1001})
	random := rand.New(rand.NewPCG(1, 2))
	var last *people.Snapshot
	w.s.read = func(context.Context) (*people.Snapshot, string, error) { // one at a time: Syncer.reading
		if last != nil && random.IntN(3) > 0 {
			return last.Clone(), "dc", nil // else hardly an approval would hold
		}
		is := full.Clone()
		last = is
		lost := random.IntN(3) * random.IntN(8)
		for range lost {
			delete(is.People, id(1+random.IntN(40)))
		}
		if p, there := is.People[id(7)]; there {
			p.Department = strings.Repeat("W", random.IntN(3))
			is.People[id(7)] = p
		}
		if random.IntN(3) == 0 {
			delete(is.Groups, id(1002))
		}
		return is, "dc", nil
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // of what fails, and of those who read the log's failures
	faults := rand.New(rand.NewPCG(3, 4))
	w.log.fault = func(int) (bool, error) { // with memory.mu held
		switch faults.IntN(8) {
		case 0:
			return true, archive.ErrFailed
		case 1:
			return false, archive.ErrFailed
		}
		return true, nil
	}
	locked := &lockedLog{log: log, mu: &mu}
	w.s.o.Log, w.s.o.CatchUp = locked, locked.CatchUp
	applied, refused := 0, 0
	waiting := make(chan chan struct{}, 1) // closes what it is given when the approval was tried
	wg.Go(func() {
		defer close(waiting)
		for range 150 {
			_, err := w.s.Sync(t.Context())
			switch {
			case errors.Is(err, ErrRefused):
				refused++
				tried := make(chan struct{})
				waiting <- tried
				if refused%4 == 0 {
					<-tried // else the next synchronisation races it
				}
			case err != nil && !errors.Is(err, archive.ErrFailed):
				t.Error(err, errors.Unwrap(err))
			}
		}
	})
	wg.Go(func() {
		for tried := range waiting {
			if p := w.s.PendingDiff(); p != nil {
				if _, err := w.s.Apply(t.Context(), p.Digest, execution); err == nil {
					applied++
				} else if !errors.Is(err, archive.ErrFailed) && !errors.Is(err, ErrNotPending) {
					t.Error(err, errors.Unwrap(err))
				}
			}
			close(tried)
		}
	})
	wg.Go(func() {
		for i := range 150 {
			c := people.Change{Op: people.OpBlock, Person: &people.Person{GUID: id(1 + i%40)}, By: admin(), Reason: "r"}
			if i%3 == 0 {
				c.Op = people.OpUnblock
			}
			_ = w.s.Suspended(c.GUID()) // as every request does
			if h.Check([]people.Change{c}) != nil {
				continue // nobody known yet
			}
			e, err := c.Entry()
			if err != nil {
				t.Error(err)
			}
			_, _ = locked.Append(t.Context(), archive.Batch{Entries: []archive.Entry{e}})
		}
	})
	wg.Wait()
	if applied == 0 || refused == 0 {
		t.Errorf("%d approved and %d refused: this race is none", applied, refused)
	}
	replay(t, w.log.records)
}

// lockedLog makes a stale log safe for concurrent use.
type lockedLog struct {
	mu  *sync.Mutex
	log *stale
}

func (l *lockedLog) Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.log.memory.Size()
	placed, err := l.log.Append(ctx, b)
	if err != nil && !l.log.failed && l.log.memory.Size() > before {
		l.log.known = before // what it left is not counted yet
	}
	return placed, err
}

func (l *lockedLog) Size() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Size()
}

func (l *lockedLog) Checkpoint(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Checkpoint(ctx)
}

func (l *lockedLog) CatchUp(ctx context.Context, size uint64) error { return l.log.CatchUp(ctx, size) }

// TestMembersByGUID: members are asked for with their objectGUIDs, the first of
// them and the rest, so that somebody who is renamed while the snapshot is read
// stays in their groups. Where a server tells none it is the DN, in whatever case.
func TestMembersByGUID(t *testing.T) {
	rest := ranged{guid: id(1), raw: []byte("0123456789abcdef"), base: "DC=x", next: 1500}
	for _, q := range []*query{groupsQuery("DC=x"), rest.query()} {
		c, ok := ldap.FindControl(q.request(0).Controls, oidExtendedDN).(*ldap.ControlString)
		if !ok || c.ControlValue != "\x30\x03\x02\x01\x01" {
			t.Errorf("%s: %v", q.filter, c)
		}
	}
	if f := rest.query().filter; !strings.Contains(f, `(objectGUID=\30\31\32`) {
		t.Errorf("the rest of a group's members is asked for by %s", f)
	}
	r := &reading{snap: snapshot(2), byDN: map[string]people.GUID{foldDN("CN=p1,DC=x"): id(1)}}
	if g, ok := r.known(named{guid: id(2), dn: "CN=p1,DC=x"}); !ok || g != id(2) {
		t.Errorf("by objectGUID: %q, %v", g, ok)
	}
	if g, ok := r.known(named{dn: "cn=P1,dc=X"}); !ok || g != id(1) {
		t.Errorf("by DN: %q, %v", g, ok)
	}
}

// TestLockedIsThere: who is locked out, or whose password has expired, cannot
// log in, but has not left (MS-ADTS 2.2.16: 0x10 and 0x800000).
func TestLockedIsThere(t *testing.T) {
	for _, flags := range []string{"512", "528", "8389120", "66048", "-2147483136"} {
		if disabled, machine, err := account(flags); disabled || machine || err != nil {
			t.Errorf("%s: %v, %v, %v", flags, disabled, machine, err)
		}
	}
}

// TestWholeTime: a server that is never silent for long, but never done either,
// is left in the end.
func TestWholeTime(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.bounds = defaultBounds; o.bounds.total = 500 * time.Millisecond; o.Page = 2 }, staff(20)...)
	p := w.between(adtest.Microsoft)
	p.Set(adtest.Fault{Delay: 30 * time.Millisecond})
	if snap, _, err := Read(t.Context(), w.s.o); snap != nil || classOf(err) != ClassTimeout {
		t.Errorf("%v, %v", snap != nil, err)
	}
}
