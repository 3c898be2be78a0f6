package command

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/archive/approval"
	"holdfast/archive/audit"
	"holdfast/archive/query"
	"holdfast/internal/api"
	"holdfast/internal/role"
)

// town is whom the house knows: people, their devices and sessions, and what
// waits for a second person. Its fields are guarded by the house's mutex.
type town struct {
	sessions map[string]bool // by token
	opened   int
	enrolled bool // jdoe has a second factor: pending until its first code
	tickets  []string
	blocked  bool // Anna Berg
	matched  string
	pending  *api.PendingDiff
	approved *time.Time // the device
	requests []api.ApprovalRequest
	unknown  bool // no directory is configured
}

const (
	annaGUID = "1f0e6a7c-0000-4000-8000-00000000000a"
	bobGUID  = "1f0e6a7c-0000-4000-8000-00000000000b"
	jdoeGUID = "1f0e6a7c-0000-4000-8000-00000000000d"
	device   = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
	digest   = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
)

func newTown() town {
	return town{sessions: map[string]bool{}, enrolled: true, pending: &api.PendingDiff{Digest: digest, Since: received,
		Counts: map[string]int{"depart": 31, "change": 2}, Rails: []api.Rail{{Code: "loss", Text: "31 of 60 people would depart"}}, Request: 7, Suspended: 2},
		requests: []api.ApprovalRequest{
			{Seq: 8, Act: api.ActLargeExport, Digest: digest, Summary: "a production of 20000 entries", By: role.Principal{Name: "jdoe", Person: jdoeGUID, Via: role.ViaHTTPS},
				Reason: "subpoena 26-118", At: received, Expires: received.AddDate(0, 0, 7), Status: "pending"},
			{Seq: 7, Act: api.ActDirectoryDiff, Digest: digest, Summary: "33 changes", By: role.Daemon(), Reason: "rails: loss", At: received, Expires: received.AddDate(0, 0, 7), Status: "pending"},
		}}
}

// porter is the house's api.Auth: jdoe's password is "correct horse", the code
// 123456, and the ticket AAAA.
type porter struct{ *house }

func (p porter) Login(_ context.Context, a api.Attempt) (*api.Granted, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.Name != "jdoe" || a.Password != "correct horse" {
		return nil, api.ErrLogin
	}
	who := role.Principal{Name: "jdoe", Person: jdoeGUID, Via: role.ViaHTTPS, Address: a.Address}
	if a.Ticket == "AAAA" && a.Code == "" {
		p.enrolled = true
		return &api.Granted{Principal: who, Enrol: &api.Enrolment{Secret: "JBSWY3DPEHPK3PXP", URL: "otpauth://totp/Holdfast:jdoe?secret=JBSWY3DPEHPK3PXP&issuer=Holdfast",
			RecoveryCodes: []string{"aaaaa-bbbbb", "ccccc-ddddd"}}}, nil
	}
	if !p.enrolled || a.Code != "123456" {
		return nil, api.ErrLogin
	}
	p.opened++
	token := "hf1.token" + strconv.Itoa(p.opened)
	p.sessions[token] = true
	return &api.Granted{Token: token, Principal: who, Grants: officer(), Idle: 15 * time.Minute, Ends: received.Add(10 * time.Hour)}, nil
}

func officer() []role.Grant {
	until := received.AddDate(100, 0, 0)
	return []role.Grant{{Role: role.ComplianceOfficer, Source: "GG-Compliance"}, {Role: role.Auditor, Department: "Pathology\x1b", Until: &until, Source: "GG-Audit"}}
}

func (p porter) Session(token string) (role.Principal, []role.Grant, time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.sessions[token] {
		return role.Principal{}, nil, time.Time{}, api.ErrSession
	}
	return role.Principal{Name: "jdoe", Person: jdoeGUID, Via: role.ViaHTTPS}, officer(), received.Add(10 * time.Hour), nil
}

func (p porter) Logout(_ context.Context, token string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full {
		return audit.ErrUnaudited
	}
	delete(p.sessions, token)
	return nil
}

func (p porter) Local(uid uint32, name string) (role.Principal, []role.Grant) {
	var grants []role.Grant
	for _, r := range role.All() {
		grants = append(grants, role.Grant{Role: r, Source: "holdfastd.toml"})
	}
	return role.Principal{UID: &uid, Name: name, Via: role.ViaSocket}, grants
}

