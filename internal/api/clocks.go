package api

import (
	"context"
	"net/http"
	"time"

	"holdfast/archive/audit"
	"holdfast/retention"
)

// certified reads a time as certificates write it.
func certified(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) }

// clockShow names nobody, and is no look.
func (s *Server) clockShow(w http.ResponseWriter, r *http.Request, _ *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Clocks == nil {
		return notConfigured("retention")
	}
	return reply(w, s.Clocks.Clock())
}

func (s *Server) clockRelease(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ReleaseClockRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "how you know that the clock is right"); err != nil {
		return err
	}
	if s.Clocks == nil {
		return notConfigured("retention")
	}
	if err := s.whole(r.Context(), c); err != nil {
		return err
	}
	err := s.act(r.Context(), c, audit.ActionClock, "release", req.Reason, func(ctx context.Context) (uint64, error) {
		return 1, s.Clocks.ReleaseClock(ctx, c.who, req.Reason)
	})
	if err != nil {
		return err
	}
	return reply(w, s.Clocks.Clock())
}

func (s *Server) copiesList(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req struct{}
	if err := decode(w, r, &req); err != nil {
		return err
	}
	return s.copies(w, r, c, "list", "", func(context.Context) error { return nil })
}

func (s *Server) copiesNote(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req NoteCopyRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := copyID(req.ID); err != nil {
		return err
	}
	if err := s.whole(r.Context(), c); err != nil {
		return err
	}
	return s.copies(w, r, c, "note "+req.ID, req.Reason, func(ctx context.Context) error {
		return s.Copies.NoteCopy(ctx, c.who, retention.Copy{ID: req.ID, What: req.What, Where: req.Where, Keyring: req.Keyring})
	})
}

func (s *Server) copiesGone(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req CopyGoneRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := copyID(req.ID); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "how it was destroyed"); err != nil {
		return err
	}
	if err := s.whole(r.Context(), c); err != nil {
		return err
	}
	return s.copies(w, r, c, "gone "+req.ID, req.Reason, func(ctx context.Context) error {
		return s.Copies.CopyGone(ctx, c.who, req.ID, req.Reason)
	})
}

func copyID(id string) error {
	if id == "" || len(id) > 64 {
		return badRequest("it names no copy", "give the copy's id, as `holdfast copies list` shows it")
	}
	return nil
}

// copies does something to the known copies, and answers with all of them.
func (s *Server) copies(w http.ResponseWriter, r *http.Request, c *caller, what, reason string, do func(ctx context.Context) error) error {
	if s.Copies == nil {
		return notConfigured("retention")
	}
	resp := CopiesResponse{}
	err := s.act(r.Context(), c, audit.ActionCopy, what, reason, func(ctx context.Context) (uint64, error) {
		if err := do(ctx); err != nil {
			return 0, err
		}
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		resp.Copies = filled(s.Copies.Copies())
		return uint64(len(resp.Copies)), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}
