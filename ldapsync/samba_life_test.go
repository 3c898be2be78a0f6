package ldapsync

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive/people"
	"holdfast/internal/adtest"
)

// life is a Syncer that follows the real directory through what happens in it.
type life struct {
	*hospital
	s   *Syncer
	log *memory
	w   *world // for writing changes down
}

// lives lets people come, change and go, and synchronises after each step: the
// step's changes and no others have to be found.
func (h *hospital) lives(t *testing.T) {
	h.run(t, "the first synchronisation of all, and one that finds nothing new", func(t *testing.T) {
		s, _ := h.syncer(t, h.options(h.dc.URL()))
		r, err := s.Sync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Counts; n.Added != adtest.SeedPeople-adtest.SeedDisabled-adtest.SeedExpired || n.GroupsAdded != adtest.SeedGroups || !r.Applied {
			t.Errorf("%+v", n)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		again, err := s.Sync(t.Context())
		runtime.ReadMemStats(&after)
		const most = 120 << 10 // bytes for each person, most of them go-ldap's
		if n := after.TotalAlloc - before.TotalAlloc; n > most*adtest.SeedPeople {
			t.Errorf("%d MB allocated", n>>20)
		}
		if err != nil || len(again.Changes) != 0 || again.Applied {
			t.Errorf("%+v: %v", again.Counts, err)
		}
		t.Logf("%d people and %d groups in %v, then %v", r.People, r.Groups, r.Took, again.Took)
	})
	o := h.options()
	o.Base = departments("01", "02", "03")
	o.Mapped = []string{"holdfast-officers"}
	l := &life{hospital: h}
	l.s, l.log = h.syncer(t, o)
	l.w = &world{t: t, log: l.log}
	if _, err := l.s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.step(t, "nothing happened", "", nil)
	l.people(t)
	l.leavers(t)
	l.groups(t)
	h.run(t, "nested, cyclic and primary groups", l.effective)
}

// step changes the directory and wants exactly these changes.
func (l *life) step(t *testing.T, name, want string, do func() error) {
	t.Helper()
	l.run(t, name, func(t *testing.T) {
		if do != nil {
			if err := do(); err != nil {
				t.Fatal(err)
			}
		}
		r, err := l.s.Sync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := l.w.lines1(r.Changes); got != want {
			t.Errorf("changes: %s\n   want: %s", got, want)
		}
	})
}

func all(errs ...func() error) func() error {
	return func() error {
		for _, f := range errs {
			if err := f(); err != nil {
				return err
			}
		}
		return nil
	}
}

func (l *life) people(t *testing.T) {
	dc := l.dc
	someone := l.guid(t, "p0501")
	set := func(account, name, value string) func() error {
		return func() error { return dc.Set(account, name, value) }
	}
	l.step(t, "a marriage", "change p0501 name dn", func() error { return dc.Rename("p0501", "Anna Neumann-Öz") })
	l.step(t, "new names throughout", "change aneumann account upn mail surname", all(
		set("p0501", "mail", "neumann@hospital.test"), set("p0501", "sn", "Neumann-Öz"),
		set("p0501", "userPrincipalName", "neumann@hospital.test"), set("p0501", "sAMAccountName", "aneumann")))
	l.run(t, "found by every name that a person ever had", func(t *testing.T) {
		for _, name := range []string{"p0501", "P0501@hospital.test", "neumann@hospital.test", "aneumann", "Anna Neumann-Öz", string(someone)} {
			if got := l.log.history.Find(name); !slices.Equal(got, []people.GUID{someone}) {
				t.Errorf("%s finds %v", name, got)
			}
		}
	})
	l.step(t, "another department", "change aneumann department", set("aneumann", "department", "Department 03"))
	l.step(t, "a move within the base", "change aneumann dn", func() error { return dc.Move("aneumann", "Department 03") })
	l.step(t, "a DN in other case", "", func() error { return dc.Move("aneumann", "DEPARTMENT 03") })
	l.step(t, "a new employee in a mapped group", "add newcomer; change group holdfast-officers +newcomer", all(
		func() error {
			_, err := dc.AddPerson(adtest.Person{Account: "newcomer", Name: "New, Comer", OU: "Department 03"})
			return err
		},
		func() error { return dc.AddMember("holdfast-officers", "newcomer") }))
	l.run(t, "and has the group's role", func(t *testing.T) {
		group, ok, err := l.log.history.GroupNow("holdfast-officers")
		if err != nil || !ok || !slices.Contains(l.log.history.EffectiveNow(l.guid(t, "newcomer")), group.GUID) {
			t.Errorf("%v %v", ok, err)
		}
	})
	l.step(t, "a new computer", "", func() error { return dc.AddComputer("WS-99", "Department 03") })
	const day = "OU=Day," + "OU=Department 03," + adtest.StaffDN
	l.step(t, "a move into an OU further down", "change p0623 dn; change p0643 dn", all(
		func() error { return dc.Move("p0623", day) }, func() error { return dc.Move("p0643", day) }))
	l.step(t, "an OU renamed", "change p0623 dn; change p0643 dn", func() error { return dc.RenameOU(day, "Night, and weekend") })
}

func (l *life) leavers(t *testing.T) {
	dc := l.dc
	l.step(t, "disabled", "depart p0601 disabled disabled", func() error { return dc.Disable("p0601") })
	l.step(t, "enabled again", "return p0601 disabled", func() error { return dc.Enable("p0601") })
	l.step(t, "expired", "depart p0602 expired expires", func() error { return dc.Expire("p0602", time.Now().Add(-time.Minute)) })
	l.step(t, "extended", "return p0602 expires", func() error { return dc.Expire("p0602", time.Now().Add(48*time.Hour)) })
	l.step(t, "no end any more", "change p0602 expires", func() error { return dc.Expire("p0602", time.Time{}) })
	l.step(t, "moved out of the base", "change group all-staff -p0603; change group dept-03 -p0603; depart p0603 missing", func() error { return dc.Move("p0603", adtest.FormerDN) })
	l.step(t, "and back", "change group all-staff +p0603; change group dept-03 +p0603; return p0603", func() error { return dc.Move("p0603", "Department 03") })
	l.step(t, "locked is not gone", "", func() error { return dc.Lock("p0621") })
	l.step(t, "a password to change is not gone", "", func() error { return dc.MustChange("p0621") })
	old := l.guid(t, "p2981")
	l.step(t, "deleted", "change group dept-01 -p2981; depart p2981 missing", func() error { return dc.Delete("p2981") })
	l.step(t, "every name used again by somebody else", "add p2981", func() error {
		_, err := dc.AddPerson(adtest.Person{Account: "p2981", Name: "Somebody Else", Mail: "p2981@hospital.test", OU: "Department 01"})
		return err
	})
	l.run(t, "is another person", func(t *testing.T) {
		is := l.guid(t, "p2981")
		found := l.log.history.Find("p2981@hospital.test")
		if is == old || len(found) != 2 || !slices.Contains(found, old) || !slices.Contains(found, is) {
			t.Errorf("found %v; was %s, is %s", found, old, is)
		}
		if st := l.w.standing(old); st.Status != "departed" || st.Why != people.WhyMissing {
			t.Errorf("the one who left is %s %s", st.Status, st.Why)
		}
	})
	l.run(t, "deleted and used again between two synchronisations", func(t *testing.T) {
		was := l.guid(t, "p2982")
		if err := dc.Delete("p2982"); err != nil {
			t.Fatal(err)
		}
		if _, err := dc.AddPerson(adtest.Person{Account: "p2982", OU: "Department 02"}); err != nil {
			t.Fatal(err)
		}
		r, err := l.s.Sync(t.Context())
		if err != nil || r.Counts.Added != 1 || r.Counts.Departed != 1 {
			t.Fatalf("%+v: %v", r, err)
		}
		if st := l.w.standing(was); st.Status != "departed" {
			t.Errorf("the one who left is %s", st.Status)
		}
		if st := l.w.standing(l.guid(t, "p2982")); st.Status != "active" {
			t.Errorf("the new one is %s", st.Status)
		}
	})
}

func (l *life) groups(t *testing.T) {
	dc := l.dc
	l.step(t, "a member more of the largest group", "change group all-staff +p2501", func() error { return dc.AddMember(adtest.LargestGroup, "p2501") })
	l.step(t, "a member less of it", "change group all-staff -p2501", func() error { return dc.RemoveMember(adtest.LargestGroup, "p2501") })
	l.step(t, "another primary group", "change group primary-nurses +p0701; change p0701 primary_group", func() error { return dc.SetPrimaryGroup("p0701", adtest.PrimaryGroup) })
	l.step(t, "a group renamed", "change group ward-01 name dn", func() error { return dc.Rename("ward-01", "Ward One") })
	l.step(t, "a group moved out of the base", "remove group ward-02", func() error { return dc.Move("ward-02", adtest.FormerDN) })
	l.step(t, "and back", "add group ward-02", func() error { return dc.Move("ward-02", adtest.GroupsDN) })
	l.step(t, "a group deleted", "remove group ward-03", func() error { return dc.Delete("ward-03") })
	l.step(t, "its name used again", "add group ward-03", func() error { _, err := dc.AddGroup("ward-03", "p0702"); return err })
	l.step(t, "a group inside itself, by two steps", "change group ward-04 +ward-05; change group ward-05 +ward-04", all(
		func() error { return dc.AddMember("ward-04", "ward-05") }, func() error { return dc.AddMember("ward-05", "ward-04") }))
}

// effective compares the groups that the history works out with those in Samba's
// own token.
func (l *life) effective(t *testing.T) {
	for _, account := range []string{"p0001", "p0002", "p0003", "p0022"} {
		id, err := l.s.Authenticate(t.Context(), account, adtest.Password)
		if err != nil {
			t.Fatal(err)
		}
		own := l.log.history.EffectiveNow(id.GUID)
		slices.Sort(id.Groups)
		if len(own) < 3 || !slices.Equal(own, id.Groups) {
			t.Errorf("%s: %d groups by walking, %d in the token", account, len(own), len(id.Groups))
		}
		if account == "p0001" && len(own) < 20 {
			t.Errorf("%d groups: the nesting was not walked", len(own))
		}
	}
}

// rails lets the directory say what nobody should believe.
func (h *hospital) rails(t *testing.T) {
	for name, fault := range map[string]adtest.Fault{"zero results with success": {Zero: true}, "half of the results with success": {Half: true}} {
		h.run(t, name, func(t *testing.T) {
			o := h.department()
			o.GroupBase = []string{"CN=nobody," + adtest.GroupsDN}
			s, log := h.syncer(t, o)
			if _, err := s.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			before, entries := len(log.history.Snapshot().People), log.kinds()
			h.one.Set(fault)
			r, err := s.Sync(t.Context())
			if !errors.Is(err, ErrRefused) || r == nil || r.Applied || s.PendingDiff() == nil {
				t.Fatalf("%v: %v", r, err)
			}
			if after := len(log.history.Snapshot().People); after != before {
				t.Errorf("%d people, were %d", after, before)
			}
			for k, n := range log.kinds() {
				if strings.Contains(k.String(), "person") && n != entries[k] {
					t.Errorf("%d entries of kind %s, were %d", n, k, entries[k])
				}
			}
			h.one.Set(adtest.Fault{})
			if _, err := s.Sync(t.Context()); err != nil || s.PendingDiff() != nil {
				t.Errorf("once the directory is right again: %v", err)
			}
		})
	}
	h.run(t, "a wrong filter from the start", func(t *testing.T) {
		o := h.department()
		o.Filter = "(department=Department 99)"
		s, log := h.syncer(t, o)
		r, err := s.Sync(t.Context())
		if !errors.Is(err, ErrRefused) || len(log.history.Snapshot().People) != 0 || r.Rails[0].Code != RailNoPeople {
			t.Errorf("%v: %v", r, err)
		}
	})
	h.run(t, "a filter that narrows too much is approved as it was", h.narrowed)
	h.run(t, "a mapped group is not there", func(t *testing.T) { h.mapped(t, "no-such-group", RailGroupMissing, "12", nil) })
	h.run(t, "a mapped group loses everybody", func(t *testing.T) {
		h.mapped(t, "holdfast-auditors", RailGroupEmpty, "18", func() error { return h.dc.SetMembers("holdfast-auditors") })
	})
	h.run(t, "a mapped group is deleted", func(t *testing.T) {
		h.mapped(t, "CN=holdfast-records,"+adtest.GroupsDN, RailGroupMissing, "12", func() error { return h.dc.Delete("holdfast-records") })
	})
	h.run(t, "a mapped group is made anew", func(t *testing.T) {
		h.mapped(t, "holdfast-approvers", RailGroupOther, "16", all(func() error { return h.dc.Delete("holdfast-approvers") },
			func() error { _, err := h.dc.AddGroup("holdfast-approvers", "p0017"); return err }))
	})
}

// mapped synchronises with a department that has a member of the group, changes
// the directory, and wants a rail.
func (h *hospital) mapped(t *testing.T, group, rail, departmentOf string, do func() error) {
	t.Helper()
	o := h.options()
	o.Base, o.Mapped = departments(departmentOf), []string{group}
	s, log := h.syncer(t, o)
	if do != nil {
		if _, err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	before := log.Size()
	r, err := s.Sync(t.Context())
	if !errors.Is(err, ErrRefused) || len(r.Rails) != 1 || r.Rails[0].Code != rail {
		t.Errorf("%+v: %v", r, err)
	}
	if n := log.Size(); n != before+2 {
		t.Errorf("%d entries came, want the refusal and its alarm", n-before)
	}
}

// narrowed has a diff approved, and nothing but that diff.
func (h *hospital) narrowed(t *testing.T) {
	o := h.options()
	o.Base, o.GroupBase = departments("10", "11"), []string{"CN=nobody," + adtest.GroupsDN}
	s, log := h.syncer(t, o)
	if _, err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.o.Filter = "(!(department=Department 11))"
	if _, err := s.Sync(t.Context()); !errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}
	p := s.PendingDiff()
	if err := h.dc.Disable("p0810"); err != nil { // comes later, and is not part of it
		t.Fatal(err)
	}
	if _, err := s.Sync(t.Context()); !errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), [32]byte{1}, execution); !errors.Is(err, ErrNotPending) {
		t.Errorf("another digest: %v", err)
	}
	r, err := s.Apply(t.Context(), p.Digest, execution)
	if err != nil || r.Counts.Departed < 140 || r.Counts.Departed > 150 {
		t.Fatalf("%+v: %v", r, err)
	}
	g := h.guid(t, "p0810")
	if st, _ := log.history.Person(g, time.Time{}); st.Status != "active" {
		t.Errorf("the approval took somebody else along: %s", st.Status)
	}
	if _, err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st, _ := log.history.Person(g, time.Time{}); st.Status != "departed" {
		t.Errorf("the next synchronisation: %s", st.Status)
	}
}
