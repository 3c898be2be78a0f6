package api

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/approval"
	"holdfast/internal/role"
)

func largeTown(t *testing.T) (*town, *Server, *Client) {
	w := newTown(t)
	w.found.Total = 500
	w.grants["token-officer"] = []role.Grant{{Role: role.ComplianceOfficer}}
	w.grants["token-other"] = []role.Grant{{Role: role.ComplianceOfficer}}
	s := w.server()
	s.LargeExport = 499
	return w, s, serveTLS(t, s).client(t, "token-officer")
}

func (w *town) produced() int {
	n := 0
	for _, did := range w.traced() {
		if strings.HasPrefix(did, "produce") {
			n++
		}
	}
	return n
}

// An export of more entries than one person may make takes another person's
// word for exactly this one, once.
func TestLargeExports(t *testing.T) {
	w, s, c := largeTown(t)
	req := ExportRequest{Query: "  canary", Reason: "r", Matter: "M-1", As: FormatJSONL, Recipient: "court", Purpose: "subpoena",
		Redact: []Redact{{Pattern: `\d{3}-\d{2}-\d{4}`, Reason: "SSN"}}}
	export := func(req ExportRequest) (*Completion, error) {
		return c.Export(t.Context(), req, filepath.Join(t.TempDir(), "out"), false, Hearing{})
	}
	_, err := export(req)
	if p := problem(t, err); p.Code != CodeApproval || p.Exit != ExitPermission || p.Detail != "500 entries match; one person exports 499 at most" || w.produced() != 0 {
		t.Fatalf("without approval: %+v", p)
	}
	asked, err := c.AskExport(t.Context(), req)
	if err != nil || asked.Total != 500 || asked.At == 0 || asked.Request.Act != ActLargeExport || strings.Contains(asked.Request.Summary, "canary") {
		t.Fatalf("ask: %+v, %v", asked, err)
	}
	req.Request, req.At = asked.Request.Seq, asked.At
	if _, err := export(req); problem(t, err).Code != CodeApproval {
		t.Errorf("before the approval: %v", err)
	}
	if _, err := (approvals{w}).Decide(t.Context(), role.Principal{Person: anna}, req.Request, true, "r"); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*ExportRequest){
		"another query":     func(r *ExportRequest) { r.Query = "canary OR x" },
		"another reason":    func(r *ExportRequest) { r.Reason = "curious" },
		"another matter":    func(r *ExportRequest) { r.Matter = "M-2" },
		"another recipient": func(r *ExportRequest) { r.Recipient = "the press" },
		"uncovered":         func(r *ExportRequest) { r.Redact = nil },
		"as of later":       func(r *ExportRequest) { r.At++ },
		"no size":           func(r *ExportRequest) { r.At = 0 },
		"another request":   func(r *ExportRequest) { r.Request = 1 },
	} {
		other := req
		change(&other)
		if _, err := export(other); err == nil || w.produced() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	req.Query = "canary" // the same query, written otherwise
	done, err := export(req)
	if err != nil || done.Produced != 4 || w.produced() != 1 {
		t.Fatalf("approved: %+v, %v", done, err)
	}
	if a := w.accessAt(t, int(done.Access)); a.Target != "request "+decimal(req.Request) {
		t.Errorf("access %+v", a)
	}
	if _, err := export(req); problem(t, err).Code != CodeApproval || w.produced() != 1 {
		t.Errorf("used twice: %v", err)
	}
	s.LargeExport = 500
	if _, err := export(ExportRequest{Query: "canary", Reason: "r", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}); err != nil {
		t.Errorf("as many as one person may export: %v", err)
	}
}

