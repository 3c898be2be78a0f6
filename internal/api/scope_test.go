package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive/audit"
	"holdfast/archive/query"
	"holdfast/internal/role"
	"holdfast/retention"
)

// officer is a compliance officer of one department over HTTPS: Cy Holm.
func (w *town) officer(g ...role.Grant) {
	w.grants["token-officer"] = append([]role.Grant{{Role: role.ComplianceOfficer, Department: "Ward 3"}}, g...)
}

func (w *town) ask(s *Server, route, body string) (int, string) {
	method, path, _ := strings.Cut(route, " ")
	a := as(s.Handler(), end{via: role.ViaHTTPS, address: "192.0.2.1"}, "token-officer", method, path, body)
	return a.Code, a.Body.String()
}

func day(n int) time.Time { return time.Date(2026, 1, n, 12, 0, 0, 0, time.UTC) }

// A scoped search asks its part for what is in scope, and for nothing else; an
// unscoped grant beside it lifts that.
func TestSearchWithinScope(t *testing.T) {
	for name, unscoped := range map[string]bool{"scoped": false, "unscoped": true} {
		w := newTown(t)
		w.stays = []query.Stay{{Usrs: []string{"u1"}, From: day(10), To: day(20)}}
		w.officer()
		if unscoped {
			w.officer(role.Grant{Role: role.ComplianceOfficer})
		}
		s := w.server()
		asked := map[string]*query.Query{}
		s.Search = catcher{w, asked}
		s.Produce = catcher{w, asked}
		for _, route := range []string{"POST /v1/search", "POST /v1/export"} {
			if status, body := w.ask(s, route, bodies[route]); status != http.StatusOK {
				t.Fatalf("%s: %d %s", name, status, body)
			}
		}
		for what, q := range asked {
			in := query.Doc{Text: "canary", From: query.Parties{{Usr: "u1"}}, Received: day(15)}
			out := query.Doc{Text: "canary", From: query.Parties{{Usr: "u2"}}, Received: day(15)}
			after := query.Doc{Text: "canary", From: query.Parties{{Usr: "u1"}}, Received: day(21)}
			other := query.Doc{Text: "x", From: query.Parties{{Usr: "u1"}}, Received: day(15)}
			if !q.Match(&in) || q.Match(&out) != unscoped || q.Match(&after) != unscoped || q.Match(&other) || q.String() != "canary" {
				t.Errorf("%s %s asks for %v %v %v %v", name, what, q.Match(&in), q.Match(&out), q.Match(&after), q.Match(&other))
			}
		}
		if len(asked) != 2 || slices.Contains(w.traced(), "stays of 1") == unscoped {
			t.Errorf("%s: %d, %q", name, len(asked), w.traced())
		}
	}
	// Whose the messages are cannot be told: nothing is looked at.
	w := newTown(t)
	w.officer()
	s := w.server()
	s.People = nil
	for _, route := range []string{"POST /v1/search", "POST /v1/export", "POST /v1/show"} {
		if status, body := w.ask(s, route, bodies[route]); status != http.StatusForbidden || strings.Contains(body, "canary") {
			t.Errorf("%s without a directory: %d %s", route, status, body)
		}
	}
	for _, did := range w.traced() {
		if !strings.HasPrefix(did, "append") {
			t.Errorf("did %q", did)
		}
	}
}

