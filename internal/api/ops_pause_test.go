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

// valve is a Pauser that notes what is asked of it.
type valve struct{ *town }

func (v valve) Paused(context.Context) (*PauseResponse, error) {
	v.did("paused?")
	return &PauseResponse{Relay: true}, nil
}

func (v valve) Pause(_ context.Context, _ role.Principal, paused bool, _ string) error {
	v.did("pause %v", paused)
	return nil
}

// Pausing is an administrator's act with a reason, audited before it is done.
func TestPauseIsAudited(t *testing.T) {
	for route, did := range map[string]string{"POST /v1/ingest/pause": "pause true", "POST /v1/ingest/resume": "pause false"} {
		w, s := keepTown(t)
		if status, body := w.post(s, role.Administrator, route, bodies[route]); status != http.StatusOK {
			t.Fatalf("%s: %d %s", route, status, body)
		}
		trace := w.traced()
		if trace[0] != "append access" || trace[1] != did || !strings.HasPrefix(trace[2], "append outcome") {
			t.Errorf("%s: trace %q", route, trace)
		}
		if a := w.accessAt(t, 1); a.Action != audit.ActionIngest || a.Reason != "r" || !strings.HasSuffix(route, a.Target) {
			t.Errorf("access %+v", a)
		}
		w, s = keepTown(t)
		w.failAt = 1
		if status, body := w.post(s, role.Administrator, route, bodies[route]); status != http.StatusServiceUnavailable || slices.Contains(w.traced(), did) {
			t.Errorf("%s, unrecorded: %d %s", route, status, body)
		}
		w, s = keepTown(t)
		if status, body := w.post(s, role.Administrator, route, `{"reason":" "}`); status != http.StatusBadRequest || len(w.traced()) > 0 {
			t.Errorf("%s without a reason: %d %s", route, status, body)
		}
		w, s = keepTown(t)
		if status, _ := w.post(s, role.ComplianceOfficer, route, bodies[route]); status != http.StatusForbidden || slices.Contains(w.traced(), did) {
			t.Errorf("%s by an officer: %d", route, status)
		}
	}
}