// What a search has not seen counts as found, and the production is as of the
// size that was counted.
func TestLargeExportsAreCountedWithCare(t *testing.T) {
	w, s, c := largeTown(t)
	w.found.Total, w.found.Unindexed = 1, 499
	_, err := c.Export(t.Context(), ExportRequest{Query: "x", Reason: "r", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}, filepath.Join(t.TempDir(), "out"), false, Hearing{})
	if problem(t, err).Code != CodeApproval {
		t.Errorf("unindexed: %v", err)
	}
	w.found.Unindexed = 0
	var at uint64
	inner := w.produce
	w.produce = func(ctx context.Context, p Production, sink Sink) (*Produced, error) {
		at = p.At
		return inner(ctx, p, sink)
	}
	if _, err := c.Export(t.Context(), ExportRequest{Query: "x", Reason: "r", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}, filepath.Join(t.TempDir(), "out"), false, Hearing{}); err != nil {
		t.Fatal(err)
	}
	if last := w.traced(); at == 0 || !slices.Contains(last, "search x limit 1 before 0 as of "+decimal(at-1)) {
		t.Errorf("produced as of %d: %q", at, last)
	}
	if _, err := c.Export(t.Context(), ExportRequest{Query: "x", Reason: "r", As: FormatJSONL, Recipient: "court", Purpose: "subpoena", At: 1000}, filepath.Join(t.TempDir(), "out"), false, Hearing{}); problem(t, err).Code != CodeBadRequest {
		t.Errorf("beyond the log: %v", err)
	}
	// Somebody else's approval is not one's own.
	asked, err := c.AskExport(t.Context(), ExportRequest{Query: "x", Matter: "M", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"})
	if err != nil || asked.Request.Reason != "matter M" {
		t.Fatal(asked, err)
	}
	w.requests[asked.Request.Seq].Status = "approved"
	w.requests[asked.Request.Seq].By = role.Principal{Person: bo}
	_, err = c.Export(t.Context(), ExportRequest{Query: "x", Matter: "M", As: FormatJSONL, Recipient: "court", Purpose: "subpoena", At: asked.At, Request: asked.Request.Seq}, filepath.Join(t.TempDir(), "out"), false, Hearing{})
	if p := problem(t, err); p.Code != CodeForbidden || w.requests[asked.Request.Seq].Status != "approved" {
		t.Errorf("somebody else's: %+v", p)
	}
	w.err = errors.Join(approval.ErrOpen)
	if _, err := c.AskExport(t.Context(), ExportRequest{Query: "y", Reason: "r", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}); problem(t, err).Code != CodeApproval {
		t.Errorf("already asked for: %v", err)
	}
	s.Approvals = nil
	if _, err := c.AskExport(t.Context(), ExportRequest{Query: "y", Reason: "r", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}); problem(t, err).Code != CodeNoPart {
		t.Errorf("without approvals: %v", err)
	}
}

// An approved export has a way of its own, and nothing else passes there.
func TestApprovedExportsHaveTheirWay(t *testing.T) {
	w, s := actTown(t)
	for route, body := range map[string]string{
		"POST /v1/export":          bodies["POST /v1/export/approved"],
		"POST /v1/export/approved": bodies["POST /v1/export"],
		"POST /v1/export/ask":      bodies["POST /v1/export/approved"],
	} {
		if status, answer := w.post(s, role.ComplianceOfficer, route, body); status != 400 || len(w.traced()) > 0 {
			t.Errorf("%s: %d %s, %q", route, status, answer, w.traced())
		}
	}
}

// The digest is a promise between the one who asks and the one who approves.
func TestExportDigest(t *testing.T) {
	q, err := parse("from:anna   potassium")
	if err != nil {
		t.Fatal(err)
	}
	const want = "14f42399bb1361bfe4463738c62f34bcc4b462b5c9a74b99b47e4d9347e87c3f" // made by another program
	if got := exportDigest(q, &ExportRequest{Matter: "M-1", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}, 7, nil); got != want {
		t.Errorf("digest %s", got)
	}
	seen := map[string]bool{}
	for _, matter := range []string{"", "M", "M-1"} {
		for _, at := range []uint64{1, 2} {
			seen[exportDigest(q, &ExportRequest{Matter: matter}, at, nil)] = true
			seen[exportDigest(q, &ExportRequest{Matter: matter}, at, []string{"a"})] = true
		}
	}
	for _, how := range []ExportRequest{
		{As: "csv"}, {Recipient: "court"}, {Purpose: "other"}, {Unit: "day"}, {Bates: "P"}, {Legend: "L"}, {Include: []string{"part2"}},
		{Redact: []Redact{{Seqs: []uint64{1}, Reason: "r"}}}, {Split: Split{Bytes: 1}}, {Split: Split{Custodian: true}},
	} {
		seen[exportDigest(q, &how, 1, nil)] = true
	}
	same := ExportRequest{Reason: "another", Request: 7, Resume: &Resume{Production: 9}}
	seen[exportDigest(q, &same, 1, nil)] = true
	if len(seen) != 22 {
		t.Errorf("%d digests of 22 exports", len(seen))
	}
}
