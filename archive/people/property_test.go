package people

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// said is one entry as the naive replay keeps it.
type event struct {
	at time.Time
	c  Change
}

// replay is what the entries up to a time add up to, worked out the plain way.
type replay struct {
	people  map[GUID]Standing
	groups  map[GUID]Group
	members map[GUID]map[GUID]bool
}

func replayed(events []event, at time.Time) replay {
	r := replay{map[GUID]Standing{}, map[GUID]Group{}, map[GUID]map[GUID]bool{}}
	for _, e := range events {
		if !at.IsZero() && e.at.After(at) {
			continue
		}
		if e.c.Group != nil {
			r.group(e.c)
			continue
		}
		s := r.people[e.c.Person.GUID]
		switch e.c.Op {
		case OpBlock, OpUnblock:
			s.Blocked = e.c.Op == OpBlock
			r.people[e.c.Person.GUID] = s
			continue
		case OpAdd, OpReturn:
			s.Status, s.Why, s.Since = StatusActive, "", e.at
		case OpDepart:
			s.Status, s.Why, s.Since = StatusDeparted, e.c.Why, e.at
		}
		s.Person = *e.c.Person
		r.people[s.Person.GUID] = s
	}
	return r
}

func (r replay) group(c Change) {
	g := c.Group.GUID
	if c.Op == OpRemove {
		delete(r.groups, g)
		delete(r.members, g)
		return
	}
	r.groups[g] = Group{GUID: g, Name: c.Group.Name, Account: c.Group.Account, DN: c.Group.DN, SID: c.Group.SID}
	if c.Op == OpAdd {
		r.members[g] = map[GUID]bool{}
		c.Added = c.Group.Members
	}
	for _, m := range c.Added {
		r.members[g][m] = true
	}
	for _, m := range c.Removed {
		delete(r.members[g], m)
	}
}

// in returns the groups that a member is in, by asking again until nothing is new.
func (r replay) in(member GUID) []GUID {
	in := map[GUID]bool{}
	for more := true; more; {
		more = false
		for g, members := range r.members {
			for m := range members {
				if (m == member || in[m]) && !in[g] {
					in[g], more = true, true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(in))
}

// draw makes a directory that changes at random, and the log of its changes.
type draw struct {
	*log
	t      *rapid.T
	people []GUID
	groups []GUID
	dir    map[GUID]Person // everybody whom the directory has, disabled or not
	sets   map[GUID]Group
	events []event
	known  map[GUID]bool
}

func (d *draw) pick(n int, what string) int { return rapid.IntRange(0, n-1).Draw(d.t, what) }

func (d *draw) apply(c Change) {
	d.do(c)
	d.events = append(d.events, event{d.now, c})
}

// mutate changes the directory in one place.
func (d *draw) mutate() {
	if d.pick(2, "person or group") == 0 {
		g := d.people[d.pick(len(d.people), "person")]
		p, there := d.dir[g]
		if !there {
			p = someone(g, "p"+string(g[7]))
		}
		switch d.pick(5, "what") {
		case 0:
			delete(d.dir, g)
			return
		case 1:
			p.Disabled = !p.Disabled
		case 2:
			p.Department = []string{"ICU", "ER", "icu"}[d.pick(3, "department")]
		case 3:
			p.DN = "CN=x,OU=" + []string{"ICU,DC=st", "Lab,OU=ICU,DC=st", "Lab,DC=st"}[d.pick(3, "unit")]
		case 4:
			p.UPN = []string{"a", "b", ""}[d.pick(3, "upn")]
		}
		d.dir[g] = p
		return
	}
	id := d.groups[d.pick(len(d.groups), "group")]
	g, there := d.sets[id]
	if there && d.pick(6, "remove") == 0 {
		delete(d.sets, id)
		return
	}
	all := slices.Concat(d.people, d.groups)
	slices.Sort(all)
	mask := d.pick(1<<len(all), "members")
	g = Group{GUID: id, Name: []string{"x", "y"}[d.pick(2, "name")]}
	for i, m := range all {
		if mask>>i&1 != 0 {
			g.Members = append(g.Members, m)
		}
	}
	d.sets[id] = g
}

// sync appends what differs between the directory and the log.
func (d *draw) sync() {
	old := d.h.Snapshot()
	for _, g := range d.people {
		is, there := d.dir[g]
		was, active := old.People[g]
		departed, gone := old.Departed[g]
		switch {
		case active && !there:
			d.apply(Change{Op: OpDepart, Person: &was, Why: WhyMissing})
		case active && is.Disabled:
			d.apply(Change{Op: OpDepart, Person: &is, Fields: was.Differs(&is), Why: WhyDisabled})
		case !there || is.Disabled:
		case active && len(was.Differs(&is)) > 0:
			d.apply(Change{Op: OpChange, Person: &is, Fields: was.Differs(&is)})
		case gone:
			d.apply(Change{Op: OpReturn, Person: &is, Fields: departed.Differs(&is)})
		case !active:
			d.apply(Change{Op: OpAdd, Person: &is})
			d.known[g] = true
		}
	}
	for _, id := range d.groups {
		is, there := d.sets[id]
		was, before := old.Groups[id]
		added, removed := MemberDiff(was.Members, is.Members)
		switch fields := was.Differs(&is); {
		case before && !there:
			d.apply(Change{Op: OpRemove, Group: &was})
		case there && !before:
			d.apply(Change{Op: OpAdd, Group: &is})
		case there && len(fields)+len(added)+len(removed) > 0:
			d.apply(Change{Op: OpChange, Group: &is, Fields: fields, Added: added, Removed: removed})
		}
	}
}

func TestHistoryIsWhatAPlainReplaySays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &draw{log: begin(t), t: t, dir: map[GUID]Person{}, sets: map[GUID]Group{}, known: map[GUID]bool{},
			people: []GUID{ann, bob, cid}, groups: []GUID{nurses, staff, night}}
		for range rapid.IntRange(1, 12).Draw(t, "syncs") {
			d.now = d.now.Add(time.Duration(d.pick(3, "ms")) * time.Millisecond) // often none: a whole batch has one time
			for range 1 + d.pick(4, "changes") {
				d.mutate()
			}
			d.sync()
			if g := d.people[d.pick(len(d.people), "whom")]; d.known[g] {
				switch d.pick(4, "by hand") {
				case 0:
					d.apply(byHand(OpBlock, g))
				case 1:
					d.apply(byHand(OpUnblock, g))
				}
			}
			d.compareNow()
		}
		for at := monday.Add(-time.Millisecond); !at.After(d.now.Add(time.Millisecond)); at = at.Add(time.Millisecond) {
			d.compareAsOf(at)
			d.compareAsOf(at.Add(time.Millisecond - 1))
		}
		d.compareAsOf(time.Time{})
	})
}

