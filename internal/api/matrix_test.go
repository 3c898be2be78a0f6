package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// bodies has a valid minimal body for every route.
var bodies = map[string]string{
	"GET /healthz": "", "GET /readyz": "", "GET /metrics": "", "GET /v1/whoami": "", "GET /v1/roles": "", "GET /v1/status": "", "GET /v1/checkpoint": "",

	"POST /v1/login":       `{"name":"anna","password":"right","code":"123456"}`,
	"POST /v1/logout":      `{}`,
	"POST /v1/break-glass": `{"reason":"r"}`,
	"POST /v1/verify":      `{}`,
	"POST /v1/reload":      `{}`,

	"POST /v1/search":          `{"query":"canary","reason":"r"}`,
	"POST /v1/show":            `{"seqs":[1],"reason":"r"}`,
	"POST /v1/count":           `{"query":"canary","by":"month","reason":"r"}`,
	"POST /v1/conversation":    `{"id":"c1","reason":"r"}`,
	"POST /v1/timeline":        `{"seq":3,"reason":"r"}`,
	"POST /v1/export":          `{"query":"canary","reason":"r","as":"jsonl","recipient":"court","purpose":"subpoena"}`,
	"POST /v1/certify":         `{"custodian":"Anna Lund","from":"2026-01-01","to":"today","reason":"r"}`,
	"POST /v1/export/ask":      `{"query":"canary","reason":"r","as":"jsonl","recipient":"court","purpose":"subpoena"}`,
	"POST /v1/export/approved": `{"query":"canary","reason":"r","as":"jsonl","recipient":"court","purpose":"subpoena","at":1,"request":7}`,

	"POST /v1/audit":         `{}`,
	"POST /v1/access-report": `{"custodian":"Anna Berg","reason":"r"}`,
	"POST /v1/sessions/list": `{}`,

	"POST /v1/alarms/list": `{}`,
	"POST /v1/alarms/show": `{"seq":1}`,
	"POST /v1/alarms/ack":  `{"seq":1,"reason":"r"}`,

	"POST /v1/directory/status":  `{}`,
	"POST /v1/directory/diff":    `{}`,
	"POST /v1/directory/sync":    `{}`,
	"POST /v1/directory/approve": `{"digest":"` + strings.Repeat("ab", 32) + `","approve":true,"reason":"r"}`,
	"POST /v1/directory/people":  `{}`,
	"POST /v1/directory/person":  `{"who":"Anna Lund"}`,
	"POST /v1/directory/matches": `{}`,
	"POST /v1/directory/match":   `{"usr":"u7","who":"Anna Berg","reason":"r"}`,
	"POST /v1/directory/block":   `{"who":"Anna Berg","block":true,"reason":"r"}`,

	"POST /v1/devices/list":    `{}`,
	"POST /v1/devices/approve": `{"kid":"` + kid + `","fingerprint":"` + Fingerprint(kid) + `","reason":"r"}`,

	"POST /v1/devices/wipes":    `{}`,
	"POST /v1/devices/override": `{"id":"w1","reason":"r"}`,

	"POST /v1/requests/list":   `{}`,
	"POST /v1/requests/show":   `{"seq":7}`,
	"POST /v1/requests/decide": `{"seq":7,"approve":true,"reason":"r"}`,

	"POST /v1/schedule/show":     `{}`,
	"POST /v1/schedule/apply":    `{"text":"version = 1","reason":"r"}`,
	"POST /v1/schedule/approved": `{"text":"version = 1","request":7}`,

	"POST /v1/matters/list":   `{}`,
	"POST /v1/matters/show":   `{"id":"M-1"}`,
	"POST /v1/matters/open":   `{"id":"M-3","name":"n","members":["Bo Dahl","uid:7"],"reason":"r"}`,
	"POST /v1/matters/close":  `{"id":"M-1","reason":"r"}`,
	"POST /v1/matters/member": `{"id":"M-1","member":"Bo Dahl","in":true,"reason":"r"}`,

	"POST /v1/holds/list":    `{}`,
	"POST /v1/holds/show":    `{"seq":50}`,
	"POST /v1/holds/place":   `{"matter":"M-1","scope":{"custodians":["Anna Lund","usr:u77"],"groups":["Wards"],"query":"canary","from":"-90d"},"reason":"r"}`,
	"POST /v1/holds/widen":   `{"seq":50,"scope":{"conversations":["c1"]},"reason":"r"}`,
	"POST /v1/holds/preview": `{"seq":50,"keep":{"all":true,"from":"2026-01-01"}}`,
	"POST /v1/holds/ask":     `{"seq":50,"reason":"r"}`,
	"POST /v1/holds/release": `{"seq":50,"request":107}`,
	"POST /v1/holds/cancel":  `{"seq":50,"reason":"r"}`,
	"POST /v1/holds/notice":  `{"seq":50,"custodian":"Anna Lund","state":"sent","text":"t"}`,
	"POST /v1/holds/explain": `{"seq":1}`,

	"POST /v1/tags/show":        `{"seq":1}`,
	"POST /v1/tags/list":        `{"matter":"M-1","tag":"part2"}`,
	"POST /v1/tags/change":      `{"tag":"part2","matter":"M-1","seqs":[1],"reason":"r"}`,
	"POST /v1/productions/list": `{}`,
	"POST /v1/productions/show": `{"seq":90}`,
	"POST /v1/disclosures":      `{"mrn":"canary","reason":"r"}`,
	"POST /v1/clawbacks/list":   `{"matter":"M-1"}`,
	"POST /v1/clawbacks/show":   `{"seq":95}`,
	"POST /v1/clawbacks/make":   `{"matter":"M-1","from":"ABC1","to":"ABC3","reason":"r"}`,
	"POST /v1/searches/list":    `{"matter":"M-1"}`,
	"POST /v1/searches/save":    `{"matter":"M-1","name":"n","query":"canary"}`,
	"POST /v1/searches/remove":  `{"matter":"M-1","name":"n"}`,

	"POST /v1/disposition/list":  `{}`,
	"POST /v1/disposition/show":  `{"seq":70}`,
	"POST /v1/disposition/plan":  `{"class":"general","month":"2020-01","reason":"r"}`,
	"POST /v1/disposition/run":   `{"plan":70}`,
	"POST /v1/dispose/erase":     `{"seqs":[1],"reason":"r"}`,
	"POST /v1/reclassify":        `{"seqs":[1],"class":"clinical","reason":"r"}`,
	"POST /v1/certificates/list": `{}`,
	"POST /v1/certificates/show": `{"seq":80}`,

	"POST /v1/kit/note":      `{"set":"0a1b2c3d","needed":3,"shares":5}`,
	"POST /v1/ingest/show":   `{}`,
	"POST /v1/anchors/list":  `{}`,
	"POST /v1/anchors/make":  `{}`,
	"POST /v1/notices/test":  `{}`,
	"POST /v1/ingest/pause":  `{"reason":"r"}`,
	"POST /v1/restore/show":  `{}`,
	"POST /v1/restore/ask":   `{"reason":"r"}`,
	"POST /v1/restore/go-on": `{"request":7}`,
	"POST /v1/ingest/resume": `{"reason":"r"}`,

	"POST /v1/clock/show":     `{}`,
	"POST /v1/doctor":         `{}`,
	"POST /v1/clock/release":  `{"reason":"r"}`,
	"POST /v1/copies/list":    `{}`,
	"POST /v1/backup/run":     `{}`,
	"POST /v1/backup/drill":   `{}`,
	"POST /v1/backup/drilled": `{"id":"20261122T120000Z-7","size":7,"root":"` + strings.Repeat("ab", 32) + `","ok":true,"bytes":1,"ms":1}`,
	"POST /v1/backup/show":    `{}`,

	"POST /v1/copies/note": `{"id":"tape-2","what":"backup","where":"safe","keyring":3}`,
	"POST /v1/copies/gone": `{"id":"tape-1","reason":"r"}`,

	"POST /v1/factor/issue": `{"who":"Anna Berg","reason":"r"}`,
	"POST /v1/factor/reset": `{"who":"Anna Berg","reason":"r"}`,
}

