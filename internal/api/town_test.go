package api

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/archive/approval"
	"holdfast/archive/query"
	"holdfast/internal/role"
)

// town is everything about people behind the server, in memory. It keeps its
// trace in the house.
type town struct {
	*house
	people   []Found           // whom Find finds, by name, GUID or a name in former
	former   map[string]string // earlier name → GUID
	dept     map[string]string // by GUID
	stays    []query.Stay
	vault    *vault // nil: no part of retention
	wipes    []Wipe
	requests map[uint64]*ApprovalRequest
	grants   map[string][]role.Grant // by token
	err      error                   // of whatever changes something
}

const (
	anna = "11111111-1111-4111-8111-111111111111"
	bo   = "22222222-2222-4222-8222-222222222222"
	cy   = "33333333-3333-4333-8333-333333333333"
	kid  = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
)

func newTown(t *testing.T) *town {
	return &town{
		house: newHouse(t),
		people: []Found{
			{Ref{anna, "Anna Berg"}, []string{"u1"}}, {Ref{bo, "Bo Dahl"}, []string{"u2", "u9"}}, {Ref{cy, "Cy Holm"}, nil},
		},
		former: map[string]string{"Anna Lund": anna, "double": anna},
		dept:   map[string]string{anna: "Ward 3", bo: "Ward 3", cy: "Pharmacy"},
		wipes: []Wipe{
			{ID: "w1", Usr: "u1", Dev: "phone", Kid: kid, Person: anna, Name: "canary", State: "refused", Code: "hold_tail_open", Request: 9, Stopped: true, Told: true, Digest: strings.Repeat("ef", 32)},
			{ID: "w2", Usr: "u2", Dev: "phone", Kid: kid, Person: bo, Name: "canary", State: "refused", Code: "unknown_device", Digest: strings.Repeat("fe", 32)},
		},
		requests: map[uint64]*ApprovalRequest{},
		grants:   map[string][]role.Grant{},
	}
}

// server makes a server over the house with its town.
func (w *town) server() *Server {
	w.t.Helper()
	p := w.house.server().Parts
	p.Registry = prometheus.NewRegistry()
	p.Auth, p.People, p.Register, p.Directory, p.Devices, p.Wipes, p.Approvals = gate{w}, w, register{w}, directory{w}, devices{w}, wipes{w}, approvals{w}
	if w.vault != nil {
		p.Retention = w.vault.parts()
		p.Docket, p.Coverage = cabinet{w}, surveyor{w}
		p.Pauser = valve{w}
		p.AnchorKeeper, p.Notices = buoys{w}, buoys{w}
		p.Backups = copyist{}
		p.Kit = func(context.Context, uint32, NoteKitRequest) error { return nil }
		p.Restorer = salvor{w}
		p.Doctor = examiner{}
		p.Reload = func(context.Context) (*ReloadResponse, error) { return &ReloadResponse{LogLevel: "info"}, nil }
	}
	s, err := New(p)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *town) Find(_ context.Context, name string) ([]Found, error) {
	w.did("find")
	var found []Found
	for _, f := range w.people {
		if f.GUID == name || f.Name == name || w.former[name] == f.GUID || name == "double" && f.GUID == bo {
			found = append(found, f)
		}
	}
	return found, nil
}

func (w *town) Stays(_ context.Context, s role.Scope) ([]query.Stay, error) {
	w.did("stays of %d", len(s.Of))
	return w.stays, nil
}

func (w *town) PersonOf(usr string) (string, bool) {
	for _, f := range w.people {
		if slices.Contains(f.Usrs, usr) {
			return f.GUID, true
		}
	}
	return "", false
}

func (w *town) Department(guid string) string { return w.dept[guid] }

// gate is the town's Auth. A token is "token-" and a name of grants; uids from
// 1000 on hold one role each, in the table's order, and 999 holds none.
type gate struct{ w *town }

func (g gate) Login(_ context.Context, a Attempt) (*Granted, error) {
	g.w.did("login from %s", a.Address)
	if a.Password != "right" {
		return nil, ErrLogin
	}
	return &Granted{Token: "token-" + a.Name, Principal: role.Principal{Name: a.Name, Person: anna}, Idle: 15 * time.Minute, Ends: time.Now().Add(time.Hour)}, nil
}

func (g gate) Session(token string) (role.Principal, []role.Grant, time.Time, error) {
	grants, ok := g.w.grants[token]
	if !ok {
		return role.Principal{}, nil, time.Time{}, ErrSession
	}
	return role.Principal{Name: "Cy Holm", Person: cy, Via: role.ViaHTTPS, Address: "192.0.2.77"}, grants, time.Now().Add(time.Hour), nil
}

func (g gate) Logout(_ context.Context, token string) error {
	g.w.did("logout")
	delete(g.w.grants, token)
	return g.w.err
}

func (g gate) Local(uid uint32, name string) (role.Principal, []role.Grant) {
	who := role.Principal{UID: &uid, Name: name, Via: role.ViaSocket}
	if i := int(uid) - 1000; i >= 0 && i < len(role.All()) {
		return who, []role.Grant{{Role: role.All()[i]}}
	}
	return who, nil
}

func (g gate) BreakGlass(context.Context, role.Principal, string) ([]role.Grant, error) {
	g.w.did("break glass")
	return []role.Grant{{Role: role.ComplianceOfficer, Until: new(time.Unix(9, 0).UTC())}, {Role: role.Administrator, Until: new(time.Unix(8, 0).UTC())}}, g.w.err
}

func (g gate) IssueTicket(_ context.Context, _ role.Principal, guid, _ string) (string, time.Time, error) {
	g.w.did("ticket for %s", guid)
	return "TICKET", time.Unix(9, 0).UTC(), g.w.err
}

