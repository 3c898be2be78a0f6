package api

import (
	"context"
	"net/http"

	"holdfast/archive/audit"
	"holdfast/retention"
)

// ActHoldRelease is the act of releasing a hold, or a part of one.
const ActHoldRelease = retention.ActHoldRelease

func (s *Server) holdsPreview(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req PreviewReleaseRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	matter, err := s.mayChange(r.Context(), c, req.Seq)
	if err != nil {
		return err
	}
	end, err := s.begin()
	if err != nil {
		return err
	}
	defer end()
	var resp *Preview
	access := audit.Access{Action: audit.ActionHold, Target: "preview " + decimal(req.Seq), Matter: matter, Query: keepQuery(req.Keep)}
	err = s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		keep, err := s.keepFrom(ctx, req.Keep)
		if err != nil {
			return 0, err
		}
		if resp, err = s.Holds.PreviewRelease(ctx, req.Seq, keep); err != nil {
			return 0, err
		}
		return 1, nil
	})
	if err != nil {
		return err
	}
	resp.ClassMonths = filled(resp.ClassMonths)
	return reply(w, resp)
}

// keepQuery is the query of what a release shall leave, as typed.
func keepQuery(keep *ScopeRequest) string {
	if keep == nil {
		return ""
	}
	return keep.Query
}

func (s *Server) holdsAsk(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req AskReleaseRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "why it need not be kept any longer"); err != nil {
		return err
	}
	matter, err := s.mayChange(r.Context(), c, req.Seq)
	if err != nil {
		return err
	}
	end, err := s.begin()
	if err != nil {
		return err
	}
	defer end()
	var resp AskReleaseResponse
	access := audit.Access{Action: audit.ActionHold, Target: "ask " + decimal(req.Seq), Matter: matter, Reason: req.Reason, Query: keepQuery(req.Keep)}
	err = s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		keep, err := s.keepFrom(ctx, req.Keep)
		if err != nil {
			return 0, err
		}
		request, preview, err := s.Holds.AskRelease(ctx, c.who, req.Seq, keep, req.Reason)
		if err != nil {
			return 0, err
		}
		resp.Request, resp.Preview = request, *preview
		if keep == nil {
			return 1, nil
		}
		v, err := s.scopeView(ctx, keep, true)
		resp.Keep = &v
		return 1, err
	})
	if err != nil {
		return err
	}
	resp.Preview.ClassMonths = filled(resp.Preview.ClassMonths)
	return reply(w, resp)
}

// holdsRelease does an approved release. The request must be about the hold that
// is named: its matter is the one whose members may.
func (s *Server) holdsRelease(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ReleaseHoldRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	return s.changeHold(w, r, c, holdChange{seq: req.Seq, what: "release", do: func(ctx context.Context) (*retention.Hold, error) {
		if of, ok := s.Holds.Asked(req.Request); !ok || of != req.Seq {
			return nil, retention.ErrNotAsked
		}
		return s.Holds.ReleaseHold(ctx, c.who, req.Request)
	}})
}
