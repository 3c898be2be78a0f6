package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/role"
	"holdfast/retention"
)

// watched is a town of one matter, M-1 with hold 50, before which Cy Holm stands.
func watched(t *testing.T, members, custodians []string, grants ...role.Grant) (*town, *Server) {
	t.Helper()
	w := newTown(t)
	w.vault = newVault(w)
	v := w.vault
	v.matters, v.holds, v.asked = v.matters[:1], v.holds[:1], map[uint64]uint64{107: 50}
	v.matters[0].Members, v.matters[0].Custodians = members, custodians
	v.plans[0].Lines[0].HeldBack = v.plans[0].Lines[0].HeldBack[:1]
	v.ran.TakenOut = v.ran.TakenOut[:1]
	v.why.HeldBy = v.why.HeldBy[:1]
	v.standing[3] = &retention.Standing{HeldBy: []retention.HeldBy{{Hold: 50, Matter: "M-1", Why: "query"}}}
	w.found = SearchResponse{Extent: Extent{Total: 1}, Hits: []Hit{{Seq: 3, Text: "t"}}}
	w.shown = []Shown{{Seq: 3, Kind: "message", Class: "general"}}
	w.requests[107] = &ApprovalRequest{Seq: 107, Act: ActHoldRelease, By: role.Principal{Person: bo}, Reason: "canary", Summary: "release hold 50", Digest: strings.Repeat("cd", 32), Status: "pending",
		Decision: &Decision{Reason: "canary"}}
	w.grants["token-officer"] = grants
	return w, w.server()
}

// sights are all ways of seeing something of a matter or hold.
var sights = map[string]string{
	"POST /v1/matters/list":     `{}`,
	"POST /v1/matters/show":     `{"id":"M-1"}`,
	"POST /v1/holds/list":       `{"all":true}`,
	"POST /v1/holds/show":       `{"seq":50}`,
	"POST /v1/holds/explain":    `{"seq":3}`,
	"POST /v1/disposition/show": `{"seq":70}`,
	"POST /v1/disposition/run":  `{"plan":70}`,
	"POST /v1/dispose/erase":    `{"seqs":[3],"reason":"r"}`,
	"POST /v1/requests/list":    `{}`,
	"POST /v1/requests/show":    `{"seq":107}`,
	"POST /v1/search":           `{"query":"x","reason":"r"}`,
	"POST /v1/show":             `{"seqs":[3],"reason":"r"}`,
}

// told reports whether an answer tells anything of the matter or hold.
func told(body string) bool {
	return slices.ContainsFunc([]string{"M-1", "canary", `"hold":50`, "hold 50", anna, `"query"`, cy, strings.Repeat("cd", 32)}, func(s string) bool { return strings.Contains(body, s) })
}

// Nobody reads through holds what they may not: members who are no custodians,
// approvers and auditors see a matter whole, everybody else that something is
// held, and its custodians exactly what anybody else of their roles does.
func TestWhoKnowsOfAMatter(t *testing.T) {
	for _, r := range []role.Role{role.ComplianceOfficer, role.RecordsManager, role.Administrator, role.Approver, role.Auditor} {
		oversees := r == role.Approver || r == role.Auditor
		answers := func(members, custodians []string, g role.Grant) map[string]string {
			out := map[string]string{}
			for route, body := range sights {
				_, s := watched(t, members, custodians, g)
				status, answer := (&town{}).ask(s, route, body)
				if status != http.StatusForbidden || !strings.Contains(answer, CodeForbidden) { // of the role
					out[route] = http.StatusText(status) + answer
				}
			}
			return out
		}
		member := answers([]string{"person:" + cy}, []string{anna}, role.Grant{Role: r})
		other := answers([]string{"person:" + bo}, []string{anna}, role.Grant{Role: r})
		custodian := answers([]string{"person:" + bo}, []string{cy}, role.Grant{Role: r})
		both := answers([]string{"person:" + cy}, []string{anna, cy}, role.Grant{Role: r})
		narrowed := answers([]string{"person:" + bo}, []string{anna}, role.Grant{Role: r, Department: "Ward 3"})
		if len(member) != len(other) || len(member) < 2 {
			t.Fatalf("%s: %d looks", r, len(member))
		}
		for route, answer := range member {
			if r != role.Administrator && !told(answer) {
				t.Errorf("%s %s: a member is told nothing: %s", r, route, answer)
			}
			if told(other[route]) != oversees {
				t.Errorf("%s %s: who is no member is told %s", r, route, other[route])
			}
			if told(custodian[route]) || told(both[route]) || told(narrowed[route]) {
				t.Errorf("%s %s: told\n%s\n%s\n%s", r, route, custodian[route], both[route], narrowed[route])
			}
			if custodian[route] != both[route] || !oversees && custodian[route] != other[route] {
				t.Errorf("%s %s: a custodian can tell:\n%s\n%s\n%s", r, route, other[route], custodian[route], both[route])
			}
		}
	}
}

