package people

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func names(s Standing) (list []string) {
	for _, g := range s.Groups {
		list = append(list, g.Name)
	}
	return list
}

func TestEffectiveGroupsNestWithCycles(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")), add(someone(bob, "bob")), add(someone(cid, "cid")))
	l.do(addGroup(nurses, "nurses", ann), addGroup(staff, "staff", nurses, bob), addGroup(night, "night"))
	now := time.Time{}
	check := func(when string, at time.Time, who GUID, want ...string) {
		t.Helper()
		if s, _ := l.h.Person(who, at); !slices.Equal(names(s), want) {
			t.Errorf("%s: %v, want %v", when, names(s), want)
		}
	}
	check("nested", now, ann, "nurses", "staff")
	check("direct", now, bob, "staff")
	l.at(l.day(1)).do(l.members(nurses, []GUID{staff}, nil)) // a cycle
	check("ann in the cycle", now, ann, "nurses", "staff")
	check("bob in the cycle", now, bob, "nurses", "staff")
	check("bob before the cycle", l.day(1).Add(-1), bob, "staff")
	l.at(l.day(2)).do(l.members(night, []GUID{night, nurses}, nil)) // a group in itself, above the cycle
	check("above the cycle", now, bob, "nurses", "staff", "night")
	if m := l.h.Members(night, now); !slices.Equal(m, []GUID{ann, bob}) {
		t.Errorf("members of night: %v", m)
	}
	if m := l.h.Members(night, l.day(1)); len(m) > 0 {
		t.Errorf("members of night before: %v", m)
	}
	if m := l.h.Members(nurses, l.day(0)); !slices.Equal(m, []GUID{ann}) {
		t.Errorf("members of nurses at first: %v", m)
	}
	if got := l.h.EffectiveNow(bob); !slices.Equal(got, []GUID{nurses, staff, night}) {
		t.Errorf("EffectiveNow: %v", got)
	}
	l.at(l.day(3)).do(l.members(staff, nil, []GUID{nurses}), Change{Op: OpRemove, Group: &Group{GUID: nurses}})
	check("after the removal", now, ann)
	check("bob after the removal", now, bob, "staff")
	check("and before", l.day(2), ann, "nurses", "staff", "night")
	l.at(l.day(4)).do(addGroup(nurses, "nurses of the night", cid))
	check("a group again", now, cid, "nurses of the night", "night")
	check("does not bring back its members", now, ann)
	if got := l.h.EffectiveNow(id('p', 77)); got != nil {
		t.Errorf("EffectiveNow of a stranger: %v", got)
	}
}

// Roles come from EffectiveNow and Members: nobody who departed is there, although the directory may keep them in its groups.
func TestDepartedPeopleHaveNoRoles(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")), add(someone(bob, "bob")), addGroup(nurses, "nurses", ann, bob))
	gone := l.change(ann, func(p *Person) { p.Disabled = true })
	gone.Op, gone.Why = OpDepart, WhyDisabled
	l.at(l.day(1)).do(gone)
	if got := l.h.EffectiveNow(ann); got != nil {
		t.Errorf("EffectiveNow: %v", got)
	}
	if m := l.h.Members(nurses, time.Time{}); !slices.Equal(m, []GUID{bob}) {
		t.Errorf("members: %v", m)
	}
	if m := l.h.Members(nurses, l.day(0)); !slices.Equal(m, []GUID{ann, bob}) {
		t.Errorf("members then: %v", m)
	}
	if s, _ := l.h.Person(ann, time.Time{}); !slices.Equal(names(s), []string{"nurses"}) {
		t.Errorf("what the directory says of the departed: %v", names(s))
	}
}

// The primary group is not in the directory's member attribute; ldapsync adds it, and here it is a membership like any other.
func TestPrimaryGroupIsAMembership(t *testing.T) {
	l := begin(t)
	p := someone(ann, "ann")
	p.PrimaryGroup = "S-1-5-21-1-513"
	users := addGroup(staff, "Domain Users", ann)
	users.Group.SID = p.PrimaryGroup
	l.do(add(p), users, addGroup(nurses, "nurses", staff))
	if got := l.h.EffectiveNow(ann); !slices.Equal(got, []GUID{nurses, staff}) {
		t.Errorf("EffectiveNow: %v", got)
	}
	if got := l.h.GroupsOfSIDs([]string{"S-1-5-21-9-9", p.PrimaryGroup, p.PrimaryGroup, "s-1-5-21-1-513", ""}); !slices.Equal(got, []GUID{staff}) {
		t.Errorf("GroupsOfSIDs: %v", got)
	}
	change := l.members(staff, nil, nil)
	was := *change.Group
	change.Group.SID = "S-1-5-21-2-513"
	change.Fields = was.Differs(change.Group)
	l.at(l.day(1)).do(change)
	if got := l.h.GroupsOfSIDs([]string{p.PrimaryGroup}); len(got) > 0 {
		t.Errorf("a SID that the group had: %v", got)
	}
	l.at(l.day(2)).do(Change{Op: OpRemove, Group: &Group{GUID: staff}})
	if got := l.h.GroupsOfSIDs([]string{"S-1-5-21-2-513"}); len(got) > 0 {
		t.Errorf("a SID of a group that is gone: %v", got)
	}
}

