package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/people"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

const (
	carol   = people.GUID("33333333-3333-3333-3333-333333333333")
	dora    = people.GUID("44444444-4444-4444-4444-444444444444")
	inner   = people.GUID("cccccccc-cccc-cccc-cccc-cccccccccccc")
	outer   = people.GUID("dddddddd-dddd-dddd-dddd-dddddddddddd")
	lookout = people.GUID("eeeeeeee-eeee-eeee-eeee-eeeeeeeeeeee")
)

// history is a real history to which a test adds changes.
type history struct {
	*people.History
	seq uint64
}

func (h *history) do(t *testing.T, changes ...people.Change) {
	t.Helper()
	for _, c := range changes {
		e, err := c.Entry()
		if err != nil {
			t.Fatal(err)
		}
		rec := archive.Record{Leaf: proof.Leaf{Seq: h.seq, Kind: e.Kind, Class: e.Class, Received: time.Now().UnixMilli()}, Body: e.Body}
		if err := h.Apply(rec); err != nil {
			t.Fatal(err)
		}
		h.seq++
	}
}

func newHistory(t *testing.T) *history {
	h := &history{History: people.NewHistory()}
	h.do(t,
		people.Change{Op: people.OpAdd, Person: &people.Person{GUID: carol, Account: "ccole", UPN: "carol@h.example", Name: "Carol Cole"}},
		people.Change{Op: people.OpAdd, Group: &people.Group{GUID: inner, Name: "ER officers", Account: "er-officers", DN: "CN=ER officers,OU=Groups,DC=h", Members: []people.GUID{carol}}},
		people.Change{Op: people.OpAdd, Group: &people.Group{GUID: outer, Name: "Officers", Account: "officers", DN: "CN=Officers,OU=Groups,DC=h", Members: []people.GUID{inner}}},
	)
	return h
}

// Nobody takes an account of the appliance, or shuts its owner out of it, by
// being called like its owner's UPN or objectGUID.
func TestAnAccountsOwnerIsKnownByUPN(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHistory(t)
		h.do(t, people.Change{Op: people.OpAdd, Person: &people.Person{GUID: dora, Account: "carol@h.example", Mail: "carol@h.example", Name: string(carol), UPN: "dora@h.example"}},
			people.Change{Op: people.OpAdd, Person: &people.Person{GUID: lookout, Name: "later@h.example", UPN: "l@h.example"}})
		k := Known(h.History)
		for name, want := range map[string][]string{
			"Carol@h.example": {string(carol)}, string(carol): {string(carol)}, "{" + strings.ToUpper(string(carol)) + "}": {string(carol)},
			"later@h.example": nil, "ccole": nil, "": nil,
		} {
			if got := k.Owners(name); !slices.Equal(got, want) {
				t.Errorf("%s: %v", name, got)
			}
		}
	})
}

func TestKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHistory(t)
		k := Known(h.History)
		if got := k.Find("CAROL@h.example"); !slices.Equal(got, []string{string(carol)}) {
			t.Fatalf("found %v", got)
		}
		p, ok := k.Person(string(carol))
		if !ok || p.Departed || p.Blocked || p.Account != "ccole" || p.GUID != string(carol) ||
			!slices.Equal(p.Groups, []string{string(inner), string(outer)}) {
			t.Fatalf("%+v", p)
		}
		for ref, want := range map[string]string{
			string(outer): "Officers", "{DDDDDDDD-DDDD-DDDD-DDDD-DDDDDDDDDDDD}": "Officers",
			"OFFICERS": "Officers", "cn=officers, ou=groups, dc=H": "Officers", "er-officers": "ER officers",
		} {
			if _, name, ok := k.Group(ref); !ok || name != want {
				t.Errorf("%s: %q, %v", ref, name, ok)
			}
		}
		for _, ref := range []string{"", "ER officers", "CN=Officers,DC=h", string(lookout)} {
			if guid, _, ok := k.Group(ref); ok {
				t.Errorf("%q is taken for %s", ref, guid)
			}
		}
		expires := time.Now().Add(time.Hour)
		h.do(t, people.Change{Op: people.OpChange, Fields: []string{"expires"},
			Person: &people.Person{GUID: carol, Account: "ccole", UPN: "carol@h.example", Name: "Carol Cole", Expires: &expires}})
		if p, _ := k.Person(string(carol)); p.Departed {
			t.Fatal("departed before the account expires")
		}
		pass(time.Hour)
		if p, _ := k.Person(string(carol)); !p.Departed {
			t.Fatal("there after the account expired")
		}
	})
}

// A whole life with the history that the daemon has.
func TestWithARealHistory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHistory(t)
		s := newSite(t)
		s.dc.passwords["ccole"], s.dc.guids["ccole"] = password, string(carol)
		s.dc.groups[string(carol)] = []string{string(inner), string(outer)}
		s.start(t, func(o *Options) {
			o.People = Known(h.History)
			o.Mapping = []GroupGrant{{Group: "officers", Grant: role.Grant{Role: role.ComplianceOfficer, OU: "OU=ER,DC=h"}}}
		})
		d := s.enrol(t, string(carol), "ccole")
		token := s.admitted(t, "ccole", d.now(t), desk)
		_, grants, _, err := s.Session(token)
		if err != nil || len(grants) != 1 || grants[0].OU != "OU=ER,DC=h" || grants[0].Source != "Officers" {
			t.Fatalf("%+v, %v", grants, err)
		}
		// Out of the inner group: out of the role.
		h.do(t, people.Change{Op: people.OpChange, Removed: []people.GUID{carol},
			Group: &people.Group{GUID: inner, Name: "ER officers", Account: "er-officers", DN: "CN=ER officers,OU=Groups,DC=h"}})
		if s.open(token) {
			t.Fatal("the session outlived the role")
		}
		nextStep()
		s.refused(t, codeNoRole, Attempt{Name: "ccole", Password: password, Code: d.now(t)})
		h.do(t, people.Change{Op: people.OpChange, Added: []people.GUID{carol},
			Group: &people.Group{GUID: inner, Name: "ER officers", Account: "er-officers", DN: "CN=ER officers,OU=Groups,DC=h"}})
		token = s.admitted(t, "ccole", d.now(t), desk)
		h.do(t, people.Change{Op: people.OpDepart, Why: people.WhyMissing, Person: &people.Person{GUID: carol, Account: "ccole", UPN: "carol@h.example", Name: "Carol Cole"}})
		if err := s.Refresh(t.Context()); err != nil || s.open(token) {
			t.Fatal("the session outlived the person", err)
		}
		nextStep()
		s.refused(t, codeDeparted, Attempt{Name: "ccole", Password: password, Code: d.now(t)})
		// Somebody else gets the account: neither factor nor session is theirs.
		h.do(t, people.Change{Op: people.OpAdd, Person: &people.Person{GUID: dora, Account: "ccole", Name: "Clara Cole"}},
			people.Change{Op: people.OpChange, Added: []people.GUID{dora}, Group: &people.Group{GUID: outer, Name: "Officers", Account: "officers", DN: "CN=Officers,OU=Groups,DC=h"}})
		s.dc.guids["ccole"], s.dc.groups[string(dora)] = string(dora), []string{string(outer)}
		nextStep()
		s.refused(t, codeNoFactor, Attempt{Name: "ccole", Password: password, Code: d.now(t)})
		if _, _, err := s.IssueTicket(t.Context(), root, string(carol), "x"); !errors.Is(err, ErrPerson) {
			t.Fatal(err)
		}
	})
}
