package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"holdfast/archive/audit"
	"holdfast/retention"
)

// planView renders a plan as the caller may know it: what keeps entries back is
// named to those alone who may know of its matter.
func (e *eyes) planView(p *retention.Plan) *Plan {
	out := *p
	out.Lines = e.lines(p.Lines)
	return &out
}

func (e *eyes) lines(lines []PlanLine) []PlanLine {
	out := make([]PlanLine, 0, len(lines))
	for _, l := range lines {
		back := []HeldBack{}
		hidden := HeldBack{Matter: Held, Why: Held}
		for _, h := range l.HeldBack {
			if h.Hold == 0 || e.on(h.Matter) == seesWhole {
				back = append(back, h)
				continue
			}
			hidden.Entries = max(hidden.Entries, h.Entries) // several may keep the same ones
		}
		if hidden.Entries > 0 {
			back = append(back, hidden)
		}
		l.HeldBack = back
		out = append(out, l)
	}
	return out
}

// ranView is planView for what became of a plan.
func (e *eyes) ranView(r *retention.Ran) *Ran {
	out := *r
	out.Certificates, out.TakenOut = filled(r.Certificates), []TakenOut{}
	hidden := map[string]int{} // place in TakenOut, by class-month
	for _, t := range r.TakenOut {
		if t.Hold != 0 && e.on(t.Matter) != seesWhole {
			t.Hold, t.Matter, t.Why = 0, Held, Held
			if i, ok := hidden[t.Month+" "+t.Class]; ok {
				out.TakenOut[i].Entries += t.Entries
				continue
			}
			hidden[t.Month+" "+t.Class] = len(out.TakenOut)
		}
		out.TakenOut = append(out.TakenOut, t)
	}
	if r.Abandoned != nil {
		out.Abandoned = e.lines(r.Abandoned)
	}
	return &out
}

// open reports whether something may still come of a plan.
func open(p *Plan) bool {
	return slices.Contains([]retention.PlanState{retention.PlanWaiting, retention.PlanApproved, retention.PlanRunning}, p.State)
}

