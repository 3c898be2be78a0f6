package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"holdfast/archive/audit"
)

func (s *Server) directoryStatus(w http.ResponseWriter, r *http.Request, _ *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Directory == nil {
		return reply(w, DirectoryStatus{})
	}
	st, err := s.Directory.Status(r.Context())
	if err != nil {
		return err
	}
	return reply(w, st)
}

func (s *Server) directoryDiff(w http.ResponseWriter, r *http.Request, c *caller) error {
	return s.synchronise(w, r, c, "diff", func(ctx context.Context) (any, uint64, error) {
		d, err := s.Directory.Diff(ctx)
		if err != nil {
			return nil, 0, err
		}
		d.Changes = filled(d.Changes)
		return d, uint64(len(d.Changes)), nil
	})
}

func (s *Server) directorySync(w http.ResponseWriter, r *http.Request, c *caller) error {
	return s.synchronise(w, r, c, "sync", func(ctx context.Context) (any, uint64, error) {
		report, err := s.Directory.Sync(ctx)
		if err != nil {
			return nil, 0, err
		}
		return report, report.changed(), nil
	})
}

// changed is how many changes of the log a synchronisation came to.
func (r *DirectoryReport) changed() (n uint64) {
	if r == nil || !r.Applied {
		return 0
	}
	for _, count := range r.Counts {
		n += uint64(max(count, 0)) // #nosec G115 -- not negative
	}
	return n
}

