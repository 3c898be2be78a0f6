package api

import (
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/role"
)

// A custodian whom nobody knows is an error, and never "none found".
func TestUnknownCustodian(t *testing.T) {
	w, s := keepTown(t)
	for q, want := range map[string]int{`custodian:\"Anna Lund\"`: http.StatusOK, `potassium NOT custodian:nobody`: http.StatusNotFound, `from:nobody`: http.StatusOK} {
		status, body := w.post(s, role.ComplianceOfficer, "POST /v1/search", `{"query":"`+q+`","reason":"r"}`)
		if status != want || want != http.StatusOK && (!strings.Contains(body, "custodian 1") || strings.Contains(body, "nobody\"")) {
			t.Errorf("%s: %d %s", q, status, body)
		}
	}
}
