package ldapsync

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/archive/people"
)

// The codes of the rails: stable, for scripts.
const (
	RailNoPeople     = "no-people"      // the directory has nobody
	RailNoGroups     = "no-groups"      // it had groups and has none
	RailPeopleLoss   = "people-loss"    // too many people would depart at once
	RailGroupLoss    = "group-loss"     // too many groups would be removed at once
	RailGroupMissing = "group-missing"  // a group that gives a role is not there any more, or was not the first time
	RailGroupUnclear = "group-unclear"  // several groups have the name of one that gives a role
	RailGroupOther   = "group-replaced" // its name is another group's now
	RailGroupEmpty   = "group-empty"    // it would give its role to nobody, and gave it to somebody
)

// Rail is one reason for which a synchronisation waits for approval. Text is
// for people and names no person.
type Rail struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Rails are the limits within which a synchronisation is applied by itself.
type Rails struct {
	MaxLossPercent int      // with MaxLoss: both have to be exceeded
	MaxLoss        int      //
	Mapped         []string // groups that give roles, by objectGUID, DN or sAMAccountName
}

// Check returns the rails that the way from old, what the log says, to new, what
// the directory says, runs into; none means that it may be applied. It is pure.
// changes is Diff of the three others.
//
// A role drops to nobody only if each group that gives it does, so each of them
// is looked at by itself. The first synchronisation loses nothing, but it too
// needs people and every mapped group. Later ones need those groups that the log
// has: once it has been approved that one is not there, nothing waits for it.
func (r Rails) Check(old, new *people.Snapshot, changes []people.Change, now time.Time) []Rail {
	var rails []Rail
	add := func(code, format string, args ...any) {
		rails = append(rails, Rail{Code: code, Text: fmt.Sprintf(format, args...)})
	}
	n := people.Count(changes)
	if active(new, now) == 0 {
		add(RailNoPeople, "the directory has nobody who is enabled and not expired; check base and filter")
	}
	if len(new.Groups) == 0 && len(old.Groups) > 0 {
		add(RailNoGroups, "the directory has no group below group_base and had %d", len(old.Groups))
	}
	if r.loses(n.Departed, len(old.People)) {
		add(RailPeopleLoss, "%d of %d people would depart; at most %d, or %d in a hundred, may by themselves", n.Departed, len(old.People), r.MaxLoss, r.MaxLossPercent)
	}
	if r.loses(n.GroupsRemoved, len(old.Groups)) {
		add(RailGroupLoss, "%d of %d groups would be removed; at most %d, or %d in a hundred, may by themselves", n.GroupsRemoved, len(old.Groups), r.MaxLoss, r.MaxLossPercent)
	}
	for i, spec := range r.Mapped {
		if rail, ok := mapped(old, new, spec, i+1, now); ok {
			rails = append(rails, rail)
		}
	}
	return rails
}

// Missing returns which of the mapped groups a snapshot has not.
func (r Rails) Missing(s *people.Snapshot) []string {
	var missing []string
	for _, spec := range r.Mapped {
		if len(resolve(s, spec)) == 0 {
			missing = append(missing, spec)
		}
	}
	return missing
}

// first reports whether nothing was ever read.
func first(old *people.Snapshot) bool {
	return len(old.People)+len(old.Departed)+len(old.Groups) == 0
}

func (r Rails) loses(lost, of int) bool {
	return lost > r.MaxLoss && lost*100 > of*r.MaxLossPercent
}

func active(s *people.Snapshot, now time.Time) (n int) {
	for _, p := range s.People {
		if p.Gone(now) == "" {
			n++
		}
	}
	return n
}

// mapped judges one group that gives a role, the nth of the configuration.
func mapped(old, new *people.Snapshot, spec string, n int, now time.Time) (Rail, bool) {
	is := resolve(new, spec)
	was := resolve(old, spec)
	switch {
	case len(is) == 0 && (len(was) > 0 || first(old)):
		return Rail{RailGroupMissing, fmt.Sprintf("mapped group %d (%s) is not in the directory; restore it, or take it out of [[directory.role]] "+
			"and restart the daemon, or approve, after which it gives its role to nobody", n, spec)}, true
	case len(is) == 0:
		return Rail{}, false // that it went away was approved, or the configuration has it only since; Missing tells
	case len(is) > 1:
		return Rail{RailGroupUnclear, fmt.Sprintf("mapped group %d (%s) is the name of %d groups; name it by its objectGUID", n, spec, len(is))}, true
	case len(was) == 1 && was[0] != is[0]:
		return Rail{RailGroupOther, fmt.Sprintf("mapped group %d (%s) was the group with objectGUID %s and is now %s", n, spec, was[0], is[0])}, true
	case reaches(old, is[0], now) && !reaches(new, is[0], now):
		return Rail{RailGroupEmpty, fmt.Sprintf("mapped group %d (%s) had members and would have none; those who were taken out of it keep their roles until this is decided, those who are disabled or expired have none already", n, spec)}, true
	}
	return Rail{}, false
}

// resolve returns the groups that spec names: that with the objectGUID, else
// those with the DN, else those with the sAMAccountName.
func resolve(s *people.Snapshot, spec string) []people.GUID {
	if g, err := people.ParseGUID(spec); err == nil {
		if _, ok := s.Groups[g]; ok {
			return []people.GUID{g}
		}
		return nil
	}
	var byDN, byAccount []people.GUID
	for id, g := range s.Groups {
		if strings.Contains(spec, "=") && people.SameDN(g.DN, spec) {
			byDN = append(byDN, id)
		}
		if strings.EqualFold(g.Account, spec) {
			byAccount = append(byAccount, id)
		}
	}
	if len(byDN) > 0 {
		return byDN
	}
	slices.Sort(byAccount)
	return byAccount
}

// reaches reports whether anybody is in the group, by whatever nesting. Groups
// that contain one another are walked once.
func reaches(s *people.Snapshot, id people.GUID, now time.Time) bool {
	seen := map[people.GUID]bool{id: true}
	for todo := []people.GUID{id}; len(todo) > 0; {
		g := s.Groups[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		for _, m := range g.Members {
			if p, ok := s.People[m]; ok && p.Gone(now) == "" {
				return true
			}
			if _, ok := s.Groups[m]; ok && !seen[m] {
				seen[m] = true
				todo = append(todo, m)
			}
		}
	}
	return false
}
