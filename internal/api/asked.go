package api

import (
	"context"
	"fmt"
	"net/http"

	"holdfast/archive/approval"
	"holdfast/archive/audit"
)

// asked renders a request as the caller may know it; false when not at all. The
// release of a hold, an export for a matter, and a wipe that a hold stops are
// about that matter: whoever may not know of it sees that somebody asked, and not for what. Who asked sees
// what they asked for.
func (s *Server) asked(ctx context.Context, e *eyes, r *ApprovalRequest) (*ApprovalRequest, bool, error) {
	out := *r
	v, err := s.requestSight(ctx, e, r)
	switch {
	case err != nil || v == seesNothing:
		return nil, false, err
	case v == seesWhole || r.By.ID() == e.c.who.ID():
		return &out, true, nil
	}
	out.Summary, out.Reason, out.Query, out.Digest = r.Act+", "+Held, "", "", ""
	if r.Decision != nil {
		d := *r.Decision
		d.Reason = ""
		out.Decision = &d
	}
	return &out, true, nil
}

// askedFor returns the matter whose hold a request asks to release, for the
// audit; "" of other requests.
func (s *Server) askedFor(request uint64) string {
	if s.Holds == nil {
		return ""
	}
	seq, ok := s.Holds.Asked(request)
	if !ok {
		return ""
	}
	h, ok := s.Holds.Hold(seq)
	if !ok {
		return ""
	}
	return h.Matter
}

// requestSight is how much of a request the caller may know.
func (s *Server) requestSight(ctx context.Context, e *eyes, r *ApprovalRequest) (sight, error) {
	switch r.Act {
	case ActHoldRelease:
		return e.on(s.askedFor(r.Seq)), nil
	case ActLargeExport:
		a, err := s.exportAccess(ctx, r)
		// Without a book a matter is any text, and is nobody's secret.
		if err != nil || a == nil || a.Matter == "" || s.Matters == nil {
			return seesWhole, err
		}
		return e.on(a.Matter), nil
	case ActWipeOverride:
		w, err := s.wipeAsked(ctx, r)
		if err != nil || w == nil {
			return seesHeld, err // nobody can say for which matter
		}
		return e.onPerson(w.Person), nil
	}
	return seesWhole, nil
}

// exportAccess returns the access entry by which somebody asked for a large
// export; nil when its request does not say which that is.
func (s *Server) exportAccess(ctx context.Context, r *ApprovalRequest) (*audit.Access, error) {
	var total, access, at uint64
	if _, err := fmt.Sscanf(r.Summary, largeSummary, &total, &access, &at); err != nil {
		return nil, nil // of another version: the summary is all that there is
	}
	items, err := audit.List(ctx, s.Ledger, audit.Filter{Before: access + 1, Limit: 1})
	if err != nil || len(items) == 0 || items[0].Seq != access || items[0].Access.Target != ActLargeExport {
		return nil, err
	}
	return &items[0].Access, nil
}

// mayDecide refuses to have a request decided by whoever may not see what it is
// for. A custodian is told what anybody is told of a request that is not there.
func (s *Server) mayDecide(ctx context.Context, c *caller, seq uint64) error {
	r, err := s.Approvals.Request(ctx, seq)
	if err != nil {
		return err
	}
	if err := s.caught(ctx); err != nil {
		return err
	}
	switch v, err := s.requestSight(ctx, s.eyes(c), r); {
	case err != nil:
		return err
	case v == seesNothing:
		return approval.ErrUnknown
	case v == seesHeld:
		return &Problem{Title: "your role is for some people's messages, and you cannot see what this request is for", Status: http.StatusForbidden, Code: CodeForbidden, Exit: ExitPermission,
			Hint: "an approver whose role is not narrowed decides it"}
	}
	return nil
}
