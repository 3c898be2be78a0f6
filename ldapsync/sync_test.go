package ldapsync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/people"
	"holdfast/archive/proof"
	"holdfast/internal/adtest"
)

// TestLife follows a few people through what happens to people.
func TestLife(t *testing.T) {
	w := newWorld(t, nil, staff(3)...)
	w.group("nurses", "p0", "p1")
	w.group("all", "nurses", "p2", "all")
	w.do(w.fake.AddComputer("ws1", ""))
	steps := []struct {
		what string
		do   func() error
		want string
	}{
		{"first", func() error { return nil }, "add group all; add group nurses; add p0; add p1; add p2"},
		{"nothing", func() error { return nil }, ""},
		{"renamed", func() error { return w.fake.Rename("p0", "Jane (née Doe), Dr.") }, "change p0 name dn"},
		{"moved", func() error { return w.fake.Move("p0", "Radiology") }, "change p0 dn"},
		{"department", func() error { return w.fake.Set("p0", "department", "Radiology") }, "change p0 department"},
		{"joined", func() error { return w.fake.AddMember("nurses", "p2") }, "change group nurses +p2"},
		{"left", func() error { return w.fake.RemoveMember("nurses", "p1") }, "change group nurses -p1"},
		{"computer in a group", func() error { return w.fake.AddMember("nurses", "ws1$") }, ""},
		{"disabled", func() error { return w.fake.Disable("p1") }, "depart p1 disabled disabled"},
		{"still disabled", func() error { return w.fake.Rename("p1", "zz p1") }, ""},
		{"back", func() error { return w.fake.Enable("p1") }, "return p1 name dn disabled"},
		{"expires", func() error { return w.fake.Expire("p1", time.Now().Add(time.Hour)) }, "change p1 expires"},
		{"expired", func() error { return w.fake.Expire("p1", time.Now().Add(-time.Hour)) }, "depart p1 expired expires"},
		{"never", func() error { return w.fake.Expire("p1", time.Time{}) }, "return p1 expires"},
		{"locked", func() error { return w.fake.Lock("p1") }, ""},
		{"password expired", func() error { return w.fake.ExpirePassword("p1") }, ""},
		{"out of the base", func() error { return w.fake.Move("p2", adtest.FormerDN) }, "change group all -p2; change group nurses -p2; depart p2 missing"},
		{"primary group", func() error { return w.fake.SetPrimaryGroup("p1", "nurses") }, "change group nurses +p1; change p1 primary_group"},
		{"group renamed", func() error { return w.fake.Rename("nurses", "Nursing Staff") }, "change group nurses name dn"},
	}
	for _, s := range steps {
		w.do(s.do())
		if got := w.sync(); got != s.want {
			t.Fatalf("%s: %q, want %q", s.what, got, s.want)
		}
	}
	// A new person with a departed one's names is another person.
	w.do(w.fake.Delete("p2"))
	gone := w.log.history.Find("p2@hospital.test")
	_, err := w.fake.AddPerson(adtest.Person{Account: "p2"})
	w.do(err)
	if got := w.sync(); got != "add p2" || len(gone) != 1 || w.guid("p2") == gone[0] {
		t.Errorf("%q", got)
	}
	if st := w.standing(gone[0]); st.Status != people.StatusDeparted {
		t.Errorf("who departed is %s", st.Status)
	}
	if st := w.standing(w.guid("p0")); len(st.Groups) != 2 {
		t.Errorf("p0 is in %d groups, want nurses and all", len(st.Groups))
	}
	assertQuiet(t, w)
}

// assertQuiet looks for names where there must be none.
func assertQuiet(t *testing.T, w *world) {
	t.Helper()
	for _, secret := range []string{"Jane", "née", "p0", "hospital.test", "Radiology", "nurses", adtest.BindPassword, adtest.BindUPN} {
		if strings.Contains(w.lines.String(), secret) {
			t.Errorf("the log's lines hold %q:\n%s", secret, w.lines)
		}
	}
}

