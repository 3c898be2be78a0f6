package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// salvor is a Restorer that notes what is asked of it.
type salvor struct{ *town }

func (v salvor) Restored(context.Context) (*RestoreResponse, error) {
	v.did("restored?")
	return &RestoreResponse{State: RestoreWaiting, Times: 1}, nil
}

func (v salvor) AskRestore(_ context.Context, _ role.Principal, _ string) (uint64, error) {
	v.did("ask")
	return 7, nil
}

func (v salvor) GoOn(_ context.Context, _ role.Principal, request uint64) error {
	v.did("go on %d", request)
	return nil
}

// Going on from a restored log is asked for and done by administrators, and
// audited before it is.
func TestRestoreIsAudited(t *testing.T) {
	for route, want := range map[string]struct{ did, target, reason string }{
		"POST /v1/restore/ask": {"ask", "ask", "r"}, "POST /v1/restore/go-on": {"go on 7", "go on 7", ""},
	} {
		w, s := keepTown(t)
		if status, body := w.post(s, role.Administrator, route, bodies[route]); status != http.StatusOK || !strings.Contains(body, `"history":[]`) {
			t.Fatalf("%s: %d %s", route, status, body)
		}
		trace := w.traced()
		if trace[0] != "append access" || trace[1] != want.did || !strings.HasPrefix(trace[2], "append outcome") {
			t.Errorf("%s: trace %q", route, trace)
		}
		if a := w.accessAt(t, 1); a.Action != audit.ActionRestore || a.Reason != want.reason || a.Target != want.target {
			t.Errorf("access %+v", a)
		}
		w, s = keepTown(t)
		w.failAt = 1
		if status, body := w.post(s, role.Administrator, route, bodies[route]); status != http.StatusServiceUnavailable || slices.Contains(w.traced(), want.did) {
			t.Errorf("%s, unrecorded: %d %s", route, status, body)
		}
		w, s = keepTown(t)
		if status, _ := w.post(s, role.ComplianceOfficer, route, bodies[route]); status != http.StatusForbidden || slices.Contains(w.traced(), want.did) {
			t.Errorf("%s by an officer: %d", route, status)
		}
	}
	w, s := keepTown(t)
	if status, body := w.post(s, role.Administrator, "POST /v1/restore/ask", `{"reason":" "}`); status != http.StatusBadRequest || len(w.traced()) > 0 {
		t.Errorf("without a reason: %d %s", status, body)
	}
}