// compareNow sees that the log's snapshot is the directory.
func (d *draw) compareNow() {
	s := d.h.Snapshot()
	for g, p := range d.dir {
		if got, ok := s.People[g]; ok == p.Disabled || ok && len(got.Differs(&p)) > 0 {
			d.tb.Fatalf("the snapshot has %+v %v, the directory %+v", got, ok, p)
		}
	}
	for g := range s.People {
		if _, ok := d.dir[g]; !ok {
			d.tb.Fatalf("the snapshot has %s, the directory has not", g)
		}
	}
	for g := range d.known {
		_, active := s.People[g]
		if _, departed := s.Departed[g]; active == departed {
			d.tb.Fatalf("%s is both there and not, or neither", g)
		}
	}
	if a, b := fmt.Sprint(s.Groups), fmt.Sprint(d.sets); a != b {
		d.tb.Fatalf("groups\n got %s\nwant %s", a, b)
	}
}

func (d *draw) compareAsOf(at time.Time) {
	r := replayed(d.events, at)
	for _, g := range d.people {
		want, known := r.people[g]
		got, ok := d.h.Person(g, at)
		if known {
			want.Groups = []Group{}
			for _, id := range r.in(g) {
				want.Groups = append(want.Groups, r.groups[id])
			}
		}
		if ok != known || fmt.Sprint(got) != fmt.Sprint(want) {
			d.tb.Fatalf("at %v\n got %+v\nwant %+v", at, got, want)
		}
		now := at
		if at.IsZero() {
			now = d.now
		}
		var direct, through []GUID
		for _, m := range d.h.Memberships(g) {
			switch {
			case now.Before(m.From) || m.To != nil && !now.Before(*m.To):
			case m.Direct:
				direct = append(direct, m.Group)
			default:
				through = append(through, m.Group)
			}
		}
		for _, id := range d.groups {
			in := slices.Contains(r.in(g), id)
			if slices.Contains(direct, id) != r.members[id][g] || slices.Contains(through, id) != (in && !r.members[id][g]) {
				d.tb.Fatalf("at %v: memberships of %s in %s: direct %v, through others %v; want %v, %v", at, g, id, direct, through, r.members[id][g], in)
			}
		}
		for _, ask := range [][2]string{{"ICU", ""}, {"", "ou=icu,dc=st"}, {"ER", "OU=Lab,DC=st"}} {
			want := want.Status == StatusActive && (ask[0] == "" || strings.EqualFold(want.Person.Department, ask[0])) &&
				(ask[1] == "" || strings.HasSuffix(strings.ToLower(want.Person.DN), ","+strings.ToLower(ask[1])))
			got := slices.ContainsFunc(d.h.InScope(ask[0], ask[1]), func(s Stay) bool {
				return s.GUID == g && !now.Before(s.From) && (s.To.IsZero() || now.Before(s.To))
			})
			if got != want {
				d.tb.Fatalf("at %v: %s in scope of %q: %v", at, g, ask, got)
			}
		}
	}
	for _, id := range d.groups {
		var want []GUID
		for _, g := range d.people {
			if r.people[g].Status == StatusActive && slices.Contains(r.in(g), id) {
				want = append(want, g)
			}
		}
		if got := d.h.Members(id, at); !slices.Equal(got, want) {
			d.tb.Fatalf("at %v: members of %s: %v, want %v", at, id, got, want)
		}
	}
}
