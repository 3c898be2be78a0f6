package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/role"
	"holdfast/retention"
)

// A matter on which nobody can work any more gets a member by whoever is none of
// its custodians: the book says when. Whether there is such a matter nobody is
// told by trying.
func TestMatterWithoutMembers(t *testing.T) {
	const join, leave = `{"id":"M-1","member":"Bo Dahl","in":true,"reason":"r"}`, `{"id":"M-1","member":"Bo Dahl","in":false,"reason":"r"}`
	for name, tt := range map[string]struct {
		custodians []string
		grant      role.Grant
		body       string
		err        error
		status     int
		tried      bool
	}{
		"nobody left":      {[]string{anna}, role.Grant{Role: role.ComplianceOfficer}, join, nil, http.StatusOK, true},
		"members left":     {[]string{anna}, role.Grant{Role: role.ComplianceOfficer}, join, retention.ErrNotMember, http.StatusForbidden, true},
		"out":              {[]string{anna}, role.Grant{Role: role.ComplianceOfficer}, leave, nil, http.StatusForbidden, false},
		"a custodian":      {[]string{cy}, role.Grant{Role: role.ComplianceOfficer}, join, nil, http.StatusForbidden, false},
		"narrowed":         {[]string{anna}, role.Grant{Role: role.ComplianceOfficer, Department: "Ward 3"}, join, nil, http.StatusForbidden, false},
		"no such matter":   {[]string{anna}, role.Grant{Role: role.ComplianceOfficer}, strings.Replace(join, "M-1", "M-9", 1), nil, http.StatusForbidden, false},
		"only a custodian": {[]string{cy, anna}, role.Grant{Role: role.ComplianceOfficer}, join, nil, http.StatusForbidden, false},
	} {
		w, s := watched(t, []string{"person:" + bo}, tt.custodians, tt.grant)
		w.vault.err = tt.err
		status, body := w.ask(s, "POST /v1/matters/member", tt.body)
		tried := slices.ContainsFunc(w.traced(), func(did string) bool { return strings.HasPrefix(did, "member ") })
		if status != tt.status || tried != tt.tried || told(body) {
			t.Errorf("%s: %d %s, %q", name, status, body, w.traced())
		}
	}
	// What is answered is the same as for a matter that there is not.
	w, s := watched(t, []string{"person:" + bo}, []string{anna}, role.Grant{Role: role.ComplianceOfficer})
	w.vault.err = retention.ErrNotMember
	_, there := w.ask(s, "POST /v1/matters/member", join)
	if _, gone := w.ask(s, "POST /v1/matters/member", strings.Replace(join, "M-1", "M-9", 1)); there != gone {
		t.Errorf("%s, of none %s", there, gone)
	}
}

// What the clock says and which copies there are decides over what goes: no
// narrowed role changes it.
func TestNarrowedRolesLeaveClockAndCopies(t *testing.T) {
	for route, verb := range map[string]string{"POST /v1/clock/release": "release clock", "POST /v1/copies/note": "note copy tape-2", "POST /v1/copies/gone": "copy gone tape-1"} {
		for _, narrowed := range []bool{true, false} {
			g := role.Grant{Role: role.Administrator}
			if narrowed {
				g.Department = "Ward 3"
			}
			w, s := watched(t, nil, nil, g)
			status, body := w.ask(s, route, bodies[route])
			if did := slices.Contains(w.traced(), verb); did == narrowed || narrowed != (status == http.StatusForbidden) {
				t.Errorf("%s narrowed %v: %d %s", route, narrowed, status, body)
			}
		}
	}
}
