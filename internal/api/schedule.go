package api

import (
	"context"
	"net/http"

	"holdfast/archive/audit"
)

// MaxSchedule is the largest text of a schedule, in bytes.
const MaxSchedule = 1 << 20

// maxScheduleRequest is the largest request with one: a byte of the text takes
// two at most in what people write.
const maxScheduleRequest = 2*MaxSchedule + MaxRequest

func (s *Server) scheduleShow(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Schedules == nil {
		return notConfigured("retention")
	}
	var resp ScheduleResponse
	err := s.act(r.Context(), c, audit.ActionSchedule, "show", "", func(ctx context.Context) (uint64, error) {
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		_, seq, text := s.Schedules.Schedule()
		resp = ScheduleResponse{Seq: seq, Text: string(text), Groups: s.Schedules.ScheduleGroups()}
		return 1, nil
	})
	if err != nil {
		return err
	}
	if resp.Groups == nil {
		resp.Groups = map[string]string{}
	}
	return reply(w, resp)
}

func (s *Server) scheduleApply(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ApplyScheduleRequest
	if err := decodeUpTo(w, r, &req, maxScheduleRequest); err != nil {
		return err
	}
	if !req.Dry {
		if err := reasoned(req.Reason, "why things shall be kept so"); err != nil {
			return err
		}
	}
	what := "apply"
	if req.Dry {
		what = "try"
	}
	return s.applySchedule(w, r, c, req.Text, audit.Access{Action: audit.ActionSchedule, Target: what, Reason: req.Reason}, func(ctx context.Context) (*ScheduleApplied, error) {
		return s.Schedules.ApplySchedule(ctx, c.who, []byte(req.Text), req.Reason, req.Dry)
	})
}

func (s *Server) scheduleApproved(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ApplyApprovedRequest
	if err := decodeUpTo(w, r, &req, maxScheduleRequest); err != nil {
		return err
	}
	access := audit.Access{Action: audit.ActionSchedule, Target: "request " + decimal(req.Request)}
	return s.applySchedule(w, r, c, req.Text, access, func(ctx context.Context) (*ScheduleApplied, error) {
		return s.Schedules.ApplyApproved(ctx, c.who, []byte(req.Text), req.Request)
	})
}

func (s *Server) applySchedule(w http.ResponseWriter, r *http.Request, c *caller, text string, access audit.Access, do func(ctx context.Context) (*ScheduleApplied, error)) error {
	if text == "" || len(text) > MaxSchedule {
		return badRequest("its text is no schedule", "give a schedule's text of at most 1 MiB; `holdfast schedule default` writes one to begin with")
	}
	if s.Schedules == nil {
		return notConfigured("retention")
	}
	if err := s.whole(r.Context(), c); err != nil {
		return err
	}
	var resp *ScheduleApplied
	err := s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		var err error
		if resp, err = do(ctx); err != nil {
			return 0, err
		}
		return uint64(len(resp.Changes)), nil
	})
	if err != nil {
		return err
	}
	resp.Changes = filled(resp.Changes)
	if resp.Groups == nil {
		resp.Groups = map[string]string{}
	}
	return reply(w, resp)
}
