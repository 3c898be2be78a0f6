package people

import (
	"maps"
	"slices"
	"sync"
	"time"

	"holdfast/internal/role"
)

// History is everything that the entries of kinds person, group, sync and match
// say, with when they said it. Times are the received times of the entries;
// what an entry says holds from that millisecond on. It is safe for concurrent use: any
// number of goroutines may read while one applies. What its methods return
// belongs to the caller.
type History struct {
	mu sync.RWMutex

	next    uint64 // the least seq that the next entry can have
	last    int64  // time of the newest entry
	people  map[GUID]*person
	groups  map[GUID]*group
	ties    map[GUID][]*tie // by member
	names   index           // people, by every name that they ever had
	upns    index           // people, by every UPN that they ever had
	mails   index           // and every mail address
	sids    index           // groups that are there now, by SID
	matches map[string]*match
	usrs    map[GUID][]string // sorted: every relay user that ever was the person's
	ever    map[string][]GUID // sorted: everyone whose the relay user ever was
	synced  *Synced           // the newest that was applied
}

// person is one person, whose newest version says what is known now.
type person struct {
	versions []Version // ascending
	departed bool
	why      string
	blocked  bool
	since    time.Time // when departed came to be what it is
}

// group is one group.
type group struct {
	versions []groupVersion // ascending
	ties     map[GUID]*tie  // by member: everyone who ever was one
	now      []GUID         // the members now, sorted
}

type groupVersion struct {
	at    int64
	gone  bool
	group Group // without members
}

// tie is one direct membership with its times, shared by group and member.
type tie struct {
	group, member GUID
	spans         spans // ascending; the last may end forever
}

// match is what is known of one relay user.
type match struct {
	now    *Matched // nil when it is nobody's
	undone bool     // a person unmatched it
}

// NewHistory returns the history of an empty log.
func NewHistory() *History {
	return &History{
		people: map[GUID]*person{}, groups: map[GUID]*group{}, ties: map[GUID][]*tie{},
		names: index{}, upns: index{}, mails: index{}, sids: index{},
		matches: map[string]*match{}, usrs: map[GUID][]string{}, ever: map[string][]GUID{},
	}
}

// The statuses of a person.
const (
	StatusActive   = "active"
	StatusDeparted = "departed"
)

// Standing is one person as of a time.
type Standing struct {
	Person  Person    `json:"person"` // of one who departed: as last known
	Status  string    `json:"status"` // StatusActive or StatusDeparted
	Why     string    `json:"why,omitempty"`
	Blocked bool      `json:"blocked"` // by an administrator; independent of Status
	Since   time.Time `json:"since"`   // since when Status is what it is
	Groups  []Group   `json:"groups"`  // effective: nested ones included; sorted by GUID, without their Members
}

// Version is one thing that the log says of a person: one entry.
type Version struct {
	Seq    uint64         `json:"seq"`
	At     time.Time      `json:"at"` // received time of the entry: what it says holds from then on
	Op     Op             `json:"op"`
	Person Person         `json:"person"` // as known from then on
	Fields []string       `json:"fields,omitempty"`
	Why    string         `json:"why,omitempty"`
	By     role.Principal `json:"by,omitzero"`
	Reason string         `json:"reason,omitempty"`
}

// Snapshot returns what the log says now, as a copy of its own.
func (h *History) Snapshot() *Snapshot {
	h.mu.RLock()
	defer h.mu.RUnlock()
	s := &Snapshot{People: make(map[GUID]Person, len(h.people)), Groups: make(map[GUID]Group, len(h.groups)), Departed: map[GUID]Person{}}
	for id, p := range h.people {
		if p.departed {
			s.Departed[id] = *p.newest()
		} else {
			s.People[id] = *p.newest()
		}
	}
	for id, g := range h.groups {
		if is, ok := g.asOf(present); ok {
			is.Members = g.members(present)
			s.Groups[id] = is
		}
	}
	return s
}

