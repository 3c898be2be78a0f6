package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/internal/role"
	"holdfast/retention"
)

// Hits and shown entries say what holds them and until when they are kept; of
// one that is gone, its certificate.
func TestWhatIsShownSaysHowLongItIsKept(t *testing.T) {
	officer := role.Grant{Role: role.ComplianceOfficer}
	w, s := watched(t, []string{"person:" + cy}, []string{anna}, officer)
	due := time.Date(2033, 1, 1, 0, 0, 0, 0, time.UTC)
	w.vault.standing[3].HeldBy = append(w.vault.standing[3].HeldBy, retention.HeldBy{Hold: 60, Matter: "M-2", Why: "custodian"}, retention.HeldBy{Hold: 61, Matter: "M-2", Why: "custodian"})
	w.vault.standing[4] = &retention.Standing{DisposeAfter: &due}
	w.vault.gone[5] = &w.vault.certs[0]
	w.found.Hits, w.shown = nil, nil
	for seq := range uint64(4) {
		w.found.Hits = append(w.found.Hits, Hit{Seq: seq + 3})
		w.shown = append(w.shown, Shown{Seq: seq + 3, Kind: "message", Class: "general"})
	}
	want := `"held_by":[{"hold":50,"matter":"M-1","why":"query"},{"matter":"held"}]|"held_by":[],"dispose_after":"2033-01-01T00:00:00Z"|` +
		`"disposed":{"certificate":80,"at":"2026-03-01T00:00:00Z","class":"general","month":"2019-01"}|`
	_, found := w.ask(s, "POST /v1/search", `{"query":"x","reason":"r"}`)
	_, shown := w.ask(s, "POST /v1/show", `{"seqs":[3,4,5,6],"reason":"r"}`)
	for i, part := range strings.Split(want, "|") {
		if !strings.Contains(found, part) || !strings.Contains(shown, part) {
			t.Errorf("entry %d: want %s in\n%s\n%s", i+3, part, found, shown)
		}
	}
	if n := strings.Count(found, "held_by"); n != 2 || strings.Contains(found, "M-2") {
		t.Errorf("what is not known is said to be known: %s", found)
	}
	for _, err := range []error{archive.ErrDamaged, archive.ErrNoBody, archive.ErrDisposed} { // one at fault hides no others
		w.vault.err = err
		if status, body := w.ask(s, "POST /v1/search", `{"query":"x","reason":"r"}`); status != http.StatusOK {
			t.Errorf("%d %s", status, body)
		}
	}
	w.vault.err = errors.New("canary")
	if status, body := w.ask(s, "POST /v1/search", `{"query":"x","reason":"r"}`); status != http.StatusInternalServerError || strings.Contains(body, "canary") {
		t.Errorf("%d %s", status, body)
	}
	// Of what is out of scope nothing is told.
	w, s = watched(t, []string{"person:" + cy}, []string{anna}, role.Grant{Role: role.ComplianceOfficer, Department: "Ward 3"})
	w.stays = []query.Stay{{Usrs: []string{"u1"}}}
	if _, body := w.ask(s, "POST /v1/show", `{"seqs":[3],"reason":"r"}`); strings.Contains(body, "held_by") || !strings.Contains(body, outOfScope) {
		t.Errorf("%s", body)
	}
}

// A narrowed role has explained what it may read.
func TestExplainWithinScope(t *testing.T) {
	w, s := watched(t, []string{"person:" + cy}, []string{anna}, role.Grant{Role: role.ComplianceOfficer, Department: "Ward 3"})
	w.stays = []query.Stay{{Usrs: []string{"u1"}, From: day(10), To: day(20)}}
	for from, want := range map[string]int{"u1": http.StatusOK, "u2": http.StatusForbidden} {
		w.shown = []Shown{{Seq: 3, Kind: "message", Received: day(15), Message: &Hit{FromUsr: from, Received: day(15)}}}
		if status, body := w.ask(s, "POST /v1/holds/explain", `{"seq":3}`); status != want || want != http.StatusOK && told(body) {
			t.Errorf("%s: %d %s", from, status, body)
		}
	}
}

