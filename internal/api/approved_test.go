package api

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"holdfast/internal/role"
)

// What was approved is as much as the asker's role and the names in the query
// reached then: neither a wider role nor another relay user of the same name
// is covered by it.
func TestAnApprovedExportReachesNoFurther(t *testing.T) {
	ward, er, all := role.Grant{Role: role.ComplianceOfficer, Department: "Ward 3"}, role.Grant{Role: role.ComplianceOfficer, Department: "ER"}, role.Grant{Role: role.ComplianceOfficer}
	for name, tt := range map[string]struct {
		asked, made []role.Grant
		usrs        []string // of Anna Berg by then
		want        int
	}{
		"the same":          {[]role.Grant{ward, er}, []role.Grant{er, ward, ward}, []string{"u1"}, http.StatusOK},
		"unscoped":          {[]role.Grant{all}, []role.Grant{all, ward}, []string{"u1"}, http.StatusOK},
		"another scope":     {[]role.Grant{ward}, []role.Grant{er}, []string{"u1"}, http.StatusConflict},
		"a wider scope":     {[]role.Grant{ward}, []role.Grant{ward, er}, []string{"u1"}, http.StatusConflict},
		"no scope any more": {[]role.Grant{ward}, []role.Grant{all}, []string{"u1"}, http.StatusConflict},
		"more relay users":  {[]role.Grant{all}, []role.Grant{all}, []string{"u1", "u7"}, http.StatusConflict},
	} {
		w := newTown(t)
		w.grants["token-officer"] = tt.asked
		s := w.server()
		body := `{"query":"canary from:\"Anna Berg\"","reason":"r","as":"jsonl","recipient":"court","purpose":"subpoena"`
		if status, answer := w.ask(s, "POST /v1/export/ask", body+"}"); status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, status, answer)
		}
		w.requests[100].Status = "approved"
		at, _, _ := strings.Cut(w.requests[100].Summary[strings.LastIndex(w.requests[100].Summary, " ")+1:], " ")
		if _, err := strconv.Atoi(at); err != nil {
			t.Fatal(err)
		}
		w.grants["token-officer"], w.people[0].Usrs = tt.made, tt.usrs
		status, answer := w.ask(s, "POST /v1/export/approved", body+`,"request":100,"at":`+at+"}")
		if status != tt.want || strings.Contains(answer, partComplete) != (tt.want == http.StatusOK) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
}
