package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
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

// An export ends with the role, or the session, by which it was begun, and says
// so: what is handed out by then is all.
func TestAnExportEndsWithItsRole(t *testing.T) {
	until := time.Date(2000, 1, 1, 0, 0, 3, 0, time.UTC) // synctest's clock begins at 2000
	officer := role.Grant{Role: role.ComplianceOfficer}
	for name, tt := range map[string]struct {
		before, after []role.Grant // nil: no session
		end           end
		whole         bool
	}{
		"kept":            {[]role.Grant{officer}, []role.Grant{officer}, end{via: role.ViaHTTPS}, true},
		"another one":     {[]role.Grant{officer}, []role.Grant{{Role: role.Auditor}}, end{via: role.ViaHTTPS}, false},
		"no session":      {[]role.Grant{officer}, nil, end{via: role.ViaHTTPS}, false},
		"its end":         {[]role.Grant{{Role: role.ComplianceOfficer, Until: &until}}, []role.Grant{{Role: role.ComplianceOfficer, Until: &until}}, end{via: role.ViaHTTPS}, false},
		"narrowed":        {[]role.Grant{officer}, []role.Grant{{Role: role.ComplianceOfficer, Department: "Ward 3"}}, end{via: role.ViaHTTPS}, false},
		"narrower":        {[]role.Grant{{Role: role.ComplianceOfficer, Department: "Ward 3"}, {Role: role.ComplianceOfficer, Department: "ER"}}, []role.Grant{{Role: role.ComplianceOfficer, Department: "ER"}}, end{via: role.ViaHTTPS}, false},
		"widened":         {[]role.Grant{{Role: role.ComplianceOfficer, Department: "ER"}}, []role.Grant{officer}, end{via: role.ViaHTTPS}, true},
		"over the socket": {nil, nil, end{via: role.ViaSocket, uid: 1002}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newTown(t)
			if tt.before != nil {
				w.grants["token-officer"] = tt.before
			}
			w.produce = func(_ context.Context, _ Production, sink Sink) (*Produced, error) {
				f, err := sink.Create("records.jsonl")
				if err != nil {
					return nil, err
				}
				if w.grants["token-officer"] = tt.after; tt.after == nil {
					delete(w.grants, "token-officer")
				}
				time.Sleep(5 * time.Second)
				if _, err := f.Write([]byte("canary")); err != nil {
					return nil, err
				}
				return &Produced{Matched: 1, Produced: 1}, f.Close()
			}
			a := as(w.server().Handler(), tt.end, "token-officer", "POST", "/v1/export", bodies["POST /v1/export"])
			body := a.Body.String()
			if whole := strings.Contains(body, partComplete); whole != tt.whole || strings.Contains(body, "canary") != tt.whole || strings.Contains(body, partFailed) == tt.whole {
				t.Errorf("%s: %s", name, body)
			}
			if o := outcomeOf(t, w.records[len(w.records)-1]); (o.Result == audit.ResultShown) != tt.whole {
				t.Errorf("%s: outcome %+v", name, o)
			}
		})
	}
}

// Whoever broke the glass does not put out the alarm about it.
func TestABrokenGlassIsSeenToByOthers(t *testing.T) {
	w := newTown(t)
	for _, name := range []string{alarmBreakGlass, "relay-gap"} {
		body := []byte(must(t, archive.AlarmBody{Name: name, Severity: "critical", Text: "t", Fix: "f"}))
		if _, err := w.Append(t.Context(), archive.Batch{Entries: []archive.Entry{{Kind: proof.KindAlarm, Class: proof.ClassControl, Body: body}}}); err != nil {
			t.Fatal(err)
		}
	}
	s := w.server()
	s.Auth = broken{gate{w}}
	ack := func(uid uint32, seq string) int {
		return asAccount(s, uid, "POST", "/v1/alarms/ack", `{"seq":`+seq+`,"reason":"r"}`).Code
	}
	if code := ack(1002, "1"); code != http.StatusForbidden {
		t.Errorf("who broke the glass: %d", code)
	}
	if a := w.accessAt(t, len(w.records)-1); a.Action != audit.ActionRefused || a.Target != string(role.AlarmsAck) {
		t.Errorf("the refusal's entry is %+v", a)
	}
	if code := ack(1002, "2"); code != http.StatusOK {
		t.Errorf("another alarm: %d", code)
	}
	if code := ack(1000, "1"); code != http.StatusOK {
		t.Errorf("somebody else: %d", code)
	}
}

// broken is a gate at which account 1002 broke the glass.
type broken struct{ gate }

func (b broken) Local(uid uint32, name string) (role.Principal, []role.Grant) {
	who, grants := b.gate.Local(uid, name)
	if uid == 1002 {
		who.Via = role.ViaBreakGlass
	}
	return who, grants
}