// TestBlocked: the directory never unblocks anybody.
func TestBlocked(t *testing.T) {
	w := newWorld(t, nil, staff(30)...)
	w.sync()
	g := w.guid("p1")
	e, err := people.Change{Op: people.OpBlock, Person: &people.Person{GUID: g}, By: admin(), Reason: "lost badge"}.Entry()
	w.do(err)
	_, err = w.log.Append(t.Context(), archive.Batch{Entries: []archive.Entry{e}})
	w.do(err)
	for _, step := range []func(string) error{w.fake.Disable, w.fake.Enable, func(a string) error { return w.fake.Rename(a, "x") }} {
		w.do(step("p1"))
		if w.sync() == "" {
			t.Error("nothing changed")
		}
		if !w.standing(g).Blocked {
			t.Fatal("a synchronisation unblocked somebody")
		}
	}
}

// TestLongGroup reads a group whose members come in three ranges, each with
// some that stand in no other.
func TestLongGroup(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Page = 3 }, staff(8)...)
	w.group("few", "p1")
	w.do(w.fake.AddComputer("ws1", ""))
	all := slices.Repeat([]string{"p0", "ws1$"}, 1600)
	all[0], all[1499], all[1500], all[2999], all[3000], all[3199] = "p1", "p2", "p3", "p4", "p5", "few"
	w.group("everybody", all...)
	w.do(w.fake.SetPrimaryGroup("p6", "everybody"))
	snap, host, err := Read(t.Context(), w.s.o)
	w.do(err)
	if g := snap.Groups[w.guid("everybody")]; len(g.Members) != 8 || host != "127.0.0.1" {
		t.Errorf("%d members from %s", len(g.Members), host)
	}
	w.sync()
	if n := len(w.log.history.Members(w.guid("everybody"), time.Time{})); n != 7 {
		t.Errorf("%d people in it", n)
	}
	p := w.between(adtest.Microsoft)
	if again := w.sync(); again != "" || p.Counts().Searches != 6 {
		t.Errorf("through Microsoft's limits: %q after %d searches", again, p.Counts().Searches)
	}
	p.Set(adtest.Fault{StaleRange: true})
	if _, err := w.s.Sync(t.Context()); classOf(err) != ClassPartial {
		t.Errorf("a range that does not continue: %v", err)
	}
}

// TestRefused is the whole way of a diff that the rails refuse.
func TestRefused(t *testing.T) {
	asked := map[[32]byte]int{}
	w := newWorld(t, func(o *Options) {
		o.Pending = func(_ context.Context, p *Pending) error { asked[p.Digest]++; p.Request = 77; return nil }
	}, staff(60)...)
	w.sync()
	for i := range 25 {
		w.do(w.fake.Disable(fmt.Sprintf("p%d", i)))
	}
	before := w.log.Size()
	refuse := func() *Pending {
		t.Helper()
		r, err := w.s.Sync(t.Context())
		if !errors.Is(err, ErrRefused) || r == nil || !r.Refused || r.Applied {
			t.Fatalf("%+v, %v", r, err)
		}
		return w.s.PendingDiff()
	}
	first := refuse()
	if n := w.log.kinds(); n[proof.KindSync] != 2 || n[proof.KindAlarm] != 1 || w.log.Size() != before+2 {
		t.Errorf("entries of a refusal: %v", n)
	}
	if st := w.s.Status(); st.Failing != ClassRefused || st.Pending == nil || st.Pending.Request != 77 || st.Pending.Counts.Departed != 25 {
		t.Errorf("%+v", st)
	}
	// What is wanted besides does not change what waits; nothing is noted twice.
	w.do(w.fake.Set("p50", "department", "Ward"))
	if p := refuse(); p.Digest != first.Digest || !p.More || len(p.Changes) != 25 || w.log.Size() != before+2 {
		t.Errorf("%x, %v, %d, %d entries", p.Digest, p.More, len(p.Changes), w.log.Size())
	}
	// What is not wanted any more replaces it, and the old approval is void.
	w.do(w.fake.Enable("p0"))
	second := refuse()
	if second.Digest == first.Digest || len(asked) != 2 {
		t.Errorf("asked %v", asked)
	}
	if _, err := w.s.Apply(t.Context(), first.Digest, execution); !errors.Is(err, ErrNotPending) {
		t.Errorf("%v", err)
	}
	if _, err := w.s.Apply(t.Context(), second.Digest, func() (archive.Entry, error) { return archive.Entry{}, ErrRefused }); !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
	batches := len(w.log.batches)
	w.do(w.fake.Disable("p30")) // after the last look: what was approved is applied, exactly
	r, err := w.s.Apply(t.Context(), second.Digest, execution)
	w.do(err)
	if !r.Applied || r.Counts.Departed != 24 || len(w.log.batches) != batches+1 {
		t.Errorf("%+v in %d batches", r.Counts, len(w.log.batches)-batches)
	}
	last := w.log.batches[batches]
	if last[0].Kind != proof.KindExecution || last[len(last)-1].Kind != proof.KindSync || len(last) != len(second.Changes)+2 {
		t.Errorf("a batch of %d entries", len(last))
	}
	if _, err := w.s.Apply(t.Context(), second.Digest, execution); !errors.Is(err, ErrNotPending) {
		t.Errorf("applied twice: %v", err)
	}
	w.do(w.fake.Enable("p1"))
	if got := w.sync(); got != "depart p30 disabled disabled; return p1 disabled" {
		t.Errorf("%q", got)
	}
	if st := w.s.Status(); st.Failing != "" || st.Pending != nil {
		t.Errorf("%+v", st)
	}
	assertQuiet(t, w)
}

