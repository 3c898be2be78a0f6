package api

import (
	"context"
	"net/http"
	"slices"

	"holdfast/archive/audit"
	"holdfast/retention"
	"holdfast/retention/hold"
)

// holdView renders a hold as the caller may know it; false when not at all.
// names asks for the custodians' names besides.
func (s *Server) holdView(ctx context.Context, e *eyes, h *retention.Hold, names bool) (*Hold, bool, error) {
	switch e.on(h.Matter) {
	case seesNothing:
		return nil, false, nil
	case seesHeld:
		return &Hold{Seq: h.Seq, Matter: Held, State: h.State, Placed: h.Placed}, true, nil
	}
	out := &Hold{
		Seq: h.Seq, Matter: h.Matter, State: h.State, Placed: h.Placed, By: &h.By, Reason: h.Reason, Held: h.Held, Through: h.Through,
	}
	if h.Release != nil {
		out.Release = new(*h.Release)
	}
	for i := range h.Scopes {
		t := &h.Scopes[i]
		scope, err := s.scopeView(ctx, &t.Scope, names)
		if err != nil {
			return nil, false, err
		}
		out.Scopes = append(out.Scopes, ScopeHeld{Scope: scope, Since: t.Since, Until: t.Until, Lapses: t.Lapses, Unseen: t.Unseen})
	}
	people := map[string]string{}
	if names {
		told := make([]string, 0, len(h.Notices))
		for _, n := range h.Notices {
			told = append(told, n.Custodian)
		}
		refs, err := s.refs(ctx, told)
		if err != nil {
			return nil, false, err
		}
		for _, r := range refs {
			people[r.GUID] = r.Name
		}
	}
	for _, n := range h.Notices {
		out.Notices = append(out.Notices, HoldNotice{Custodian: n.Custodian, Name: people[n.Custodian], State: n.State, Text: n.Text, At: n.At, By: n.By})
	}
	return out, true, nil
}

