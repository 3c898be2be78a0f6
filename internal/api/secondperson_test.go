package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/role"
)

// Whoever approves a large export sees what they approve; other roles see how
// large it is.
func TestApproversSeeTheQuery(t *testing.T) {
	w, s, c := largeTown(t)
	if _, err := c.Search(t.Context(), SearchRequest{Query: "decoy", Reason: "r"}); err != nil {
		t.Fatal(err)
	}
	asked, err := c.AskExport(t.Context(), ExportRequest{Query: "canary", Reason: "r", As: FormatJSONL, Recipient: "court", Purpose: "subpoena"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(asked.Request.Summary, "canary") {
		t.Errorf("the summary, which everybody reads, has the query: %s", asked.Request.Summary)
	}
	if r, err := c.Request(t.Context(), asked.Request.Seq); err != nil || r.Query != "canary" {
		t.Errorf("who asked sees %+v, %v", r, err)
	}
	w.requests[asked.Request.Seq].By = role.Principal{Name: "Anna Berg", Person: anna} // the town's tokens are all one person's
	for token, want := range map[string]string{"token-approver": "canary", "token-auditor": "", "token-other": ""} {
		switch token {
		case "token-approver":
			w.grants[token] = []role.Grant{{Role: role.Approver}}
		case "token-auditor":
			w.grants[token] = []role.Grant{{Role: role.Auditor}}
		}
		r, err := serveTLS(t, s).client(t, token).Request(t.Context(), asked.Request.Seq)
		if err != nil || r.Query != want {
			t.Errorf("%s sees %+v, %v", token, r, err)
		}
	}
}

// Whose key a device holds is another person's word, and of somebody whose role
// is for everybody's messages.
func TestNobodyApprovesTheirOwnDevice(t *testing.T) {
	unscoped := role.Grant{Role: role.ComplianceOfficer}
	for name, tt := range map[string]struct {
		usrs  []string // of the one who asks
		grant role.Grant
		want  int
	}{
		"another's": {nil, unscoped, http.StatusOK}, "their own": {[]string{"u1"}, unscoped, http.StatusForbidden},
		"scoped": {nil, role.Grant{Role: role.ComplianceOfficer, Department: "Ward 3"}, http.StatusForbidden},
	} {
		w := newTown(t)
		if tt.usrs != nil {
			w.people[0].Usrs, w.people[2].Usrs = nil, tt.usrs
		}
		w.grants["token-officer"] = []role.Grant{tt.grant}
		status, body := w.ask(w.server(), "POST /v1/devices/approve", bodies["POST /v1/devices/approve"])
		approved := slices.ContainsFunc(w.traced(), func(did string) bool { return strings.HasPrefix(did, "approve") })
		if status != tt.want || approved != (tt.want == http.StatusOK) {
			t.Errorf("%s: %d %s, %q", name, status, body, w.traced())
		}
	}
}
