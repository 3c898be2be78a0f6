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

// buoys are anchors and ways out that note what is asked of them.
type buoys struct{ *town }

func (b buoys) Anchored(context.Context) ([]Anchor, error) {
	b.did("anchored?")
	return []Anchor{{Kind: "file", Failing: "refused"}}, nil
}

func (b buoys) Anchor(context.Context) ([]AnchorResult, error) {
	b.did("anchor")
	return []AnchorResult{{Kind: "file"}}, nil
}

func (b buoys) TestNotices(context.Context) ([]NoticeResult, error) {
	b.did("test")
	return []NoticeResult{{Way: "smtp", Failed: "timeout"}}, nil
}

// Anchoring and trying the ways out are an administrator's acts, audited before
// they are done; where the log is anchored is no secret.
func TestAnchorsAndNoticesAreAudited(t *testing.T) {
	for route, did := range map[string]string{"POST /v1/anchors/make": "anchor", "POST /v1/notices/test": "test"} {
		w, s := keepTown(t)
		if status, body := w.post(s, role.Administrator, route, `{}`); status != http.StatusOK || !strings.Contains(body, `"results":[{`) {
			t.Fatalf("%s: %d %s", route, status, body)
		}
		trace := w.traced()
		if trace[0] != "append access" || trace[1] != did || !strings.HasPrefix(trace[2], "append outcome") {
			t.Errorf("%s: trace %q", route, trace)
		}
		if a := w.accessAt(t, 1); a.Action != audit.ActionAnchor {
			t.Errorf("access %+v", a)
		}
		w, s = keepTown(t)
		w.failAt = 1
		if status, body := w.post(s, role.Administrator, route, `{}`); status != http.StatusServiceUnavailable || slices.Contains(w.traced(), did) {
			t.Errorf("%s, unrecorded: %d %s", route, status, body)
		}
		w, s = keepTown(t)
		if status, body := w.post(s, role.Administrator, route, `{"to":"x"}`); status != http.StatusBadRequest || slices.Contains(w.traced(), did) {
			t.Errorf("%s with a member that it has not: %d %s", route, status, body)
		}
		w, s = keepTown(t)
		if status, _ := w.post(s, role.Auditor, route, `{}`); status != http.StatusForbidden || slices.Contains(w.traced(), did) {
			t.Errorf("%s as an auditor: %d", route, status)
		}
	}
	w, s := keepTown(t)
	if status, body := w.post(s, role.Auditor, "POST /v1/anchors/list", `{}`); status != http.StatusOK || !strings.Contains(body, `"failing":"refused"`) || len(w.traced()) != 1 {
		t.Errorf("%d %s, trace %q", status, body, w.traced())
	}
}
