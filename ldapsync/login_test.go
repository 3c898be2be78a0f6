package ldapsync

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"holdfast/archive/people"
	"holdfast/internal/adtest"
)

// login tries a login and returns the code of its failure, "" if it succeeded.
func (w *world) login(name, password string) string {
	w.t.Helper()
	id, err := w.s.Authenticate(w.t.Context(), name, password)
	if err == nil {
		if id == nil || !id.GUID.Valid() || id.Person.GUID != id.GUID {
			w.t.Errorf("%s: %+v", name, id)
		}
		return ""
	}
	var l *LoginError
	if id != nil || !errors.As(err, &l) || l.SubCode() == "" {
		w.t.Fatalf("%s: %v, %v", name, id, err)
	}
	if strings.Contains(err.Error(), name) && name != "" || strings.Contains(err.Error(), password) && password != "" {
		w.t.Errorf("the error tells: %v", err)
	}
	return l.Code
}

func TestAuthenticate(t *testing.T) {
	w := newWorld(t, nil, append(staff(12), adtest.Person{Account: "muller"}, adtest.Person{Account: "umlaut", UPN: "müller@hospital.test", Name: `O'Brien, "Bo" <x>; (a+b)*\`})...)
	w.group("nurses", "p0")
	w.group("all", "nurses")
	w.sync()
	w.do(w.fake.Lock("p1"), w.fake.Disable("p2"), w.fake.Expire("p3", time.Now().Add(-time.Hour)), w.fake.ExpirePassword("p4"),
		w.fake.MustChange("p5"), w.fake.DenyHours("p6"), w.fake.DenyWorkstation("p7"), w.fake.Move("p8", adtest.FormerDN), w.fake.AddComputer("ws1", ""))
	for _, c := range []struct {
		name, password, code string
		account              string // whose bind it is, "" if there must be none
	}{
		{"p0", adtest.Password, "", "p0"},
		{"P0", adtest.Password, "", "p0"},
		{"p0@hospital.test", adtest.Password, "", "p0"},
		{"P0@Hospital.Test", adtest.Password, "", "p0"},
		{"p0", "wrong", "52e", "p0"},
		{"p1", adtest.Password, "775", "p1"},
		{"p2", adtest.Password, "533", "p2"},
		{"p3", adtest.Password, "701", "p3"},
		{"p4", adtest.Password, "532", "p4"},
		{"p5", adtest.Password, "773", "p5"},
		{"p6", adtest.Password, "530", "p6"},
		{"p7", adtest.Password, "531", "p7"},
		{"umlaut", adtest.Password, "", "umlaut"},
		{"müller@hospital.test", adtest.Password, "", "umlaut"},
		{"p8", adtest.Password, CodeNotOne, ""},              // below no base
		{"ws1$", adtest.Password, CodeNotOne, ""},            // a machine
		{"nurses", adtest.Password, CodeNotOne, ""},          // a group
		{"nobody", adtest.Password, CodeNotOne, ""},          //
		{"Person p0", adtest.Password, CodeNotOne, ""},       // a name that is no login name
		{"holdfast-reader", "x", CodeNotOne, ""},             // not staff
		{"p0", "", CodeEmpty, ""},                            // an anonymous bind, which succeeds
		{"", adtest.Password, CodeEmpty, ""},                 //
		{strings.Repeat("p", 257), "x", CodeTooLong, ""},     //
		{"p0", strings.Repeat("p", 1025), CodeTooLong, "p9"}, //
	} {
		before, all := w.fake.Attempts(c.account), w.attempts()
		if got := w.login(c.name, c.password); got != c.code {
			t.Errorf("%s: code %q, want %q", c.name, got, c.code)
		}
		want := 1
		if c.account == "" || c.code == CodeTooLong {
			want = 0
		}
		if n := w.fake.Attempts(c.account) - before; n != want || w.attempts()-all != want {
			t.Errorf("%s: %d binds of the person, %d of anybody; want %d", c.name, n, w.attempts()-all, want)
		}
	}
	assertQuiet(t, w)
}

// attempts counts the binds of all people.
func (w *world) attempts() (n int) {
	for _, p := range append(staff(12), adtest.Person{Account: "muller"}, adtest.Person{Account: "umlaut"}) {
		n += w.fake.Attempts(p.Account)
	}
	return n
}

// TestInjection: nothing in a login name is anything but a name.
func TestInjection(t *testing.T) {
	w := newWorld(t, nil, append(staff(3), adtest.Person{Account: "star*(x)", UPN: "star*(x)@hospital.test"})...)
	w.sync()
	for _, name := range []string{
		"*", "p*", "p0)(objectClass=*", "p0)(|(objectClass=*))", "*)(uid=*))(|(uid=*", "p0\x00", "p0\n", "\\70\\30", "p\\30", "(p0)", "p0 ", " p0",
		"p0)(!(userAccountControl:1.2.840.113556.1.4.803:=2))", "star*", "*@hospital.test", "p*@hospital.test", "CN=Person p0,OU=Staff,DC=hospital,DC=test",
		"HOSPITAL\\p0", "hospital.test/p0", "<GUID=" + w.fake.GUID("p0") + ">", "p\xff0", "p0@hospital.test)(mail=*", "p0\u200b", "ｐ0",
	} {
		if got := w.login(name, adtest.Password); got != CodeNotOne {
			t.Errorf("%q: code %q", name, got)
		}
	}
	if n := w.attempts() + w.fake.Attempts("star*(x)"); n != 0 {
		t.Errorf("%d binds", n)
	}
	if got := w.login("star*(x)", adtest.Password); got != "" {
		t.Errorf("the name with a star: %q", got)
	}
}

// TestTwoOfAName: overlapping bases are no matter, two people of one name are.
func TestTwoOfAName(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Base = []string{adtest.StaffDN, "OU=Ward," + adtest.StaffDN, adtest.StaffDN} }, append(staff(2), adtest.Person{Account: "w", OU: "Ward"})...)
	if got := w.sync(); got != "add p0; add p1; add w" {
		t.Errorf("%q", got)
	}
	if got := w.login("w", adtest.Password); got != "" {
		t.Errorf("code %q", got)
	}
	w.do(w.fake.Set("p1", "userPrincipalName", "p0@hospital.test"), w.fake.Set("p1", "sAMAccountName", "p0"))
	for _, name := range []string{"p0", "p0@hospital.test"} {
		if got := w.login(name, adtest.Password); got != CodeNotOne {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestExactly: who was found by a name that is only like it is not who is meant.
func TestExactly(t *testing.T) {
	found := map[people.GUID]*people.Person{id(1): {GUID: id(1), Account: "jose", UPN: "josé@hospital.test"}}
	for name, want := range map[string]bool{"jose": true, "JOSÉ@hospital.test": true, "josé": false, "jose@hospital.test": false, "jose ": false} {
		if p, err := theOne(found, name); (err == nil) != want || (p != nil) != want {
			t.Errorf("%q: %v, %v", name, p, err)
		}
	}
	found[id(2)] = &people.Person{GUID: id(2), Account: "other"}
	if _, err := theOne(found, "jose"); err == nil {
		t.Error("two are one")
	}
}

// TestOwnConnection: the person's password goes over a connection of its own.
// The reader's carries its bind, one search of two messages, and another one.
func TestOwnConnection(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Timeout = time.Second }, staff(2)...)
	w.sync()
	p := w.between(adtest.Limits{})
	for message, want := range map[int]string{6: "", 5: CodeGroups} {
		p.Set(adtest.Fault{CutMessage: message})
		p.Reset()
		if got := w.login("p0", adtest.Password); got != want || p.Counts().Connections != 2 {
			t.Errorf("cut at message %d: code %q after %d connections", message, got, p.Counts().Connections)
		}
	}
	// A server that is silent after the reader's bind holds nobody for longer than the limit.
	before := w.fake.Attempts("p0")
	p.Set(adtest.Fault{SilentAfter: 1})
	if got := w.login("p0", adtest.Password); got != string(ClassTimeout) || w.fake.Attempts("p0") != before {
		t.Errorf("silent: code %q", got)
	}
}

// TestFreshGroups: roles come from what the directory says at login.
func TestFreshGroups(t *testing.T) {
	w := newWorld(t, nil, staff(2)...)
	w.group("nurses", "p0")
	w.group("all", "nurses")
	w.sync()
	groups := func(name string) int {
		t.Helper()
		id, err := w.s.Authenticate(t.Context(), name, adtest.Password)
		w.do(err)
		return len(id.Groups)
	}
	if groups("p0") != 2 || groups("p1") != 0 {
		t.Errorf("p0 in %d groups, p1 in %d", groups("p0"), groups("p1"))
	}
	w.do(w.fake.RemoveMember("nurses", "p0"), w.fake.AddMember("all", "p1"))
	if groups("p0") != 0 || groups("p1") != 1 {
		t.Errorf("after the change p0 in %d groups, p1 in %d", groups("p0"), groups("p1"))
	}
}

// TestOneBind: whatever becomes of the person's bind, there is not another one.
func TestOneBind(t *testing.T) {
	for name, fault := range map[string]adtest.Fault{
		"cut":    {CutMessage: 1},
		"silent": {SilentAfter: -1},
		"busy":   {BindCode: 51},
	} {
		w := newWorld(t, func(o *Options) { o.Timeout = time.Second }, staff(2)...)
		first, second := w.between(adtest.Microsoft), w.between(adtest.Microsoft)
		w.s.o.URLs = []string{first.URL(), second.URL()}
		// The reader's connection is up and has found the person before the fault:
		// authenticateAt is given one that is.
		reader, err := w.s.o.connect(t.Context(), mustTarget(t, first.URL()))
		w.do(err)
		p, err := w.s.o.find(t.Context(), reader, "p0")
		w.do(err)
		own, err := w.s.o.dial(t.Context(), mustTarget(t, first.URL()))
		w.do(err)
		if fault.SilentAfter < 0 {
			fault.SilentAfter = 1
			w.do(own.bind(t.Context(), adtest.BindDN, adtest.BindPassword))
		}
		first.Set(fault)
		l := refused(own.bind(t.Context(), p.DN, adtest.Password))
		if elsewhere(l) || !errors.Is(l, ErrUnavailable) || l.Code == "" {
			t.Errorf("%s: %v would be tried elsewhere", name, l)
		}
		reader.close()
		own.close()
	}
	w := newWorld(t, nil, staff(2)...)
	p := w.between(adtest.Microsoft)
	w.s.o.URLs = []string{w.fake.URL(), p.URL()}
	asked := 0
	_, err := w.s.o.eachServer(t.Context(), new(sticky), func(context.Context, target) error {
		asked++
		return refused(errDown)
	})
	if !errors.Is(err, ErrUnavailable) || asked != 1 {
		t.Errorf("%v, asked %d servers", err, asked)
	}
	if got := w.login("p0", "wrong"); got != "52e" || w.fake.Attempts("p0") != 1 || p.Counts().Connections != 0 {
		t.Errorf("%q, %d binds, %d connections to the second server", got, w.fake.Attempts("p0"), p.Counts().Connections)
	}
}

func mustTarget(t *testing.T, url string) target {
	t.Helper()
	g, err := parseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestLoginFailover: no answer from the first, the second one is asked.
func TestLoginFailover(t *testing.T) {
	w := newWorld(t, nil, staff(2)...)
	w.sync()
	p := w.between(adtest.Microsoft)
	p.Close()
	if got := w.login("p0", adtest.Password); got != string(ClassUnreachable) {
		t.Errorf("code %q", got)
	}
	w.s.o.URLs = []string{p.URL(), w.fake.URL()}
	if got := w.login("p0", adtest.Password); got != "" || w.fake.Attempts("p0") != 1 {
		t.Errorf("code %q, %d binds", got, w.fake.Attempts("p0"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.s.Authenticate(ctx, "p0", adtest.Password); errors.Is(err, ErrUnavailable) {
		t.Errorf("who gives up gets %v", err)
	}
}

// TestReaderRefused: the reading account is not tried again and again, unless a
// person asks for it.
func TestReaderRefused(t *testing.T) {
	password := "wrong"
	w := newWorld(t, func(o *Options) { o.Password = func() (string, error) { return password, nil } }, staff(2)...)
	for range 3 {
		if _, err := w.s.sync(t.Context(), true); classOf(err) != ClassBind {
			t.Fatal(err)
		}
		if got := w.login("p0", adtest.Password); got != string(ClassBind) {
			t.Errorf("code %q", got)
		}
	}
	if n := w.fake.Attempts("holdfast-reader"); n != 1 {
		t.Errorf("%d binds of the reader", n)
	}
	password = adtest.BindPassword
	if got := w.sync(); got != "add p0; add p1" {
		t.Errorf("%q", got)
	}
	if got := w.login("p0", adtest.Password); got != "" {
		t.Errorf("code %q", got)
	}
}
