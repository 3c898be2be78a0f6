package ldapsync

import (
	"slices"
	"strings"
	"time"

	"holdfast/archive/people"
)

// Diff returns what has to change so that old, what the log says, becomes what
// the directory says in now's light: one change for each person and group that
// is not as it was, people first, each sort by objectGUID. It is pure, and its
// result is empty when nothing is different.
//
// Somebody who is missing, disabled or expired departs; somebody who departed
// and is there again, enabled and not expired, returns. Somebody who was never
// known and is disabled or expired is not taken in. Nothing here blocks or
// unblocks: administrators do.
func Diff(old, new *people.Snapshot, now time.Time) []people.Change {
	var changes []people.Change
	for g, is := range new.People {
		if c, ok := personChange(old, g, is, now); ok {
			changes = append(changes, c)
		}
	}
	for g, was := range old.People {
		if _, still := new.People[g]; !still {
			changes = append(changes, people.Change{Op: people.OpDepart, Person: &was, Was: &was, Why: people.WhyMissing})
		}
	}
	for id, is := range new.Groups {
		if c, ok := groupChange(old, id, is); ok {
			changes = append(changes, c)
		}
	}
	for id, was := range old.Groups {
		if _, still := new.Groups[id]; !still {
			changes = append(changes, people.Change{Op: people.OpRemove, Group: &was})
		}
	}
	slices.SortFunc(changes, func(a, b people.Change) int {
		if (a.Group == nil) != (b.Group == nil) {
			if a.Group == nil {
				return -1
			}
			return 1
		}
		return strings.Compare(string(a.GUID()), string(b.GUID()))
	})
	return changes
}

func personChange(old *people.Snapshot, g people.GUID, is people.Person, now time.Time) (people.Change, bool) {
	why := is.Gone(now)
	if was, known := old.People[g]; known {
		fields := was.Differs(&is)
		switch {
		case why != "":
			return people.Change{Op: people.OpDepart, Person: &is, Was: &was, Fields: fields, Why: why}, true
		case len(fields) > 0:
			return people.Change{Op: people.OpChange, Person: &is, Was: &was, Fields: fields}, true
		}
		return people.Change{}, false
	}
	if why != "" {
		return people.Change{}, false
	}
	if was, departed := old.Departed[g]; departed {
		return people.Change{Op: people.OpReturn, Person: &is, Was: &was, Fields: was.Differs(&is)}, true
	}
	return people.Change{Op: people.OpAdd, Person: &is}, true
}

func groupChange(old *people.Snapshot, id people.GUID, is people.Group) (people.Change, bool) {
	was, known := old.Groups[id]
	if !known {
		return people.Change{Op: people.OpAdd, Group: &is}, true
	}
	c := people.Change{Op: people.OpChange, Group: &is, Fields: was.Differs(&is)}
	c.Added, c.Removed = people.MemberDiff(was.Members, is.Members)
	return c, len(c.Fields)+len(c.Added)+len(c.Removed) > 0
}

// holds reports whether every one of the changes is still among what is wanted
// now: whoever applies them does nothing that the directory has taken back.
func holds(changes, now []people.Change) bool {
	type key struct {
		guid  people.GUID
		group bool
	}
	wanted := make(map[key]*people.Change, len(now))
	for i := range now {
		wanted[key{now[i].GUID(), now[i].Group != nil}] = &now[i]
	}
	for i := range changes {
		c := &changes[i]
		w := wanted[key{c.GUID(), c.Group != nil}]
		if w == nil || !within(c, w) {
			return false
		}
	}
	return true
}

// within reports whether change c is a part of change w of the same thing.
func within(c, w *people.Change) bool {
	if c.Op != w.Op || c.Why != w.Why {
		return false
	}
	if c.Person != nil {
		return len(c.Person.Differs(w.Person)) == 0
	}
	if len(c.Group.Differs(w.Group)) > 0 {
		return false
	}
	if c.Op == people.OpAdd {
		return slices.Equal(c.Group.Members, w.Group.Members)
	}
	return contains(w.Added, c.Added) && contains(w.Removed, c.Removed)
}

// contains reports whether every one of part, sorted, is in list, sorted.
func contains(list, part []people.GUID) bool {
	for _, g := range part {
		if _, ok := slices.BinarySearch(list, g); !ok {
			return false
		}
	}
	return true
}
