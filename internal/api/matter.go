package api

import (
	"context"
	"net/http"
	"slices"

	"holdfast/archive/audit"
	"holdfast/internal/role"
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

// matter refuses a look for a matter that is not the caller's to work on.
// Whether there is such a matter is not told.
func (s *Server) matter(ctx context.Context, c *caller, id string) error {
	if id == "" || s.Matters == nil {
		return nil
	}
	m, ok, err := s.Matters.Matter(ctx, id)
	if err != nil {
		return err
	}
	if ok && m.works(c.who) {
		return nil
	}
	s.record(ctx, audit.Access{Principal: c.who, Target: string(c.endpoint), Matter: id, Code: CodeMatter})
	return &Problem{Title: "you do not work on such a matter", Status: http.StatusForbidden, Code: CodeMatter, Exit: ExitPermission,
		Hint: "check the matter's id; its members alone work on it, and nobody in which they are a custodian"}
}
