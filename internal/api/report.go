package api

import (
	"context"
	"net/http"

	"holdfast/archive/audit"
)

// accessReport answers who looked at a custodian's messages, or what an officer
// did.
func (s *Server) accessReport(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req AccessReportRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if (req.Custodian == "") == (req.Officer == "") || max(len(req.Custodian), len(req.Officer)) > maxWho {
		return badRequest("it must be about one custodian or one officer", "give one of the two")
	}
	if err := reasoned(req.Reason, "who asked for the report, and why"); err != nil {
		return err
	}
	what, who, about := "officer", req.Officer, s.officer
	if req.Custodian != "" {
		what, who, about = "custodian", req.Custodian, s.custodian
	}
	var resp AccessReport
	f := audit.Filter{Since: moment(req.Since), Until: moment(req.Until), Limit: DefaultLimit, Watch: s.Watch}
	access := audit.Access{Action: audit.ActionReport, Principal: c.who, Reason: req.Reason, Target: what, Query: who}
	err := s.look(r.Context(), access, func(ctx context.Context, access uint64) (o audit.Outcome, err error) {
		f.Before = access // this look itself is not part of what it shows
		o.Shown, err = about(ctx, who, f, &resp)
		o.Total = o.Shown
		if err != nil {
			return o, err
		}
		return o, s.maskReport(ctx, c, &resp)
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// maskReport takes out of a report what the caller may not know; see maskItems.
func (s *Server) maskReport(ctx context.Context, c *caller, r *AccessReport) error {
	if r.Custodian != nil {
		return s.maskItems(ctx, c, r.Custodian.Newest)
	}
	if err := s.maskItems(ctx, c, r.Officer.Newest); err != nil {
		return err
	}
	r.Officer.Matters = s.maskMatters(c, r.Officer.Matters)
	return nil
}

// custodian reports who read a custodian's messages, and returns how many
// accesses it lists.
func (s *Server) custodian(ctx context.Context, who string, f audit.Filter, resp *AccessReport) (uint64, error) {
	p, err := s.one(ctx, who)
	if err != nil {
		return 0, err
	}
	resp.Person = &p.Ref
	if len(p.Usrs) == 0 { // nobody sends or receives as this person
		resp.Custodian = &audit.CustodianReport{Custodians: []string{}, By: []audit.Reader{}, Newest: []audit.Item{}, Through: f.Before}
		return 0, nil
	}
	f.Custodians = p.Usrs
	if resp.Custodian, err = audit.ReportCustodian(ctx, s.Ledger, f); err != nil {
		return 0, err
	}
	return uint64(len(resp.Custodian.Newest)), nil
}

// officer reports what a principal did, and returns how many accesses it lists.
func (s *Server) officer(ctx context.Context, who string, f audit.Filter, resp *AccessReport) (n uint64, err error) {
	if f.Person, err = s.identity(ctx, who); err != nil {
		return 0, err
	}
	if resp.Officer, err = audit.ReportOfficer(ctx, s.Ledger, f); err != nil {
		return 0, err
	}
	return uint64(len(resp.Officer.Newest)), nil
}