// synchronise answers with what the directory's synchronisation says.
func (s *Server) synchronise(w http.ResponseWriter, r *http.Request, c *caller, what string, do func(ctx context.Context) (any, uint64, error)) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Directory == nil {
		return notConfigured("directory")
	}
	var resp any
	err := s.act(r.Context(), c, audit.ActionDirectory, what, "", func(ctx context.Context) (n uint64, err error) {
		resp, n, err = do(ctx)
		return n, err
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) directoryApprove(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ApproveDiffRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if d, err := hex.DecodeString(req.Digest); err != nil || len(d) != 32 {
		return badRequest("its digest is not one", "give the digest that `holdfast directory diff` shows, in full")
	}
	if err := reasoned(req.Reason, "why these changes are right, or not"); err != nil {
		return err
	}
	if s.Directory == nil {
		return notConfigured("directory")
	}
	what := "deny "
	if req.Approve {
		what = "approve "
	}
	var resp *ApproveDiffResponse
	err := s.act(r.Context(), c, audit.ActionDecide, what+req.Digest, req.Reason, func(ctx context.Context) (_ uint64, err error) {
		if resp, err = s.Directory.Approve(ctx, c.who, req.Digest, req.Approve, req.Reason); err != nil {
			return 0, err
		}
		return resp.Report.changed(), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) people(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req PeopleRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	var err error
	if req.Limit, err = limitOf(req.Limit); err != nil {
		return err
	}
	if max(len(req.Match), len(req.After)) > maxWho {
		return badRequest("a name that nobody has", "shorten it")
	}
	if s.Register == nil {
		return notConfigured("directory")
	}
	var resp *PeopleResponse
	access := audit.Access{Action: audit.ActionDirectory, Principal: c.who, Target: "people", Query: req.Match}
	err = s.look(r.Context(), access, func(ctx context.Context, _ uint64) (audit.Outcome, error) {
		var err error
		if resp, err = s.Register.List(ctx, req); err != nil {
			return audit.Outcome{}, err
		}
		n := uint64(len(resp.People))
		return audit.Outcome{Total: n, Shown: n}, nil
	})
	if err != nil {
		return err
	}
	resp.People = filled(resp.People)
	for i := range resp.People {
		resp.People[i].fill()
	}
	return reply(w, resp)
}

func (p *Person) fill() { p.Groups, p.Usrs = filled(p.Groups), filled(p.Usrs) }

// person shows everyone who ever had a name. The name as typed is kept as the
// query, as a search's is.
func (s *Server) person(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req PersonRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if req.Who == "" || len(req.Who) > maxWho {
		return badRequest("it names no person", "give a GUID, account, UPN, mail address or display name")
	}
	if s.Register == nil || s.People == nil {
		return notConfigured("directory")
	}
	var at time.Time
	if req.AsOf != nil {
		at = *req.AsOf
	}
	resp := PersonResponse{People: []PersonHistory{}}
	access := audit.Access{Action: audit.ActionDirectory, Principal: c.who, Target: "person", Query: req.Who}
	err := s.look(r.Context(), access, func(ctx context.Context, _ uint64) (audit.Outcome, error) {
		found, err := s.People.Find(ctx, req.Who)
		if err != nil {
			return audit.Outcome{}, err
		}
		for _, f := range found {
			h, err := s.Register.Person(ctx, f.GUID, at)
			if err != nil {
				return audit.Outcome{}, err
			}
			h.fill()
			h.Versions, h.Memberships, h.Matches = filled(h.Versions), filled(h.Memberships), filled(h.Matches)
			resp.People = append(resp.People, *h)
		}
		n := uint64(len(resp.People))
		return audit.Outcome{Total: n, Shown: n}, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) matches(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Register == nil {
		return notConfigured("directory")
	}
	var resp *MatchesResponse
	err := s.act(r.Context(), c, audit.ActionDirectory, "matches", "", func(ctx context.Context) (_ uint64, err error) {
		if resp, err = s.Register.Matches(ctx); err != nil {
			return 0, err
		}
		return uint64(len(resp.Matched) + len(resp.Unmatched)), nil
	})
	if err != nil {
		return err
	}
	resp.Matched, resp.Unmatched = filled(resp.Matched), filled(resp.Unmatched)
	return reply(w, resp)
}

func (s *Server) match(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req MatchRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if req.Usr == "" || len(req.Usr) > audit.MaxTarget-64 {
		return badRequest("it names no relay user", "`holdfast directory status` and its list of unmatched relay users have their ids")
	}
	if err := reasoned(req.Reason, "how you know whose it is"); err != nil {
		return err
	}
	if s.Register == nil || s.People == nil {
		return notConfigured("directory")
	}
	var f Found // nobody
	if req.Who != "" {
		var err error
		if f, err = s.one(r.Context(), req.Who); err != nil {
			return err
		}
	}
	if err := s.mayMatch(r.Context(), c, req.Usr, f.GUID); err != nil {
		return err
	}
	var resp *RelayMatched
	err := s.act(r.Context(), c, audit.ActionDirectory, "match "+req.Usr+" "+f.GUID, req.Reason, func(ctx context.Context) (_ uint64, err error) {
		resp, err = s.Register.Match(ctx, c.who, req.Usr, f.GUID, req.Reason)
		return 1, err
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// mayMatch refuses a match to whoever gains by it. Matches say whose messages lie
// in a scope, so a scoped role would widen itself; and whether somebody looked
// at their own.
func (s *Server) mayMatch(ctx context.Context, c *caller, usr, guid string) error {
	if !c.scope.All {
		return s.refuse(ctx, c, &Problem{Title: "your role is for some people's messages, and does not say whose a relay user is",
			Hint: "ask a compliance officer whose role is not narrowed"})
	}
	now, _ := s.People.PersonOf(usr)
	if own := c.who.Person; own != "" && (own == guid || own == now) {
		return s.refuse(ctx, c, &Problem{Title: "nobody says which relay user they are themselves", Hint: "ask another compliance officer"})
	}
	return nil
}

func (s *Server) block(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req BlockRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "why"); err != nil {
		return err
	}
	if s.Register == nil {
		return notConfigured("directory")
	}
	what := "unblock "
	if req.Block {
		what = "block "
	}
	f, err := s.one(r.Context(), req.Who)
	if err != nil {
		return err
	}
	var resp *Person
	// The entry names the person: what a name meant is not left to be guessed later.
	err = s.act(r.Context(), c, audit.ActionDirectory, what+f.GUID, req.Reason, func(ctx context.Context) (_ uint64, err error) {
		resp, err = s.Register.Block(ctx, c.who, f.GUID, req.Block, req.Reason)
		return 1, err
	})
	if err != nil {
		return err
	}
	resp.fill()
	return reply(w, resp)
}