func (p porter) BreakGlass(_ context.Context, _ role.Principal, reason string) ([]role.Grant, error) {
	if reason == "just curious" {
		return nil, api.ErrForbidden
	}
	until := received.Add(time.Hour)
	return []role.Grant{{Role: role.ComplianceOfficer, Until: &until, Source: "break-glass"}}, nil
}

func (p porter) IssueTicket(_ context.Context, _ role.Principal, guid, _ string) (string, time.Time, error) {
	p.set(func() { p.tickets = append(p.tickets, guid) })
	return "AAAA-BBBB", received.Add(24 * time.Hour), nil
}

func (p porter) ResetFactor(context.Context, role.Principal, string, string) error {
	p.set(func() { p.enrolled = false; clear(p.sessions) })
	return nil
}

func (p porter) Sessions() []api.Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []api.Session
	for range p.sessions {
		list = append(list, api.Session{Principal: role.Principal{Name: "jdoe", Person: jdoeGUID, Via: role.ViaHTTPS, Address: "192.0.2.7"}, Roles: officer(),
			Began: received, Used: received.Add(time.Minute), Ends: received.Add(10 * time.Hour)})
	}
	return list
}

// clerk is the house's api.People and api.Register.
type clerk struct{ *house }

func (c clerk) Find(_ context.Context, name string) ([]api.Found, error) {
	anna := api.Found{Ref: api.Ref{GUID: annaGUID, Name: "Anna Berg"}, Usrs: []string{"u1"}}
	bob := api.Found{Ref: api.Ref{GUID: bobGUID, Name: "Bob Meyer"}}
	jdoe := api.Found{Ref: api.Ref{GUID: jdoeGUID, Name: "Jane Doe"}, Usrs: []string{"u4"}}
	switch strings.ToLower(name) {
	case "anna berg", "aberg", annaGUID:
		return []api.Found{anna}, nil
	case "meyer": // Anna's name before she married
		return []api.Found{anna, bob}, nil
	case "jdoe", jdoeGUID:
		return []api.Found{jdoe}, nil
	}
	return nil, nil
}

func (c clerk) Stays(context.Context, role.Scope) ([]query.Stay, error) { return nil, nil }
func (c clerk) PersonOf(usr string) (string, bool)                      { return annaGUID, usr == "u1" }
func (c clerk) Department(string) string                                { return "" }

func (c clerk) anna() api.Person {
	since := received
	return api.Person{GUID: annaGUID, Name: "Anna Berg", Account: "aberg", UPN: "aberg@example.org", Mail: "a.berg@example.org", Title: "MD", Department: "Pathology",
		DN: "CN=Anna Berg,OU=Staff,DC=example,DC=org", Status: "active", Blocked: c.blocked, Since: &since,
		Groups: []api.Ref{{GUID: bobGUID, Name: "GG-Ward3"}}, Usrs: []string{"u1"}}
}

func (c clerk) bob() api.Person {
	since := received
	return api.Person{GUID: bobGUID, Name: "Bob \u202eMeyer", Account: "bmeyer", UPN: "bmeyer@example.org", Department: "IT\x1b[2J",
		DN: "CN=Bob Meyer,DC=example,DC=org", Status: "departed", Why: "disabled", Since: &since, Groups: []api.Ref{}, Usrs: []string{}}
}

func (c clerk) List(_ context.Context, req api.PeopleRequest) (*api.PeopleResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	resp := &api.PeopleResponse{People: []api.Person{}}
	for _, p := range []api.Person{c.anna(), c.bob()} {
		if (req.Departed || p.Status == "active") && strings.Contains(strings.ToLower(p.Name), strings.ToLower(req.Match)) && p.GUID > req.After {
			resp.People = append(resp.People, p)
		}
	}
	if req.Limit > 0 && len(resp.People) > req.Limit {
		resp.People, resp.More = resp.People[:req.Limit], true
	}
	return resp, nil
}

