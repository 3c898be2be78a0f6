package ldapsync

import (
	"slices"
	"testing"

	"holdfast/archive/people"
)

// TestRailsAtTheirEdges: exactly what may go by itself goes, and one more waits;
// people whom the directory still has, but none of them enabled, are nobody.
func TestRailsAtTheirEdges(t *testing.T) {
	lose := func(persons, groups, lost, gone int) (old, new *people.Snapshot) {
		members := make([][]int, groups)
		old = snapshot(persons, members...)
		new = old.Clone()
		for i := range lost {
			delete(new.People, id(1+i))
		}
		for i := range gone {
			delete(new.Groups, id(1001+i))
		}
		return old, new
	}
	disabled := func() (old, new *people.Snapshot) {
		old, new = lose(3, 0, 0, 0)
		for g, p := range new.People {
			p.Disabled = true
			new.People[g] = p
		}
		return old, new
	}
	for name, c := range map[string]struct {
		of   func() (old, new *people.Snapshot)
		want []string
	}{
		"the number":             {func() (_, _ *people.Snapshot) { return lose(100, 1, 20, 0) }, nil},
		"one above the number":   {func() (_, _ *people.Snapshot) { return lose(100, 1, 21, 0) }, []string{RailPeopleLoss}},
		"exactly the percentage": {func() (_, _ *people.Snapshot) { return lose(600, 1, 30, 0) }, nil},
		"one above both":         {func() (_, _ *people.Snapshot) { return lose(600, 1, 31, 0) }, []string{RailPeopleLoss}},
		"all of a few":           {func() (_, _ *people.Snapshot) { return lose(3, 1, 3, 0) }, []string{RailNoPeople}},
		"all of a few disabled":  {disabled, []string{RailNoPeople}},
		"groups: the number":     {func() (_, _ *people.Snapshot) { return lose(3, 60, 0, 20) }, nil},
		"groups: one above":      {func() (_, _ *people.Snapshot) { return lose(3, 60, 0, 21) }, []string{RailGroupLoss}},
		"groups: all of a few":   {func() (_, _ *people.Snapshot) { return lose(3, 2, 0, 2) }, []string{RailNoGroups}},
		"nothing":                {func() (_, _ *people.Snapshot) { return lose(3, 2, 0, 0) }, nil},
	} {
		old, new := c.of()
		var codes []string
		for _, r := range (Rails{MaxLossPercent: 5, MaxLoss: 20}).Check(old, new, Diff(old, new, noon), noon) {
			codes = append(codes, r.Code)
		}
		if !slices.Equal(codes, c.want) {
			t.Errorf("%s: %q, want %q", name, codes, c.want)
		}
	}
	// A role for a group that never had anybody is no loss, and one group may give several.
	old, new := snapshot(0), snapshot(3, []int{}, []int{1})
	r := Rails{MaxLossPercent: 5, MaxLoss: 20, Mapped: []string{"g1", "g2", "g2"}}
	if rails := r.Check(old, new, Diff(old, new, noon), noon); len(rails) != 0 {
		t.Errorf("the first synchronisation: %+v", rails)
	}
	again := new.Clone()
	delete(again.People, id(1))
	if rails := r.Check(new, again, Diff(new, again, noon), noon); len(rails) != 2 || rails[0].Code != RailGroupEmpty {
		t.Errorf("two roles of one group that has nobody left: %+v", rails)
	}
}