func (s *Server) dispositionList(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req PlansRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Dispositions == nil {
		return notConfigured("retention")
	}
	resp := PlansResponse{Plans: []Plan{}}
	err := s.act(r.Context(), c, audit.ActionDisposition, "list", "", func(ctx context.Context) (uint64, error) {
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		for _, p := range s.Dispositions.Plans() {
			if !req.All && !open(&p) {
				continue
			}
			p.Lines = []PlanLine{}
			resp.Plans = append(resp.Plans, p)
		}
		slices.SortFunc(resp.Plans, func(a, b Plan) int { return cmp.Compare(b.Seq, a.Seq) })
		return uint64(len(resp.Plans)), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) dispositionShow(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req PlanRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Dispositions == nil {
		return notConfigured("retention")
	}
	var resp *Plan
	err := s.act(r.Context(), c, audit.ActionDisposition, "show "+decimal(req.Seq), "", func(ctx context.Context) (uint64, error) {
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		p, ok := s.Dispositions.Plan(req.Seq)
		if !ok {
			return 0, retention.ErrNoPlan
		}
		resp = s.eyes(c).planView(p)
		return 1, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) dispositionPlan(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req PlanDispositionRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if max(len(req.Class), len(req.Month)) > maxClass {
		return badRequest("it names no class or month", "give a record class of the schedule, and a month as 2026-01")
	}
	what := "try"
	if !req.Dry {
		what = "plan"
		if err := reasoned(req.Reason, "why it shall go now"); err != nil {
			return err
		}
	}
	return s.plan(w, r, c, audit.Access{Target: what, Reason: req.Reason}, func(ctx context.Context, progress func(done, total uint64)) (*Plan, error) {
		return s.Dispositions.PlanDisposition(ctx, c.who, retention.PlanOptions{Reason: req.Reason, Class: req.Class, Month: req.Month, Progress: progress, Dry: req.Dry})
	})
}

// maxClass bounds the name of a record class in a request, in bytes.
const maxClass = 64

func (s *Server) disposeErase(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req EraseRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "which court ordered it, and when"); err != nil {
		return err
	}
	return s.planSeqs(w, r, c, audit.Access{Target: "erase", Reason: req.Reason, Seqs: req.Seqs}, func(ctx context.Context, _ func(done, total uint64)) (*Plan, error) {
		return s.Dispositions.PlanErasure(ctx, c.who, req.Seqs, req.Reason)
	})
}

func (s *Server) reclassify(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req ReclassifyRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "why they are of that class"); err != nil {
		return err
	}
	if req.Class == "" || len(req.Class) > maxClass {
		return badRequest("it names no class", "give a record class of the schedule: `holdfast schedule show` has them")
	}
	return s.planSeqs(w, r, c, audit.Access{Target: "reclassify " + req.Class, Reason: req.Reason, Seqs: req.Seqs}, func(ctx context.Context, _ func(done, total uint64)) (*Plan, error) {
		return s.Dispositions.PlanReclass(ctx, c.who, req.Seqs, req.Class, req.Reason)
	})
}

func (s *Server) planSeqs(w http.ResponseWriter, r *http.Request, c *caller, access audit.Access, do func(ctx context.Context, progress func(done, total uint64)) (*Plan, error)) error {
	if len(access.Seqs) == 0 || len(access.Seqs) > audit.MaxSeqs {
		return badRequest(fmt.Sprintf("it must name 1 to %d entries", audit.MaxSeqs), "give the numbers of entries, as search prints them")
	}
	return s.plan(w, r, c, access, do)
}

// plan has a plan made. Nothing is done until it is logged: a client that hangs
// up ends it.
func (s *Server) plan(w http.ResponseWriter, r *http.Request, c *caller, access audit.Access, do func(ctx context.Context, progress func(done, total uint64)) (*Plan, error)) error {
	if s.Dispositions == nil {
		return notConfigured("retention")
	}
	if err := s.whole(r.Context(), c); err != nil {
		return err
	}
	access.Action = audit.ActionDisposition
	return s.work(w, r, c, access, func(ctx context.Context, progress func(Progress)) (*WorkLine, uint64, error) {
		p, err := do(ctx, func(done, total uint64) { progress(Progress{Done: done, Total: total}) })
		if err != nil {
			return nil, 0, err
		}
		return &WorkLine{Plan: s.eyes(c).planView(p)}, p.Total, nil
	})
}

// dispositionRun carries out a plan. It goes on when the client hangs up: what
// has begun is brought to its end, unless the daemon stops.
func (s *Server) dispositionRun(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req RunRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Dispositions == nil {
		return notConfigured("retention")
	}
	if err := s.whole(r.Context(), c); err != nil {
		return err
	}
	access := audit.Access{Action: audit.ActionDisposition, Target: "run " + decimal(req.Plan)}
	return s.work(w, r, c, access, func(ctx context.Context, progress func(Progress)) (*WorkLine, uint64, error) {
		ctx, end := steadfast(ctx)
		defer end()
		ran, err := s.Dispositions.Run(ctx, c.who, req.Plan, func(step string, done, total uint64) { progress(Progress{Step: step, Done: done, Total: total}) })
		// Nothing went because all of it is held or not due since: that, and why, is the answer.
		if err != nil && (ran == nil || !errors.Is(err, retention.ErrNothing)) {
			return nil, 0, err
		}
		return &WorkLine{Ran: s.eyes(c).ranView(ran)}, ran.Gone, nil
	})
}

func (s *Server) certificatesList(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req CertificatesRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Dispositions == nil {
		return notConfigured("retention")
	}
	resp := CertificatesResponse{Certificates: []DispositionCertificate{}}
	err := s.act(r.Context(), c, audit.ActionCertificate, "list", "", func(ctx context.Context) (uint64, error) {
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		for _, cert := range s.Dispositions.Certificates() {
			if req.Class != "" && cert.Class != req.Class || req.Month != "" && cert.Month != req.Month {
				continue
			}
			cert.JWS, cert.Ranges = "", "" // as many as there are entries in ranges: shown one by one
			resp.Certificates = append(resp.Certificates, cert)
		}
		slices.SortFunc(resp.Certificates, func(a, b DispositionCertificate) int { return cmp.Compare(b.Seq, a.Seq) })
		return uint64(len(resp.Certificates)), nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

func (s *Server) certificatesShow(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req CertificateRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if s.Dispositions == nil {
		return notConfigured("retention")
	}
	var resp *DispositionCertificate
	err := s.act(r.Context(), c, audit.ActionCertificate, "show "+decimal(req.Seq), "", func(ctx context.Context) (uint64, error) {
		if err := s.caught(ctx); err != nil {
			return 0, err
		}
		cert, ok := s.Dispositions.Certificate(req.Seq)
		if !ok {
			return 0, errNoCertificate
		}
		resp = cert
		return 1, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}
