package auth

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryLog is a Log in memory; its entries' times are the bubble's.
type memoryLog struct {
	mu      sync.Mutex
	records []archive.Record
	fail    func(archive.Entry) error // asked before an entry is taken
	lie     func(archive.Entry) error // asked after: the entry is there and the caller hears an error
}

func (m *memoryLog) Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var placed []archive.Placed
	for _, e := range b.Entries {
		if m.fail != nil {
			if err := m.fail(e); err != nil {
				return nil, err
			}
		}
		seq := uint64(len(m.records))
		m.records = append(m.records, archive.Record{
			Leaf: proof.Leaf{Seq: seq, Kind: e.Kind, Class: e.Class, Received: time.Now().UnixMilli()}, Body: e.Body,
		})
		placed = append(placed, archive.Placed{Seq: seq, Kind: e.Kind})
		if m.lie != nil {
			if err := m.lie(e); err != nil {
				return nil, err
			}
		}
	}
	return placed, nil
}

func (m *memoryLog) Size() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.records))
}

func (m *memoryLog) ClassRecords(_ context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error] {
	m.mu.Lock()
	records := slices.Clone(m.records[from:to])
	m.mu.Unlock()
	return func(yield func(archive.Record, error) bool) {
		for _, r := range records {
			if r.Leaf.Class == class && !yield(r, nil) {
				return
			}
		}
	}
}

// accesses returns the audit's entries of some action, oldest first.
func (m *memoryLog) accesses(t *testing.T, action audit.Action) []audit.Access {
	t.Helper()
	var out []audit.Access
	for r := range m.ClassRecords(t.Context(), proof.ClassAudit, 0, m.Size()) {
		var a audit.Access
		if err := json.Unmarshal(r.Body, &a); err != nil {
			t.Fatal(err)
		}
		if a.Action == action {
			out = append(out, a)
		}
	}
	return out
}

func (m *memoryLog) lastCode(t *testing.T) string {
	t.Helper()
	all := m.accesses(t, audit.ActionLogin)
	if len(all) == 0 {
		t.Fatal("the audit has no login")
	}
	return all[len(all)-1].Code
}

func (m *memoryLog) alarms(t *testing.T) (names []string) {
	t.Helper()
	for r := range m.ClassRecords(t.Context(), proof.ClassControl, 0, m.Size()) {
		if r.Leaf.Kind != proof.KindAlarm {
			continue
		}
		var a archive.AlarmBody
		if err := json.Unmarshal(r.Body, &a); err != nil {
			t.Fatal(err)
		}
		names = append(names, a.Name+" "+a.Severity)
	}
	return names
}

// folk are People in memory.
type folk struct {
	mu     sync.Mutex
	people map[string]Person
	former map[string][]string // names that people had once
	groups map[string]string   // name by GUID
}

func (f *folk) Find(name string) (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for guid, p := range f.people {
		if strings.EqualFold(p.Account, name) || strings.EqualFold(p.UPN, name) || strings.EqualFold(guid, name) || slices.Contains(f.former[guid], name) {
			out = append(out, guid)
		}
	}
	slices.Sort(out)
	return out
}

func (f *folk) Owners(name string) (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for guid, p := range f.people {
		if strings.EqualFold(p.UPN, name) || strings.EqualFold(guid, name) || slices.Contains(f.former[guid], name) {
			out = append(out, guid)
		}
	}
	slices.Sort(out)
	return out
}

func (f *folk) Person(guid string) (Person, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.people[guid]
	p.Groups = slices.Clone(p.Groups)
	return p, ok
}

func (f *folk) Group(ref string) (string, string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for guid, name := range f.groups {
		if ref == guid || ref == name {
			return guid, name, true
		}
	}
	return "", "", false
}

func (f *folk) change(guid string, do func(*Person)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.people[guid]
	do(&p)
	f.people[guid] = p
}

// controller is a Directory.
type controller struct {
	mu        sync.Mutex
	passwords map[string]string   // by login name
	guids     map[string]string   // by login name
	groups    map[string][]string // by GUID
	fail      error
	takes     time.Duration
	binds     int
}

type subError string

func (e subError) Error() string   { return "refused: " + string(e) }
func (e subError) SubCode() string { return string(e) }

func (c *controller) Authenticate(ctx context.Context, name, password string) (string, []string, error) {
	name = strings.ToLower(name)
	c.mu.Lock()
	c.binds++
	takes, fail, right, guid := c.takes, c.fail, c.passwords[name] == password, c.guids[name]
	groups := slices.Clone(c.groups[guid])
	c.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return "", nil, ctx.Err()
		}
	}
	if fail != nil {
		return "", nil, fail
	}
	if !right {
		return "", nil, subError("52e")
	}
	return guid, groups, nil
}

func (c *controller) bindCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.binds
}

const (
	alice     = "11111111-1111-1111-1111-111111111111"
	bob       = "22222222-2222-2222-2222-222222222222"
	officers  = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
	auditors  = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"
	password  = "correct horse"
	desk      = "10.0.0.7"
	elsewhere = "203.0.113.9"
)

// site is a hospital with two people, whose second factors can be enrolled.
type site struct {
	*Auth
	log     *memoryLog
	folk    *folk
	dc      *controller
	factors *Factors
	through uint64
	catchMu sync.Mutex
	stuck   error // the state does not follow the log
}

var root = role.Principal{UID: new(uint32), Name: "root", Via: role.ViaSocket}

