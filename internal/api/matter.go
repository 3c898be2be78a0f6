package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"holdfast/archive/audit"
	"holdfast/internal/role"
	"holdfast/retention"
	"holdfast/retention/hold"
)

// Held is how a matter is called before those who are not its members.
const Held = "held"

// As returns the matter's name as p may know it: members who are none of its
// custodians know the name, everybody else that something is held.
func (m *Matter) As(p role.Principal) string {
	if m.works(p) {
		return m.ID
	}
	return Held
}

// works reports whether p may work on the matter: nobody does in which they
// are a custodian.
func (m *Matter) works(p role.Principal) bool {
	return m != nil && names(m.Members, p) && !names(m.Custodians, p)
}

func names(identities []string, p role.Principal) bool {
	return slices.ContainsFunc(identities, func(id string) bool { return id == p.ID() || (p.Person != "" && id == p.Person) })
}

// sight is how much of a matter somebody may know.
type sight int

const (
	// seesNothing is for approvers and auditors who are its custodians: as they
	// see all other matters whole, a matter that is only held would tell them.
	seesNothing sight = iota
	// seesHeld is for whoever has no part in it, its custodians among them:
	// that something is held, and nothing by which one could tell what.
	seesHeld
	seesWhole
)

// sees decides how much of a matter the caller may know.
func (s *Server) sees(c *caller, m *Matter) sight {
	switch oversees := c.oversees(); {
	case m == nil:
		return seesHeld
	case names(m.Custodians, c.who) && oversees:
		return seesNothing
	case m.works(c.who), oversees:
		return seesWhole
	}
	return seesHeld
}

// oversees reports whether the caller is an approver or auditor of the whole
// archive: they see what is held, to judge it.
func (c *caller) oversees() bool {
	now := time.Now()
	return slices.ContainsFunc(c.grants, func(g role.Grant) bool {
		return (g.Role == role.Approver || g.Role == role.Auditor) && !g.Scoped() && g.Current(now)
	})
}

// matterOf returns a matter of the book whole, with the people of relay users
// among its custodians.
func (s *Server) matterOf(m *retention.Matter) *Matter {
	out := &Matter{
		ID: m.ID, Name: m.Name, State: m.State, Opened: &m.Opened, Closed: m.Closed, Members: filled(m.Members),
		Custodians: filled(slices.Clone(m.Custodians)), Holds: filled(m.Holds),
	}
	for _, id := range m.Custodians {
		usr, ok := strings.CutPrefix(id, hold.UsrPrefix)
		if !ok || s.People == nil {
			continue
		}
		if guid, ok := s.People.PersonOf(usr); ok && !slices.Contains(out.Custodians, guid) {
			out.Custodians = append(out.Custodians, guid)
		}
	}
	return out
}

// caught has the log applied, so that what is read is as of now.
func (s *Server) caught(ctx context.Context) error {
	return s.Alarms.CatchUp(ctx, s.Ledger.Size())
}

// known returns a matter as of what was applied, or nil: not for the caller,
// but to judge what the caller may know.
func (s *Server) known(id string) *Matter {
	if s.Matters == nil || id == "" {
		return nil
	}
	m, ok := s.Matters.Matter(id)
	if !ok {
		return nil
	}
	return s.matterOf(m)
}

// matter refuses a look for a matter that is not the caller's to work on.
// Whether there is such a matter is not told. It returns the matter's id as
// the matter was opened with it.
func (s *Server) matter(ctx context.Context, c *caller, id string) (string, error) {
	if id == "" || s.Matters == nil {
		return id, nil
	}
	if err := s.caught(ctx); err != nil {
		return "", err
	}
	if m := s.known(id); m.works(c.who) {
		return m.ID, nil
	}
	return "", s.notMember(ctx, c, id)
}

// notMember turns away whoever does not work on a matter, and records it.
func (s *Server) notMember(ctx context.Context, c *caller, id string) error {
	s.record(ctx, audit.Access{Principal: c.who, Target: string(c.endpoint), Matter: id, Code: CodeMatter})
	return &Problem{Title: "you do not work on such a matter", Status: http.StatusForbidden, Code: CodeMatter, Exit: ExitPermission,
		Hint: "check the matter's id; its members alone work on it, and nobody in which they are a custodian"}
}

// eyes are how much one caller may know of each matter, remembered for one
// request. Matters are as of what was applied before.
type eyes struct {
	s       *Server
	c       *caller
	seen    map[string]sight
	holding []*Matter // with holds, once they are asked for
}

func (s *Server) eyes(c *caller) *eyes { return &eyes{s: s, c: c, seen: map[string]sight{}} }

func (e *eyes) on(matter string) sight {
	v, ok := e.seen[matter]
	if !ok {
		v = e.s.sees(e.c, e.s.known(matter))
		e.seen[matter] = v
	}
	return v
}

// heldBy renders holds as the caller may know them. All that the caller may not
// know of are one that says so.
func (e *eyes) heldBy(by []retention.HeldBy) []HeldBy {
	out, hidden := []HeldBy{}, false
	for _, h := range by {
		if e.on(h.Matter) == seesWhole {
			out = append(out, HeldBy{Hold: h.Hold, Matter: h.Matter, Why: h.Why})
			continue
		}
		hidden = true
	}
	if hidden {
		out = append(out, HeldBy{Matter: Held})
	}
	return out
}
