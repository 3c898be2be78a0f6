package retention

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
	"holdfast/retention/hold"
)

// MaxMembers is how many members a matter may have.
const MaxMembers = 1000

const (
	personPrefix = "person:"
	uidPrefix    = "uid:"
)

// What an entry of kind matter does.
const (
	opOpen  = "open"
	opClose = "close"
	opJoin  = "join"
	opLeave = "leave"
)

type matterBody struct {
	Version int            `json:"v"` // 1
	Op      string         `json:"op"`
	ID      string         `json:"id"`
	Name    string         `json:"name,omitempty"`    // open
	Members []string       `json:"members,omitempty"` // open: the opener is among them; join and leave: the one
	By      role.Principal `json:"by"`
	Reason  string         `json:"reason"`
}

// matter is one matter; Book.mu guards it.
type matter struct {
	id, name string
	opened   time.Time
	closed   *time.Time
	members  []string // sorted
	holds    []*held
}

// matterKey is under what a matter is found: ids that differ in case alone are
// one, because people would take them for one.
func matterKey(id string) string { return strings.ToLower(id) }

func (b *Book) applyMatter(rec archive.Record) error {
	var body matterBody
	if err := read(rec, maxBody, &body, &body.Version); err != nil {
		return err
	}
	at := rec.Leaf.ReceivedTime()
	m := b.matters[matterKey(body.ID)]
	switch {
	case body.Op == opOpen && m != nil:
		b.fault(rec, ErrMatterExists)
	case body.Op == opOpen:
		b.matters[matterKey(body.ID)] = &matter{id: body.ID, name: body.Name, opened: at, members: slices.Compact(slices.Sorted(slices.Values(body.Members)))}
	case m == nil:
		b.fault(rec, ErrUnknownMatter)
	case body.Op == opClose && m.heldAt(at):
		b.fault(rec, ErrMatterHeld)
	case body.Op == opClose:
		m.closed = &at
	case body.Op == opJoin || body.Op == opLeave:
		m.members = withMembers(m.members, body.Members, body.Op == opJoin)
	default:
		b.fault(rec, ErrUnreadable)
	}
	return nil
}

