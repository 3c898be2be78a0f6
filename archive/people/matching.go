package people

import (
	"cmp"
	"maps"
	"slices"

	"holdfast/ingest/envelope"
)

// PersonOf returns the person that a relay user is; false when it is nobody's.
func (h *History) PersonOf(usr string) (GUID, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if m := h.matches[usr]; m != nil && m.now != nil {
		return m.now.GUID, true
	}
	return "", false
}

// Usrs returns every relay user that is or ever was matched to a person, sorted.
func (h *History) Usrs(g GUID) []string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Clone(h.usrs[g])
}

// EverOf returns every person that a relay user is or ever was matched to,
// sorted.
func (h *History) EverOf(usr string) []GUID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Clone(h.ever[usr])
}

// Matches returns the matches that stand now, sorted by usr.
func (h *History) Matches() []Matched {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var list []Matched
	for _, usr := range slices.Sorted(maps.Keys(h.matches)) {
		if m := h.matches[usr]; m.now != nil {
			list = append(list, *m.now)
		}
	}
	return list
}

// usrsNow is called with mu held.
func (h *History) usrsNow(g GUID) []string {
	var now []string
	for _, usr := range h.usrs[g] {
		if m := h.matches[usr]; m.now != nil && m.now.GUID == g {
			now = append(now, usr)
		}
	}
	return now
}

// takeMatch is called with mu held. What is written while somebody else
// decides must not stop the log: a match by address yields to any match and to
// a person's unmatching that came before it, and an unmatching of what does
// not stand has no effect.
func (h *History) takeMatch(b *Matched) error {
	if h.people[b.GUID] == nil {
		return invalid("it is about a person who was never added")
	}
	m := h.matches[b.Usr]
	if m == nil {
		m = &match{}
		h.matches[b.Usr] = m
	}
	switch {
	case b.Op == OpUnmatch:
		if m.now != nil && m.now.GUID == b.GUID {
			m.now, m.undone = nil, true
		}
		return nil
	case b.By != ByPerson && (m.now != nil || m.undone):
		return nil
	}
	m.now, m.undone = b, false
	if i, found := slices.BinarySearch(h.usrs[b.GUID], b.Usr); !found {
		h.usrs[b.GUID] = slices.Insert(h.usrs[b.GUID], i, b.Usr)
	}
	if i, found := slices.BinarySearch(h.ever[b.Usr], b.GUID); !found {
		h.ever[b.Usr] = slices.Insert(h.ever[b.Usr], i, b.GUID)
	}
	return nil
}

// Match says which of the relay's users are which people, as far as that can
// be told without guessing. It returns the matches that are new, to be appended, and the
// users that a person has to look at; both sorted by usr. It changes nothing.
//
// A user is the one person who has its UPN now, else the one who has its mail
// address now. It is nobody's when several have it, when UPN and mail speak of
// different people, be it one who had the address once, or when the address
// was once another's who was never matched. A user once matched stays with
// its person whatever becomes of the address; when its UPN or mail is
// somebody else's now, that is reported, until a person has said whose it is,
// seeing those very addresses.
func Match(users []envelope.User, h *History) (matches []MatchBody, unmatched []Unmatched) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	users = slices.Clone(users)
	slices.SortStableFunc(users, func(a, b envelope.User) int { return cmp.Compare(a.Usr, b.Usr) })
	users = slices.CompactFunc(users, func(a, b envelope.User) bool { return a.Usr == b.Usr })
	for i := range users {
		u := &users[i]
		u.UPN, u.Mail = Clean(u.UPN), Clean(u.Mail) // as entries hold them; nobody's are longer
		v := h.judge(u)
		switch {
		case v.reason != "":
			unmatched = append(unmatched, Unmatched{Usr: u.Usr, UPN: u.UPN, Mail: u.Mail, Name: u.Name, Reason: v.reason, GUID: v.guid})
		case v.by != "":
			matches = append(matches, MatchBody{Version: 1, Op: OpMatch, Usr: u.Usr, GUID: v.guid, By: v.by, UPN: u.UPN, Mail: u.Mail})
		}
	}
	return matches, unmatched
}

// verdict is what Match finds of one user: a new match, a reason why not, or
// neither when it is matched and all is well.
type verdict struct {
	guid   GUID
	by     string
	reason string
}

// claim is one address of a relay user: who has it now, and who ever had it.
type claim struct{ now, ever []GUID }

func (c claim) others(g GUID) bool { return len(c.now) > 0 && !slices.Contains(c.now, g) }
func (c claim) never(g GUID) bool  { return len(c.ever) > 0 && !slices.Contains(c.ever, g) }

func (h *History) claimOf(x index, address string, of func(*Person) string) claim {
	c := claim{ever: x.find(address)}
	for _, g := range c.ever {
		if p := h.people[g]; !p.departed && fold(of(p.newest())) == fold(address) {
			c.now = append(c.now, g)
		}
	}
	return c
}

func (h *History) judge(u *envelope.User) verdict {
	upn := h.claimOf(h.upns, u.UPN, func(p *Person) string { return p.UPN })
	mail := h.claimOf(h.mails, u.Mail, func(p *Person) string { return p.Mail })
	if m := h.matches[u.Usr]; m != nil && m.now != nil {
		seen := m.now.By == ByPerson && fold(m.now.UPN) == fold(u.UPN) && fold(m.now.Mail) == fold(u.Mail)
		if g := m.now.GUID; !seen && (upn.others(g) || mail.others(g)) {
			return verdict{reason: ReasonConflict, guid: g}
		}
		return verdict{}
	} else if m != nil && m.undone {
		return verdict{reason: ReasonUndone}
	}
	switch {
	case u.UPN == "" && u.Mail == "":
		return verdict{reason: ReasonNoAddress}
	case len(upn.now) > 0:
		return h.decide(ByUPN, upn, mail)
	case len(mail.now) > 0:
		return h.decide(ByMail, mail, upn)
	}
	return verdict{reason: h.lost(slices.Concat(upn.ever, mail.ever))}
}

// decide judges a claim that somebody answers to now, beside the other one.
func (h *History) decide(by string, c, beside claim) verdict {
	if len(c.now) > 1 {
		return verdict{reason: ReasonAmbiguous}
	}
	g := c.now[0]
	if beside.others(g) || beside.never(g) {
		return verdict{reason: ReasonContradiction}
	}
	for _, other := range c.ever {
		if other != g && len(h.usrs[other]) == 0 {
			return verdict{reason: ReasonReused}
		}
	}
	return verdict{guid: g, by: by}
}

// lost says why an address that nobody has now finds nobody.
func (h *History) lost(ever []GUID) string {
	switch {
	case len(ever) == 0:
		return ReasonUnknown
	case slices.ContainsFunc(ever, func(g GUID) bool { return !h.people[g].departed }):
		return ReasonFormer
	}
	return ReasonDeparted
}