// What keeps entries back is named to those who may know, and added up for the
// others so that it stands for no hold.
func TestPlansNameNoHiddenHolds(t *testing.T) {
	w, s := watched(t, []string{"person:" + cy}, []string{anna}, role.Grant{Role: role.RecordsManager})
	v := newVault(w)
	w.vault.plans, w.vault.ran = v.plans, v.ran
	_, plan := w.ask(s, "POST /v1/disposition/show", `{"seq":70}`)
	if want := `"held_back":[{"hold":50,"matter":"M-1","why":"query","entries":3},{"why":"damage","entries":1},{"matter":"held","why":"held","entries":4}]`; !strings.Contains(plan, want) {
		t.Errorf("%s", plan)
	}
	_, ran := w.ask(s, "POST /v1/disposition/run", `{"plan":70}`)
	if want := `{"class":"general","month":"2020-01","matter":"held","why":"held","entries":2}`; !strings.Contains(ran, want) || !strings.Contains(ran, `"hold":50`) || strings.Contains(ran, "M-2") {
		t.Errorf("%s", ran)
	}
	if v.plans[0].Lines[0].HeldBack[1].Matter != "M-2" || v.ran.TakenOut[1].Matter != "M-2" {
		t.Error("the part's own plan was changed")
	}
}

// An auditor who is a custodian reads of the matter's accesses that there were some.
func TestAuditOfACustodiansMatter(t *testing.T) {
	for custodian, hidden := range map[string]bool{anna: false, cy: true} {
		w, s := watched(t, []string{"person:" + bo}, []string{custodian}, role.Grant{Role: role.Auditor})
		add := func(a audit.Access) {
			body := must(t, a)
			if _, err := w.Append(t.Context(), archive.Batch{Entries: []archive.Entry{{Kind: proof.KindAccess, Class: proof.ClassAudit, Body: []byte(body)}}}); err != nil {
				t.Fatal(err)
			}
		}
		by := role.Principal{Person: bo, Name: "Bo Dahl"}
		add(audit.Access{Action: audit.ActionSearch, Principal: by, Matter: "M-1", Query: "canary", Reason: "canary", Seqs: []uint64{3}})
		add(audit.Access{Action: audit.ActionHold, Principal: by, Matter: "M-1", Target: "show 50"})
		add(audit.Access{Action: audit.ActionSearch, Principal: by, Matter: "text of before", Query: "x"})
		for route, body := range map[string]string{"POST /v1/audit": `{}`, "POST /v1/access-report": `{"officer":"Bo Dahl","reason":"r"}`} {
			status, answer := w.ask(s, route, body)
			if status != http.StatusOK || hidden == strings.Contains(answer, "canary") || hidden == strings.Contains(answer, "M-1") || !strings.Contains(answer, "text of before") ||
				hidden == strings.Contains(answer, "show 50") {
				t.Errorf("custodian %s, %s: %d %s", custodian, route, status, answer)
			}
		}
		_, answer := w.ask(s, "POST /v1/audit", `{"matter":"M-1"}`)
		_, gone := w.ask(s, "POST /v1/audit", `{"matter":"M-9"}`)
		if hidden != (answer == gone) {
			t.Errorf("custodian %s: of the matter %s, of none %s", custodian, answer, gone)
		}
	}
}

// The release of a hold and an export for a matter say in the list of requests
// what they are for to those who may know, and to who asked.
func TestRequestsOfMatters(t *testing.T) {
	w, s := watched(t, []string{"person:" + bo}, []string{anna}, role.Grant{Role: role.ComplianceOfficer})
	w.vault.matters[0].Members = []string{"person:" + cy}
	status, body := w.ask(s, "POST /v1/export/ask", `{"query":"canary","matter":"M-1","as":"jsonl","recipient":"court","purpose":"subpoena"}`)
	var asked LargeExportResponse
	if err := json.Unmarshal([]byte(body), &asked); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s, %v", status, body, err)
	}
	show := `{"seq":` + decimal(asked.Request.Seq) + `}`
	for name, tt := range map[string]struct {
		members []string
		by      string
		want    bool
	}{
		"a member": {[]string{"person:" + cy}, bo, true}, "who asked": {[]string{"person:" + bo}, cy, true}, "another": {[]string{"person:" + bo}, bo, false},
	} {
		w.vault.matters[0].Members = tt.members
		w.requests[asked.Request.Seq].By.Person = tt.by
		w.requests[107].By.Person = anna
		_, one := w.ask(s, "POST /v1/requests/show", show)
		_, all := w.ask(s, "POST /v1/requests/list", `{}`)
		if strings.Contains(one, "matter M-1") != tt.want || strings.Contains(all, "matter M-1") != tt.want || strings.Contains(one, `"query":"canary"`) != (tt.by == cy) {
			t.Errorf("%s: %s\n%s", name, one, all)
		}
	}
}

