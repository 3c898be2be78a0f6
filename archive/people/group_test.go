package people

import (
	"testing"
	"time"
)

// Members are found for the times of their membership, through other groups too,
// under every relay user that they ever were.
func TestMemberStays(t *testing.T) {
	l := begin(t)
	l.do(add(someone(ann, "ann")), add(someone(bob, "bob")), addGroup(nurses, "nurses", ann), addGroup(staff, "staff"))
	l.match(MatchBody{Op: OpMatch, Usr: "u-old", GUID: ann, By: ByUPN}, MatchBody{Op: OpMatch, Usr: "u-ann", GUID: ann, By: ByUPN})
	l.match(MatchBody{Op: OpUnmatch, Usr: "u-old", GUID: ann, By: ByPerson, Principal: officer, Reason: "r"})
	l.at(l.day(1)).do(l.members(staff, []GUID{nurses, bob}, nil))
	l.at(l.day(2)).do(l.members(nurses, nil, []GUID{ann}))
	l.at(l.day(3)).do(l.depart(bob))
	l.at(l.day(4)).do(l.members(staff, nil, []GUID{bob}), l.members(nurses, []GUID{ann}, nil))
	usrs := []string{"u-ann", "u-old"}
	equal(t, "through a group", l.h.MemberStays(staff), []Stay{
		{ann, usrs, l.day(1), l.day(2)}, {ann, usrs, l.day(4), time.Time{}}, {bob, nil, l.day(1), l.day(4)},
	})
	equal(t, "direct", l.h.MemberStays(nurses), []Stay{{ann, usrs, l.day(0), l.day(2)}, {ann, usrs, l.day(4), time.Time{}}})
	if got := l.h.MemberStays(night); len(got) > 0 {
		t.Errorf("of no group: %v", got)
	}
}