func TestShowWithinScope(t *testing.T) {
	w := newTown(t)
	w.stays = []query.Stay{{Usrs: []string{"u1"}, From: day(10), To: day(20)}}
	w.officer()
	message := func(seq uint64, from string, at time.Time, to ...string) Shown {
		return Shown{Seq: seq, Kind: "message", Class: "c", Received: at, LeafHash: "h", Epoch: "e", Note: json.RawMessage(`{"canary":1}`), Body: json.RawMessage(`"canary"`),
			Message: &Hit{Seq: seq, FromUsr: from, ToUsrs: to, Text: "canary", Received: at}}
	}
	w.shown = []Shown{
		message(1, "u1", day(15), "u2"), message(2, "u2", day(15), "u5", "u1"), message(3, "u2", day(15), "u5"), message(4, "u1", day(21), "u2"),
		{Seq: 5, Kind: "access", Class: "audit", Received: day(15), Body: json.RawMessage(`"canary"`)},
		{Seq: 6, Kind: "quarantine", Class: "c", Received: day(15), Raw: []byte("canary"), Note: json.RawMessage(`"canary"`)},
		{Seq: 7, Kind: "message", Class: "c", Received: day(15), Missing: "its body is damaged", Note: json.RawMessage(`"canary"`)},
		{Seq: 8, Kind: "message", Class: "c", Received: day(15), Message: &Hit{Seq: 8, Missing: "gone"}},
		{Seq: 9, Kind: "redelivery", Class: "c", Received: day(15), Message: &Hit{FromUsr: "u1", Text: "canary"}},
	}
	all := slices.Clone(w.shown)
	s := w.server()
	var resp ShowResponse
	status, body := w.ask(s, "POST /v1/show", `{"seqs":[1,2,3,4,5,6,7,8,9],"reason":"r"}`)
	if err := json.Unmarshal([]byte(body), &resp); err != nil || status != 200 || len(resp.Entries) != 9 {
		t.Fatalf("%d %s, %v", status, body, err)
	}
	for i, e := range resp.Entries {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if in := i < 2; in != strings.Contains(string(b), "canary") || in == (e.Missing == outOfScope) || e.Seq != uint64(i+1) || e.Kind == "" {
			t.Errorf("entry %d: %s", e.Seq, b)
		}
	}
	if o := outcomeOf(t, w.records[2]); o.Total != 9 || o.Shown != 2 || !slices.Equal(o.Custodians, []string{"u1", "u2", "u5"}) {
		t.Errorf("outcome %+v", o)
	}
	w.shown = all
	w.officer(role.Grant{Role: role.ComplianceOfficer})
	if status, body := w.ask(s, "POST /v1/show", `{"seqs":[1,2,3,4,5,6,7,8,9],"reason":"r"}`); status != 200 || strings.Contains(body, outOfScope) {
		t.Errorf("unscoped: %d %s", status, body)
	}
}

// Names in a query are taken for whoever ever had them, and the answer says so.
func TestNamesInQueries(t *testing.T) {
	w := newTown(t)
	w.grants["token-officer"] = []role.Grant{{Role: role.ComplianceOfficer}}
	s := w.server()
	asked := map[string]*query.Query{}
	s.Search = catcher{w, asked}
	status, body := w.ask(s, "POST /v1/search", `{"query":"from:\"Anna Lund\" OR to:double OR to:nobody","reason":"r"}`)
	var resp SearchResponse
	if err := json.Unmarshal([]byte(body), &resp); err != nil || status != 200 {
		t.Fatalf("%d %s, %v", status, body, err)
	}
	want := []Named{
		{"Anna Lund", []Ref{{anna, "Anna Berg"}}, []string{"u1"}},
		{"double", []Ref{{anna, "Anna Berg"}, {bo, "Bo Dahl"}}, []string{"u1", "u2", "u9"}},
	}
	if got, err := json.Marshal(resp.People); err != nil || string(got) != must(t, want) {
		t.Errorf("people %s", got)
	}
	for usr, in := range map[string]bool{"u9": true, "u8": false} {
		if d := (query.Doc{To: query.Parties{{Usr: usr, Name: "called otherwise now"}}}); asked["search"].Match(&d) != in {
			t.Errorf("%s: %v", usr, !in)
		}
	}
	if trace := w.traced(); trace[0] != "append access" {
		t.Errorf("people were looked up before the access was recorded: %q", trace)
	}
}

