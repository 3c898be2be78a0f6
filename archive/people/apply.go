package people

import (
	"slices"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// Apply takes in one entry of kind person, group, sync or match. Entries come
// in the log's order. An entry that is malformed, or that cannot follow from
// what came before, is an error that wraps ErrInvalid, says what is wrong
// without saying about whom, and changes nothing.
func (h *History) Apply(rec archive.Record) error {
	seq, at := rec.Leaf.Seq, rec.Leaf.ReceivedTime()
	var take func() error // with mu held; changes nothing when it fails
	switch rec.Leaf.Kind {
	case proof.KindPerson, proof.KindGroup:
		c, err := parseChange(rec.Leaf.Kind, rec.Body)
		if err != nil {
			return err
		}
		take = func() error { return h.takeChange(seq, at, c) }
	case proof.KindSync:
		b, err := parseSync(rec.Body)
		if err != nil {
			return err
		}
		take = func() error {
			if b.Op == SyncApplied {
				h.synced = &Synced{Seq: seq, At: at, SyncBody: *b}
			}
			return nil
		}
	case proof.KindMatch:
		b, err := parseMatch(rec.Body)
		if err != nil {
			return err
		}
		take = func() error { return h.takeMatch(&Matched{Seq: seq, At: at, MatchBody: *b}) }
	default:
		return invalid("an entry of a kind that is not about people")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq < h.next || at.UnixMilli() < h.last {
		return invalid("it comes before an entry that was applied already")
	}
	if err := take(); err != nil {
		return err
	}
	h.next, h.last = seq+1, at.UnixMilli()
	return nil
}

// Check reports whether the changes, at most one of each person and group, can
// follow now: whether Apply would take their entries. Whoever appends changes
// asks first, because an entry that cannot follow stops everything after it.
func (h *History) Check(changes []Change) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	seen := make(map[GUID]bool, len(changes))
	for i := range changes {
		c := &changes[i]
		if err := c.check(); err != nil {
			return err
		}
		if seen[c.GUID()] {
			return invalid("two changes of one person or group")
		}
		seen[c.GUID()] = true
		if err := h.follows(c); err != nil {
			return err
		}
	}
	return nil
}

// follows judges whether c, which check passed, can follow what is known.
func (h *History) follows(c *Change) error {
	if c.Group != nil {
		return h.groupFollows(c)
	}
	p := h.people[c.Person.GUID]
	switch {
	case h.groups[c.Person.GUID] != nil:
		return invalid("a person with the guid of a group")
	case c.Op == OpAdd && p != nil:
		return invalid("it adds a person who is known already")
	case c.Op == OpAdd:
		return nil
	case p == nil:
		return invalid("it is about a person who was never added")
	case c.Op == OpBlock || c.Op == OpUnblock:
		return nil // two administrators may have had the same thought
	case (c.Op == OpReturn) != p.departed:
		return invalid("people who departed can only return, and nobody else can")
	case !slices.Equal(p.newest().Differs(c.Person), c.Fields):
		return invalid("fields are not those in which the person differs from what was known")
	}
	return nil
}

func (h *History) groupFollows(c *Change) error {
	g := h.groups[c.Group.GUID]
	was, there := g.asOf(present)
	switch {
	case h.people[c.Group.GUID] != nil:
		return invalid("a group with the guid of a person")
	case c.Op == OpAdd && there:
		return invalid("it adds a group that is there already")
	case c.Op == OpAdd:
		return nil
	case !there:
		return invalid("it is about a group that is not there")
	case c.Op == OpRemove:
		return nil
	case !slices.Equal(was.Differs(c.Group), c.Fields):
		return invalid("fields are not those in which the group differs from what was known")
	}
	for _, m := range c.Added {
		if _, there := slices.BinarySearch(g.now, m); there {
			return invalid("it adds a member that the group has")
		}
	}
	for _, m := range c.Removed {
		if _, there := slices.BinarySearch(g.now, m); !there {
			return invalid("it removes a member that the group has not")
		}
	}
	return nil
}

func (h *History) takeChange(seq uint64, at time.Time, c *Change) error {
	if err := h.follows(c); err != nil {
		return err
	}
	if c.Group != nil {
		h.takeGroup(at.UnixMilli(), c)
		return nil
	}
	id := c.Person.GUID
	p := h.people[id]
	if p == nil {
		p = &person{}
		h.people[id] = p
	}
	v := Version{Seq: seq, At: at, Op: c.Op, Person: *c.Person, Fields: c.Fields, Why: c.Why, By: c.By, Reason: c.Reason}
	switch c.Op {
	case OpBlock, OpUnblock:
		p.blocked = c.Op == OpBlock
		v.Person = *p.newest()
	case OpAdd, OpReturn:
		p.departed, p.why, p.since = false, "", at
	case OpDepart:
		p.departed, p.why, p.since = true, c.Why, at
	}
	p.versions = append(p.versions, v)
	for _, name := range []string{string(id), v.Person.Account, v.Person.UPN, v.Person.Mail, v.Person.Name} {
		h.names.add(name, id)
	}
	h.upns.add(v.Person.UPN, id)
	h.mails.add(v.Person.Mail, id)
	return nil
}

func (h *History) takeGroup(at int64, c *Change) {
	id := c.Group.GUID
	g := h.groups[id]
	if g == nil {
		g = &group{ties: map[GUID]*tie{}}
		h.groups[id] = g
	}
	if was, there := g.asOf(present); there {
		h.sids.remove(was.SID, id)
	}
	v := groupVersion{at: at, gone: c.Op == OpRemove, group: *c.Group}
	v.group.Members = nil
	if v.gone {
		v.group = g.versions[len(g.versions)-1].group
	} else {
		h.sids.add(v.group.SID, id)
	}
	g.versions = append(g.versions, v)
	left, joined := c.Removed, c.Added
	switch c.Op {
	case OpAdd:
		joined = c.Group.Members
	case OpRemove:
		left = g.now
	}
	for _, m := range left {
		was := g.ties[m].spans
		was[len(was)-1].to = at
	}
	for _, m := range joined {
		t := g.ties[m]
		if t == nil {
			t = &tie{group: id, member: m}
			g.ties[m] = t
			h.ties[m] = append(h.ties[m], t)
		}
		t.spans = append(t.spans, span{at, forever})
	}
	added := slices.Concat(g.now, joined)
	slices.Sort(added)
	g.now = slices.DeleteFunc(added, func(m GUID) bool {
		_, gone := slices.BinarySearch(left, m)
		return gone
	})
}
