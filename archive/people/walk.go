package people

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// ErrAmbiguous is returned for a name that several groups have.
var ErrAmbiguous = errors.New("several groups have that name; use the objectGUID of the one that is meant")

// walker finds effective groups as of one time. It remembers what lies above
// each group, so that one walk serves everybody. It is used with mu held.
type walker struct {
	h    *History
	at   int64
	over map[GUID][]GUID
}

// groups returns the groups that somebody or something is in, directly or
// through others, sorted.
func (w *walker) groups(member GUID) []GUID {
	in := map[GUID]bool{}
	for _, d := range w.direct(member) {
		in[d] = true
		for _, g := range w.above(d) {
			in[g] = true
		}
	}
	return slices.Sorted(maps.Keys(in))
}

func (w *walker) direct(member GUID) []GUID {
	var in []GUID
	for _, t := range w.h.ties[member] {
		if t.spans.has(w.at) {
			in = append(in, t.group)
		}
	}
	return in
}

// above returns the groups above a group; groups may be in each other.
func (w *walker) above(g GUID) []GUID {
	if found, ok := w.over[g]; ok {
		return found
	}
	found := reach(g, w.direct)
	if w.over == nil {
		w.over = map[GUID][]GUID{}
	}
	w.over[g] = found
	return found
}

// reach returns everything that steps lead to from start, each once, which is
// start itself only when a cycle leads back.
func reach(start GUID, step func(GUID) []GUID) []GUID {
	var found []GUID
	seen := map[GUID]bool{}
	for queue := slices.Clone(step(start)); len(queue) > 0; { // what step returns may be its own
		g := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if seen[g] {
			continue
		}
		seen[g] = true
		found = append(found, g)
		queue = append(queue, step(g)...)
	}
	return found
}

// EffectiveNow returns the groups that a person is in now, directly or through
// others, sorted; none for somebody who departed. Whether the person is
// blocked is another question.
func (h *History) EffectiveNow(g GUID) []GUID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if p := h.people[g]; p == nil || p.departed {
		return nil
	}
	return (&walker{h: h, at: present}).groups(g)
}

// Members returns the people who were in a group as of a time, directly or
// through other groups, and had not departed; sorted. The zero time is now.
func (h *History) Members(g GUID, at time.Time) []GUID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	t := moment(at)
	found := reach(g, func(id GUID) []GUID {
		if of := h.groups[id]; of != nil {
			return of.members(t)
		}
		return nil
	})
	return sortedWhere(found, func(id GUID) bool {
		p := h.people[id]
		if p == nil {
			return false
		}
		s, ok := p.asOf(t)
		return ok && s.Status == StatusActive
	})
}

// Members returns the people of the snapshot who are in a group, directly or
// through other groups, and are not gone at now (Person.Gone); sorted.
func (s *Snapshot) Members(g GUID, now time.Time) []GUID {
	found := reach(g, func(id GUID) []GUID { return s.Groups[id].Members })
	return sortedWhere(found, func(id GUID) bool {
		p, ok := s.People[id]
		return ok && p.Gone(now) == ""
	})
}

func sortedWhere(list []GUID, keep func(GUID) bool) []GUID {
	list = slices.DeleteFunc(list, func(g GUID) bool { return !keep(g) })
	slices.Sort(list)
	return list
}

// GroupsOfSIDs returns the groups that are there now and have one of the SIDs,
// sorted, each once.
func (h *History) GroupsOfSIDs(sids []string) []GUID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var found []GUID
	for _, sid := range sids {
		found = append(found, h.sids.find(sid)...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// GroupNow returns the group that is there now under a GUID, DN, account or
// name, in this order: a display name, which several may have, takes nothing
// from the group whose account it is. It comes with its direct members. It is
// false when there is none, and ErrAmbiguous when there are several alike.
func (h *History) GroupNow(name string) (Group, bool, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	now := func(yield func(GUID, Group) bool) {
		for id, g := range h.groups {
			if is, ok := g.asOf(present); ok && !yield(id, is) {
				return
			}
		}
	}
	g, ok, err := groupNamed(now, name)
	if ok {
		g.Members = h.groups[g.GUID].members(present)
	}
	return g, ok, err
}

// Group is History.GroupNow of the snapshot. The members stay the snapshot's.
func (s *Snapshot) Group(name string) (Group, bool, error) {
	return groupNamed(maps.All(s.Groups), name)
}

func groupNamed(groups func(func(GUID, Group) bool), name string) (found Group, ok bool, err error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return Group{}, false, nil
	}
	guid, noGUID := ParseGUID(name)
	folded, dn := fold(name), splitDN(name)
	best := 0 // what of the group found so far is the name
	for id, g := range groups {
		is := 0
		switch {
		case noGUID == nil && id == guid:
			is = 4
		case slices.Equal(splitDN(g.DN), dn):
			is = 3
		case fold(g.Account) == folded:
			is = 2
		case fold(g.Name) == folded:
			is = 1
		}
		switch {
		case is == 0 || is < best:
		case is > best:
			found, ok, err, best = g, true, nil, is
		default:
			err = ErrAmbiguous
		}
	}
	if err != nil {
		return Group{}, false, err
	}
	return found, ok, nil
}