func must(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The outcome says whose messages were handed out, and whether the principal's
// own or colleagues' were among them.
func TestWhoseMessages(t *testing.T) {
	for name, tt := range map[string]struct {
		dept       string // of Cy Holm, who looks
		usrs       []string
		hits       []Hit
		custodians []string
		own        bool
		colleagues uint64
	}{
		"strangers":         {"Pharmacy", nil, []Hit{{FromUsr: "u1", ToUsrs: []string{"u2", "u7"}}, {FromUsr: "u1"}}, []string{"u1", "u2", "u7"}, false, 0},
		"colleagues":        {"Ward 3", nil, []Hit{{FromUsr: "u1", ToUsrs: []string{"u2"}}, {FromUsr: "u7", ToUsrs: []string{"u2"}}, {FromUsr: "u7"}}, []string{"u1", "u2", "u7"}, false, 2},
		"own":               {"Pharmacy", []string{"u3"}, []Hit{{FromUsr: "u7", ToUsrs: []string{"u3"}}}, []string{"u3", "u7"}, true, 0},
		"nothing":           {"Pharmacy", nil, nil, []string{}, false, 0},
		"of no department":  {"", nil, []Hit{{FromUsr: "u1"}}, []string{"u1"}, false, 0},
		"without parties":   {"Pharmacy", nil, []Hit{{Missing: "damaged"}}, []string{}, false, 0},
		"colleague and own": {"Ward 3", []string{"u3"}, []Hit{{FromUsr: "u3", ToUsrs: []string{"u1"}}}, []string{"u1", "u3"}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			w.grants["token-officer"] = []role.Grant{{Role: role.ComplianceOfficer}}
			w.dept[cy] = tt.dept
			w.people[2].Usrs = tt.usrs
			w.found = SearchResponse{Extent: Extent{Total: 9}, Hits: tt.hits}
			w.shown = nil
			for _, h := range tt.hits {
				w.shown = append(w.shown, Shown{Kind: "message", Message: &h})
			}
			inner := w.produce
			w.produce = wrap(inner, tt.custodians)
			s := w.server()
			for i, route := range []string{"POST /v1/search", "POST /v1/show", "POST /v1/export"} {
				if status, body := w.ask(s, route, bodies[route]); status != 200 {
					t.Fatalf("%s: %d %s", route, status, body)
				}
				o := outcomeOf(t, w.records[2+2*i])
				colleagues := tt.colleagues == o.Colleagues || i == 2 && (tt.colleagues > 0) == (o.Colleagues > 0)
				if o.Custodians == nil || !slices.Equal(o.Custodians, tt.custodians) || o.Own != tt.own || !colleagues {
					t.Errorf("%s: outcome %+v", route, o)
				}
			}
		})
	}
}

func TestMatters(t *testing.T) {
	w := newTown(t)
	w.vault = newVault(w)
	w.vault.matters = []retention.Matter{
		{ID: "M-1", Members: []string{"person:" + cy}}, {ID: "M-2", Members: []string{cy}, Custodians: []string{cy}}, {ID: "M-3", Members: []string{anna}},
	}
	w.grants["token-officer"] = []role.Grant{{Role: role.ComplianceOfficer}}
	s := w.server()
	for _, route := range []string{"POST /v1/search", "POST /v1/show", "POST /v1/export", "POST /v1/export/ask"} {
		said := map[string]bool{}
		for matter, want := range map[string]int{"M-1": 200, "M-2": 403, "M-3": 403, "M-canary": 403} {
			w.furnish(t, s, &caller{who: role.Principal{Person: cy}})
			status, body := w.ask(s, route, strings.Replace(bodies[route], `"reason":"r"`, `"matter":"`+matter+`"`, 1))
			if status != want {
				t.Errorf("%s %s: %d %s", route, matter, status, body)
			}
			if want == 200 {
				continue
			}
			said[body] = true
			trace := w.traced()
			var a audit.Access
			if err := json.Unmarshal(w.records[len(w.records)-1].Body, &a); err != nil || a.Action != audit.ActionRefused || a.Matter != matter || a.Code != CodeMatter || a.Principal.Person != cy {
				t.Errorf("%s %s: the refusal's entry is %+v, %v", route, matter, a, err)
			}
			if !slices.Equal(trace, []string{"append access"}) {
				t.Errorf("%s %s: %q", route, matter, trace)
			}
		}
		if len(said) != 1 {
			t.Errorf("%s: a matter that does not exist can be told from one of others: %v", route, said)
		}
	}
	p := role.Principal{Person: cy}
	for matter, want := range map[string]string{"M-1": "M-1", "M-2": Held, "M-3": Held, "M-4": Held} {
		if got := s.known(matter).As(p); got != want {
			t.Errorf("%s is %q to Cy Holm, want %q", matter, got, want)
		}
	}
	account := &Matter{ID: "M-5", Members: []string{"uid:7"}}
	if account.As(role.Principal{UID: new(uint32(7))}) != "M-5" || account.As(role.Principal{UID: new(uint32(8))}) != Held || (&Matter{ID: "x", Members: []string{""}}).As(role.Principal{}) != Held {
		t.Error("accounts of the appliance are not told apart")
	}
}
