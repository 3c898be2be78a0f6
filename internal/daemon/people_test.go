package daemon

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/people"
	"holdfast/internal/adtest"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/role"
	"holdfast/retention"
	"holdfast/retention/hold"
)

// office is a ward with a directory and a compliance desk.
type office struct {
	*ward
	ad *adtest.Fake
}

const wardSet = "../../cmd/holdfast-relay/testdata/ward.jsonl"

// staff are the desk's people, each in the group of one role.
var staff = map[string]role.Role{
	"ruth.adler": role.ComplianceOfficer, "ivo.marek": role.Administrator, "ana.costa": role.Approver, "bo.lind": role.Auditor,
}

// newOffice runs a daemon over a directory with the desk's people and these.
func newOffice(t *testing.T, change func(*config.Config), others ...adtest.Person) *office {
	t.Helper()
	w := newWard(t)
	ad, err := adtest.NewFake(w.dir, others...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ad.Close)
	cert, key, err := ad.Authority().Issue(w.dir, "api", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.path("cred/"+DirectoryFile), []byte(adtest.BindPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hour := config.Duration{Duration: time.Hour} // a test says itself when to synchronise
	w.config.Directory = &config.Directory{
		URLs: []string{ad.URL()}, CA: ad.CAFile(), Bind: adtest.BindDN, Base: []string{adtest.StaffDN}, GroupBase: []string{adtest.GroupsDN}, Interval: hour,
	}
	w.config.HTTPS = &config.HTTPS{Listen: "127.0.0.1:0", Cert: cert, Key: key}
	w.config.Accounts = []config.Account{{UID: uint32(os.Getuid()), Roles: []role.Role{role.Administrator, role.ComplianceOfficer, role.Auditor}}}
	for account, r := range staff {
		if _, err := ad.AddPerson(adtest.Person{Account: account, Name: account, Department: "Office"}); err != nil {
			t.Fatal(err)
		}
		if _, err := ad.AddGroup("Holdfast "+string(r), account); err != nil {
			t.Fatal(err)
		}
		w.config.Directory.Roles = append(w.config.Directory.Roles, config.GroupRole{Group: "Holdfast " + string(r), Role: r})
	}
	if change != nil {
		change(w.config)
	}
	o := &office{ward: w, ad: ad}
	o.start()
	o.until("the first synchronisation", func() bool {
		s, err := w.client.DirectoryStatus(t.Context())
		return err == nil && s.LastSuccess != nil
	})
	return o
}

// until waits for something that happens beside the test.
func (o *office) until(what string, ok func() bool) {
	o.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			o.t.Fatalf("%s did not come\n%s", what, o.logs)
		}
	}
}

