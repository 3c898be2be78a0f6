package api

import (
	"context"
	"errors"
	"net/http"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/retention"
)

// keeping makes ready for kept: what it says is as of now.
func (s *Server) keeping(ctx context.Context, c *caller) (*eyes, error) {
	if s.Standings == nil {
		return nil, nil
	}
	return s.eyes(c), s.caught(ctx)
}

// kept says how long an entry is kept, as the caller may know it. What cannot be
// told of an entry at fault is left out: nobody shall take it for not held.
func (s *Server) kept(ctx context.Context, e *eyes, seq uint64) (Kept, error) {
	if s.Standings == nil {
		return Kept{}, nil
	}
	st, cert, err := s.Standings.Standing(ctx, seq)
	switch {
	case errors.Is(err, archive.ErrNoBody), errors.Is(err, archive.ErrDisposed), errors.Is(err, archive.ErrDamaged):
		return Kept{}, nil
	case err != nil:
		return Kept{}, err
	case cert != nil:
		at, err := certified(cert.At)
		if err != nil {
			return Kept{}, err
		}
		return Kept{Disposed: &Disposed{Certificate: cert.Seq, At: at, Class: cert.Class, Month: cert.Month}}, nil
	case st == nil:
		return Kept{}, nil
	}
	return Kept{HeldBy: e.heldBy(st.HeldBy), DisposeAfter: st.DisposeAfter}, nil
}

// holdsExplain says why an entry is kept. A narrowed role asks about the
// messages that it reads.
func (s *Server) holdsExplain(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ExplainRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Dispositions == nil {
		return notConfigured("retention")
	}
	var resp *Explanation
	access := audit.Access{Action: audit.ActionHold, Target: "explain", Seqs: []uint64{req.Seq}}
	err := s.actOn(r.Context(), c, access, func(ctx context.Context) (uint64, error) {
		if err := s.within(ctx, c, req.Seq); err != nil {
			return 0, err
		}
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		why, err := s.Dispositions.Explain(ctx, req.Seq)
		if err != nil {
			return 0, err
		}
		resp = s.eyes(c).explanation(why)
		return 1, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// within refuses an entry that is not in the caller's scope.
func (s *Server) within(ctx context.Context, c *caller, seq uint64) error {
	if c.scope.All {
		return nil
	}
	b, err := s.bind(ctx, c, s.everything)
	if err != nil {
		return err
	}
	entries, err := s.Show.Show(ctx, []uint64{seq})
	if err != nil {
		return err
	}
	if len(entries) != 1 || !covers(b.query, &entries[0]) {
		return &Problem{Title: "that entry is outside your scope", Status: http.StatusForbidden, Code: CodeForbidden, Exit: ExitPermission,
			Hint: "ask somebody whose role is not narrowed"}
	}
	return nil
}

// explanation renders an explanation as the caller may know it. Its text names
// holds, and is replaced when one of them is not the caller's to know of.
func (e *eyes) explanation(x *retention.Explanation) *Explanation {
	out := &Explanation{
		Seq: x.Seq, Class: x.Class, Rule: x.Rule, Schedule: x.Schedule, Trigger: x.Trigger, Period: x.Period, Due: x.Due, State: x.State,
		HeldBy: e.heldBy(x.HeldBy), Family: filled(x.Family), Plans: filled(x.Plans), Certificate: x.Certificate, Text: filled(x.Text),
	}
	if n := len(out.HeldBy); n > 0 && out.HeldBy[n-1].Hold == 0 {
		out.Text = []string{"It is held: every hold that covers it would have to be released, and the grace period to end.",
			"After that it goes when its record class is due, with a disposition that a second person approves."}
	}
	return out
}