func newSite(t *testing.T, change ...func(*Options)) *site {
	t.Helper()
	s := &site{
		log: &memoryLog{},
		folk: &folk{
			people: map[string]Person{
				alice: {GUID: alice, Name: "Alice Adams", Account: "aadams", UPN: "alice@h.example", Groups: []string{officers}},
				bob:   {GUID: bob, Name: "Bob Brown", Account: "bbrown", UPN: "bob@h.example", Groups: []string{officers, auditors}},
			},
			former: map[string][]string{},
			groups: map[string]string{officers: "Compliance", auditors: "Auditors"},
		},
		dc: &controller{
			passwords: map[string]string{"aadams": password, "alice@h.example": password, "bbrown": password},
			guids:     map[string]string{"aadams": alice, "alice@h.example": alice, "bbrown": bob},
			groups:    map[string][]string{alice: {officers}, bob: {officers, auditors}},
		},
	}
	s.start(t, change...)
	return s
}

// start begins a process over the site's log: what was in memory is gone.
func (s *site) start(t *testing.T, change ...func(*Options)) {
	t.Helper()
	s.factors, s.through = NewFactors(), 0
	o := Options{
		Directory: s.dc, People: s.folk, Log: s.log, CatchUp: s.catchUp, Configured: true, Own: 900,
		Mapping: []GroupGrant{
			{Group: "Compliance", Grant: role.Grant{Role: role.ComplianceOfficer}},
			{Group: auditors, Grant: role.Grant{Role: role.Auditor, Department: "Surgery"}},
		},
	}
	for _, c := range change {
		c(&o)
	}
	a, err := New(t.Context(), o, s.factors)
	if err != nil {
		t.Fatal(err)
	}
	s.Auth = a
}

func (s *site) catchUp(ctx context.Context, size uint64) error {
	s.catchMu.Lock()
	defer s.catchMu.Unlock()
	if s.stuck != nil {
		return s.stuck
	}
	if s.through >= size {
		return nil
	}
	for r := range s.log.ClassRecords(ctx, proof.ClassControl, s.through, size) {
		if r.Leaf.Kind == proof.KindCredential {
			if err := s.factors.Apply(r); err != nil {
				return err
			}
		}
	}
	s.through = size
	return nil
}

// device is somebody's authenticator app.
type device struct {
	secret   []byte
	recovery []string
}

func (d *device) code(t *testing.T, at time.Time) string {
	t.Helper()
	c, err := codeAt(d.secret, stepAt(at))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (d *device) now(t *testing.T) string { return d.code(t, time.Now()) }

// pair returns the code of the step before and that of now.
func (d *device) pair(t *testing.T) string {
	return d.code(t, time.Now().Add(-totpPeriod*time.Second)) + d.now(t)
}

// wrong returns a code that is good at no time near now.
func (d *device) wrong(t *testing.T) string {
	t.Helper()
	for _, c := range []string{"000000", "111111", "222222", "333333", "444444", "555555", "666666"} {
		near := false
		for i := range 5 {
			near = near || d.code(t, time.Now().Add(time.Duration(i-2)*totpPeriod*time.Second)) == c
		}
		if !near {
			return c
		}
	}
	t.Fatal("no wrong code found")
	return ""
}

func deviceOf(t *testing.T, e *Enrolment) *device {
	t.Helper()
	secret, err := base32Plain.DecodeString(e.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return &device{secret: secret, recovery: e.RecoveryCodes}
}

// enrol gives a person a second factor by the way that people go, and goes on
// to where its first code is past.
func (s *site) enrol(t *testing.T, person, name string) *device {
	t.Helper()
	text, _, err := s.IssueTicket(t.Context(), root, person, "new colleague")
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.Login(t.Context(), Attempt{Name: name, Password: password, Ticket: text, Address: desk})
	if err != nil || g.Enrol == nil || g.Token != "" {
		t.Fatalf("login with a ticket: %+v, %v", g, err)
	}
	d := deviceOf(t, g.Enrol)
	if g, err = s.Login(t.Context(), Attempt{Name: name, Password: password, Code: d.now(t), Address: desk}); err != nil {
		t.Fatalf("confirm: %v (%s)", err, s.log.lastCode(t))
	}
	if err := s.Logout(t.Context(), g.Token); err != nil {
		t.Fatal(err)
	}
	nextStep()
	return d
}

// nextStep waits until the next codes are good.
func nextStep() { pass(2 * totpPeriod * time.Second) }

// pass lets time pass in a test's bubble, in which nobody waits for it.
func pass(d time.Duration) { time.Sleep(d) }

func (s *site) try(name, pass, code, address string) (*Granted, error) {
	return s.Login(context.Background(), Attempt{Name: name, Password: pass, Code: code, Address: address})
}

// refused tries to log in and wants ErrLogin, with a sub-code in the audit.
func (s *site) refused(t *testing.T, code string, at Attempt) {
	t.Helper()
	if at.Address == "" {
		at.Address = desk
	}
	before := len(s.log.accesses(t, audit.ActionLogin))
	g, err := s.Login(t.Context(), at)
	if !errors.Is(err, ErrLogin) || err.Error() != ErrLogin.Error() || g != nil {
		t.Fatalf("login: %+v, %v; want ErrLogin for %s", g, err, code)
	}
	all := s.log.accesses(t, audit.ActionLogin)
	if len(all) == before {
		t.Fatalf("the failure %s is not in the audit", code)
	}
	if got := all[len(all)-1]; got.Code != code {
		t.Fatalf("sub-code %q, want %q", got.Code, code)
	}
}

// admitted logs in and returns the token.
func (s *site) admitted(t *testing.T, name, code, address string) string {
	t.Helper()
	g, err := s.try(name, password, code, address)
	if err != nil {
		t.Fatalf("login: %v (%s)", err, s.log.lastCode(t))
	}
	return g.Token
}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
