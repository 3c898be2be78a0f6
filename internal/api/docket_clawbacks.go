package api

import (
	"context"
	"net/http"
	"slices"

	"holdfast/archive/audit"
	"holdfast/archive/docket"
)

func (s *Server) clawbacksMake(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ClawbackRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "why it should not have been produced"); err != nil {
		return err
	}
	if _, _, _, err := docket.ParseRange(req.From, req.To); err != nil {
		return err
	}
	if err := s.whole(r.Context(), c); err != nil {
		return err
	}
	matter, err := s.worked(r.Context(), c, req.Matter)
	if err != nil {
		return err
	}
	var resp Clawback
	access := audit.Access{Action: audit.ActionClawback, Target: "make " + req.From + ".." + req.To, Matter: matter, Reason: req.Reason}
	err = s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		made, err := s.Docket.Claw(ctx, c.who, docket.NewClawback{Matter: matter, From: req.From, To: req.To, Reason: req.Reason})
		if err != nil {
			return 0, err
		}
		resp = s.clawback(made, true)
		return made.Entries, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) clawbacksList(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ClawbacksRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	matter, err := s.worked(r.Context(), c, req.Matter)
	if err != nil {
		return err
	}
	resp := ClawbacksResponse{Clawbacks: []Clawback{}}
	access := audit.Access{Action: audit.ActionClawback, Target: "list", Matter: matter}
	err = s.actOn(r.Context(), c, access, func(context.Context) (uint64, error) {
		for _, made := range slices.Backward(s.Docket.Clawbacks()) {
			if made.Matter == matter {
				resp.Clawbacks = append(resp.Clawbacks, s.clawback(made, false))
			}
		}
		return uint64(len(resp.Clawbacks)), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) clawbacksShow(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ClawbackShowRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Docket == nil || s.Matters == nil {
		return notConfigured("retention")
	}
	if err := s.caught(r.Context()); err != nil {
		return err
	}
	// Whether there is such a clawback is told to nobody who does not work on its matter.
	made, ok := s.Docket.Clawback(req.Seq)
	if !ok || s.eyes(c).on(made.Matter) != seesWhole {
		return errNoClawback
	}
	var resp Clawback
	access := audit.Access{Action: audit.ActionClawback, Target: "show " + decimal(req.Seq), Matter: made.Matter}
	err := s.actOn(r.Context(), c, access, func(context.Context) (uint64, error) {
		resp = s.clawback(made, true)
		return 1, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// clawback renders a clawback, with its notices where they are asked for.
func (s *Server) clawback(made *docket.Clawback, notices bool) Clawback {
	out := Clawback{
		Seq: made.Seq, Matter: made.Matter, Bates: made.Range(), Entries: made.Entries, At: made.At, By: made.By, Reason: made.Reason,
	}
	if !notices {
		return out
	}
	for _, of := range made.Productions {
		p, ok := s.Docket.Production(of.Production)
		if !ok || p.Ended == nil {
			continue
		}
		out.Notices = append(out.Notices, ClawbackNotice{
			Production: p.Seq, Recipient: Disclosee(p.Recipient), Bates: made.Labels(of), Text: docket.Notice(p.Recipient, made, of, *p.Ended),
		})
	}
	return out
}
