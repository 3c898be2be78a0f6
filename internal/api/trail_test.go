package api

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// trailTown has a trail: Cy Holm looked at messages of u1 for two matters, an
// account of the appliance looked at nobody's.
func trailTown(t *testing.T) (*town, *Client) {
	w := newTown(t)
	w.grants["token-auditor"] = []role.Grant{{Role: role.Auditor}}
	s := w.server()
	s.Watch = &audit.Watch{Volume: 1000, Days: []time.Weekday{time.Thursday}} // the house's log begins on a Thursday
	look := func(who role.Principal, matter string, usrs []string, own bool) {
		seq, err := audit.Begin(t.Context(), w, audit.Access{Action: audit.ActionSearch, Principal: who, Matter: matter, Query: "x", At: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.Finish(t.Context(), w, audit.Outcome{Of: seq, Result: audit.ResultShown, Total: 1, Shown: 1, Custodians: usrs, Own: own}); err != nil {
			t.Fatal(err)
		}
	}
	officer := role.Principal{Name: "Cy Holm", Person: cy, Via: role.ViaHTTPS}
	look(officer, "M-1", []string{"u1"}, false)
	look(officer, "M-2", []string{"u2"}, true)
	look(role.Principal{Name: "root", UID: new(uint32)}, "M-1", []string{}, false)
	return w, serveTLS(t, s).client(t, "token-auditor")
}

// A name that nobody has is an error, and not a person who did nothing.
func TestAuditOfNobody(t *testing.T) {
	_, c := trailTown(t)
	if _, err := c.Audit(t.Context(), AuditRequest{Person: "Ann Berk"}); problem(t, err).Code != CodeNotFound {
		t.Errorf("nobody of that name: %v", err)
	}
	for _, who := range []string{"Anna Berg", "root"} { // of the directory, and of the log alone
		if list, err := c.Audit(t.Context(), AuditRequest{Person: who, Until: new(time.Unix(1, 0).UTC())}); err != nil || len(list.Accesses) != 0 {
			t.Errorf("%s: %+v, %v", who, list, err)
		}
	}
}

func TestAuditFilters(t *testing.T) {
	_, c := trailTown(t)
	for name, tt := range map[string]struct {
		req  AuditRequest
		want int
	}{
		"matter":           {AuditRequest{Matter: "M-1"}, 2},
		"person":           {AuditRequest{Person: "Cy Holm", Action: "search"}, 2},
		"account":          {AuditRequest{Person: "root"}, 1},
		"principal":        {AuditRequest{Principal: "0"}, 1},
		"flagged":          {AuditRequest{Flagged: true, Action: "search"}, 1},
		"until":            {AuditRequest{Until: new(time.Unix(180, 0).UTC())}, 1},
		"since":            {AuditRequest{Since: new(time.Unix(180, 0).UTC()), Action: "search"}, 2},
		"person and later": {AuditRequest{Person: "Cy Holm", Matter: "M-2", Until: new(time.Unix(60, 0).UTC())}, 0},
	} {
		list, err := c.Audit(t.Context(), tt.req)
		if err != nil || len(list.Accesses) != tt.want {
			t.Errorf("%s: %d accesses, %v", name, len(list.Accesses), err)
		}
	}
	list, err := c.Audit(t.Context(), AuditRequest{Action: "audit", Limit: 1})
	if err != nil || !strings.Contains(list.Accesses[0].Access.Query, "=") || list.Accesses[0].Access.Matter != "" {
		t.Errorf("what was asked of the audit is not on record: %+v, %v", list, err)
	}
	if _, err := c.Audit(t.Context(), AuditRequest{Person: "double"}); problem(t, err).Code != CodeAmbiguous {
		t.Errorf("several people: %v", err)
	}
	if _, err := c.Audit(t.Context(), AuditRequest{Matter: strings.Repeat("x", audit.MaxQuery)}); problem(t, err).Code != CodeBadRequest {
		t.Errorf("a very long question: %v", err)
	}
	_, plain := actTown(t)
	if a := asAccount(plain, 1004, "POST", "/v1/audit", `{"flagged":true}`); a.Code != http.StatusConflict || !strings.Contains(a.Body.String(), CodeNoPart) {
		t.Errorf("flags without a watch: %d %s", a.Code, a.Body)
	}
}

func TestAccessReports(t *testing.T) {
	_, c := trailTown(t)
	r, err := c.AccessReport(t.Context(), AccessReportRequest{Custodian: "Anna Lund", Reason: "complaint"})
	if err != nil || r.Officer != nil || r.Custodian == nil || r.Custodian.Accesses != 1 || len(r.Custodian.By) != 1 || r.Custodian.By[0].ID != "person:"+cy || r.Person.GUID != anna {
		t.Errorf("custodian %+v, %v", r, err)
	}
	if r, err = c.AccessReport(t.Context(), AccessReportRequest{Custodian: "Cy Holm", Reason: "r"}); err != nil || r.Custodian.Accesses != 0 || r.Person.GUID != cy {
		t.Errorf("a custodian without relay users: %+v, %v", r, err)
	}
	r, err = c.AccessReport(t.Context(), AccessReportRequest{Officer: "Cy Holm", Reason: "r", Until: new(time.Unix(300, 0).UTC())})
	if err != nil || r.Custodian != nil || r.Officer == nil || r.Officer.Actions[audit.ActionSearch] != 2 || r.Officer.Flags[audit.FlagOwnMessages] != 1 {
		t.Errorf("officer %+v, %v", r, err)
	}
	for round := range uint64(2) { // the auditor is an officer as well; a report does not list itself
		r, err = c.AccessReport(t.Context(), AccessReportRequest{Officer: cy, Reason: "r"})
		if err != nil || r.Officer.Actions[audit.ActionReport] != 3+round {
			t.Errorf("round %d: %+v, %v", round, r, err)
		}
	}
	for name, req := range map[string]AccessReportRequest{
		"neither": {Reason: "r"}, "both": {Custodian: "Anna Berg", Officer: "Cy Holm", Reason: "r"}, "no reason": {Officer: "Cy Holm"},
	} {
		if _, err := c.AccessReport(t.Context(), req); problem(t, err).Exit != ExitUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The client says nothing to a daemon of an older TLS.
func TestClientSpeaksTLS13Alone(t *testing.T) {
	ca := newAuthority(t)
	cert, key := t.TempDir()+"/c", t.TempDir()+"/k"
	ca.issue(cert, key, time.Now().Add(time.Hour))
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	heard := false
	old := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard = true }))
	old.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12}
	old.StartTLS()
	defer old.Close()
	_, port, err := net.SplitHostPort(old.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewHTTPSClient(HTTPSOptions{Address: "127.0.0.1:" + port, CA: ca.pem, Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Status(t.Context()); problem(t, err).Exit != ExitUnreachable || heard {
		t.Errorf("%v, heard %v", err, heard)
	}
}
