package api

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/query"
	"holdfast/internal/role"
	"holdfast/retention"
)

// exportDigest names exactly one export: the query in its canonical form, the
// matter, the size of the log that it is as of, how far the query reached then
// (bound.reachOf), and how it is to be rendered and for whom.
func exportDigest(q *query.Query, req *ExportRequest, at uint64, reach []string) string {
	h := sha256.New()
	write := func(s string) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	h.Write([]byte("holdfast export v2\x00"))
	write(q.String())
	write(req.Matter)
	h.Write(binary.BigEndian.AppendUint64(nil, at))
	how := *req
	how.Query, how.Reason, how.Matter, how.At, how.Request, how.Resume = "", "", "", 0, 0, nil
	// A request that was read from JSON can be written as it.
	b, _ := json.Marshal(how)
	write(string(b))
	for _, s := range reach {
		write(s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// count returns how many entries an export as of the size at would find at most.
func (s *Server) count(ctx context.Context, q *query.Query, at uint64) (uint64, error) {
	found, err := s.Search.Search(ctx, q, Page{Limit: 1, AsOf: at - 1})
	if err != nil {
		return 0, err
	}
	return found.Total + found.Unindexed, nil
}

// size returns the size of the log that an export is as of. Of what came later
// than b knows of nobody can say whether it is held.
func (s *Server) size(b *bound, at uint64) (uint64, error) {
	now := s.Ledger.Size()
	if at > now {
		return 0, BeyondLog(nil)
	}
	if b.size > 0 {
		now = min(now, b.size)
	}
	switch {
	case at > now:
		return 0, retention.ErrSurveying
	case at == 0:
		at = now
	}
	return at, nil
}

// small refuses an export that one person may not make alone.
func (s *Server) small(ctx context.Context, q *query.Query, at uint64) error {
	if s.LargeExport == 0 {
		return nil
	}
	n, err := s.count(ctx, q, at)
	if err != nil || n <= s.LargeExport {
		return err
	}
	return &Problem{Title: "an export of so many entries takes two people", Status: http.StatusConflict, Code: CodeApproval, Exit: ExitPermission,
		Detail: fmt.Sprintf("%d entries match; one person exports %d at most", n, s.LargeExport),
		Hint:   "narrow the query, or ask for its approval with --ask and have an approver look at `holdfast requests list`"}
}

// largeSummary says what a large export comes to, and which access entry has its
// query: a summary is shown to every role, and is free of content.
const largeSummary = "export of %d entries, asked for in entry %d, as of a log of %d"

// askedQuery returns the query of a large export for whoever asked for it and
// for who may approve it; "" for everybody else.
func (s *Server) askedQuery(ctx context.Context, c *caller, r *ApprovalRequest) (string, error) {
	_, decides := role.Allowed(c.grants, role.RequestsDecide, time.Now())
	if r.Act != ActLargeExport || !decides && r.By.ID() != c.who.ID() {
		return "", nil
	}
	a, err := s.exportAccess(ctx, r)
	if err != nil || a == nil {
		return "", err
	}
	return a.Query, nil
}

// askExport asks for the approval of a large export.
func (s *Server) askExport(w http.ResponseWriter, r *http.Request, c *caller) error {
	req, q, err := s.exportRequest(w, r, c)
	if err != nil {
		return err
	}
	if !audit.Says(req.Reason + req.Matter) {
		return audit.ErrNoReason
	}
	if req.Request != 0 {
		return badRequest("a request for what is approved already", "export it, naming the request")
	}
	if s.Approvals == nil {
		return notConfigured("two-person rule")
	}
	var resp LargeExportResponse
	access := audit.Access{Action: audit.ActionRequest, Principal: c.who, Reason: req.Reason, Matter: req.Matter, Query: req.Query, Target: ActLargeExport}
	err = s.look(r.Context(), access, func(ctx context.Context, access uint64) (audit.Outcome, error) {
		b, err := s.bind(ctx, c, q)
		if err != nil {
			return audit.Outcome{}, err
		}
		if resp.At, err = s.size(b, req.At); err != nil {
			return audit.Outcome{}, err
		}
		if resp.Total, err = s.count(ctx, b.query, resp.At); err != nil {
			return audit.Outcome{}, err
		}
		asked, err := s.Approvals.Ask(ctx, c.who, Ask{
			Act: ActLargeExport, Digest: exportDigest(q, req, resp.At, b.reachOf(c, resp.At)), Reason: exportReason(req),
			Summary: fmt.Sprintf(largeSummary, resp.Total, access, resp.At),
		})
		if err != nil {
			return audit.Outcome{}, err
		}
		resp.Request = *asked
		return audit.Outcome{Total: resp.Total, Through: resp.At - 1}, nil
	})
	if err != nil {
		return err
	}
	return reply(w, resp)
}

// exportReason is why an export is asked for: its reason, else its matter, cut to what
// an entry holds.
func exportReason(req *ExportRequest) string {
	reason := req.Reason
	if !audit.Says(reason) {
		reason = "matter " + req.Matter
	}
	if r := []rune(reason); len(r) > audit.MaxReason {
		return string(r[:audit.MaxReason])
	}
	return reason
}

// approved uses up the approval of a large export. Whoever asked for it makes
// it: it was their query that was approved, within their scope.
func (s *Server) approved(ctx context.Context, c *caller, req *ExportRequest, digest string) error {
	if s.Approvals == nil {
		return notConfigured("two-person rule")
	}
	asked, err := s.Approvals.Request(ctx, req.Request)
	if err != nil {
		return err
	}
	if asked.By.ID() != c.who.ID() {
		return &Problem{Title: "somebody else asked for this export", Status: http.StatusForbidden, Code: CodeForbidden, Exit: ExitPermission,
			Hint: "whoever asked makes it; ask for your own"}
	}
	if asked.Act == ActLargeExport && asked.Reason != exportReason(req) {
		return &Problem{Title: "the export was approved for another reason", Status: http.StatusConflict, Code: CodeApproval, Exit: ExitPermission,
			Hint: "give the reason or matter that it was asked for with: `holdfast requests show` has it"}
	}
	return s.Approvals.Execute(ctx, c.who, req.Request, ActLargeExport, digest)
}
