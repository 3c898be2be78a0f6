package people

import (
	"testing"
	"time"
)

func TestWhoeverWasInAGroupIsFoundAfterLeavingIt(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")), add(someone(bob, "bob")), addGroup(nurses, "nurses", ann), addGroup(staff, "staff"))
	l.at(l.day(2)).do(l.members(staff, []GUID{nurses}, nil))
	l.at(l.day(3)).do(l.members(nurses, []GUID{bob}, []GUID{ann}))
	l.at(l.day(4)).do(l.members(staff, nil, []GUID{nurses}))
	l.at(l.day(5)).do(l.depart(bob))
	for _, c := range []struct {
		what string
		in   GUID
		from time.Time
		want []GUID
	}{
		{"ever", staff, time.Time{}, []GUID{ann, bob}},
		{"while both were", staff, l.day(2), []GUID{ann, bob}},
		{"from the moment that one had left", staff, l.day(3), []GUID{bob}},
		{"after the last had left", staff, l.day(4), []GUID{}},
		{"in the group below, departed", nurses, l.day(9), []GUID{bob}},
		{"in no group", "00000000000000000000000000000009", time.Time{}, []GUID{}},
	} {
		equal(t, c.what, append([]GUID{}, l.h.MembersSince(c.in, c.from)...), c.want)
	}
}

func TestNobodyIsInAGroupThroughOneThatWasInItAtAnotherTime(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")), addGroup(nurses, "nurses", ann), addGroup(staff, "staff"))
	l.at(l.day(1)).do(l.members(nurses, nil, []GUID{ann}))
	l.at(l.day(2)).do(l.members(staff, []GUID{nurses}, nil))
	equal(t, "members", append([]GUID{}, l.h.MembersSince(staff, time.Time{})...), []GUID{})
}

func TestEveryoneWhoseARelayUserEverWas(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")), add(someone(bob, "bob")))
	l.match(MatchBody{Op: OpMatch, Usr: "u", GUID: bob, By: ByUPN})
	l.match(MatchBody{Op: OpMatch, Usr: "u", GUID: ann, By: ByPerson, Principal: officer, Reason: "it was hers"})
	equal(t, "people", l.h.EverOf("u"), []GUID{ann, bob})
	if got := l.h.EverOf("v"); len(got) > 0 {
		t.Errorf("of a stranger: %v", got)
	}
}
