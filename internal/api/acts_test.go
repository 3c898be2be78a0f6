package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"holdfast/archive"
	"holdfast/archive/approval"
	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// acts are the routes that show names or change something, with what they ask
// of their part and under which action and target they stand in the audit.
var acts = map[string]struct {
	by     role.Role
	did    []string
	action audit.Action
	target string
	reason bool // required
}{
	"POST /v1/directory/diff":    {role.Administrator, []string{"diff"}, audit.ActionDirectory, "diff", false},
	"POST /v1/directory/sync":    {role.Administrator, []string{"sync"}, audit.ActionDirectory, "sync", false},
	"POST /v1/directory/approve": {role.Approver, []string{"approve diff abab true"}, audit.ActionDecide, "approve " + strings.Repeat("ab", 32), true},
	"POST /v1/directory/people":  {role.Administrator, []string{"people  limit 50"}, audit.ActionDirectory, "people", false},
	"POST /v1/directory/person":  {role.Administrator, []string{"find", "person " + anna + " as of 1"}, audit.ActionDirectory, "person", false},
	"POST /v1/directory/matches": {role.Administrator, []string{"matches"}, audit.ActionDirectory, "matches", false},
	"POST /v1/directory/match":   {role.ComplianceOfficer, []string{"match u7 " + anna}, audit.ActionDirectory, "match u7 " + anna, true},
	"POST /v1/directory/block":   {role.Administrator, []string{"block " + anna + " true"}, audit.ActionDirectory, "block " + anna, true},
	"POST /v1/devices/list":      {role.Administrator, []string{"devices"}, audit.ActionDevice, "list", false},
	"POST /v1/devices/approve":   {role.ComplianceOfficer, []string{"approve device " + kid}, audit.ActionDevice, kid, true},
	"POST /v1/devices/wipes":     {role.Administrator, []string{"wipes"}, audit.ActionDevice, "wipes", false},
	"POST /v1/devices/override":  {role.ComplianceOfficer, []string{"ask wipe-override: wipe a device although a hold stops it: wipe w1"}, audit.ActionDevice, "override w1", true},
	"POST /v1/requests/list":     {role.Auditor, []string{"requests"}, audit.ActionRequest, "list", false},
	"POST /v1/requests/show":     {role.Auditor, []string{"request 7"}, audit.ActionRequest, "show 7", false},
	"POST /v1/requests/decide":   {role.Approver, []string{"request 7", "decide 7 true"}, audit.ActionDecide, "approve 7", true},
	"POST /v1/export/ask":        {role.ComplianceOfficer, []string{"search canary limit 1 before 0 as of 2", "ask large-export: export of 1 entries, asked for in entry 2, as of a log of 3"}, audit.ActionRequest, "large-export", true},
	"POST /v1/sessions/list":     {role.Administrator, []string{"sessions"}, audit.ActionReport, "sessions", false},
	"POST /v1/access-report":     {role.Auditor, []string{"find"}, audit.ActionReport, "custodian", true},
}

func (w *town) post(s *Server, r role.Role, route, body string) (int, string) {
	method, path, _ := strings.Cut(route, " ")
	a := asAccount(s, uint32(1000+slices.Index(role.All(), r)), method, path, body)
	return a.Code, a.Body.String()
}

