package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/role"
)

// Which code stops a wipe tells who is held: members, approvers and auditors who
// are no custodians see it, everybody else that something is held. What no hold
// has to do with everybody sees.
func TestWipesTellOfHolds(t *testing.T) {
	for name, tt := range map[string]struct {
		members, custodians []string
		grant               role.Grant
		person              string
		want                bool
	}{
		"member":               {[]string{"person:" + cy}, []string{anna}, role.Grant{Role: role.ComplianceOfficer}, anna, true},
		"nobody's":             {[]string{"person:" + cy}, []string{bo}, role.Grant{Role: role.ComplianceOfficer}, "", true},
		"nobody's, no member":  {[]string{"person:" + bo}, []string{bo}, role.Grant{Role: role.ComplianceOfficer}, "", false},
		"no member":            {[]string{"person:" + bo}, []string{anna}, role.Grant{Role: role.ComplianceOfficer}, anna, false},
		"administrator":        {[]string{"person:" + bo}, []string{anna}, role.Grant{Role: role.Administrator}, anna, false},
		"custodian":            {[]string{"person:" + cy}, []string{anna, cy}, role.Grant{Role: role.ComplianceOfficer}, anna, false},
		"approver":             {[]string{"person:" + bo}, []string{anna}, role.Grant{Role: role.Approver}, anna, true},
		"approver, narrowed":   {[]string{"person:" + bo}, []string{anna}, role.Grant{Role: role.Approver, OU: "OU=Lab"}, anna, false},
		"approver, custodian":  {[]string{"person:" + bo}, []string{anna, cy}, role.Grant{Role: role.Approver}, anna, false},
		"approver of nobody's": {nil, nil, role.Grant{Role: role.Approver}, "", true},
	} {
		w, s := watched(t, tt.members, tt.custodians, tt.grant)
		w.wipes[0].Person = tt.person
		status, body := w.ask(s, "POST /v1/devices/wipes", `{}`)
		if status != http.StatusOK || strings.Contains(body, "hold_tail_open") != tt.want || strings.Contains(body, `"request":9`) != tt.want || strings.Contains(body, `"code":"held"`) == tt.want ||
			!strings.Contains(body, "unknown_device") || strings.Contains(body, "efef") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// An override is asked for by whoever works on a matter that the hold is of.
func TestWhoAsksForAnOverride(t *testing.T) {
	officer := role.Grant{Role: role.ComplianceOfficer}
	for name, tt := range map[string]struct {
		members, custodians []string
		grant               role.Grant
		id                  string
		status              int
	}{
		"member":       {[]string{"person:" + cy}, []string{anna}, officer, "w1", http.StatusOK},
		"no member":    {[]string{"person:" + bo}, []string{anna}, officer, "w1", http.StatusForbidden},
		"custodian":    {[]string{"person:" + cy}, []string{anna, cy}, officer, "w1", http.StatusForbidden},
		"narrowed":     {[]string{"person:" + cy}, []string{anna}, role.Grant{Role: role.ComplianceOfficer, Department: "Ward 3"}, "w1", http.StatusForbidden},
		"by the relay": {[]string{"person:" + cy}, []string{anna}, officer, "w2", http.StatusConflict},
		"of nothing":   {[]string{"person:" + cy}, []string{anna}, officer, "w3", http.StatusNotFound},
		"too long":     {[]string{"person:" + cy}, []string{anna}, officer, strings.Repeat("w", maxProvisionID+1), http.StatusBadRequest},
	} {
		w, s := watched(t, tt.members, tt.custodians, tt.grant)
		status, body := w.ask(s, "POST /v1/devices/override", `{"id":"`+tt.id+`","reason":"r"}`)
		asked := slices.ContainsFunc(w.traced(), func(did string) bool { return strings.HasPrefix(did, "ask ") })
		if status != tt.status || asked != (tt.status == http.StatusOK) {
			t.Errorf("%s: %d %s, %q", name, status, body, w.traced())
		}
		if !asked {
			continue
		}
		if a := w.accessAt(t, 1); a.Matter != "M-1" || a.Target != "override w1" || a.Reason != "r" {
			t.Errorf("its entry is %+v", a)
		}
		for _, r := range w.requests {
			if r.Act == ActWipeOverride && (r.Digest != w.wipes[0].Digest || strings.Contains(r.Summary, "u1") || strings.Contains(r.Summary, anna)) {
				t.Errorf("asked for %+v", r)
			}
		}
	}
}

// The request to wipe all the same is about the matter that holds: who may not
// know of that sees that somebody asked, and does not decide.
func TestOverrideRequests(t *testing.T) {
	for name, tt := range map[string]struct {
		custodians []string
		grant      role.Grant
		shown      int
		told       bool
		decide     int
	}{
		"approver":            {[]string{anna}, role.Grant{Role: role.Approver}, http.StatusOK, true, http.StatusOK},
		"approver, narrowed":  {[]string{anna}, role.Grant{Role: role.Approver, OU: "OU=Lab"}, http.StatusOK, false, http.StatusForbidden},
		"approver, custodian": {[]string{anna, cy}, role.Grant{Role: role.Approver}, http.StatusNotFound, false, http.StatusNotFound},
		"administrator":       {[]string{anna}, role.Grant{Role: role.Administrator}, http.StatusOK, false, http.StatusForbidden},
	} {
		w, s := watched(t, []string{"person:" + bo}, tt.custodians, tt.grant)
		w.requests = map[uint64]*ApprovalRequest{111: {Seq: 111, Act: ActWipeOverride, By: role.Principal{Person: bo}, Reason: "canary", Summary: "wipe w1", Digest: w.wipes[0].Digest, Status: "pending"}}
		if status, body := w.ask(s, "POST /v1/requests/show", `{"seq":111}`); status != tt.shown || strings.Contains(body, "canary") != tt.told || strings.Contains(body, "w1") != tt.told {
			t.Errorf("%s: %d %s", name, status, body)
		}
		if status, body := w.ask(s, "POST /v1/requests/decide", `{"seq":111,"approve":true,"reason":"r"}`); status != tt.decide {
			t.Errorf("%s decides: %d %s", name, status, body)
		}
	}
}
