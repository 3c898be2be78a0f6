package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/archive/query"
	"holdfast/internal/role"
	"holdfast/retention"
	"holdfast/retention/hold"
)

func TestFreeze(t *testing.T) {
	now := time.Date(2026, 3, 31, 1, 30, 0, 0, time.FixedZone("", 3*3600)) // the 30th in UTC
	for typed, want := range map[string]string{
		"":                          "",
		"today":                     "2026-03-30T00:00:00Z",
		"-0d":                       "2026-03-30T00:00:00Z",
		"-90d":                      "2025-12-30T00:00:00Z",
		"-2w":                       "2026-03-16T00:00:00Z",
		"-1m":                       "2026-02-28T00:00:00Z", // a month without a 30th
		"-25m":                      "2024-02-29T00:00:00Z",
		"-7y":                       "2019-03-30T00:00:00Z",
		"2026-01-02":                "2026-01-02T00:00:00Z",
		"2026-01-02T03:04:05+01:00": "2026-01-02T02:04:05Z",
		"-9999d":                    "1998-11-13T00:00:00Z",
	} {
		at, ok := freeze(typed, now)
		got := ""
		if at != nil {
			got = at.Format(time.RFC3339Nano)
		}
		if !ok || got != want {
			t.Errorf("%q is %s, %v, want %s", typed, got, ok, want)
		}
	}
	for _, typed := range []string{"-", "-d", "90d", "-99999d", "-1x", "--1d", "tomorrow", "Today", "2026-1-2", "2026-02-30", "2026-01-02T03:04:05", " today", "-1d ", "-1.5y", "+1d"} {
		if at, ok := freeze(typed, now); ok {
			t.Errorf("%q is %v", typed, at)
		}
	}
}

// What people type becomes exactly one person, group and instant, and the answer
// shows what it was frozen to.
func TestScopesAreResolved(t *testing.T) {
	w, s := watched(t, []string{"person:" + cy}, []string{anna}, role.Grant{Role: role.ComplianceOfficer})
	place := func(scope string) (int, string) {
		return w.ask(s, "POST /v1/holds/place", `{"matter":"m-1","scope":`+scope+`,"reason":"r"}`)
	}
	if status, body := place(`{"custodians":["Bo Dahl","Anna Lund","usr:u77"],"groups":["Wards"],"query":"from:x","from":"-1m","to":"2026-03-01"}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	got := w.vault.scopes[0]
	from, to := time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	want := hold.Scope{Custodians: []string{anna, bo, "usr:u77"}, Groups: []string{wards}, Query: "from:x", Language: query.Language, From: &from, To: &to}
	if !got.Equal(want) {
		t.Errorf("scope %s", must(t, got))
	}
	if a := w.accessAt(t, 1); a.Query != "from:x" || a.Matter != "M-1" {
		t.Errorf("access %+v", a)
	}
	for scope, code := range map[string]string{
		`{"custodians":["double"]}`:                 CodeAmbiguous,
		`{"custodians":["canary"]}`:                 CodeNotFound,
		`{"custodians":["usr:u9"]}`:                 CodeState, // Bo's: the person is held
		`{"custodians":["Cy Holm"]}`:                CodeForbidden,
		`{"groups":["canary"]}`:                     CodeNotFound,
		`{"all":true,"from":"canary"}`:              CodeBadRequest,
		`{"all":true,"from":"today","to":"-1d"}`:    CodeBadRequest,
		`{}`:                                        CodeBadRequest,
		`{"query":"hold:canary"}`:                   CodeBadRequest,
		`{"query":"matter:canary"}`:                 CodeBadRequest,
		`{"query":"(canary"}`:                       CodeBadQuery,
		`{"all":true,"conversations":["canary"]}`:   CodeBadRequest,
		`{"custodians":["Bo Dahl","Bo Dahl","xy"]}`: CodeNotFound,
	} {
		placed := len(w.vault.scopes)
		status, body := place(scope)
		var p Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || p.Code != code || status < 400 || p.Hint == "" || strings.Contains(body, "canary") || len(w.vault.scopes) != placed {
			t.Errorf("%s: %d %s", scope, status, body)
		}
		switch code {
		case CodeAmbiguous:
			if !strings.Contains(p.Detail, "custodian 1: "+anna+", "+bo) {
				t.Errorf("which are ambiguous: %s", p.Detail)
			}
		case CodeNotFound:
			if !strings.Contains(p.Detail, " 1") && !strings.Contains(p.Detail, "custodian 3") {
				t.Errorf("%s: which one: %s", scope, p.Detail)
			}
		}
	}
}

// A release is done by members of the hold's matter, for the hold that its
// request is about.
func TestReleaseIsForItsHold(t *testing.T) {
	w, s := watched(t, []string{"person:" + cy}, []string{anna}, role.Grant{Role: role.ComplianceOfficer})
	w.vault.holds = newVault(w).holds
	w.vault.asked = map[uint64]uint64{107: 50, 108: 60}
	for request, want := range map[string]int{"107": http.StatusOK, "108": http.StatusConflict, "109": http.StatusConflict} {
		status, body := w.ask(s, "POST /v1/holds/release", `{"seq":50,"request":`+request+`}`)
		if status != want || want != http.StatusOK && !strings.Contains(body, CodeApproval) {
			t.Errorf("request %s: %d %s", request, status, body)
		}
	}
	for _, did := range w.traced() {
		if did == "release by 108" || did == "release by 109" {
			t.Error(did)
		}
	}
	status, body := w.ask(s, "POST /v1/holds/ask", `{"seq":50,"keep":{"custodians":["Anna Lund"],"from":"-7y"},"reason":"r"}`)
	var resp AskReleaseResponse
	if err := json.Unmarshal([]byte(body), &resp); err != nil || status != http.StatusOK || resp.Request != 107 || resp.Preview.Entries != 5 || resp.Keep == nil ||
		resp.Keep.From.Year() != 2019 || len(resp.Keep.People) != 1 || resp.Keep.People[0].Name != "Anna Berg" {
		t.Errorf("asked: %d %s, %v", status, body, err)
	}
}

// The problems of holds and disposition say what to do, and name no hold.
func TestRetentionProblems(t *testing.T) {
	for _, known := range retentionErrors {
		p := problemOf(errors.Join(errors.New("hold 50 of matter M-1"), known.err))
		if p.Code == CodeInternal || p.Hint == "" || p.Status < 400 || p.Exit == 0 || strings.Contains(p.Title, ";") || strings.Contains(p.Error()+p.Hint, "M-1") {
			t.Errorf("%v: %+v", known.err, p)
		}
	}
	if p := problemOf(retention.ErrIsHeld); p.Title != "it is held" {
		t.Errorf("%+v", p)
	}
	w, s := keepTown(t)
	status, body := w.post(s, role.RecordsManager, "POST /v1/schedule/apply", `{"text":"fault","reason":"r"}`)
	if status != http.StatusBadRequest || !strings.Contains(body, CodeSchedule) || !strings.Contains(body, "line 2") {
		t.Errorf("%d %s", status, body)
	}
	long := `{"text":"` + strings.Repeat("x", MaxSchedule) + `","reason":"r"}`
	if status, body := w.post(s, role.RecordsManager, "POST /v1/schedule/apply", long); status != http.StatusOK {
		t.Errorf("the longest schedule: %d %s", status, body)
	}
	if status, _ := w.post(s, role.RecordsManager, "POST /v1/schedule/apply", strings.Replace(long, "x", "xx", 1)); status != http.StatusBadRequest {
		t.Errorf("a longer one: %d", status)
	}
}