func (c clerk) Person(_ context.Context, guid string, at time.Time) (*api.PersonHistory, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to := received.Add(48 * time.Hour)
	if guid == bobGUID {
		return &api.PersonHistory{Person: c.bob(), Versions: []api.Version{}, Memberships: []api.Membership{}, Matches: []api.RelayMatched{}}, nil
	}
	h := &api.PersonHistory{Person: c.anna(),
		Versions: []api.Version{
			{Seq: 20, At: received, Op: "add", Name: "Anna Meyer", Account: "ameyer", UPN: "ameyer@example.org", Mail: "a.meyer@example.org", Department: "Pathology"},
			{Seq: 31, At: received.Add(24 * time.Hour), Op: "change", Name: "Anna Berg", Account: "aberg", UPN: "aberg@example.org", Mail: "a.berg@example.org", Department: "Pathology",
				Fields: []string{"name", "account", "upn", "mail"}},
			{Seq: 40, At: received.Add(36 * time.Hour), Op: "block", Name: "Anna Berg", Account: "aberg", By: &role.Principal{Name: "root", UID: new(uint32)}, Reason: "HR case"},
		},
		Memberships: []api.Membership{{Group: bobGUID, Name: "GG-Ward3", From: received, Direct: true}, {Group: jdoeGUID, Name: "GG-House", From: received, To: &to}},
		Matches:     []api.RelayMatched{{Usr: "u1", Person: annaGUID, Name: "Anna Berg", How: "upn", Seq: 22, At: received}},
	}
	if !at.IsZero() && at.Before(received.Add(24*time.Hour)) {
		h.Name, h.Account = "Anna Meyer", "ameyer"
		h.Versions = h.Versions[:1]
	}
	return h, nil
}

func (c clerk) Matches(context.Context) (*api.MatchesResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	resp := &api.MatchesResponse{Matched: []api.RelayMatched{{Usr: "u1", Person: annaGUID, Name: "Anna Berg", How: "upn", Seq: 22, At: received}},
		Unmatched: []api.RelayUnmatched{{Usr: "u9", UPN: "x@example.org", Mail: "y@example.org", Name: "A. B\x07erg", Reason: "conflict"}}}
	if c.matched != "" {
		resp.Unmatched = nil
		resp.Matched = append(resp.Matched, api.RelayMatched{Usr: "u9", Person: c.matched, Name: "Anna Berg", How: "person", Seq: 50, At: received,
			By: &role.Principal{Name: "root", UID: new(uint32)}, Reason: "maiden name"})
	}
	return resp, nil
}

func (c clerk) Match(_ context.Context, who role.Principal, usr, guid, reason string) (*api.RelayMatched, error) {
	c.set(func() { c.matched = guid })
	m := &api.RelayMatched{Usr: usr, Person: guid, How: "person", Seq: 50, At: received, By: &who, Reason: reason}
	if guid != "" {
		m.Name = "Anna Berg"
	}
	return m, nil
}

func (c clerk) Block(_ context.Context, _ role.Principal, _ string, block bool, _ string) (*api.Person, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocked = block
	p := c.anna()
	return &p, nil
}

// registrar is the house's api.Directory.
type registrar struct{ *house }

func (r registrar) Status(context.Context) (*api.DirectoryStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := received
	return &api.DirectoryStatus{Configured: true, Source: "dc1.example.org", LastTry: &at, LastSuccess: &at, Took: 0.412, People: 60, Departed: 3, Groups: 12,
		Matched: 41, Unmatched: 1, Missing: []string{"GG-Records"}, Pending: r.pending}, nil
}

func (r registrar) Diff(context.Context) (*api.DirectoryDiff, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil {
		return &api.DirectoryDiff{Digest: digest, Changes: []api.DirectoryChange{}}, nil
	}
	return &api.DirectoryDiff{Pending: r.pending, Digest: digest, Changes: []api.DirectoryChange{
		{Subject: "person", Op: "depart", GUID: bobGUID, Name: "Bob \u202eMeyer", Why: "disabled"},
		{Subject: "person", Op: "change", GUID: annaGUID, Name: "Anna Berg", Fields: []string{"name", "mail"}},
		{Subject: "group", Op: "change", GUID: jdoeGUID, Name: "GG-Ward3", Added: []string{annaGUID}, Removed: []string{bobGUID, jdoeGUID}},
	}}, nil
}

func (r registrar) report() *api.DirectoryReport {
	return &api.DirectoryReport{Applied: r.pending == nil, Source: "dc1.example.org", People: 60, Groups: 12, Counts: map[string]int{"change": 2}, Digest: digest, Pending: r.pending, Took: 0.4}
}

func (r registrar) Sync(context.Context) (*api.DirectoryReport, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.report()
	if r.pending == nil { // as the daemon says it when log and directory agree
		s.Applied, s.Counts = false, map[string]int{}
	}
	return s, nil
}