func (g gate) ResetFactor(_ context.Context, _ role.Principal, guid, _ string) error {
	g.w.did("reset %s", guid)
	return g.w.err
}

func (g gate) Sessions() []Session {
	g.w.did("sessions")
	return []Session{{Principal: role.Principal{Name: "canary", Person: anna}}}
}

type register struct{ w *town }

func (g register) List(_ context.Context, req PeopleRequest) (*PeopleResponse, error) {
	g.w.did("people %s limit %d", req.Match, req.Limit)
	return &PeopleResponse{People: []Person{{GUID: anna, Name: "canary"}}}, g.w.err
}

func (g register) Person(_ context.Context, guid string, at time.Time) (*PersonHistory, error) {
	g.w.did("person %s as of %d", guid, at.Year())
	return &PersonHistory{Person: Person{GUID: guid, Name: "canary"}}, g.w.err
}

func (g register) Matches(context.Context) (*MatchesResponse, error) {
	g.w.did("matches")
	return &MatchesResponse{Unmatched: []RelayUnmatched{{Usr: "u7", Name: "canary"}}}, g.w.err
}

func (g register) Match(_ context.Context, _ role.Principal, usr, guid, reason string) (*RelayMatched, error) {
	g.w.did("match %s %s", usr, guid)
	return &RelayMatched{Usr: usr, Person: guid, Name: "canary", Reason: reason}, g.w.err
}

func (g register) Block(_ context.Context, _ role.Principal, guid string, block bool, _ string) (*Person, error) {
	g.w.did("block %s %v", guid, block)
	return &Person{GUID: guid, Name: "canary", Blocked: block}, g.w.err
}

type directory struct{ w *town }

func (d directory) Status(context.Context) (*DirectoryStatus, error) {
	return &DirectoryStatus{Configured: true}, nil
}

func (d directory) Diff(context.Context) (*DirectoryDiff, error) {
	d.w.did("diff")
	return &DirectoryDiff{Changes: []DirectoryChange{{Name: "canary"}}}, d.w.err
}

func (d directory) Sync(context.Context) (*DirectoryReport, error) {
	d.w.did("sync")
	return &DirectoryReport{Applied: true}, d.w.err
}

func (d directory) Approve(_ context.Context, _ role.Principal, digest string, approve bool, _ string) (*ApproveDiffResponse, error) {
	d.w.did("approve diff %s %v", digest[:4], approve)
	return &ApproveDiffResponse{Report: &DirectoryReport{Applied: true}}, d.w.err
}

type devices struct{ w *town }

func (d devices) Devices(context.Context) ([]Device, error) {
	d.w.did("devices")
	return []Device{{Kid: kid, Fingerprint: Fingerprint(kid), Usr: "u1", Name: "canary"}}, d.w.err
}

func (d devices) Approve(_ context.Context, _ role.Principal, kid, _ string) (*Device, error) {
	d.w.did("approve device %s", kid)
	return &Device{Kid: kid, Name: "canary"}, d.w.err
}

type wipes struct{ w *town }

func (v wipes) Wipes(context.Context) ([]Wipe, error) {
	v.w.did("wipes")
	return v.w.wipes, v.w.err
}

func (v wipes) Wipe(_ context.Context, id string) (*Wipe, error) {
	for _, w := range v.w.wipes {
		if w.ID == id {
			return &w, v.w.err
		}
	}
	return nil, ErrUnknown
}

// approvals keeps the rules that the API relies on.
type approvals struct{ w *town }

func (a approvals) Requests(context.Context, bool) ([]ApprovalRequest, error) {
	a.w.did("requests")
	var all []ApprovalRequest
	for _, seq := range slices.Sorted(maps.Keys(a.w.requests)) {
		all = append(all, *a.w.requests[seq])
	}
	return all, a.w.err
}

func (a approvals) Request(_ context.Context, seq uint64) (*ApprovalRequest, error) {
	a.w.did("request %d", seq)
	if r, ok := a.w.requests[seq]; ok {
		return r, nil
	}
	return nil, approval.ErrUnknown
}

func (a approvals) Ask(_ context.Context, who role.Principal, ask Ask) (*ApprovalRequest, error) {
	a.w.did("ask %s: %s", ask.Act, ask.Summary)
	if strings.TrimSpace(ask.Reason) == "" {
		return nil, approval.ErrInvalid
	}
	seq := uint64(100 + len(a.w.requests))
	a.w.requests[seq] = &ApprovalRequest{Seq: seq, Act: ask.Act, Digest: ask.Digest, Summary: ask.Summary, By: who, Reason: ask.Reason, Status: "pending"}
	return a.w.requests[seq], a.w.err
}

func (a approvals) Decide(_ context.Context, who role.Principal, seq uint64, approve bool, _ string) (*ApprovalRequest, error) {
	a.w.did("decide %d %v", seq, approve)
	r, ok := a.w.requests[seq]
	switch {
	case !ok:
		return nil, approval.ErrUnknown
	case r.By.ID() == who.ID():
		return nil, approval.ErrSelf
	}
	r.Status = "approved"
	return r, a.w.err
}

func (a approvals) Execute(_ context.Context, _ role.Principal, seq uint64, act, digest string) error {
	a.w.did("execute %d", seq)
	switch r := a.w.requests[seq]; {
	case r.Status == "executed":
		return approval.ErrUsed
	case r.Status != "approved":
		return approval.ErrNotApproved
	case r.Act != act || r.Digest != digest:
		return approval.ErrDigest
	default:
		r.Status = "executed"
		return nil
	}
}
