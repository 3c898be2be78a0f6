package people

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

// Membership is one span of time in which somebody was in a group.
type Membership struct {
	Group  GUID       `json:"group"`
	Name   string     `json:"name"` // the group's, at From
	From   time.Time  `json:"from"`
	To     *time.Time `json:"to,omitempty"` // the first moment after; nil while it goes on
	Direct bool       `json:"direct"`       // false: through other groups alone
}

// Memberships returns in which groups a person, or a group, ever was, and when:
// directly, and through other groups. Sorted by From, then by group.
func (h *History) Memberships(g GUID) []Membership {
	h.mu.RLock()
	defer h.mu.RUnlock()
	direct, effective := h.times(g)
	var list []Membership
	for id, all := range effective {
		for _, s := range direct[id] {
			list = append(list, h.membership(id, s, true))
		}
		for _, s := range all.without(direct[id]) {
			list = append(list, h.membership(id, s, false))
		}
	}
	slices.SortFunc(list, func(a, b Membership) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Group, b.Group))
	})
	return list
}

// MembersSince returns everyone who was in a group, directly or through
// others, at from or at any time since, also who departed; sorted. With the
// zero time, everyone who ever was.
func (h *History) MembersSince(g GUID, from time.Time) []GUID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	since := int64(math.MinInt64)
	if !from.IsZero() {
		since = from.UnixMilli()
	}
	below := reach(g, func(id GUID) []GUID {
		if of := h.groups[id]; of != nil {
			return slices.Collect(maps.Keys(of.ties))
		}
		return nil
	})
	return sortedWhere(below, func(id GUID) bool {
		if h.people[id] == nil {
			return false
		}
		_, effective := h.times(id)
		in := effective[g]
		return len(in) > 0 && in[len(in)-1].to > since
	})
}

// times returns when somebody or something was in which groups: directly, and
// directly or through others.
func (h *History) times(g GUID) (direct, effective map[GUID]spans) {
	direct, effective = map[GUID]spans{}, map[GUID]spans{}
	for _, t := range h.ties[g] {
		direct[t.group] = t.spans.normal()
		effective[t.group] = direct[t.group]
	}
	// Times climb from group to group as long as that tells anything new: sets
	// of times only grow, and they begin and end where entries are, so cycles end.
	for queue := slices.Collect(maps.Keys(direct)); len(queue) > 0; {
		at := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, t := range h.ties[at] {
			more := effective[at].both(t.spans.normal())
			if grown := slices.Concat(effective[t.group], more).normal(); !slices.Equal(grown, effective[t.group]) {
				effective[t.group] = grown
				queue = append(queue, t.group)
			}
		}
	}
	return direct, effective
}

func (h *History) membership(id GUID, s span, direct bool) Membership {
	g, _ := h.groups[id].asOf(s.from)
	m := Membership{Group: id, Name: g.Name, From: timeOf(s.from), Direct: direct}
	if s.to != forever {
		m.To = new(timeOf(s.to))
	}
	return m
}

// Stay is a time that a person spent where somebody asked.
type Stay struct {
	GUID GUID      `json:"guid"`
	Usrs []string  `json:"usrs"` // relay users that are the person's now
	From time.Time `json:"from"`
	To   time.Time `json:"to"` // the first moment after; zero while it goes on
}

// InScope returns who was in a department, and below an organisational unit
// (its DN), and when; a part that is empty does not narrow, and nobody is in
// the scope that is empty altogether. It takes what the log says: before the
// entry that added a person, and after the one by which the person departed,
// the person was nowhere. Sorted by GUID, then by From.
func (h *History) InScope(department, ou string) []Stay {
	if department == "" && ou == "" {
		return nil
	}
	s := scope{department: fold(department), ou: splitDN(ou)}
	if ou != "" && len(s.ou) == 0 {
		return nil // blanks are no DN, and must not widen the scope to everybody
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	var stays []Stay
	for _, g := range slices.Sorted(maps.Keys(h.people)) {
		for _, in := range s.times(h.people[g].versions) {
			stay := Stay{GUID: g, Usrs: h.usrsNow(g), From: timeOf(in.from)}
			if in.to != forever {
				stay.To = timeOf(in.to)
			}
			stays = append(stays, stay)
		}
	}
	return stays
}

type scope struct {
	department string   // folded; "" for any
	ou         []string // split; nil for any
}

// times returns when the person of these versions was in the scope.
func (s *scope) times(versions []Version) spans {
	var in spans
	there := false // in the directory
	var dn string
	under := len(s.ou) == 0
	for i := range versions {
		v := &versions[i]
		switch v.Op {
		case OpAdd, OpReturn:
			there = true
		case OpDepart:
			there = false
		}
		if len(s.ou) > 0 && (i == 0 || v.Person.DN != dn) {
			dn = v.Person.DN
			under = below(splitDN(dn), s.ou)
		}
		if n := len(in); n > 0 && in[n-1].to == forever {
			in[n-1].to = v.At.UnixMilli()
		}
		if there && under && (s.department == "" || fold(v.Person.Department) == s.department) {
			in = append(in, span{v.At.UnixMilli(), forever})
		}
	}
	return in.normal()
}
