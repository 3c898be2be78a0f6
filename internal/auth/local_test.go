package auth

import (
	"errors"
	"slices"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

func rolesOf(grants []role.Grant) (out []role.Role) {
	for _, g := range grants {
		out = append(out, g.Role)
	}
	return out
}

func TestAccountsOfTheAppliance(t *testing.T) {
	admin := []role.Role{role.Administrator}
	listed := []Account{
		{UID: 1000, Roles: []role.Role{role.Auditor, role.Approver}},
		{UID: 1001, Roles: []role.Role{role.Administrator}, Person: "alice@h.example"},
		{UID: 1002, Roles: []role.Role{role.Administrator}, Person: bob},
		{UID: 1003, Roles: []role.Role{role.Administrator}, Person: "once@h.example"},
		{UID: 1004, Roles: []role.Role{role.Administrator}, Person: "later@h.example"},
		{UID: 1005},
	}
	for name, c := range map[string]struct {
		configured bool
		accounts   []Account
		uid        uint32
		want       []role.Role
		person     string
	}{
		"nothing configured, root":      {false, nil, 0, role.All(), ""},
		"nothing configured, daemon":    {false, nil, 900, role.All(), ""},
		"nothing configured, other":     {false, nil, 1000, nil, ""},
		"root":                          {true, listed, 0, admin, ""},
		"daemon":                        {true, listed, 900, admin, ""},
		"root listed":                   {true, []Account{{UID: 0, Roles: []role.Role{role.Auditor}}}, 0, []role.Role{role.Auditor}, ""},
		"root listed without roles":     {true, []Account{{UID: 0}}, 0, nil, ""},
		"listed":                        {true, listed, 1000, listed[0].Roles, ""},
		"not listed":                    {true, listed, 2000, nil, ""},
		"with a person by UPN":          {true, listed, 1001, admin, alice},
		"with a person who was blocked": {true, listed, 1002, nil, bob},
		"with two people's UPN":         {true, listed, 1003, nil, ""},
		"with a person not known yet":   {true, listed, 1004, admin, ""},
		"listed without roles":          {true, listed, 1005, nil, ""},
	} {
		s := newSite(t, func(o *Options) { o.Configured, o.Accounts = c.configured, c.accounts })
		s.folk.former[alice], s.folk.former[bob] = []string{"once@h.example"}, []string{"once@h.example"}
		s.folk.change(bob, func(p *Person) { p.Blocked = true })
		who, grants := s.Local(c.uid, "name")
		if got := rolesOf(grants); !slices.Equal(got, c.want) {
			t.Errorf("%s: roles %v, want %v", name, got, c.want)
		}
		if *who.UID != c.uid || who.Name != "name" || who.Via != role.ViaSocket || who.Person != c.person {
			t.Errorf("%s: principal %+v", name, who)
		}
		for _, g := range grants {
			if g.Source == "" || g.Until != nil || g.Scoped() {
				t.Errorf("%s: grant %+v", name, g)
			}
		}
	}
}

func TestADepartedPersonsAccount(t *testing.T) {
	s := newSite(t, func(o *Options) {
		o.Accounts = []Account{{UID: 1001, Roles: []role.Role{role.Administrator}, Person: alice, BreakGlass: true}}
	})
	s.folk.change(alice, func(p *Person) { p.Departed = true })
	who, grants := s.Local(1001, "aadams")
	if len(grants) != 0 {
		t.Fatalf("roles %v", grants)
	}
	if _, err := s.BreakGlass(t.Context(), who, "emergency"); !errors.Is(err, ErrBreakGlass) {
		t.Fatal(err)
	}
}

func TestBreakGlass(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, func(o *Options) {
			o.Accounts = []Account{{UID: 1000, Roles: []role.Role{role.Administrator}, BreakGlass: true, Person: alice}, {UID: 1001, Roles: role.All()}}
		})
		ctx := t.Context()
		who, _ := s.Local(1000, "oncall")
		grants, err := s.BreakGlass(ctx, who, "directory down, transfusion")
		if err != nil || !slices.Equal(rolesOf(grants), []role.Role{role.ComplianceOfficer, role.Auditor}) {
			t.Fatalf("%v, %v", grants, err)
		}
		for _, g := range grants {
			if g.Until == nil || time.Until(*g.Until) != BreakGlassFor || g.Source != role.ViaBreakGlass {
				t.Errorf("grant %+v", g)
			}
		}
		if got := s.log.alarms(t); !slices.Equal(got, []string{"break-glass critical"}) {
			t.Fatalf("alarms %v", got)
		}
		entries := s.log.accesses(t, audit.ActionBreakGlass)
		if len(entries) != 1 || entries[0].Reason != "directory down, transfusion" || entries[0].Principal.Via != role.ViaBreakGlass ||
			*entries[0].Principal.UID != 1000 || entries[0].Principal.Person != alice {
			t.Fatalf("the audit has %+v", entries)
		}
		now, grants := s.Local(1000, "oncall")
		if now.Via != role.ViaBreakGlass || !role.Has(grants, role.ComplianceOfficer, time.Now()) || !role.Has(grants, role.Administrator, time.Now()) ||
			role.Has(grants, role.Approver, time.Now()) {
			t.Fatalf("%+v %v", now, grants)
		}
		pass(BreakGlassFor)
		if now, grants = s.Local(1000, "oncall"); now.Via != role.ViaSocket || len(grants) != 1 {
			t.Fatalf("after the hour: %+v %v", now, grants)
		}
		if err := s.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if ends := s.log.accesses(t, audit.ActionSessionEnd); len(ends) != 1 || ends[0].Code != role.ViaBreakGlass {
			t.Fatalf("ends %+v", ends)
		}
	})
}