// Person returns a person as of a time; the zero time is now. It is false when
// the log had not heard of the person by then.
func (h *History) Person(g GUID, at time.Time) (Standing, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	p := h.people[g]
	if p == nil {
		return Standing{}, false
	}
	return h.standing(g, p, &walker{h: h, at: moment(at)})
}

// All returns the people who have not departed, or everyone, as of now, sorted
// by GUID.
func (h *History) All(departed bool) []Standing {
	h.mu.RLock()
	defer h.mu.RUnlock()
	w := &walker{h: h, at: present}
	var all []Standing
	for _, g := range slices.Sorted(maps.Keys(h.people)) {
		p := h.people[g]
		if p.departed && !departed {
			continue
		}
		if s, ok := h.standing(g, p, w); ok {
			all = append(all, s)
		}
	}
	return all
}

// Versions returns everything that the log says of a person, oldest first.
func (h *History) Versions(g GUID) []Version {
	h.mu.RLock()
	defer h.mu.RUnlock()
	p := h.people[g]
	if p == nil {
		return nil
	}
	versions := slices.Clone(p.versions)
	for i := range versions {
		versions[i].Fields = slices.Clone(versions[i].Fields)
	}
	return versions
}

// Find returns the people who ever had a name: a GUID's text, an account, a
// UPN, a mail address or a display name. All of it must be the same, but for
// case. A name that was re-used finds each who had it; a person's GUID finds
// that person alone, whatever others are called. Sorted.
func (h *History) Find(name string) []GUID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if g, err := ParseGUID(name); err == nil && h.people[g] != nil {
		return []GUID{g}
	}
	return slices.Clone(h.names.find(name))
}

// FindUPN returns the people who ever had a UPN, whoever is called so otherwise.
// Sorted.
func (h *History) FindUPN(upn string) []GUID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Clone(h.upns.find(upn))
}

// LastSync returns the newest synchronisation that was applied; false when
// there is none.
func (h *History) LastSync() (Synced, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.synced == nil {
		return Synced{}, false
	}
	s := *h.synced
	s.Rails = slices.Clone(s.Rails)
	return s, true
}

func (p *person) newest() *Person { return &p.versions[len(p.versions)-1].Person }

// standing is called with mu held.
func (h *History) standing(g GUID, p *person, w *walker) (Standing, bool) {
	s, ok := p.asOf(w.at)
	if !ok {
		return Standing{}, false
	}
	s.Groups = []Group{} // in JSON a list, if an empty one
	for _, id := range w.groups(g) {
		if is, ok := h.groups[id].asOf(w.at); ok {
			s.Groups = append(s.Groups, is)
		}
	}
	return s, true
}

func (p *person) asOf(at int64) (Standing, bool) {
	if p.versions[0].At.UnixMilli() > at {
		return Standing{}, false
	}
	if at == present {
		s := Standing{Person: *p.newest(), Status: StatusActive, Why: p.why, Blocked: p.blocked, Since: p.since}
		if p.departed {
			s.Status = StatusDeparted
		}
		return s, true
	}
	var s Standing
	for i := range p.versions {
		v := &p.versions[i]
		if v.At.UnixMilli() > at {
			break
		}
		s.Person = v.Person
		switch v.Op {
		case OpAdd, OpReturn:
			s.Status, s.Why, s.Since = StatusActive, "", v.At
		case OpDepart:
			s.Status, s.Why, s.Since = StatusDeparted, v.Why, v.At
		case OpBlock:
			s.Blocked = true
		case OpUnblock:
			s.Blocked = false
		}
	}
	return s, true
}

// asOf returns the group without its members; false when it was not there.
func (g *group) asOf(at int64) (Group, bool) {
	if g == nil {
		return Group{}, false
	}
	for _, v := range slices.Backward(g.versions) {
		if v.at <= at {
			return v.group, !v.gone
		}
	}
	return Group{}, false
}

// members returns the direct members, sorted.
func (g *group) members(at int64) []GUID {
	if at == present {
		return slices.Clone(g.now)
	}
	var m []GUID
	for id, t := range g.ties {
		if t.spans.has(at) {
			m = append(m, id)
		}
	}
	slices.Sort(m)
	return m
}