func (o *office) sync() *api.DirectoryReport {
	o.t.Helper()
	r, err := o.client.DirectorySync(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

func (o *office) do(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

var served = regexp.MustCompile(`serving over HTTPS" address=(\S+)`)

// desk returns a client over HTTPS with a token, or none.
func (o *office) desk(token string) *api.Client {
	o.t.Helper()
	served := served.FindAllStringSubmatch(o.logs.String(), -1) // one a start
	if len(served) == 0 {
		o.t.Fatalf("no address was served\n%s", o.logs)
	}
	c, err := api.NewHTTPSClient(api.HTTPSOptions{Address: "https://" + served[len(served)-1][1], CA: o.ad.CAFile(), Token: token})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(c.Close)
	return c
}

// login enrols a second factor for somebody and logs in with it.
func (o *office) login(account string) *api.Client {
	o.t.Helper()
	ticket, err := o.client.IssueTicket(o.t.Context(), api.FactorRequest{Who: account, Reason: "new phone"})
	o.do(err)
	nobody := o.desk("")
	first, err := nobody.Login(o.t.Context(), api.LoginRequest{Name: account, Password: adtest.Password, Ticket: ticket.Ticket})
	o.do(err)
	if first.Enrol == nil || first.Token != "" {
		o.t.Fatalf("a ticket gave %+v", first)
	}
	code, err := totp.GenerateCode(first.Enrol.Secret, time.Now())
	o.do(err)
	in, err := nobody.Login(o.t.Context(), api.LoginRequest{Name: account, Password: adtest.Password, Code: code})
	o.do(err)
	return o.desk(in.Token)
}

// refused wants an error with that status.
func refused(t *testing.T, what string, err error, status int) {
	t.Helper()
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != status {
		t.Errorf("%s: %v, want status %d", what, err, status)
	}
}

func (o *office) count(c *api.Client, query string) uint64 {
	o.t.Helper()
	r, err := c.Search(o.t.Context(), api.SearchRequest{Query: query, Reason: "test"})
	if err != nil {
		o.t.Fatalf("%s: %v", query, err)
	}
	return r.Total
}

var okafor = adtest.Person{Account: "amara.okafor", Name: "Amara Okafor", Mail: "amara.okafor@northgate.invalid", Department: "Ward 4"}

// From the directory to a look and back: who comes may log in, what they are
// called now finds what they were called then, who goes loses the session at
// once, and their messages stay.
func TestPeople(t *testing.T) {
	o := newOffice(t, nil, okafor)
	o.loadFile(wardSet)
	o.acked()
	o.until("the match of the relay's user", func() bool {
		s, err := o.client.DirectoryStatus(t.Context())
		return err == nil && s.Matched == 1 && s.Unmatched > 0
	})
	sent := o.count(o.client, "from:amara.okafor")
	if sent == 0 || o.count(o.client, `from:"Amara Bell"`) != 0 {
		t.Fatalf("%d messages under the old name", sent)
	}
	o.do(o.ad.Rename("amara.okafor", "Amara Bell"))
	if r := o.sync(); !r.Applied || r.Counts["changed"] != 1 {
		t.Errorf("the new name: %+v", r)
	}
	if n := o.count(o.client, `from:"Amara Bell"`); n != sent {
		t.Errorf("under the new name %d messages, under the old one %d", n, sent)
	}

	ruth := o.login("ruth.adler")
	if n := o.count(ruth, `from:"Amara Bell"`); n != sent {
		t.Errorf("over HTTPS %d messages, want %d", n, sent)
	}
	_, err := ruth.Audit(t.Context(), api.AuditRequest{})
	refused(t, "the audit, for a compliance officer", err, http.StatusForbidden)
	bo := o.login("bo.lind")
	_, err = bo.Search(t.Context(), api.SearchRequest{Query: "potassium", Reason: "curious"})
	refused(t, "a search, for an auditor", err, http.StatusForbidden)
	report, err := bo.AccessReport(t.Context(), api.AccessReportRequest{Custodian: "Amara Bell", Reason: "she asked"})
	o.do(err)
	if report.Custodian == nil || report.Person == nil || report.Person.Name != "Amara Bell" {
		t.Errorf("the access report: %+v", report)
	}

	// Somebody new in a group that gives a role can log in after one synchronisation.
	_, err = o.ad.AddPerson(adtest.Person{Account: "eva.new", Name: "Eva New"})
	o.do(err)
	o.do(o.ad.AddMember("Holdfast administrator", "eva.new"))
	if r := o.sync(); !r.Applied {
		t.Errorf("somebody new: %+v", r)
	}
	if me, err := o.login("eva.new").Whoami(t.Context()); err != nil || len(me.Roles) != 1 || me.Roles[0].Role != role.Administrator {
		t.Errorf("somebody new: %+v, %v", me, err)
	}

	o.do(o.ad.RemoveMember("Holdfast compliance-officer", "ruth.adler"))
	o.do(o.ad.Disable("bo.lind"))
	// A role without anybody is held back: the approver sees what it is about.
	if r := o.sync(); r.Applied || r.Pending == nil {
		t.Fatalf("two roles would be nobody's: %+v", r)
	}
	if n := o.count(ruth, "potassium"); n == 0 {
		t.Error("a diff that waits has taken effect")
	}
	ana := o.login("ana.costa")
	diff, err := ana.DirectoryDiff(t.Context())
	o.do(err)
	_, err = ana.ApproveDiff(t.Context(), api.ApproveDiffRequest{Digest: strings.Repeat("0", 64), Approve: true, Reason: "checked"})
	refused(t, "another diff", err, http.StatusConflict)
	_, err = o.client.ApproveDiff(t.Context(), api.ApproveDiffRequest{Digest: diff.Digest, Approve: true, Reason: "checked"})
	refused(t, "an account without the role", err, http.StatusForbidden)
	done, err := ana.ApproveDiff(t.Context(), api.ApproveDiffRequest{Digest: diff.Digest, Approve: true, Reason: "they moved to the lab"})
	o.do(err)
	if done.Report == nil || !done.Report.Applied || done.Request.Status != "executed" {
		t.Errorf("approved: %+v", done)
	}
	_, err = ruth.Search(t.Context(), api.SearchRequest{Query: "potassium", Reason: "test"})
	refused(t, "whoever left the group", err, http.StatusUnauthorized)
	_, err = bo.Whoami(t.Context())
	refused(t, "a leaver", err, http.StatusUnauthorized)
	_, err = o.desk("").Login(t.Context(), api.LoginRequest{Name: "bo.lind", Password: adtest.Password, Code: "000000"})
	refused(t, "a leaver's login", err, http.StatusUnauthorized)
	if n := o.count(o.client, "from:amara.okafor"); n != sent {
		t.Errorf("%d messages stayed of %d", n, sent)
	}
	if o.ad.PlainBinds() != 0 {
		t.Error("a password went without TLS")
	}
}

// While a diff waits, whoever the directory says is disabled has no session and
// no login, though the log has not changed; enabled again, they log in again.
func TestSuspended(t *testing.T) {
	o := newOffice(t, nil, okafor)
	ruth, ivo := o.login("ruth.adler"), o.login("ivo.marek")
	leaver := o.ad.GUID("ruth.adler")
	o.do(o.ad.Disable("ruth.adler"))                               // the only compliance officer
	o.do(o.ad.RemoveMember("Holdfast administrator", "ivo.marek")) // the only administrator
	if r := o.sync(); r.Applied || r.Pending == nil || r.Counts["departed"] != 1 {
		t.Fatalf("a role is nobody's: %+v", r)
	}
	ended := func() bool {
		found, err := o.client.Audit(t.Context(), api.AuditRequest{})
		o.do(err)
		for _, e := range found.Accesses {
			if e.Access.Action == audit.ActionSessionEnd && e.Access.Principal.Person == leaver {
				return true
			}
		}
		return false
	}
	if !ended() {
		t.Error("the session has not been ended at once")
	}
	_, err := ruth.Search(t.Context(), api.SearchRequest{Query: "potassium", Reason: "test"})
	refused(t, "a leaver's session", err, http.StatusUnauthorized)
	if me, err := ivo.Whoami(t.Context()); err != nil || len(me.Roles) != 1 {
		t.Errorf("who was taken out of a group waits with the diff: %+v, %v", me, err)
	}
	one, err := o.client.Person(t.Context(), api.PersonRequest{Who: "ruth.adler"})
	o.do(err)
	if one.People[0].Status != people.StatusActive {
		t.Errorf("the log says %s", one.People[0].Status)
	}
	phone := api.FactorRequest{Who: "ruth.adler", Reason: "new phone"}
	if _, err := o.client.IssueTicket(t.Context(), phone); err == nil {
		t.Error("a leaver may enrol a second factor")
	}
	o.do(o.ad.Enable("ruth.adler"))
	o.sync()
	ticket, err := o.client.IssueTicket(t.Context(), phone)
	o.do(err)
	_, err = o.desk("").Login(t.Context(), api.LoginRequest{Name: "ruth.adler", Password: adtest.Password, Ticket: ticket.Ticket})
	o.do(err)
}

// A request for a diff that does not wait any more cannot be approved, by its
// digest or by its number, and nobody departs by it; it can be denied.
func TestStaleDiff(t *testing.T) {
	o := newOffice(t, nil, okafor)
	ana := o.login("ana.costa")
	o.do(o.ad.RemoveMember("Holdfast auditor", "bo.lind"))
	o.do(o.ad.Disable("amara.okafor"))
	first := o.sync().Pending
	if first == nil || first.Request == 0 {
		t.Fatalf("nothing waits: %+v", first)
	}
	o.do(o.ad.Enable("amara.okafor")) // after the last synchronisation
	_, err := ana.ApproveDiff(t.Context(), api.ApproveDiffRequest{Digest: first.Digest, Approve: true, Reason: "checked"})
	refused(t, "what the directory has taken back", err, http.StatusConflict)
	one, err := o.client.Person(t.Context(), api.PersonRequest{Who: "amara.okafor"})
	o.do(err)
	if one.People[0].Status != people.StatusActive {
		t.Errorf("somebody whom the directory has is %s", one.People[0].Status)
	}
	second, err := ana.DirectoryDiff(t.Context())
	o.do(err)
	if second.Pending == nil || second.Digest == first.Digest || second.Pending.Request == 0 || second.Pending.Request == first.Request {
		t.Fatalf("asked anew: %+v", second.Pending)
	}
	o.do(o.ad.AddMember("Holdfast auditor", "bo.lind"))
	if r := o.sync(); r.Pending != nil {
		t.Fatalf("something waits still: %+v", r.Pending)
	}
	_, err = ana.Decide(t.Context(), api.DecideRequest{Seq: second.Pending.Request, Approve: true, Reason: "checked"})
	refused(t, "a request for a diff that does not wait", err, http.StatusConflict)
	if done, err := ana.Decide(t.Context(), api.DecideRequest{Seq: second.Pending.Request, Reason: "it is over"}); err != nil || done.Status != "denied" {
		t.Errorf("denied: %+v, %v", done, err)
	}
	// What waits can be approved by its number, too.
	o.do(o.ad.RemoveMember("Holdfast auditor", "bo.lind"))
	o.do(o.ad.Rename("amara.okafor", "Amara Bell"))
	third := o.sync().Pending
	if done, err := ana.Decide(t.Context(), api.DecideRequest{Seq: third.Request, Approve: true, Reason: "checked"}); err != nil || done.Status != "approved" {
		t.Errorf("approved: %+v, %v", done, err)
	}
}

// What the daemon knows of people is in the log alone.
func TestPeopleOutliveARestart(t *testing.T) {
	o := newOffice(t, nil, okafor)
	o.do(o.ad.Rename("amara.okafor", "Amara Bell"))
	o.sync()
	_, err := o.client.Block(t.Context(), api.BlockRequest{Who: "amara.okafor", Block: true, Reason: "lost phone"})
	o.do(err)
	ruth := o.login("ruth.adler")
	before, err := o.client.Person(t.Context(), api.PersonRequest{Who: "amara okafor"})
	o.do(err)
	o.stop()
	o.ad.Close() // nobody answers: everything below is from the log
	o.start()
	after, err := o.client.Person(t.Context(), api.PersonRequest{Who: "amara okafor"})
	o.do(err)
	if len(after.People) != 1 || len(after.People[0].Versions) != len(before.People[0].Versions) || after.People[0].Name != "Amara Bell" || !after.People[0].Blocked {
		t.Errorf("after the restart: %+v, before: %+v", after, before)
	}
	then := before.People[0].Versions[0].At
	old, err := o.client.Person(t.Context(), api.PersonRequest{Who: "Amara Bell", AsOf: &then})
	o.do(err)
	if old.People[0].Name != "Amara Okafor" || old.People[0].Blocked {
		t.Errorf("as of then: %+v", old.People[0].Person)
	}
	_, err = ruth.Whoami(t.Context())
	if err == nil {
		t.Error("a session outlived the daemon")
	}
	_, err = o.desk("").Login(t.Context(), api.LoginRequest{Name: "ruth.adler", Password: adtest.Password, Code: "123456"})
	refused(t, "a login without a directory", err, http.StatusUnauthorized)
}

// Messages go on coming in while the directory's server says nothing.
func TestIngestWhileTheDirectoryHangs(t *testing.T) {
	o := newOffice(t, nil, okafor)
	proxy, err := adtest.NewProxy(o.dir, o.ad, adtest.Microsoft)
	o.do(err)
	t.Cleanup(proxy.Close)
	o.stop()
	proxy.Set(adtest.Fault{SilentAfter: 2})
	o.config.Directory.URLs = []string{proxy.URL()}
	o.start()
	o.loadFile(wardSet)
	o.acked()
	if s, err := o.client.Status(t.Context()); err != nil || s.Quarantined != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// A device that only the relay vouches for is enrolled once a person has
// compared its fingerprint, from that place on.
func TestDeviceApproval(t *testing.T) {
	o := newOffice(t, nil, okafor)
	o.loadFile(wardSet)
	o.acked()
	list, err := o.client.Devices(t.Context())
	o.do(err)
	var asserted *api.Device
	for i := range list.Devices {
		if d := &list.Devices[i]; d.Assurance == "relay-asserted" && !d.Revoked {
			asserted = d
		}
	}
	if asserted == nil {
		t.Fatal("the set has no device that only the relay vouches for")
	}
	other := list.Devices[0].Fingerprint
	if other == asserted.Fingerprint {
		other = list.Devices[1].Fingerprint
	}
	_, err = o.client.ApproveDevice(t.Context(), api.ApproveDeviceRequest{Kid: asserted.Kid, Fingerprint: other, Reason: "read aloud"})
	refused(t, "another device's fingerprint", err, http.StatusConflict)
	now, err := o.client.ApproveDevice(t.Context(), api.ApproveDeviceRequest{Kid: asserted.Kid, Fingerprint: asserted.Fingerprint, Reason: "read aloud"})
	o.do(err)
	if now.Assurance != "enrolled" || now.Approved == nil || now.By == "" {
		t.Errorf("approved: %+v", now)
	}
}

// When somebody leaves, the relay is asked to shut the person's devices out.
func TestDeparture(t *testing.T) {
	o := newOffice(t, func(c *config.Config) { c.Provision = config.Provision{Disable: true, Revoke: true, Wipe: true} }, okafor)
	o.loadFile(wardSet)
	o.acked()
	o.until("the match", func() bool {
		s, err := o.client.DirectoryStatus(t.Context())
		return err == nil && s.Matched == 1
	})
	o.do(o.ad.Disable("amara.okafor"))
	if r := o.sync(); r.Counts["departed"] != 1 {
		t.Fatalf("%+v", r)
	}
	o.until("the revocation", func() bool {
		list, err := o.client.Devices(t.Context())
		o.do(err)
		for _, d := range list.Devices {
			if d.Usr == "amara.okafor" && !d.Revoked {
				return false
			}
		}
		return true
	})
}

// A custodian under hold who leaves is told of, once for each.
func TestDepartureUnderHold(t *testing.T) {
	w := newWard(t)
	master, err := ReadMaster(w.path("cred"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(t.Context(), w.config.Data, archive.Options{Master: master})
	if err != nil {
		t.Fatal(err)
	}
	w.config.Relay = nil
	p, err := newParts(t.Context(), a, Options{Config: w.config, Logger: slog.New(slog.NewTextHandler(w.logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(p.index.Close(), a.Close()); err != nil {
			t.Error(err)
		}
	})
	held, free := people.GUID("6f9619ff-8b86-d011-b42d-00cf4fc964ff"), people.GUID("0e9619ff-8b86-d011-b42d-00cf4fc964ff")
	left := func(g people.GUID) people.Change {
		return people.Change{Op: people.OpDepart, Person: &people.Person{GUID: g}, Why: people.WhyMissing}
	}
	if p.held("u1") {
		t.Error("something is held in an archive without holds")
	}
	officer := role.Principal{Via: role.ViaSocket, UID: new(uint32)}
	if _, err := p.book.OpenMatter(t.Context(), officer, retention.NewMatter{ID: "M-1", Reason: "a lawsuit"}); err != nil {
		t.Fatal(err)
	}
	scope := hold.Scope{Custodians: []string{string(held)}}
	if _, err := p.book.PlaceHold(t.Context(), officer, retention.NewHold{Matter: "M-1", Scope: scope, Reason: "preserve"}); err != nil {
		t.Fatal(err)
	}
	if !p.held("u1") {
		t.Error("a relay user who is nobody might be anybody, and is not held")
	}
	p.peopleChanged(t.Context(), []people.Change{left(held), left(free), {Op: people.OpChange, Person: &people.Person{GUID: held}}})
	if err := p.caughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	alarms := p.state.Alarms(false)
	if len(alarms) != 1 || alarms[0].Name != AlarmDepartedHeld || alarms[0].Facts["person"] != string(held) {
		t.Errorf("alarms: %+v", alarms)
	}
}

func TestReadPassword(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{"s3cret\n": "s3cret", "s3cret\r\nmore\n": "s3cret", "no end": "no end", "": "", "\nx": ""} {
		if err := os.WriteFile(dir+"/"+DirectoryFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readPassword(dir)
		if got != want || (want == "") != errors.Is(err, ErrCredential) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if _, err := readPassword(t.TempDir()); !errors.Is(err, ErrCredential) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