func TestWhoMayNotBreakTheGlass(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, func(o *Options) {
			o.Accounts = []Account{{UID: 1000, BreakGlass: true}, {UID: 1001, Roles: role.All()}}
		})
		ctx := t.Context()
		none := func(who role.Principal, reason string, want error) {
			t.Helper()
			if grants, err := s.BreakGlass(ctx, who, reason); !errors.Is(err, want) || grants != nil {
				t.Errorf("%s: %v, %v; want %v", who.Name, grants, err, want)
			}
		}
		named, _ := s.Local(1000, "oncall")
		none(named, "", audit.ErrNoReason)
		for _, uid := range []uint32{0, 900, 1001, 2000} {
			who, _ := s.Local(uid, "other")
			for range 10 {
				none(who, "please", ErrBreakGlass)
			}
		}
		none(role.Principal{Name: "Alice", Person: alice, Via: role.ViaHTTPS}, "please", ErrBreakGlass)
		if n := len(s.log.accesses(t, audit.ActionRefused)); n != 4 {
			t.Errorf("%d refusals in the audit, want one an account", n)
		}
		// Without its entries there is no glass.
		for _, kind := range []proof.Kind{proof.KindAccess, proof.KindAlarm} {
			full := errors.New("disk full")
			s.log.fail = func(e archive.Entry) error {
				if e.Kind == kind {
					return full
				}
				return nil
			}
			none(named, "emergency", full)
			if who, grants := s.Local(1000, "oncall"); who.Via != role.ViaSocket || len(grants) != 0 {
				t.Errorf("a glass without its %s entry", kind)
			}
		}
		s.log.fail = nil
		// A restart ends it.
		if _, err := s.BreakGlass(ctx, named, "emergency"); err != nil {
			t.Fatal(err)
		}
		s.start(t)
		if _, grants := s.Local(1000, "oncall"); len(grants) != 0 {
			t.Error("the glass outlived its process")
		}
	})
}

func TestOptionsThatCannotBe(t *testing.T) {
	s := newSite(t)
	for name, change := range map[string]func(*Options){
		"no people":        func(o *Options) { o.People = nil },
		"no log":           func(o *Options) { o.Log = nil },
		"no way to follow": func(o *Options) { o.CatchUp = nil },
		"a role":           func(o *Options) { o.Accounts = []Account{{UID: 1, Roles: []role.Role{"king"}}} },
		"a mapped role":    func(o *Options) { o.Mapping = []GroupGrant{{Group: "x"}} },
		"an account twice": func(o *Options) { o.Accounts = []Account{{UID: 1}, {UID: 1}} },
		"a length":         func(o *Options) { o.Idle = -1 },
		"a stuck state":    func(o *Options) { o.CatchUp = s.catchUp; s.stuck = errors.New("stuck") },
	} {
		o := s.o
		change(&o)
		if _, err := New(t.Context(), o, NewFactors()); err == nil {
			t.Errorf("taken although it has %s", name)
		}
	}
}