// furnished is a town in which every valid body succeeds.
func furnished(t *testing.T) *town {
	w := newTown(t)
	w.vault = newVault(w)
	body, err := json.Marshal(archive.AlarmBody{Name: "relay-gap", Severity: "critical", Text: "a gap", Fix: "ask the vendor"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Append(t.Context(), archive.Batch{Entries: []archive.Entry{{Kind: proof.KindAlarm, Class: proof.ClassControl, Body: body}}}); err != nil {
		t.Fatal(err)
	}
	w.trace = nil
	for _, r := range role.All() {
		w.grants["token-"+string(r)] = []role.Grant{{Role: r}}
	}
	w.grants["token-none"] = nil
	return w
}

// furnish puts back what a request may have used up.
func (w *town) furnish(t *testing.T, s *Server, c *caller) {
	t.Helper()
	q, err := parse("canary")
	if err != nil {
		t.Fatal(err)
	}
	w.requests[7] = &ApprovalRequest{Seq: 7, Act: ActLargeExport, Digest: exportDigest(q, &ExportRequest{As: FormatJSONL, Recipient: "court", Purpose: "subpoena"}, 1, nil), By: c.who, Reason: "r", Status: "approved"}
	if w.vault != nil {
		w.vault.matters[0].Members = []string{"person:" + cy, c.who.ID()}
	}
	w.grants["token-none"] = nil
	for _, r := range role.All() {
		w.grants["token-"+string(r)] = []role.Grant{{Role: r}}
	}
	s.refused.mu.Lock()
	clear(s.refused.last)
	s.refused.mu.Unlock()
	w.mu.Lock()
	w.trace = nil
	w.mu.Unlock()
}

// Every route names endpoints that the table has, and every row of the table
// has a route: nothing is forgotten on either side.
func TestEveryEndpointHasARowAndARoute(t *testing.T) {
	rows := map[role.Endpoint]bool{}
	for _, row := range role.Table() {
		rows[row.Endpoint] = false
	}
	seen := map[string]bool{}
	for _, rt := range newTown(t).server().routes() {
		for _, e := range []role.Endpoint{rt.endpoint, rt.also} {
			if _, ok := rows[e]; !ok && (e != "" || rt.endpoint == "") {
				t.Errorf("%s: endpoint %q has no row in the table", rt.name, e)
			}
			rows[e] = true
		}
		if _, ok := bodies[rt.name]; !ok || seen[rt.name] {
			t.Errorf("%s: there are two of it, or it is not among the bodies that the tests send", rt.name)
		}
		seen[rt.name] = true
	}
	for e, ok := range rows {
		if !ok {
			t.Errorf("endpoint %q of the table has no route", e)
		}
	}
	if len(seen) != len(bodies) {
		t.Errorf("%d routes, %d bodies", len(seen), len(bodies))
	}
}

// may says what the cell of the matrix promises, told apart from the handler.
func may(rt route, r role.Role, via string) bool {
	switch rt.name {
	case "GET /metrics", "POST /v1/break-glass", "POST /v1/backup/run", "POST /v1/backup/drill", "POST /v1/backup/drilled", "POST /v1/kit/note", "POST /v1/reload":
		if via != role.ViaSocket {
			return false
		}
	case "POST /v1/login":
		return via == role.ViaHTTPS
	}
	if role.Open(rt.endpoint) {
		return true
	}
	if r == "" {
		return role.Anyone(rt.endpoint)
	}
	return role.Allows(r, rt.endpoint) && (rt.also == "" || role.Allows(r, rt.also))
}

// cell checks what one cell answered.
func (w *town) cell(t *testing.T, rt route, r role.Role, via string, status int, body string) {
	t.Helper()
	trace := w.traced()
	if may(rt, r, via) {
		if ok := status == http.StatusOK || rt.name == "POST /v1/logout" && via == role.ViaSocket && status == http.StatusBadRequest; !ok {
			t.Errorf("%s %s %q: %d %s (%q)", via, rt.name, r, status, body, trace)
		}
		return
	}
	p, err := parseProblem([]byte(body))
	if err != nil || status != http.StatusForbidden || p.Code != CodeForbidden || p.Exit != ExitPermission || p.Hint == "" || strings.Contains(body, "canary") {
		t.Errorf("%s %s %q: %d %s, want 403", via, rt.name, r, status, body)
	}
	if !slices.Equal(trace, []string{"append access"}) {
		t.Errorf("%s %s %q: %q was done for a request that is forbidden", via, rt.name, r, trace)
	}
	w.mu.Lock()
	last := w.records[len(w.records)-1].Body
	w.mu.Unlock()
	var a audit.Access
	if err := json.Unmarshal(last, &a); err != nil || a.Action != audit.ActionRefused || a.Target != string(rt.endpoint) || (via == role.ViaHTTPS) != (a.Principal.Address == "127.0.0.1") {
		t.Errorf("%s %s %q: the refusal's entry is %+v, %v", via, rt.name, r, a, err)
	}
}

func TestEveryCellOverTheSocket(t *testing.T) {
	w := furnished(t)
	s := w.server()
	h := s.Handler()
	cells := 0
	for _, rt := range s.routes() {
		method, path, _ := strings.Cut(rt.name, " ")
		for i, r := range append(role.All(), "") {
			uid := uint32(1000 + i)
			w.furnish(t, s, &caller{who: role.Principal{UID: &uid}})
			if rt.endpoint == role.RequestsDecide {
				w.requests[7].By = role.Principal{Name: "somebody else"}
			}
			answer := as(h, end{via: role.ViaSocket, uid: uid, name: "account"}, "", method, path, bodies[rt.name])
			w.cell(t, rt, r, role.ViaSocket, answer.Code, answer.Body.String())
			cells++
		}
	}
	t.Logf("%d cells", cells)
}

func TestEveryCellOverHTTPS(t *testing.T) {
	w := furnished(t)
	s := w.server()
	desk := serveTLS(t, s)
	for _, rt := range s.routes() {
		method, path, _ := strings.Cut(rt.name, " ")
		for _, r := range append(role.All(), "") {
			w.furnish(t, s, &caller{who: role.Principal{Person: cy}})
			if rt.endpoint == role.RequestsDecide {
				w.requests[7].By = role.Principal{Name: "somebody else"}
			}
			s.strangers.mu.Lock()
			clear(s.strangers.places)
			s.strangers.mu.Unlock()
			token := "token-" + string(r)
			if r == "" {
				token = "token-none"
			}
			resp, body := desk.send(t, token, method, path, bodies[rt.name])
			w.cell(t, rt, r, role.ViaHTTPS, resp.StatusCode, body)
		}
	}
}

// Without a session everything but the open endpoints is the same refusal, and
// no part hears of it.
func TestEveryRouteWithoutASession(t *testing.T) {
	w := furnished(t)
	s := w.server()
	desk := serveTLS(t, s)
	answers := map[string]bool{}
	for _, rt := range s.routes() {
		if role.Open(rt.endpoint) {
			continue
		}
		method, path, _ := strings.Cut(rt.name, " ")
		for _, token := range []string{"", "token-of-nobody"} {
			w.furnish(t, s, &caller{})
			s.strangers.mu.Lock()
			clear(s.strangers.places)
			s.strangers.mu.Unlock()
			resp, body := desk.send(t, token, method, path, bodies[rt.name])
			if trace := w.traced(); resp.StatusCode != http.StatusUnauthorized || len(trace) > 0 {
				t.Errorf("%s %q: %d, %q", rt.name, token, resp.StatusCode, trace)
			}
			answers[body] = true
		}
	}
	if len(answers) != 1 {
		t.Errorf("different answers: %v", answers)
	}
}

// A role that ended gives nothing, whoever still hands it in.
func TestEndedRolesGiveNothing(t *testing.T) {
	w := furnished(t)
	ended := role.Grant{Role: role.ComplianceOfficer, Until: new(w.started())}
	w.grants["token-ended"] = []role.Grant{ended}
	h := w.server().Handler()
	at := end{via: role.ViaHTTPS, address: "192.0.2.1"}
	if a := as(h, at, "token-ended", "POST", "/v1/search", bodies["POST /v1/search"]); a.Code != http.StatusForbidden {
		t.Errorf("search: %d %s", a.Code, a.Body)
	}
	var me WhoamiResponse
	if err := json.Unmarshal(as(h, at, "token-ended", "GET", "/v1/whoami", "").Body.Bytes(), &me); err != nil || len(me.Roles) != 0 || me.Person != cy || me.Address != "192.0.2.1" || me.Ends == nil {
		t.Errorf("whoami %+v, %v", me, err)
	}
}

// A route that names two endpoints takes a right to both.
func TestBothEndpointsCount(t *testing.T) {
	s := furnished(t).server()
	reached := 0
	h := s.around(route{name: "GET /v1/both", endpoint: role.Status, also: role.Metrics, answer: func(w http.ResponseWriter, _ *http.Request, _ *caller) error {
		reached++
		return reply(w, struct{}{})
	}})
	for i, r := range role.All() {
		before := reached
		a := as(h, end{via: role.ViaSocket, uid: uint32(1000 + i)}, "", "GET", "/v1/both", "")
		if want := r == role.Administrator; (a.Code == http.StatusOK) != want || (reached > before) != want {
			t.Errorf("%s: %d", r, a.Code)
		}
	}
}
