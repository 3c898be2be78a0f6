package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// That a custodian under hold left is told to everybody; who it is, to those who
// may know of the matter. The entry itself is shown to nobody.
func TestAlarmOfACustodianWhoLeft(t *testing.T) {
	for name, tt := range map[string]struct {
		members, custodians []string
		grant               role.Grant
		want                bool
	}{
		"member":              {[]string{"person:" + cy}, []string{anna}, role.Grant{Role: role.ComplianceOfficer}, true},
		"no member":           {[]string{"person:" + bo}, []string{anna}, role.Grant{Role: role.ComplianceOfficer}, false},
		"custodian":           {[]string{"person:" + cy}, []string{anna, cy}, role.Grant{Role: role.ComplianceOfficer}, false},
		"administrator":       {[]string{"person:" + bo}, []string{anna}, role.Grant{Role: role.Administrator}, false},
		"auditor":             {[]string{"person:" + bo}, []string{anna}, role.Grant{Role: role.Auditor}, true},
		"auditor, narrowed":   {[]string{"person:" + bo}, []string{anna}, role.Grant{Role: role.Auditor, Department: "Ward 3"}, false},
		"custodian, approver": {[]string{"person:" + bo}, []string{anna, cy}, role.Grant{Role: role.Approver}, false},
	} {
		w, s := watched(t, tt.members, tt.custodians, tt.grant)
		body, err := json.Marshal(archive.AlarmBody{Name: alarmDepartedHeld, Severity: "warning", Text: "a custodian under hold has left the directory", Fix: "see below", Facts: map[string]string{"person": anna}})
		if err != nil {
			t.Fatal(err)
		}
		placed, err := w.Append(t.Context(), archive.Batch{Entries: []archive.Entry{{Kind: proof.KindAlarm, Class: proof.ClassControl, Body: body}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, route := range []string{"list", "show", "ack"} {
			req := map[string]string{"list": `{}`, "show": `{"seq":` + decimal(placed[0].Seq) + `}`, "ack": `{"seq":` + decimal(placed[0].Seq) + `,"reason":"r"}`}[route]
			status, answer := w.ask(s, "POST /v1/alarms/"+route, req)
			if status == http.StatusForbidden && route == "ack" {
				continue
			}
			if status != http.StatusOK || !strings.Contains(answer, alarmDepartedHeld) || strings.Contains(answer, anna) != tt.want {
				t.Errorf("%s, %s: %d %s", name, route, status, answer)
			}
		}
	}
	w, s := watched(t, []string{"person:" + bo}, []string{anna}, role.Grant{Role: role.ComplianceOfficer})
	w.shown = []Shown{
		{Seq: 1, Kind: "alarm", Class: "control", Body: json.RawMessage(`{"name":"departed-under-hold","facts":{"person":"` + anna + `"}}`)},
		{Seq: 2, Kind: "provision", Class: "control", Body: json.RawMessage(`{"usr":"u1","state":"refused","code":"hold_tail_open"}`)},
		{Seq: 3, Kind: "alarm", Class: "control", Body: json.RawMessage(`{"name":"relay-gap"}`)},
	}
	if _, body := w.ask(s, "POST /v1/show", sights["POST /v1/show"]); told(body) || strings.Contains(body, "hold_tail") || !strings.Contains(body, "relay-gap") {
		t.Errorf("shown: %s", body)
	}
}

// looked puts an access and its outcome into the log.
func (w *town) looked(a audit.Access) {
	w.t.Helper()
	a.Principal, a.At = role.Principal{Name: "Bo Dahl", Person: bo, Via: role.ViaHTTPS}, time.Now()
	seq, err := audit.Begin(w.t.Context(), w, a)
	if err == nil {
		err = audit.Finish(w.t.Context(), w, audit.Outcome{Of: seq, Result: audit.ResultShown, Custodians: []string{"u-canary"}})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// The trail tells of a matter whom the matter's list tells of it: no custodian,
// and no auditor with a narrowed role; whatever kind of access it was.
func TestTrailTellsNoMoreThanTheList(t *testing.T) {
	for name, tt := range map[string]struct {
		custodians []string
		grant      role.Grant
		want       bool
	}{
		"auditor":   {[]string{anna}, role.Grant{Role: role.Auditor}, true},
		"custodian": {[]string{cy}, role.Grant{Role: role.Auditor}, false},
		"narrowed":  {[]string{anna}, role.Grant{Role: role.Auditor, Department: "Ward 3"}, false},
	} {
		w, s := watched(t, []string{"person:" + bo}, tt.custodians, tt.grant)
		w.looked(audit.Access{Action: audit.ActionHold, Target: "place", Matter: "M-1", Reason: "canary", Query: "canary"})
		w.looked(audit.Access{Action: audit.ActionAudit, Matter: "M-1", Query: "matter=M-1", Reason: "canary"})
		w.looked(audit.Access{Action: audit.ActionDecide, Target: "approve 107", Reason: "canary"})
		_, body := w.ask(s, "POST /v1/audit", `{}`)
		if told(body) != tt.want || strings.Contains(body, "u-canary") != tt.want || strings.Contains(body, "approve 107") != tt.want {
			t.Errorf("%s: %s", name, body)
		}
		_, body = w.ask(s, "POST /v1/audit", `{"matter":"M-1"}`)
		if strings.Contains(body, `"seq"`) != tt.want {
			t.Errorf("%s, by the matter: %s", name, body)
		}
		// That one asked for it oneself tells nothing: it is as for a matter that there is not.
		_, own := w.ask(s, "POST /v1/audit", `{"person":"person:`+cy+`","limit":1}`)
		_, _ = w.ask(s, "POST /v1/audit", `{"matter":"M-9"}`)
		_, gone := w.ask(s, "POST /v1/audit", `{"person":"person:`+cy+`","limit":1}`)
		if !strings.Contains(own, "matter=M-1") || !strings.Contains(gone, "matter=M-9") || (strings.Contains(own, `"matter":`) != tt.want) {
			t.Errorf("%s, of one's own: %s, %s", name, own, gone)
		}
	}
	// What came of a look is not shown where the look is not.
	w, s := watched(t, []string{"person:" + bo}, []string{cy}, role.Grant{Role: role.ComplianceOfficer}, role.Grant{Role: role.Auditor})
	w.looked(audit.Access{Action: audit.ActionHold, Target: "place", Matter: "M-1"})
	of := slices.IndexFunc(w.records, func(r archive.Record) bool { return r.Leaf.Kind == proof.KindOutcome }) - 1
	w.shown = []Shown{{Seq: uint64(of + 1), Kind: "outcome", Class: "audit", Body: json.RawMessage(`{"of":` + decimal(uint64(of)) + `,"custodians":["u-canary"]}`)}}
	if _, body := w.ask(s, "POST /v1/show", sights["POST /v1/show"]); strings.Contains(body, "u-canary") {
		t.Errorf("its outcome: %s", body)
	}
}