func (w *town) accessAt(t *testing.T, seq int) audit.Access {
	t.Helper()
	var a audit.Access
	if err := json.Unmarshal(w.records[seq].Body, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func actTown(t *testing.T) (*town, *Server) {
	w := newTown(t)
	s := w.server()
	w.furnish(t, s, &caller{who: role.Principal{Name: "somebody else"}})
	if _, err := w.Append(t.Context(), archive.Batch{Entries: []archive.Entry{{Class: "other"}}}); err != nil {
		t.Fatal(err)
	}
	w.trace, w.appends = nil, 0
	return w, s
}

// Whatever shows names or changes something has its access entry before, its
// outcome after, and shows nothing without both.
func TestActsAreAudited(t *testing.T) {
	for route, act := range acts {
		t.Run(route, func(t *testing.T) {
			w, s := actTown(t)
			status, body := w.post(s, act.by, route, bodies[route])
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, body)
			}
			trace := w.traced()
			if trace[0] == "find" { // which person it is about is found before, so that the entry names them
				trace = trace[1:]
			}
			if want := slices.Concat([]string{"append access"}, act.did, []string{"append outcome"}); !slices.Equal(trace, want) {
				t.Errorf("trace %q, want %q", trace, want)
			}
			if a := w.accessAt(t, 2); a.Action != act.action || a.Target != act.target || *a.Principal.UID < 1000 || act.reason != (a.Reason == "r") {
				t.Errorf("access %+v", a)
			}
			if o := outcomeOf(t, w.records[3]); o.Of != 2 || o.Result != audit.ResultShown || route == "POST /v1/devices/list" && o.Shown != 1 {
				t.Errorf("outcome %+v", o)
			}
			for failAt := 1; failAt <= 2; failAt++ {
				w, s := actTown(t)
				w.failAt = failAt
				status, body := w.post(s, act.by, route, bodies[route])
				if status != http.StatusServiceUnavailable || !strings.Contains(body, CodeUnaudited) || strings.Contains(body, "canary") {
					t.Errorf("append %d fails: %d %s", failAt, status, body)
				}
				if trace := w.traced(); failAt == 1 && trace[len(trace)-1] != "append failed" {
					t.Errorf("trace %q without an access entry", trace)
				}
			}
			if !act.reason {
				return
			}
			for _, reason := range []string{"", "  ", strings.Repeat("x", audit.MaxReason+1)} {
				w, s := actTown(t)
				b := strings.Replace(bodies[route], `"reason":"r"`, `"reason":"`+reason+`"`, 1)
				status, body := w.post(s, act.by, route, b)
				if trace := w.traced(); status != http.StatusBadRequest || len(trace) > 0 && len(reason) < 10 || strings.Contains(body, "xxx") {
					t.Errorf("a reason of %d: %d %s, %q", len(reason), status, body, trace)
				}
			}
		})
	}
}

// An act that fails says so in its outcome, and in words free of content.
func TestActsThatFail(t *testing.T) {
	for err, want := range map[error]struct {
		status int
		code   string
	}{
		ErrUnreachable:          {503, CodeDirectory},
		ErrUnknown:              {404, CodeNotFound},
		ErrState:                {409, CodeState},
		ErrForbidden:            {403, CodeForbidden},
		approval.ErrSelf:        {403, CodeApproval},
		approval.ErrNotPerson:   {403, CodeApproval},
		approval.ErrExpired:     {409, CodeApproval},
		approval.ErrDecided:     {409, CodeApproval},
		approval.ErrUnknown:     {404, CodeNotFound},
		errors.New("a canary"):  {500, CodeInternal},
		archive.ErrDiskFull:     {507, CodeDiskFull},
		approval.ErrNotApproved: {409, CodeApproval},
	} {
		w, s := actTown(t)
		w.err = err
		status, body := w.post(s, role.Administrator, "POST /v1/directory/block", bodies["POST /v1/directory/block"])
		p, perr := parseProblem([]byte(body))
		if perr != nil || status != want.status || p.Code != want.code || p.Hint == "" || strings.Contains(body, "canary") {
			t.Errorf("%v: %d %s", err, status, body)
		}
		if o := outcomeOf(t, w.records[3]); o.Result != audit.ResultFailed || o.Code != want.code {
			t.Errorf("%v: outcome %+v", err, o)
		}
	}
}

