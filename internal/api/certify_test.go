package api

import (
	"context"
	"strings"
	"testing"
	"time"

	"holdfast/archive/coverage"
	"holdfast/internal/role"
)

// surveyor is the town's Coverage.
type surveyor struct{ w *town }

func (v surveyor) Certify(_ context.Context, by string, about Found, from, to time.Time, progress func(done, total uint64)) (*Certified, error) {
	v.w.did("certify %s from %s to %s", about.Name, from.Format(time.DateOnly), to.Format(time.DateOnly))
	progress(1, 1)
	return &Certified{Statement: coverage.Statement{By: by, Custodian: coverage.Custodian{Name: about.Name}}, JWS: "a.b.c"}, nil
}

// A certificate is asked for with a reason, about one custodian and a period, by
// a role that is not narrowed, and stands in the log before it is made.
func TestCertify(t *testing.T) {
	w, s := keepTown(t)
	for body, want := range map[string]int{
		`{"custodian":"Anna Lund","from":"2026-01-01","to":"2026-02-01","reason":"r"}`: 200,
		`{"custodian":"usr:u77","from":"-90d","to":"today","matter":"M-1"}`:            200,
		`{"custodian":"Anna Lund","from":"2026-01-01","to":"2026-02-01"}`:              400,
		`{"custodian":"Anna Lund","from":"2026-02-01","to":"2026-01-01","reason":"r"}`: 400,
		`{"custodian":"Anna Lund","from":"whenever","to":"2026-01-01","reason":"r"}`:   400,
		`{"custodian":"Anna Lund","to":"2026-01-01","reason":"r"}`:                     400,
		`{"custodian":"","from":"2026-01-01","to":"2026-02-01","reason":"r"}`:          400,
		`{"custodian":"double","from":"2026-01-01","to":"2026-02-01","reason":"r"}`:    409,
		`{"custodian":"Nobody","from":"2026-01-01","to":"2026-02-01","reason":"r"}`:    404,
		`{"custodian":"usr:u1","from":"2026-01-01","to":"2026-02-01","reason":"r"}`:    409, // it is a person's
	} {
		status, answer := w.post(s, role.ComplianceOfficer, "POST /v1/certify", body)
		if status != want || want == 200 && !strings.Contains(answer, `"jws":"a.b.c"`) {
			t.Errorf("%s: %d %s", body, status, answer)
		}
		trace := strings.Join(w.traced(), ", ")
		if strings.Contains(trace, "certify ") != (want == 200) || want == 200 && !strings.HasPrefix(trace, "append access") {
			t.Errorf("%s: %q", body, trace)
		}
		w.trace = nil
	}
}