// An approver or auditor who is a custodian is told what anybody is told of what
// is not there; and decides nothing about it.
func TestCustodianWhoOversees(t *testing.T) {
	for _, r := range []role.Role{role.Approver, role.Auditor} {
		w, s := watched(t, []string{"person:" + bo}, []string{cy}, role.Grant{Role: r})
		for route, empty := range map[string]string{"POST /v1/matters/list": `{"matters":[]}`, "POST /v1/holds/list": `{"holds":[]}`, "POST /v1/requests/list": `{"requests":[]}`} {
			if status, body := w.ask(s, route, sights[route]); status != http.StatusOK || strings.TrimSpace(body) != empty {
				t.Errorf("%s %s: %d %s", r, route, status, body)
			}
		}
		for route, absent := range map[string]string{"POST /v1/matters/show": `{"id":"M-9"}`, "POST /v1/holds/show": `{"seq":51}`, "POST /v1/requests/show": `{"seq":9}`} {
			status, body := w.ask(s, route, sights[route])
			was, gone := w.ask(s, route, absent)
			if status != was || body != gone || status < 400 {
				t.Errorf("%s %s: %d %s, of what is not there %d %s", r, route, status, body, was, gone)
			}
		}
	}
	w, s := watched(t, []string{"person:" + bo}, []string{cy}, role.Grant{Role: role.Approver})
	status, body := w.ask(s, "POST /v1/requests/decide", `{"seq":107,"approve":true,"reason":"r"}`)
	was, gone := w.ask(s, "POST /v1/requests/decide", `{"seq":9,"approve":true,"reason":"r"}`)
	if status != http.StatusNotFound || was != status || body != gone || slices.Contains(w.traced(), "decide 107 true") {
		t.Errorf("decided: %d %s, %d %s, %q", status, body, was, gone, w.traced())
	}
	// A narrowed approver cannot see what it is for.
	w, s = watched(t, []string{"person:" + bo}, []string{anna}, role.Grant{Role: role.Approver, OU: "OU=Lab"})
	if status, body := w.ask(s, "POST /v1/requests/decide", `{"seq":107,"approve":true,"reason":"r"}`); status != http.StatusForbidden || told(body) || slices.Contains(w.traced(), "decide 107 true") {
		t.Errorf("narrowed: %d %s", status, body)
	}
	w, s = watched(t, []string{"person:" + bo}, []string{anna}, role.Grant{Role: role.Approver})
	if status, body := w.ask(s, "POST /v1/requests/decide", `{"seq":107,"approve":true,"reason":"r"}`); status != http.StatusOK {
		t.Errorf("approver: %d %s", status, body)
	}
	if a := w.accessAt(t, 1); a.Matter != "M-1" || a.Target != "approve 107" {
		t.Errorf("the decision's entry is %+v", a)
	}
}

// Asking for the holds of a matter tells nobody that there is one.
func TestHoldsOfAMatter(t *testing.T) {
	for name, tt := range map[string]struct {
		members, custodians []string
		want                bool
	}{
		"member": {[]string{"person:" + cy}, nil, true}, "another": {[]string{"person:" + bo}, nil, false}, "custodian": {[]string{"person:" + cy}, []string{cy}, false},
	} {
		w, s := watched(t, tt.members, tt.custodians, role.Grant{Role: role.ComplianceOfficer})
		_, body := w.ask(s, "POST /v1/holds/list", `{"matter":"m-1"}`)
		_, gone := w.ask(s, "POST /v1/holds/list", `{"matter":"M-9"}`)
		if tt.want != (body != gone) || tt.want != strings.Contains(body, `"seq":50`) {
			t.Errorf("%s: %s, of none %s", name, body, gone)
		}
	}
}

// A relay user who is named as custodian is the person whose it is now.
func TestCustodianByRelayUser(t *testing.T) {
	w, s := watched(t, []string{"person:" + cy}, []string{"usr:u33"}, role.Grant{Role: role.ComplianceOfficer})
	if status, body := w.ask(s, "POST /v1/matters/show", sights["POST /v1/matters/show"]); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	w.people[2].Usrs = []string{"u33"}
	for _, route := range []string{"POST /v1/matters/show", "POST /v1/holds/show"} {
		if status, body := w.ask(s, route, sights[route]); told(body) {
			t.Errorf("%s: %d %s", route, status, body)
		}
	}
}

// Show never gives the entries themselves that name matters, scopes and people.
func TestEntriesOfHoldsAreNotShown(t *testing.T) {
	kinds := []string{"matter", "hold", "plan", "intent", "abandoned", "request", "decision"}
	w, s := watched(t, []string{"person:" + cy}, []string{anna}, role.Grant{Role: role.ComplianceOfficer}, role.Grant{Role: role.Auditor})
	w.shown = nil
	for i, k := range kinds {
		w.shown = append(w.shown, Shown{Seq: uint64(i), Kind: k, Class: "control", Body: json.RawMessage(`{"matter":"M-1","reason":"canary"}`), Note: json.RawMessage(`"canary"`)})
	}
	if status, body := w.ask(s, "POST /v1/show", sights["POST /v1/show"]); status != http.StatusOK || told(body) || strings.Count(body, elsewhere) != len(kinds) {
		t.Errorf("%d %s", status, body)
	}
	w.shown = []Shown{{Seq: 1, Kind: "certificate", Class: "control", Body: json.RawMessage(`{"of":1}`)}}
	if _, body := w.ask(s, "POST /v1/show", sights["POST /v1/show"]); !strings.Contains(body, `{"of":1}`) {
		t.Errorf("a certificate's entry: %s", body)
	}
	// An entry of the audit about a matter is shown to auditors who are no custodians in it.
	for custodian, want := range map[string]bool{anna: true, cy: false} {
		w, s := watched(t, []string{"person:" + bo}, []string{custodian}, role.Grant{Role: role.ComplianceOfficer}, role.Grant{Role: role.Auditor})
		w.shown = []Shown{{Seq: 1, Kind: "access", Class: "audit", Body: json.RawMessage(`{"matter":"M-1","reason":"canary"}`)}}
		if _, body := w.ask(s, "POST /v1/show", sights["POST /v1/show"]); strings.Contains(body, "canary") != want {
			t.Errorf("custodian %s: %s", custodian, body)
		}
	}
}