// A run goes on when its client hangs up, and ends when the daemon stops.
func TestARunGoesOnWithoutItsClient(t *testing.T) {
	w, s := watched(t, []string{"person:" + cy}, nil, role.Grant{Role: role.RecordsManager})
	s.Auth, s.grace = owners{}, time.Millisecond
	begun, ended := make(chan struct{}), make(chan error, 1)
	w.vault.run = func(ctx context.Context, progress func(string, uint64, uint64)) (*retention.Ran, error) {
		progress("reseal", 1, 2)
		close(begun)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, ctx.Err()
	}
	c, stop := serve(t, s)
	ctx, hangUp := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	var heard []Progress
	go func() {
		_, err := c.RunDisposition(ctx, RunRequest{Plan: 70}, func(p Progress) { heard = append(heard, p) })
		answered <- err
	}()
	<-begun
	hangUp()
	if err := <-answered; problem(t, err).Code != CodeInterrupted || len(heard) > 1 {
		t.Errorf("%v, %v", err, heard)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("the run ended with %v", err)
	}
}

func TestSteadfast(t *testing.T) {
	stop, stopped := context.WithCancelCause(t.Context())
	ctx, hangUp := context.WithCancel(context.WithValue(stop, stopping{}, stop))
	going, end := steadfast(ctx)
	defer end()
	hangUp()
	if err := going.Err(); err != nil {
		t.Errorf("it ended with the client: %v", err)
	}
	stopped(http.ErrServerClosed)
	<-going.Done()
	if err := context.Cause(going); !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// A long task says how far it has come, then what it came to or what went wrong.
func TestWorkIsStreamed(t *testing.T) {
	w, s := watched(t, []string{"person:" + cy}, nil, role.Grant{Role: role.RecordsManager})
	s.Auth = owners{}
	c, _ := serve(t, s)
	var heard []Progress
	hear := func(p Progress) { heard = append(heard, p) }
	p, err := c.PlanDisposition(t.Context(), PlanDispositionRequest{Reason: "r"}, hear)
	if err != nil || p.Seq != 70 || len(heard) != 1 || heard[0] != (Progress{Done: 1, Total: 9}) {
		t.Errorf("plan %+v, %v, %v", p, err, heard)
	}
	heard = nil
	r, err := c.RunDisposition(t.Context(), RunRequest{Plan: 70}, hear)
	if err != nil || r.Gone != 5 || len(heard) != 1 || heard[0].Step != "reseal" {
		t.Errorf("run %+v, %v, %v", r, err, heard)
	}
	// Nothing went: why is the answer.
	w.vault.ran.Gone, w.vault.err = 0, retention.ErrNothing
	if r, err := c.RunDisposition(t.Context(), RunRequest{Plan: 70}, nil); err != nil || r.Gone != 0 || len(r.TakenOut) != 1 {
		t.Errorf("run of nothing %+v, %v", r, err)
	}
	w.vault.err = retention.ErrFrozen
	if _, err := c.RunDisposition(t.Context(), RunRequest{Plan: 70}, nil); problem(t, err).Code != CodeState {
		t.Errorf("after progress: %v", err)
	}
	if _, err := c.PlanErasure(t.Context(), EraseRequest{Seqs: []uint64{1}, Reason: "r"}, nil); problem(t, err).Code != CodeState {
		t.Errorf("before progress: %v", err)
	}
	for i, want := range []string{audit.ResultShown, audit.ResultShown, audit.ResultShown, audit.ResultFailed, audit.ResultFailed} {
		if o := outcomeOf(t, w.records[2+2*i]); o.Result != want {
			t.Errorf("outcome %d: %+v", i, o)
		}
	}
	for len(s.heavy) < cap(s.heavy) {
		s.heavy <- struct{}{}
	}
	if _, err := c.PlanDisposition(t.Context(), PlanDispositionRequest{Reason: "r"}, nil); problem(t, err).Code != CodeBusy {
		t.Errorf("%v", err)
	}
}