func (s *Server) holdsList(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req HoldsRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if len(req.Matter) > maxMatter {
		return matterID("")
	}
	if s.Holds == nil {
		return notConfigured("retention")
	}
	resp := HoldsResponse{Holds: []Hold{}}
	err := s.actOn(r.Context(), c, audit.Access{Action: audit.ActionHold, Target: "list", Matter: req.Matter}, func(ctx context.Context) (uint64, error) {
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		e := s.eyes(c)
		only := ""
		if req.Matter != "" {
			// Of a matter that the caller may not see whole there is nothing, as of one that does not exist.
			m := s.known(req.Matter)
			if s.sees(c, m) != seesWhole {
				return 0, nil
			}
			only = m.ID
		}
		for _, h := range slices.Backward(s.Holds.Holds()) {
			if h.State == retention.StateReleased && !req.All || only != "" && h.Matter != only {
				continue
			}
			v, ok, err := s.holdView(ctx, e, &h, false)
			if err != nil {
				return 0, err
			}
			if ok {
				resp.Holds = append(resp.Holds, *v)
			}
		}
		return uint64(len(resp.Holds)), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) holdsShow(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req HoldRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Holds == nil {
		return notConfigured("retention")
	}
	if err := s.caught(r.Context()); err != nil {
		return err
	}
	h, ok := s.Holds.Hold(req.Seq)
	if !ok {
		return retention.ErrUnknownHold
	}
	var resp *Hold
	access := audit.Access{Action: audit.ActionHold, Target: "show " + decimal(req.Seq), Matter: h.Matter}
	err := s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		v, ok, err := s.holdView(ctx, s.eyes(c), h, true)
		if err != nil {
			return 0, err
		}
		if !ok {
			return 0, retention.ErrUnknownHold
		}
		resp = v
		return 1, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// holdChange is what a member does to a hold.
type holdChange struct {
	seq    uint64
	what   string
	reason string
	query  string // of a new scope, as typed
	do     func(ctx context.Context) (*retention.Hold, error)
}

// changeHold has a member of its matter do something to a hold, and answers with
// the hold as it then stands.
func (s *Server) changeHold(w http.ResponseWriter, r *http.Request, c *caller, ch holdChange) error {
	matter, err := s.mayChange(r.Context(), c, ch.seq)
	if err != nil {
		return err
	}
	access := audit.Access{Action: audit.ActionHold, Target: ch.what + " " + decimal(ch.seq), Matter: matter, Reason: ch.reason, Query: ch.query}
	return s.holdAnswer(w, r, c, access, ch.do)
}

// mayChange refuses whoever may not change a hold, and returns its matter.
func (s *Server) mayChange(ctx context.Context, c *caller, seq uint64) (matter string, err error) {
	if s.Holds == nil || s.Matters == nil {
		return "", notConfigured("retention")
	}
	if err := s.whole(ctx, c); err != nil {
		return "", err
	}
	if err := s.caught(ctx); err != nil {
		return "", err
	}
	h, ok := s.Holds.Hold(seq)
	if !ok {
		return "", retention.ErrUnknownHold
	}
	return s.matter(ctx, c, h.Matter)
}

// holdAnswer does something audited that gives a hold, and answers with it as
// the caller may see it then: a group may have made them a custodian.
func (s *Server) holdAnswer(w http.ResponseWriter, r *http.Request, c *caller, access audit.Access, do func(ctx context.Context) (*retention.Hold, error)) error {
	var resp *Hold
	err := s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		h, err := do(ctx)
		if err != nil {
			return 0, err
		}
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		v, ok, err := s.holdView(ctx, s.eyes(c), h, true)
		if err != nil {
			return 0, err
		}
		if !ok {
			v = &Hold{Seq: h.Seq, Matter: Held, State: h.State, Placed: h.Placed}
		}
		resp = v
		return 1, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) holdsPlace(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req PlaceHoldRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := matterID(req.Matter); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "what obliges you to keep it"); err != nil {
		return err
	}
	if s.Holds == nil || s.Matters == nil {
		return notConfigured("retention")
	}
	if err := s.whole(r.Context(), c); err != nil {
		return err
	}
	matter, err := s.matter(r.Context(), c, req.Matter)
	if err != nil {
		return err
	}
	access := audit.Access{Action: audit.ActionHold, Target: "place", Matter: matter, Reason: req.Reason, Query: req.Scope.Query}
	return s.holdAnswer(w, r, c, access, func(ctx context.Context) (*retention.Hold, error) {
		sc, err := s.scopeFor(ctx, c, &req.Scope)
		if err != nil {
			return nil, err
		}
		return s.Holds.PlaceHold(ctx, c.who, retention.NewHold{Matter: matter, Scope: *sc, Reason: req.Reason})
	})
}

// scopeFor is scopeFrom for a hold that the caller places or widens.
func (s *Server) scopeFor(ctx context.Context, c *caller, req *ScopeRequest) (*hold.Scope, error) {
	sc, err := s.scopeFrom(ctx, req)
	if err != nil {
		return nil, err
	}
	return sc, ownHold(sc, c.who)
}

func (s *Server) holdsWiden(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req WidenHoldRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "what obliges you to keep more"); err != nil {
		return err
	}
	return s.changeHold(w, r, c, holdChange{seq: req.Seq, what: "widen", reason: req.Reason, query: req.Scope.Query, do: func(ctx context.Context) (*retention.Hold, error) {
		sc, err := s.scopeFor(ctx, c, &req.Scope)
		if err != nil {
			return nil, err
		}
		return s.Holds.WidenHold(ctx, c.who, req.Seq, *sc, req.Reason)
	}})
}

func (s *Server) holdsCancel(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req CancelReleaseRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "why it shall hold on"); err != nil {
		return err
	}
	return s.changeHold(w, r, c, holdChange{seq: req.Seq, what: "cancel", reason: req.Reason, do: func(ctx context.Context) (*retention.Hold, error) {
		return s.Holds.CancelRelease(ctx, c.who, req.Seq, req.Reason)
	}})
}

func (s *Server) holdsNotice(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req NoticeRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	return s.changeHold(w, r, c, holdChange{seq: req.Seq, what: "notice", do: func(ctx context.Context) (*retention.Hold, error) {
		guid, err := s.custodianOf(ctx, req.Custodian)
		if err != nil {
			return nil, err
		}
		if err := s.Holds.Notice(ctx, c.who, req.Seq, retention.Notice{Custodian: guid, State: req.State, Text: req.Text}); err != nil {
			return nil, err
		}
		if err := s.caught(ctx); err != nil {
			return nil, err
		}
		h, ok := s.Holds.Hold(req.Seq)
		if !ok {
			return nil, retention.ErrUnknownHold
		}
		return h, nil
	}})
}