func TestWhoIsMeant(t *testing.T) {
	for _, route := range []string{"POST /v1/directory/block", "POST /v1/directory/match", "POST /v1/factor/issue", "POST /v1/factor/reset", "POST /v1/access-report"} {
		by := role.Administrator
		if a, ok := acts[route]; ok {
			by = a.by
		}
		for who, want := range map[string]string{"Nobody Canary": CodeNotFound, "double": CodeAmbiguous, " ": CodeBadRequest, strings.Repeat("x", maxWho+1): CodeBadRequest} {
			w, s := actTown(t)
			status, body := w.post(s, by, route, strings.Replace(bodies[route], "Anna Berg", who, 1))
			if p, err := parseProblem([]byte(body)); err != nil || p.Code != want || strings.Contains(body, "Canary") || strings.Contains(body, anna) {
				t.Errorf("%s %.9q: %d %s", route, who, status, body)
			}
			for _, did := range w.traced() {
				if did != "find" && !strings.HasPrefix(did, "append") {
					t.Errorf("%s %.9q: %s", route, who, did)
				}
			}
		}
	}
	w, s := actTown(t)
	if status, body := w.post(s, role.ComplianceOfficer, "POST /v1/directory/match", `{"usr":"u7","reason":"r"}`); status != 200 || w.accessAt(t, 2).Target != "match u7 " {
		t.Errorf("a relay user that is nobody's: %d %s", status, body)
	}
	w, s = actTown(t)
	status, body := w.post(s, role.Auditor, "POST /v1/directory/person", `{"who":"double","as_of":"2024-05-06T00:00:00Z"}`)
	if status != 200 || strings.Count(body, `"versions":[]`) != 2 || !slices.Contains(w.traced(), "person "+bo+" as of 2024") {
		t.Errorf("several people of one name: %d %s", status, body)
	}
}

func TestFingerprintIsCompared(t *testing.T) {
	w, s := actTown(t)
	for _, wrong := range []string{"", "NzbL", Fingerprint(strings.ToLower(kid)), Fingerprint(kid) + "x"} {
		b := strings.Replace(bodies["POST /v1/devices/approve"], Fingerprint(kid), wrong, 1)
		if status, body := w.post(s, role.ComplianceOfficer, "POST /v1/devices/approve", b); status != http.StatusConflict || !strings.Contains(body, CodeState) {
			t.Errorf("%q: %d %s", wrong, status, body)
		}
	}
	if trace := w.traced(); len(trace) > 0 {
		t.Errorf("trace %q", trace)
	}
	if f := Fingerprint("abcdefghi"); f != "abcd efgh i" || Fingerprint("") != "" {
		t.Errorf("%q", f)
	}
}

// What needs a part that the appliance does not have is refused, with nothing
// in the audit that did not happen.
func TestWithoutParts(t *testing.T) {
	w := furnished(t)
	p := w.house.server().Parts
	p.Auth = gate{w}
	s := w.server()
	s.Parts = p
	for _, rt := range s.routes() {
		for i, r := range role.All() {
			if rt.only != "" || !may(rt, r, role.ViaSocket) {
				continue
			}
			w.furnish(t, s, &caller{})
			method, path, _ := strings.Cut(rt.name, " ")
			a := asAccount(s, uint32(1000+i), method, path, bodies[rt.name])
			if a.Code >= 500 {
				t.Errorf("%s: %d %s", rt.name, a.Code, a.Body)
			}
			if rt.name == "POST /v1/directory/status" && (a.Code != 200 || !strings.Contains(a.Body.String(), `"configured":false`)) {
				t.Errorf("%s: %d %s", rt.name, a.Code, a.Body)
			}
		}
	}
}

func TestBreakGlass(t *testing.T) {
	w, s := actTown(t)
	status, body := w.post(s, role.Auditor, "POST /v1/break-glass", `{"reason":"fire"}`)
	var resp BreakGlassResponse
	if err := json.Unmarshal([]byte(body), &resp); err != nil || status != 200 || len(resp.Roles) != 2 || resp.Ends.Unix() != 9 {
		t.Errorf("%d %s, %v", status, body, err)
	}
	if status, _ = w.post(s, role.Auditor, "POST /v1/break-glass", `{"reason":""}`); status != 400 {
		t.Errorf("without a reason: %d", status)
	}
	w.err = ErrForbidden
	if status, body = w.post(s, role.Auditor, "POST /v1/break-glass", `{"reason":"fire"}`); status != 403 {
		t.Errorf("an account that is not named: %d %s", status, body)
	}
}
