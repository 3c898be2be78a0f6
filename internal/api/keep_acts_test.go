package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// keepActs are the acts about what is kept and what goes: their audit action,
// target and matter, and what they do.
var keepActs = map[string]struct {
	by             role.Role
	action         audit.Action
	target, matter string
	reason         bool
	did            string // "" for nothing
}{
	"POST /v1/schedule/show":     {role.Auditor, audit.ActionSchedule, "show", "", false, "schedule"},
	"POST /v1/schedule/apply":    {role.RecordsManager, audit.ActionSchedule, "apply", "", true, "apply 11 dry false"},
	"POST /v1/schedule/approved": {role.RecordsManager, audit.ActionSchedule, "request 7", "", false, "apply approved 7"},

	"POST /v1/matters/list":   {role.RecordsManager, audit.ActionMatter, "list", "", false, "matters"},
	"POST /v1/matters/show":   {role.ComplianceOfficer, audit.ActionMatter, "show", "M-1", false, ""},
	"POST /v1/matters/open":   {role.ComplianceOfficer, audit.ActionMatter, "open", "M-3", true, `open matter of ["person:` + bo + `" "uid:7"]`},
	"POST /v1/matters/close":  {role.ComplianceOfficer, audit.ActionMatter, "close", "M-1", true, "close M-1"},
	"POST /v1/matters/member": {role.ComplianceOfficer, audit.ActionMatter, "join", "M-1", true, "member M-1 person:" + bo + " true"},

	"POST /v1/holds/list":    {role.Approver, audit.ActionHold, "list", "", false, "holds"},
	"POST /v1/holds/show":    {role.Approver, audit.ActionHold, "show 50", "M-1", false, ""},
	"POST /v1/holds/place":   {role.ComplianceOfficer, audit.ActionHold, "place", "M-1", true, "place for M-1"},
	"POST /v1/holds/widen":   {role.ComplianceOfficer, audit.ActionHold, "widen 50", "M-1", true, "widen 50"},
	"POST /v1/holds/preview": {role.ComplianceOfficer, audit.ActionHold, "preview 50", "M-1", false, "preview 50"},
	"POST /v1/holds/ask":     {role.ComplianceOfficer, audit.ActionHold, "ask 50", "M-1", true, "ask release 50"},
	"POST /v1/holds/release": {role.ComplianceOfficer, audit.ActionHold, "release 50", "M-1", false, "release by 107"},
	"POST /v1/holds/cancel":  {role.ComplianceOfficer, audit.ActionHold, "cancel 50", "M-1", true, "cancel 50"},
	"POST /v1/holds/notice":  {role.ComplianceOfficer, audit.ActionHold, "notice 50", "M-1", false, "notice 50 to " + anna},
	"POST /v1/holds/explain": {role.Auditor, audit.ActionHold, "explain", "", false, "explain 1"},

	"POST /v1/disposition/list":  {role.Approver, audit.ActionDisposition, "list", "", false, "plans"},
	"POST /v1/disposition/show":  {role.Approver, audit.ActionDisposition, "show 70", "", false, "plan 70"},
	"POST /v1/disposition/plan":  {role.RecordsManager, audit.ActionDisposition, "plan", "", true, "plan disposition of general dry false"},
	"POST /v1/disposition/run":   {role.RecordsManager, audit.ActionDisposition, "run 70", "", false, "run 70"},
	"POST /v1/dispose/erase":     {role.RecordsManager, audit.ActionDisposition, "erase", "", true, "erase [1]"},
	"POST /v1/reclassify":        {role.RecordsManager, audit.ActionDisposition, "reclassify clinical", "", true, "reclass [1] clinical"},
	"POST /v1/certificates/list": {role.Administrator, audit.ActionCertificate, "list", "", false, "certificates"},
	"POST /v1/certificates/show": {role.Administrator, audit.ActionCertificate, "show 80", "", false, "certificate 80"},

	"POST /v1/clock/release": {role.Administrator, audit.ActionClock, "release", "", true, "release clock"},
	"POST /v1/copies/list":   {role.Auditor, audit.ActionCopy, "list", "", false, "copies"},
	"POST /v1/copies/note":   {role.Administrator, audit.ActionCopy, "note tape-2", "", false, "note copy tape-2"},
	"POST /v1/copies/gone":   {role.Administrator, audit.ActionCopy, "gone tape-1", "", true, "copy gone tape-1"},
}

func keepTown(t *testing.T) (*town, *Server) {
	t.Helper()
	w := newTown(t)
	w.vault = newVault(w)
	s := w.server()
	for i := range role.All() {
		w.vault.matters[0].Members = append(w.vault.matters[0].Members, "uid:"+decimal(uint64(1000+i)))
	}
	return w, s
}

