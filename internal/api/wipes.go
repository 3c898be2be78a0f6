package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"holdfast/archive/audit"
)

func (s *Server) devicesWipes(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Wipes == nil {
		return notConfigured("relay")
	}
	resp := WipesResponse{Wipes: []Wipe{}}
	err := s.act(r.Context(), c, audit.ActionDevice, "wipes", "", func(ctx context.Context) (uint64, error) {
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		all, err := s.Wipes.Wipes(ctx)
		if err != nil {
			return 0, err
		}
		e := s.eyes(c)
		for i := range all {
			resp.Wipes = append(resp.Wipes, *e.wipe(&all[i]))
		}
		return uint64(len(resp.Wipes)), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// wipe renders a wipe as the caller may know it: which code stops it tells
// whose messages are held.
func (e *eyes) wipe(w *Wipe) *Wipe {
	out := *w
	if w.Told && e.onPerson(w.Person) != seesWhole {
		out.Code, out.Request = Held, 0
	}
	return &out
}

// mattersOf returns the matters for which somebody's messages are held: those that
// name them, else, as whoever is nobody might be anybody, all that hold.
func (e *eyes) mattersOf(person string) []*Matter {
	if e.holding == nil && e.s.Matters != nil {
		e.holding = []*Matter{}
		for _, m := range e.s.Matters.Matters() {
			if len(m.Holds) > 0 {
				e.holding = append(e.holding, e.s.matterOf(&m))
			}
		}
	}
	var named []*Matter
	for _, m := range e.holding {
		if person != "" && slices.Contains(m.Custodians, person) {
			named = append(named, m)
		}
	}
	if len(named) > 0 {
		return named
	}
	return e.holding
}

// onPerson is how much the caller may know of why somebody's messages are held.
// One matter that they may know is enough.
func (e *eyes) onPerson(person string) sight {
	best := seesNothing
	matters := e.mattersOf(person)
	for _, m := range matters {
		best = max(best, e.on(m.ID))
	}
	switch {
	case len(matters) > 0:
		return best
	case e.c.oversees():
		return seesWhole
	}
	return seesHeld
}

// maxProvisionID bounds a wipe's id in a request: base64url of 32 bytes.
const maxProvisionID = 64

// wipeSummary names a wipe without saying whose device it is.
const wipeSummary = "wipe a device although a hold stops it: wipe %s"

// devicesOverride asks a second person to let a wipe go ahead that a hold stops.
// Members of a matter ask for which it is held; and nobody asks who is a
// custodian in it.
func (s *Server) devicesOverride(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req OverrideWipeRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if req.ID == "" || len(req.ID) > maxProvisionID {
		return badRequest("it names no wipe", "give its id, as `holdfast devices wipes` shows it")
	}
	if err := reasoned(req.Reason, "why the device may be wiped all the same"); err != nil {
		return err
	}
	if s.Wipes == nil {
		return notConfigured("relay")
	}
	if s.Approvals == nil {
		return notConfigured("two-person rule")
	}
	if err := s.whole(r.Context(), c); err != nil {
		return err
	}
	wipe, matter, err := s.stopped(r.Context(), c, req.ID)
	if err != nil {
		return err
	}
	var resp *ApprovalRequest
	access := audit.Access{Action: audit.ActionDevice, Target: "override " + wipe.ID, Matter: matter, Reason: req.Reason}
	err = s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		var err error
		resp, err = s.Approvals.Ask(ctx, c.who, Ask{Act: ActWipeOverride, Digest: wipe.Digest, Summary: fmt.Sprintf(wipeSummary, wipe.ID), Reason: req.Reason})
		return 1, err
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// stopped returns the wipe with that id, and the matter as whose member the
// caller asks for its override.
func (s *Server) stopped(ctx context.Context, c *caller, id string) (*Wipe, string, error) {
	if err := s.caught(ctx); err != nil {
		return nil, "", err
	}
	wipe, err := s.Wipes.Wipe(ctx, id)
	if err != nil {
		return nil, "", err
	}
	if !wipe.Stopped {
		return nil, "", &Problem{Title: "no hold stops that wipe", Status: http.StatusConflict, Code: CodeState, Exit: ExitUsage,
			Hint: "`holdfast devices wipes` shows how each stands; one that the relay refused nobody overrides"}
	}
	if s.Matters == nil {
		return wipe, "", nil
	}
	for _, m := range s.eyes(c).mattersOf(wipe.Person) {
		if m.works(c.who) {
			return wipe, m.ID, nil
		}
	}
	return nil, "", s.notMember(ctx, c, "")
}

// wipeAsked returns the wipe whose override a request asks for; nil of others.
func (s *Server) wipeAsked(ctx context.Context, r *ApprovalRequest) (*Wipe, error) {
	if s.Wipes == nil {
		return nil, nil
	}
	all, err := s.Wipes.Wipes(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(w Wipe) bool { return w.Digest == r.Digest }); i >= 0 {
		return &all[i], nil
	}
	return nil, nil
}
