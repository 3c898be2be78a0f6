package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"holdfast/archive/audit"
	"holdfast/retention"
)

// actOn is act for what is about a matter, a query or seqs: a says all of the
// access but who it is.
func (s *Server) actOn(ctx context.Context, c *caller, a audit.Access, do func(ctx context.Context) (uint64, error)) error {
	a.Principal = c.who
	return s.look(ctx, a, func(ctx context.Context, _ uint64) (audit.Outcome, error) {
		n, err := do(ctx)
		return audit.Outcome{Total: n, Shown: n, Custodians: []string{}}, err // nobody's messages
	})
}

// whole refuses a narrowed role: what is held and what goes reaches beyond it.
func (s *Server) whole(ctx context.Context, c *caller) error {
	if c.scope.All {
		return nil
	}
	return s.refuse(ctx, c, &Problem{Title: "your role is for some people's messages, and changes nothing of what is held or goes",
		Hint: "ask somebody whose role is not narrowed: holds and disposition reach beyond every scope"})
}

func (s *Server) mattersList(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req MattersRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Matters == nil {
		return notConfigured("retention")
	}
	resp := MattersResponse{Matters: []Matter{}}
	err := s.actOn(r.Context(), c, audit.Access{Action: audit.ActionMatter, Target: "list"}, func(ctx context.Context) (uint64, error) {
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		var held []Matter
		for _, m := range s.Matters.Matters() {
			if m.State == retention.StateClosed && !req.All {
				continue
			}
			switch m := s.matterOf(&m); s.sees(c, m) {
			case seesWhole:
				resp.Matters = append(resp.Matters, *m)
			case seesHeld:
				held = append(held, Matter{ID: Held, State: m.State})
			}
		}
		slices.SortFunc(resp.Matters, func(a, b Matter) int { return cmp.Compare(a.ID, b.ID) })
		slices.SortFunc(held, func(a, b Matter) int { return cmp.Compare(a.State, b.State) }) // in no order that tells which is which
		resp.Matters = append(resp.Matters, held...)
		return uint64(len(resp.Matters)), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) mattersShow(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req MatterRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := matterID(req.ID); err != nil {
		return err
	}
	if s.Matters == nil {
		return notConfigured("retention")
	}
	if err := s.caught(r.Context()); err != nil {
		return err
	}
	// Whether there is such a matter is told to nobody who may not see it.
	m := s.known(req.ID)
	if s.sees(c, m) != seesWhole {
		return s.notMember(r.Context(), c, req.ID)
	}
	err := s.actOn(r.Context(), c, audit.Access{Action: audit.ActionMatter, Target: "show", Matter: m.ID}, func(ctx context.Context) (_ uint64, err error) {
		m.People, err = s.refs(ctx, m.Members, m.Custodians)
		return 1, err
	})
	if err != nil {
		return err
	}
	return reply(w, m)
}

// matterID refuses what is no matter's id. What is wrong with a new one the
// book says.
func matterID(id string) error {
	if id == "" || len(id) > maxMatter {
		return badRequest("it names no matter", "`holdfast matter list` shows those that you may see")
	}
	return nil
}

// maxMatter bounds a matter's id in a request, in bytes.
const maxMatter = 64

// maxRefs is how many people are named for convenience; of more there are the
// identities alone.
const maxRefs = 200

// refs returns the people among identities with their names now.
func (s *Server) refs(ctx context.Context, lists ...[]string) ([]Ref, error) {
	if s.People == nil {
		return nil, nil
	}
	refs, seen := []Ref{}, map[string]bool{}
	for _, id := range slices.Concat(lists...) {
		guid := strings.TrimPrefix(id, "person:")
		if strings.Contains(guid, ":") || seen[guid] || len(seen) >= maxRefs {
			continue
		}
		seen[guid] = true
		found, err := s.People.Find(ctx, guid)
		if err != nil {
			return nil, err
		}
		if len(found) == 1 && found[0].GUID == guid {
			refs = append(refs, found[0].Ref)
		}
	}
	return refs, nil
}

func (s *Server) mattersOpen(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req OpenMatterRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := matterID(req.ID); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "what the matter is about"); err != nil {
		return err
	}
	if s.Matters == nil {
		return notConfigured("retention")
	}
	if err := s.whole(r.Context(), c); err != nil {
		return err
	}
	var resp *Matter
	access := audit.Access{Action: audit.ActionMatter, Target: "open", Matter: req.ID, Reason: req.Reason}
	err := s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		n := retention.NewMatter{ID: req.ID, Name: req.Name, Reason: req.Reason}
		for i, who := range req.Members {
			id, err := s.member(ctx, who)
			if err != nil {
				return 0, nth(err, "member", i)
			}
			n.Members = append(n.Members, id)
		}
		m, err := s.Matters.OpenMatter(ctx, c.who, n)
		if err != nil {
			return 0, err
		}
		resp = s.matterOf(m)
		return 1, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// member returns the identity that a name of a member stands for.
func (s *Server) member(ctx context.Context, who string) (string, error) {
	if strings.HasPrefix(who, "uid:") {
		return who, nil // the book says whether it is one
	}
	f, err := s.one(ctx, strings.TrimPrefix(who, "person:"))
	if err != nil {
		return "", err
	}
	return "person:" + f.GUID, nil
}

func (s *Server) mattersClose(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req CloseMatterRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	return s.changeMatter(w, r, c, req.ID, req.Reason, "close", s.matter, func(ctx context.Context, id string) error {
		return s.Matters.CloseMatter(ctx, c.who, id, req.Reason)
	})
}

func (s *Server) mattersMember(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req MemberRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if req.Member == "" || len(req.Member) > maxWho {
		return badRequest("it names no member", "give a GUID, account, UPN, mail address or display name, or uid: and an account's number")
	}
	what, on := "leave", s.matter
	if req.In {
		what, on = "join", s.helped
	}
	return s.changeMatter(w, r, c, req.ID, req.Reason, what, on, func(ctx context.Context, id string) error {
		member, err := s.member(ctx, req.Member)
		if err != nil {
			return err
		}
		err = s.Matters.SetMember(ctx, c.who, id, member, req.In, req.Reason)
		if errors.Is(err, retention.ErrNotMember) {
			return s.notMember(ctx, c, req.ID)
		}
		return err
	})
}

// helped is matter for whoever takes a member in. When none is left who can work
// on a matter, others may: the book knows. Its custodians never do.
func (s *Server) helped(ctx context.Context, c *caller, id string) (string, error) {
	if err := s.caught(ctx); err != nil {
		return "", err
	}
	if m := s.known(id); m != nil && !names(m.Custodians, c.who) {
		return m.ID, nil
	}
	return "", s.notMember(ctx, c, id)
}

// changeMatter does what a member does to a matter, on which on lets them, and answers with the matter
// as the caller may see it then: whoever left it sees no more.
func (s *Server) changeMatter(w http.ResponseWriter, r *http.Request, c *caller, id, reason, what string, on func(ctx context.Context, c *caller, id string) (string, error), do func(ctx context.Context, id string) error) error {
	if err := matterID(id); err != nil {
		return err
	}
	if err := reasoned(reason, "why"); err != nil {
		return err
	}
	if s.Matters == nil {
		return notConfigured("retention")
	}
	if err := s.whole(r.Context(), c); err != nil {
		return err
	}
	id, err := on(r.Context(), c, id)
	if err != nil {
		return err
	}
	var resp *Matter
	access := audit.Access{Action: audit.ActionMatter, Target: what, Matter: id, Reason: reason}
	err = s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		if err := do(ctx, id); err != nil {
			return 0, err
		}
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		switch resp = s.known(id); {
		case resp == nil:
			return 0, retention.ErrUnknownMatter
		case s.sees(c, resp) != seesWhole:
			resp = &Matter{ID: Held, State: resp.State}
		}
		return 1, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}