// Each act is in the audit before it takes effect, with its matter and reason,
// and its outcome before anybody is answered. What cannot be recorded is not done.
func TestKeepActsAreAudited(t *testing.T) {
	for _, rt := range newTown(t).server().routes() {
		for _, part := range []string{"/schedule/", "/matters/", "/holds/", "/dispos", "/reclass", "/certificates/", "/copies/", "/clock/release"} {
			if _, ok := keepActs[rt.name]; !ok && strings.Contains(rt.name, part) {
				t.Errorf("%s is not tested", rt.name)
			}
		}
	}
	for route, act := range keepActs {
		t.Run(route, func(t *testing.T) {
			w, s := keepTown(t)
			if status, body := w.post(s, act.by, route, bodies[route]); status != http.StatusOK {
				t.Fatalf("%d %s", status, body)
			}
			trace := slices.DeleteFunc(w.traced(), func(did string) bool { return did == "find" })
			if trace[0] != "append access" || !strings.HasPrefix(trace[len(trace)-1], "append outcome") || act.did != "" && !slices.Contains(trace, act.did) {
				t.Errorf("trace %q", trace)
			}
			a := w.accessAt(t, 1)
			if a.Action != act.action || a.Target != act.target || a.Matter != act.matter || act.reason != (a.Reason == "r") || *a.Principal.UID < 1000 {
				t.Errorf("access %+v", a)
			}
			if o := outcomeOf(t, w.records[2]); o.Of != 1 || o.Result != audit.ResultShown {
				t.Errorf("outcome %+v", o)
			}
			for failAt := 1; failAt <= 2; failAt++ {
				w, s := keepTown(t)
				w.failAt = failAt
				status, body := w.post(s, act.by, route, bodies[route])
				streamed := strings.HasPrefix(body, `{"progress"`)
				if !strings.Contains(body, CodeUnaudited) || strings.Contains(body, "canary") || strings.Contains(body, "signed") || (status != http.StatusServiceUnavailable) != streamed {
					t.Errorf("append %d fails: %d %s", failAt, status, body)
				}
				if trace := w.traced(); failAt == 1 && trace[len(trace)-1] != "append failed" {
					t.Errorf("unrecorded: %q", trace)
				}
			}
			if !strings.Contains(bodies[route], `"reason"`) {
				return
			}
			w, s = keepTown(t)
			status, body := w.post(s, act.by, route, strings.Replace(bodies[route], `"reason":"r"`, `"reason":" "`, 1))
			if status != http.StatusBadRequest || !strings.Contains(body, CodeNoReason) || len(w.traced()) > 0 {
				t.Errorf("without a reason: %d %s %q", status, body, w.traced())
			}
		})
	}
}

// What changes holds, matters or the schedule takes the right to change it, and
// what asks or executes the right to that as well.
func TestChangesTakeTheirRight(t *testing.T) {
	read := []role.Endpoint{role.ScheduleShow, role.MattersList, role.MattersShow, role.HoldsList, role.HoldsShow, role.HoldsExplain}
	for _, rt := range newTown(t).server().routes() {
		_, act, _ := strings.Cut(strings.TrimPrefix(rt.name, "POST /v1/"), "/")
		switch part := append(strings.Split(rt.name, "/"), "", ""); {
		case !slices.Contains([]string{"holds", "matters", "schedule"}, part[2]):
		case slices.Contains([]string{"list", "show", "explain"}, act) != slices.Contains(read, rt.endpoint):
			t.Errorf("%s takes %s", rt.name, rt.endpoint)
		case (act == "ask" || act == "apply") != (rt.also == role.RequestsMake), (act == "release" || act == "approved") != (rt.also == role.RequestsExecute):
			t.Errorf("%s takes %q as well", rt.name, rt.also)
		}
	}
}

// A narrowed role changes nothing of what is held or goes, and previews nothing.
func TestNarrowedRolesChangeNothing(t *testing.T) {
	for route, act := range keepActs {
		changes := act.by == role.ComplianceOfficer && route != "POST /v1/matters/show" || act.by == role.RecordsManager && route != "POST /v1/matters/list"
		if !changes {
			continue
		}
		w, s := watched(t, []string{"person:" + cy}, []string{anna}, role.Grant{Role: act.by, Department: "Ward 3"})
		status, body := w.ask(s, route, bodies[route])
		if trace := w.traced(); status != http.StatusForbidden || !strings.Contains(body, CodeForbidden) || !slices.Equal(trace, []string{"append access"}) {
			t.Errorf("%s: %d %s, %q", route, status, body, trace)
		}
		if a := w.accessAt(t, 1); a.Action != audit.ActionRefused {
			t.Errorf("%s: %+v", route, a)
		}
	}
}

// Whoever does not work on a matter changes nothing of it, and is not told
// whether there is one.
func TestOthersChangeNothing(t *testing.T) {
	for name, who := range map[string]struct{ members, custodians []string }{
		"no member": {[]string{"person:" + bo}, nil}, "custodian": {[]string{"person:" + cy}, []string{cy}},
	} {
		for route, act := range keepActs {
			if act.matter != "M-1" || act.by != role.ComplianceOfficer || route == "POST /v1/matters/member" && name == "no member" { // TestMatterWithoutMembers
				continue
			}
			w, s := watched(t, who.members, who.custodians, role.Grant{Role: role.ComplianceOfficer})
			status, body := w.ask(s, route, bodies[route])
			if status != http.StatusForbidden || !strings.Contains(body, CodeMatter) || told(body) || !slices.Equal(w.traced(), []string{"append access"}) {
				t.Errorf("%s, %s: %d %s, %q", name, route, status, body, w.traced())
			}
			if a := w.accessAt(t, 1); a.Action != audit.ActionRefused || a.Matter != "M-1" || a.Code != CodeMatter {
				t.Errorf("%s, %s: %+v", name, route, a)
			}
			if other := strings.Replace(bodies[route], "M-1", "M-9", 1); other != bodies[route] {
				if was, gone := w.ask(s, route, other); was != status || gone != body {
					t.Errorf("%s, %s: of no matter %d %s", name, route, was, gone)
				}
			}
		}
	}
}

// What the appliance has no part for is refused clearly.
func TestWithoutRetention(t *testing.T) {
	for route, act := range keepActs {
		w := newTown(t)
		s := w.server()
		s.Retention = Retention{}
		status, body := w.post(s, act.by, route, bodies[route])
		if status != http.StatusConflict || !strings.Contains(body, CodeNoPart) || len(w.traced()) > 0 {
			t.Errorf("%s: %d %s %q", route, status, body, w.traced())
		}
	}
}
