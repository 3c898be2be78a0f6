package people

import (
	"slices"
	"testing"
	"time"
)

func TestMemberships(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")), addGroup(nurses, "nurses", ann), addGroup(staff, "staff"))
	l.at(l.day(2)).do(l.members(staff, []GUID{nurses}, nil))
	rename := l.members(nurses, nil, nil)
	rename.Group.Name, rename.Fields = "ICU nurses", []string{"name"}
	l.at(l.day(3)).do(rename)
	l.at(l.day(4)).do(l.members(staff, []GUID{ann}, nil))
	l.at(l.day(5)).do(l.members(nurses, nil, []GUID{ann}))
	l.at(l.day(6)).do(l.members(staff, nil, []GUID{ann}), l.members(nurses, []GUID{ann}, nil))
	l.at(l.day(8)).do(Change{Op: OpRemove, Group: &Group{GUID: nurses}})
	day := func(n int) *time.Time { return new(l.day(n)) }
	equal(t, "memberships", l.h.Memberships(ann), []Membership{
		{nurses, "nurses", l.day(0), day(5), true},
		{staff, "staff", l.day(2), day(4), false},
		{staff, "staff", l.day(4), day(6), true},
		{nurses, "ICU nurses", l.day(6), day(8), true},
		{staff, "staff", l.day(6), day(8), false},
	})
	equal(t, "of a group", l.h.Memberships(nurses), []Membership{{staff, "staff", l.day(2), nil, true}})
	if got := l.h.Memberships(bob); len(got) > 0 {
		t.Errorf("of a stranger: %v", got)
	}
}

func TestMembershipsEndInCycles(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")), addGroup(nurses, "nurses", ann, staff), addGroup(staff, "staff", night), addGroup(night, "night", nurses))
	l.at(l.day(1)).do(l.members(night, nil, []GUID{nurses}))
	l.at(l.day(1)).do(l.members(night, []GUID{ann}, nil)) // in the same millisecond: no gap
	equal(t, "memberships", l.h.Memberships(ann), []Membership{
		{nurses, "nurses", l.day(0), nil, true},
		{staff, "staff", l.day(0), nil, false},
		{night, "night", l.day(0), new(l.day(1)), false},
		{night, "night", l.day(1), nil, true},
	})
}

func TestInScope(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")), add(someone(bob, "bob")))
	l.match(MatchBody{Op: OpMatch, Usr: "u-ann", GUID: ann, By: ByUPN})
	l.at(l.day(1)).do(l.change(ann, func(p *Person) { p.Title = "RN" }), byHand(OpBlock, ann))
	l.at(l.day(2)).do(l.change(ann, func(p *Person) { p.Department = "ER" }))
	l.at(l.day(3)).do(l.change(ann, func(p *Person) { p.Department = "icu" }))
	l.at(l.day(4)).do(l.change(ann, func(p *Person) { p.DN = "CN=ann,OU=Lab,DC=st,DC=example" }))
	l.at(l.day(5)).do(l.depart(ann))
	l.at(l.day(6)).do(l.back(ann, func(p *Person) { p.DN = "CN=Ann,OU=Night,OU=icu,DC=st,DC=example" }))
	l.at(l.day(7)).do(l.change(bob, func(p *Person) { p.DN = `CN=bob\,OU=ICU,DC=st,DC=example` }))
	usrs := []string{"u-ann"}
	const ou = "ou=ICU, dc=st,dc=example"
	equal(t, "department", l.h.InScope("Icu", ""), []Stay{
		{ann, usrs, l.day(0), l.day(2)}, {ann, usrs, l.day(3), l.day(5)}, {ann, usrs, l.day(6), time.Time{}}, {bob, nil, l.day(0), time.Time{}},
	})
	equal(t, "unit", l.h.InScope("", ou), []Stay{
		{ann, usrs, l.day(0), l.day(4)}, {ann, usrs, l.day(6), time.Time{}}, {bob, nil, l.day(0), l.day(7)},
	})
	equal(t, "both", l.h.InScope("ICU", ou), []Stay{
		{ann, usrs, l.day(0), l.day(2)}, {ann, usrs, l.day(3), l.day(4)}, {ann, usrs, l.day(6), time.Time{}}, {bob, nil, l.day(0), l.day(7)},
	})
	for _, none := range [][2]string{{"", ""}, {"", " "}, {" ", ""}, {"ICU", " "}, {"Radiology", ""}, {"", "OU=ICU"}, {"", "OU=CU,DC=st,DC=example"}} {
		if got := l.h.InScope(none[0], none[1]); len(got) > 0 {
			t.Errorf("in scope of %q: %v", none, got)
		}
	}
	// A match that a person undid gives nobody's messages away.
	l.match(MatchBody{Op: OpUnmatch, Usr: "u-ann", GUID: ann, By: ByPerson, Principal: officer, Reason: "another Ann"})
	if got := l.h.InScope("ICU", ""); len(got[0].Usrs) > 0 {
		t.Errorf("after unmatching: %v", got)
	}
	if got := l.h.Usrs(ann); !slices.Equal(got, usrs) {
		t.Errorf("usrs that ever were: %v", got)
	}
}

func TestSpans(t *testing.T) {
	s := spans{{5, 7}, {1, 3}, {3, 4}, {9, 9}, {6, 8}, {12, forever}}.normal()
	if want := (spans{{1, 4}, {5, 8}, {12, forever}}); !slices.Equal(s, want) {
		t.Errorf("normal: %v", s)
	}
	u := spans{{0, 2}, {3, 6}, {7, 20}}
	if want := (spans{{1, 2}, {3, 4}, {5, 6}, {7, 8}, {12, 20}}); !slices.Equal(s.both(u), want) || !slices.Equal(u.both(s), want) {
		t.Errorf("both: %v %v", s.both(u), u.both(s))
	}
	if want := (spans{{2, 3}, {6, 7}, {20, forever}}); !slices.Equal(s.without(u), want) {
		t.Errorf("without: %v", s.without(u))
	}
}
