package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// Whoever says which person a relay user is says whose messages are in a scope,
// and whose were looked at: not with a scope of one's own, nor of oneself.
func TestNobodyWidensTheirScopeByAMatch(t *testing.T) {
	scoped := []role.Grant{{Role: role.ComplianceOfficer, Department: "Ward 3"}, {Role: role.ComplianceOfficer, OU: "OU=X,DC=y"}}
	for name, tt := range map[string]struct {
		grants []role.Grant
		body   string
		want   int
	}{
		"scoped":             {scoped, `{"usr":"u7","who":"Anna Berg","reason":"r"}`, http.StatusForbidden},
		"scoped unmatch":     {scoped, `{"usr":"u1","reason":"r"}`, http.StatusForbidden},
		"unscoped besides":   {append(slices.Clone(scoped), role.Grant{Role: role.ComplianceOfficer}), `{"usr":"u7","who":"Anna Berg","reason":"r"}`, http.StatusOK},
		"unmatch another's":  {[]role.Grant{{Role: role.ComplianceOfficer}}, `{"usr":"u1","reason":"r"}`, http.StatusOK},
		"another's for own":  {[]role.Grant{{Role: role.ComplianceOfficer}}, `{"usr":"u7","who":"Cy Holm","reason":"r"}`, http.StatusForbidden},
		"own for another's":  {[]role.Grant{{Role: role.ComplianceOfficer}}, `{"usr":"u3","who":"Anna Berg","reason":"r"}`, http.StatusForbidden},
		"own for nobody's":   {[]role.Grant{{Role: role.ComplianceOfficer}}, `{"usr":"u3","reason":"r"}`, http.StatusForbidden},
		"another's, no body": {[]role.Grant{{Role: role.ComplianceOfficer}}, `{"usr":"u7","who":"Anna Berg"}`, http.StatusBadRequest},
	} {
		w := newTown(t)
		w.people[2].Usrs = []string{"u3"} // Cy Holm's, who asks
		w.grants["token-officer"] = tt.grants
		status, body := w.ask(w.server(), "POST /v1/directory/match", tt.body)
		matched := slices.ContainsFunc(w.traced(), func(did string) bool { return strings.HasPrefix(did, "match") })
		if status != tt.want || matched != (tt.want == http.StatusOK) {
			t.Errorf("%s: %d %s, %q", name, status, body, w.traced())
		}
		if tt.want != http.StatusForbidden {
			continue
		}
		if a := w.accessAt(t, len(w.records)-1); a.Action != audit.ActionRefused || a.Target != string(role.DirectoryMatch) || a.Principal.Person != cy {
			t.Errorf("%s: the refusal's entry is %+v", name, a)
		}
	}
}