func (r registrar) Approve(ctx context.Context, who role.Principal, d string, approve bool, reason string) (*api.ApproveDiffResponse, error) {
	if d != digest {
		return nil, api.ErrUnknown
	}
	req, err := notary(r).Decide(ctx, who, 7, approve, reason)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = nil
	if !approve {
		return &api.ApproveDiffResponse{Request: req}, nil
	}
	return &api.ApproveDiffResponse{Request: req, Report: r.report()}, nil
}

// mechanic is the house's api.Devices.
type mechanic struct{ *house }

func (m mechanic) Devices(context.Context) ([]api.Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := api.Device{Kid: device, Fingerprint: "NzbL sXh8 uDCc d-6M NwXF 4W_7 noWX FZAf HkxZ sRGC 9Xs", Usr: "u1", Dev: "phone\x1b", Person: annaGUID, Name: "Anna Berg",
		Assurance: "relay-asserted", Added: received, Approved: m.approved}
	if m.approved != nil {
		d.Assurance, d.By = "enrolled", "root (0)"
	}
	return []api.Device{d}, nil
}

func (m mechanic) Approve(ctx context.Context, _ role.Principal, _, _ string) (*api.Device, error) {
	m.set(func() { at := received.Add(time.Hour); m.approved = &at })
	list, err := m.Devices(ctx)
	return &list[0], err
}

// notary is the house's api.Approvals.
type notary struct{ *house }

func (n notary) Requests(_ context.Context, all bool) ([]api.ApprovalRequest, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(n.requests), func(r api.ApprovalRequest) bool { return !all && r.Status != "pending" }), nil
}

func (n notary) Request(_ context.Context, seq uint64) (*api.ApprovalRequest, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.requests, func(r api.ApprovalRequest) bool { return r.Seq == seq })
	if i < 0 {
		return nil, approval.ErrUnknown
	}
	r := n.requests[i]
	return &r, nil
}

func (n notary) Ask(_ context.Context, who role.Principal, a api.Ask) (*api.ApprovalRequest, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := api.ApprovalRequest{Seq: 99, Act: a.Act, Digest: a.Digest, Summary: a.Summary, By: who, Reason: a.Reason, At: received, Expires: received.AddDate(0, 0, 7), Status: "pending"}
	n.requests = append([]api.ApprovalRequest{r}, n.requests...)
	return &r, nil
}

func (n notary) Decide(ctx context.Context, who role.Principal, seq uint64, approve bool, reason string) (*api.ApprovalRequest, error) {
	r, err := n.Request(ctx, seq)
	switch {
	case err != nil:
		return nil, err
	case r.By.ID() == who.ID():
		return nil, approval.ErrSelf
	case r.Status != "pending":
		return nil, approval.ErrDecided
	}
	r.Status = "denied"
	if approve {
		r.Status = "approved"
	}
	r.Decision = &api.Decision{Seq: 60, By: who, At: received.Add(time.Hour), Approve: approve, Reason: reason}
	n.set(func() {
		n.requests[slices.IndexFunc(n.requests, func(r api.ApprovalRequest) bool { return r.Seq == seq })] = *r
	})
	return r, nil
}

func (n notary) Execute(ctx context.Context, _ role.Principal, seq uint64, _, _ string) error {
	r, err := n.Request(ctx, seq)
	switch {
	case err != nil:
		return err
	case r.Status != "approved":
		return approval.ErrNotApproved
	}
	n.set(func() {
		n.requests[slices.IndexFunc(n.requests, func(r api.ApprovalRequest) bool { return r.Seq == seq })].Status = "executed"
	})
	return nil
}

// certify makes an authority and with it a certificate for 127.0.0.1, as files
// of dir.
func certify(dir string) (ca, cert, key string, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", "", err
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "house"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", "", err
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, &caKey.PublicKey, caKey)
	if err != nil {
		return "", "", "", err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, &leafKey.PublicKey, caKey)
	if err != nil {
		return "", "", "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return "", "", "", err
	}
	ca, cert, key = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(path, kind string, der []byte) error {
		return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	}
	return ca, cert, key, errors.Join(write(ca, "CERTIFICATE", caDER), write(cert, "CERTIFICATE", leafDER), write(key, "PRIVATE KEY", keyDER))
}