// TestRecovered: what waits is dropped as soon as the directory is right again,
// and the next episode raises its own alarm.
func TestRecovered(t *testing.T) {
	w := newWorld(t, nil, staff(60)...)
	w.sync()
	for range 2 {
		for i := range 60 {
			w.do(w.fake.Move(fmt.Sprintf("p%d", i), adtest.FormerDN))
		}
		if _, err := w.s.Sync(t.Context()); !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
		p := w.s.PendingDiff()
		for i := range 60 {
			w.do(w.fake.Move(fmt.Sprintf("p%d", i), ""))
		}
		if got := w.sync(); got != "" || w.s.PendingDiff() != nil {
			t.Errorf("%q", got)
		}
		if _, err := w.s.Apply(t.Context(), p.Digest, execution); !errors.Is(err, ErrNotPending) {
			t.Errorf("%v", err)
		}
	}
	if got := w.log.alarms(t); len(got) != 2 || got[0] != AlarmRefused {
		t.Errorf("alarms %q", got)
	}
}

// TestWrongFilter and a missing role: the first synchronisation has rails, too.
func TestFirstRails(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"wrong filter":  func(o *Options) { o.Filter = "(department=Nowhere)" },
		"missing group": func(o *Options) { o.Mapped = []string{"holdfast-admins"} },
	} {
		w := newWorld(t, change, staff(3)...)
		r, err := w.s.Sync(t.Context())
		if !errors.Is(err, ErrRefused) || w.log.kinds()[proof.KindPerson] != 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// TestFilter reads only those whom the filter lets through.
func TestFilter(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Filter = "(department=Ward)" }, append(staff(3), adtest.Person{Account: "w", Department: "Ward"})...)
	if got := w.sync(); got != "add w" {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"(department=Ward", "department=Ward)(", "Ward"} {
		o := options(w.fake)
		o.Filter = bad
		if _, _, err := Read(t.Context(), o); !errors.Is(err, errOptions) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestAppendFails: the log fails at the first batch, without or with its effect.
func TestAppendFails(t *testing.T) {
	for _, persist := range []bool{false, true} {
		w := newWorld(t, nil, staff(3)...)
		w.log.fault = func(n int) (bool, error) {
			if n == 0 {
				return persist, archive.ErrFailed
			}
			return true, nil
		}
		if _, err := w.s.Sync(t.Context()); !errors.Is(err, archive.ErrFailed) || classOf(err) != ClassLog {
			t.Fatal(err)
		}
		if len(w.passed) != 0 {
			t.Error("changes were told of that may not be in the log")
		}
		r, err := w.s.Sync(t.Context())
		w.do(err)
		if w.log.kinds()[proof.KindPerson] != 3 || len(w.passed) != 3 || r.Applied == persist {
			t.Errorf("persisted %v: %d entries, told of %d", persist, w.log.kinds()[proof.KindPerson], len(w.passed))
		}
	}
}

// TestApplyFails is the same for an approved diff.
func TestApplyFails(t *testing.T) {
	for _, persist := range []bool{false, true} {
		w := newWorld(t, nil, staff(60)...)
		w.sync()
		for i := range 25 {
			w.do(w.fake.Disable(fmt.Sprintf("p%d", i)))
		}
		if _, err := w.s.Sync(t.Context()); !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
		p := w.s.PendingDiff()
		w.passed = nil
		w.log.fault = func(int) (bool, error) { return persist, archive.ErrFailed }
		if _, err := w.s.Apply(t.Context(), p.Digest, execution); !errors.Is(err, archive.ErrFailed) {
			t.Fatal(err)
		}
		w.log.fault = nil
		if _, err := w.s.Apply(t.Context(), p.Digest, execution); !errors.Is(err, ErrNotPending) {
			t.Errorf("applied again without a look: %v", err)
		}
		_, err := w.s.Sync(t.Context())
		if persist && err != nil || !persist && !errors.Is(err, ErrRefused) || persist != (len(w.passed) == 25) {
			t.Errorf("persisted %v: %v, told of %d", persist, err, len(w.passed))
		}
	}
}

// TestImpossible: what the history would not take is not appended, because
// nothing that follows the log could pass it.
func TestImpossible(t *testing.T) {
	w := newWorld(t, nil, staff(3)...)
	w.sync()
	w.s.mu.Lock()
	changes := Diff(snapshot(1), snapshot(0), noon) // somebody departs whom nobody knows
	p := &Pending{Digest: people.Digest(changes), Changes: changes, Source: "dc"}
	w.s.pending = p
	w.s.mu.Unlock()
	before := w.log.Size()
	if _, err := w.s.Apply(t.Context(), p.Digest, unused(t)); !errors.Is(err, ErrNotPending) {
		t.Error(err)
	}
	if _, err := w.s.approved(t.Context(), p, unused(t)); !errors.Is(err, people.ErrInvalid) || w.log.Size() != before {
		t.Errorf("%v, %d entries", err, w.log.Size()-before)
	}
	w.sync()
}

// TestManyBatches: more changes than a batch holds; the second one fails once.
func TestManyBatches(t *testing.T) {
	w := newWorld(t, nil, adtest.Person{Account: "unused"})
	snap := snapshot(archive.MaxBatch + 500)
	w.s.read = func(context.Context) (*people.Snapshot, string, error) { return snap, "dc", nil }
	w.log.fault = func(n int) (bool, error) {
		if n == 1 {
			return false, archive.ErrFailed
		}
		return true, nil
	}
	if _, err := w.s.Sync(t.Context()); !errors.Is(err, archive.ErrFailed) {
		t.Fatal(err)
	}
	if len(w.passed) != archive.MaxBatch {
		t.Errorf("told of %d", len(w.passed))
	}
	w.sync()
	if n := w.log.kinds(); n[proof.KindPerson] != archive.MaxBatch+500 || n[proof.KindSync] != 1 || len(w.passed) != archive.MaxBatch+500 {
		t.Errorf("%v, told of %d", n, len(w.passed))
	}
}

// TestPreview changes nothing.
func TestPreview(t *testing.T) {
	w := newWorld(t, nil, staff(3)...)
	r, err := w.s.Preview(t.Context())
	w.do(err)
	if r.Counts.Added != 3 || r.Applied || w.log.Size() != 0 {
		t.Errorf("%+v", r)
	}
}