func TestGroupNow(t *testing.T) {
	l := begin(t)
	twin, third := addGroup(night, "night"), addGroup(id('g', 200), "third")
	twin.Group.Name, third.Group.Name = "Nurses and others", "nurses and OTHERS"
	namesake := addGroup(id('g', 201), "fourth") // anybody who may make groups can call one so
	namesake.Group.Name = "nurses"
	l.do(add(someone(ann, "ann")), addGroup(nurses, "nurses", ann), addGroup(staff, "staff"), twin, third, namesake)
	s := l.h.Snapshot()
	for _, of := range []struct {
		what string
		call func(string) (Group, bool, error)
	}{{"history", l.h.GroupNow}, {"snapshot", s.Group}} {
		for _, name := range []string{string(nurses), "{" + string(nurses) + "}", "cn=NURSES, ou=groups,dc=st,dc=example", "NURSES"} {
			if g, ok, err := of.call(name); !ok || err != nil || g.GUID != nurses || !slices.Equal(g.Members, []GUID{ann}) {
				t.Errorf("%s: GroupNow(%q) = %+v %v %v", of.what, name, g, ok, err)
			}
		}
		for range 20 { // in whatever order the groups come
			if g, ok, err := of.call("nurses AND others"); ok || !errors.Is(err, ErrAmbiguous) {
				t.Fatalf("%s: a name of two groups: %+v %v %v", of.what, g, ok, err)
			}
		}
		if g, ok, err := of.call("STAFF "); !ok || err != nil || g.GUID != staff {
			t.Errorf("%s: by account: %+v %v %v", of.what, g, ok, err)
		}
		for _, name := range []string{"", " ", string(ann), "nurse", "OU=Groups,DC=st,DC=example"} {
			if g, ok, err := of.call(name); ok || err != nil {
				t.Errorf("%s: GroupNow(%q) = %+v %v", of.what, name, g, err)
			}
		}
	}
	// A group that is called what another is: the identity outweighs every name.
	l.do(addGroup(id('g', 9), string(nurses)))
	for range 20 {
		if g, ok, err := l.h.GroupNow(string(nurses)); !ok || err != nil || g.GUID != nurses {
			t.Fatalf("by a GUID that is a name too: %+v %v %v", g, ok, err)
		}
	}
	l.do(Change{Op: OpRemove, Group: &Group{GUID: id('g', 9)}}, Change{Op: OpRemove, Group: &Group{GUID: nurses}})
	if g, ok, err := l.h.GroupNow("nurses"); !ok || err != nil || g.GUID != namesake.Group.GUID {
		t.Errorf("once no account is called so: %+v %v %v", g, ok, err)
	}
	if _, ok, _ := l.h.GroupNow(string(nurses)); ok {
		t.Error("a group that is gone is there")
	}
}

func TestSnapshotMembers(t *testing.T) {
	gone := someone(bob, "bob")
	gone.Disabled = true
	late := someone(cid, "cid")
	late.Expires = new(monday.AddDate(0, 0, 1))
	s := &Snapshot{
		People: map[GUID]Person{ann: someone(ann, "ann"), bob: gone, cid: late},
		Groups: map[GUID]Group{nurses: {GUID: nurses, Members: []GUID{staff, ann, bob}}, staff: {GUID: staff, Members: []GUID{nurses, cid, id('p', 50)}}},
	}
	before := s.Clone()
	if m := s.Members(nurses, monday); !slices.Equal(m, []GUID{ann, cid}) {
		t.Errorf("members: %v", m)
	}
	if m := s.Members(staff, monday.AddDate(0, 0, 1)); !slices.Equal(m, []GUID{ann}) {
		t.Errorf("members on the day of expiry: %v", m)
	}
	if m := s.Members(night, monday); len(m) > 0 {
		t.Errorf("members of nothing: %v", m)
	}
	equal(t, "the snapshot after the walk", s, before)
}