// withMembers returns the members with some more, or without some; sorted.
func withMembers(members, change []string, in bool) []string {
	out := slices.DeleteFunc(slices.Clone(members), func(m string) bool { return slices.Contains(change, m) })
	if in {
		out = append(out, change...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// heldAt reports whether a hold of the matter is in force.
func (m *matter) heldAt(now time.Time) bool {
	return slices.ContainsFunc(m.holds, func(h *held) bool { return h.stateAt(now) != StateReleased })
}

// custodians returns whom the matter's holds name or ever named, groups'
// members included, as Scope names custodians.
func (m *matter) custodians(p People) map[string]bool {
	out := map[string]bool{}
	for _, h := range m.holds {
		for _, t := range h.terms {
			named(t.scope, p, out)
		}
	}
	return out
}

// named adds whom a scope names to out.
func named(s hold.Scope, p People, out map[string]bool) {
	for _, c := range s.Custodians {
		out[c] = true
		if usr, ok := strings.CutPrefix(c, hold.UsrPrefix); ok {
			if guid, ok := p.PersonOf(usr); ok {
				out[guid] = true
			}
		}
	}
	for _, g := range s.Groups {
		for _, guid := range p.MembersEver(g, fromOf(s)) {
			out[guid] = true
		}
	}
}

func fromOf(s hold.Scope) time.Time {
	if s.From == nil {
		return time.Time{}
	}
	return *s.From
}

// works reports whether who works on the matter: members do who are none of
// its custodians.
func (m *matter) works(who role.Principal, custodians map[string]bool) bool {
	is := func(id string) bool {
		return id == who.ID() || who.UID != nil && id == uidPrefix+strconv.FormatUint(uint64(*who.UID), 10)
	}
	return slices.ContainsFunc(m.members, is) && !(who.Person != "" && custodians[who.Person])
}

// able returns the members who can work on the matter: no custodians, and not
// departed.
func able(members []string, custodians map[string]bool, p People) int {
	n := 0
	for _, m := range members {
		guid, person := strings.CutPrefix(m, personPrefix)
		if person {
			if _, gone := p.Departed(guid); gone || custodians[guid] {
				continue
			}
		}
		n++
	}
	return n
}

// workable returns the open matter if who works on it. mu is held.
func (b *Book) workable(id string, who role.Principal) (*matter, error) {
	m := b.matters[matterKey(id)]
	switch {
	case m == nil:
		return nil, ErrUnknownMatter
	case !m.works(who, m.custodians(b.options.People)):
		return nil, ErrNotMember
	case m.closed != nil:
		return nil, ErrMatterClosed
	}
	return m, nil
}

// OpenMatter opens a matter, of which who is a member.
func (b *Book) OpenMatter(ctx context.Context, who role.Principal, n NewMatter) (*Matter, error) {
	body := matterBody{Version: 1, Op: opOpen, ID: n.ID, Name: n.Name, Members: []string{who.ID()}, By: who, Reason: n.Reason}
	for _, text := range n.Members {
		member, err := memberOf(text)
		if err != nil {
			return nil, err
		}
		body.Members = append(body.Members, member)
	}
	slices.Sort(body.Members)
	body.Members = slices.Compact(body.Members)
	switch {
	case !validMatter(n.ID):
		return nil, fmt.Errorf("%w: a matter's id has 1 to 64 of the characters A-Z a-z 0-9 . _ -", ErrInvalid)
	case len(body.Members) > MaxMembers:
		return nil, fmt.Errorf("%w: a matter has at most %d members", ErrInvalid, MaxMembers)
	}
	if err := short("name", n.Name); err != nil {
		return nil, err
	}
	return b.changeMatter(ctx, body, func(m *matter, _ time.Time) error {
		if m != nil {
			return ErrMatterExists
		}
		return nil
	})
}

// CloseMatter closes a matter none of whose holds is in force.
func (b *Book) CloseMatter(ctx context.Context, who role.Principal, id, reason string) error {
	body := matterBody{Version: 1, Op: opClose, ID: id, By: who, Reason: reason}
	_, err := b.changeMatter(ctx, body, func(_ *matter, now time.Time) error {
		m, err := b.workable(id, who)
		if err == nil && m.heldAt(now) {
			err = ErrMatterHeld
		}
		return err
	})
	return err
}

// SetMember takes a member into a matter, or out of it. Members do that who
// work on it; when none is left who can, anybody else may take somebody in.
func (b *Book) SetMember(ctx context.Context, who role.Principal, id, member string, in bool, reason string) error {
	member, err := memberOf(member)
	if err != nil {
		return err
	}
	body := matterBody{Version: 1, Op: opLeave, ID: id, Members: []string{member}, By: who, Reason: reason}
	if in {
		body.Op = opJoin
	}
	_, err = b.changeMatter(ctx, body, func(m *matter, _ time.Time) error {
		if m == nil {
			return ErrUnknownMatter
		}
		custodians := m.custodians(b.options.People)
		guid, person := strings.CutPrefix(member, personPrefix)
		switch {
		case m.closed != nil:
			return ErrMatterClosed
		case !m.works(who, custodians) && !(in && able(m.members, custodians, b.options.People) == 0):
			return ErrNotMember
		case in && person && custodians[guid]:
			return fmt.Errorf("%w: a custodian of the matter cannot be its member", ErrInvalid)
		case in && len(m.members) >= MaxMembers:
			return fmt.Errorf("%w: a matter has at most %d members", ErrInvalid, MaxMembers)
		case in && slices.Contains(m.members, member):
			return fmt.Errorf("%w: they are a member already", ErrInvalid)
		case !in && !slices.Contains(m.members, member):
			return fmt.Errorf("%w: they are no member; `holdfast matter show` lists those", ErrInvalid)
		case !in && able(withMembers(m.members, body.Members, false), custodians, b.options.People) == 0:
			return ErrLastMember
		}
		return nil
	})
	return err
}

// changeMatter judges with rules, which get the matter or nil, and writes the entry.
func (b *Book) changeMatter(ctx context.Context, body matterBody, rules func(m *matter, now time.Time) error) (*Matter, error) {
	if err := words("reason", body.Reason); err != nil {
		return nil, err
	}
	done, err := b.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := b.judged(ctx, func(now time.Time) error {
		m := b.matters[matterKey(body.ID)]
		if m != nil {
			body.ID = m.id
		}
		return rules(m, now)
	}); err != nil {
		return nil, err
	}
	e, err := entry(proof.KindMatter, body)
	if err != nil {
		return nil, err
	}
	if _, err := b.write(ctx, e); err != nil {
		return nil, err
	}
	m, _ := b.Matter(body.ID)
	return m, nil
}

// Matter returns a matter as it stands; false when there is none.
func (b *Book) Matter(id string) (*Matter, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	m := b.matters[matterKey(id)]
	if m == nil {
		return nil, false
	}
	return m.view(b.options.People), true
}

// Matters returns every matter, sorted by id.
func (b *Book) Matters() []Matter {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make([]Matter, 0, len(b.matters))
	for _, key := range slices.Sorted(maps.Keys(b.matters)) {
		out = append(out, *b.matters[key].view(b.options.People))
	}
	return out
}

func (m *matter) view(p People) *Matter {
	v := &Matter{
		ID: m.id, Name: m.name, State: StateOpen, Opened: m.opened, Closed: m.closed, Members: slices.Clone(m.members),
		Custodians: slices.Sorted(maps.Keys(m.custodians(p))), Holds: []uint64{},
	}
	if m.closed != nil {
		v.State = StateClosed
	}
	if v.Custodians == nil {
		v.Custodians = []string{}
	}
	for _, h := range m.holds {
		v.Holds = append(v.Holds, h.seq)
	}
	return v
}

// heldWord stands for a matter before those who may not know of it, and so is
// none's id.
const heldWord = "held"

func validMatter(id string) bool {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	return len(id) >= 1 && len(id) <= 64 && strings.Trim(id, chars) == "" && !strings.EqualFold(id, heldWord)
}

// memberOf reads a member: "person:" and an objectGUID, or that alone; "uid:"
// and a number.
func memberOf(s string) (string, error) {
	if number, ok := strings.CutPrefix(s, uidPrefix); ok {
		if n, err := strconv.ParseUint(number, 10, 32); err == nil && strconv.FormatUint(n, 10) == number {
			return s, nil
		}
	}
	guid := strings.TrimPrefix(s, personPrefix)
	probe := hold.Scope{Groups: []string{guid}} // groups are objectGUIDs and nothing else
	if err := probe.Check(); err != nil {
		return "", fmt.Errorf("%w: a member is person: and an objectGUID, or uid: and the number of an account", ErrInvalid)
	}
	return personPrefix + guid, nil
}
