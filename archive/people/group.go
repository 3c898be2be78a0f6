package people

import (
	"maps"
	"slices"
)

// MemberStays returns who was in a group, directly or through others, and when,
// with every relay user that ever was the person's. It takes what the log says
// of the groups: somebody who departed was a member until an entry says that
// the membership ended. Sorted by GUID, then by From.
func (h *History) MemberStays(g GUID) []Stay {
	h.mu.RLock()
	defer h.mu.RUnlock()
	below := reach(g, func(id GUID) []GUID {
		if of := h.groups[id]; of != nil {
			return slices.Collect(maps.Keys(of.ties))
		}
		return nil
	})
	slices.Sort(below)
	var stays []Stay
	for _, id := range below {
		if h.people[id] == nil {
			continue
		}
		_, effective := h.times(id)
		for _, in := range effective[g] {
			stay := Stay{GUID: id, Usrs: slices.Clone(h.usrs[id]), From: timeOf(in.from)}
			if in.to != forever {
				stay.To = timeOf(in.to)
			}
			stays = append(stays, stay)
		}
	}
	return stays
}
