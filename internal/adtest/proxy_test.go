package adtest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

func proxyOf(t *testing.T, d Directory) *Proxy {
	t.Helper()
	p, err := NewProxy(t.TempDir(), d, Microsoft)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// TestProxyLimits enforces Microsoft's limits on Samba, which has none.
func TestProxyLimits(t *testing.T) {
	dc := Samba(t)
	p := proxyOf(t, dc)
	c := connect(t, p.URL(), dc.Authority())
	if err := c.Bind(BindDN, BindPassword); err != nil {
		t.Fatal(err)
	}
	const persons = "(&(objectCategory=person)(objectClass=user))"
	r, err := c.Search(ldap.NewSearchRequest(StaffDN, 2, 0, 0, 0, false, persons, []string{"cn"}, nil))
	if !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || len(r.Entries) != 1000 {
		t.Errorf("an unpaged search: %v", err)
	}
	paging := ldap.NewControlPaging(5000)
	r, err = c.Search(ldap.NewSearchRequest(StaffDN, 2, 0, 0, 0, false, persons, []string{"cn"}, []ldap.Control{paging}))
	if err != nil || len(r.Entries) != 1000 {
		t.Errorf("a page of 5,000 has %d entries: %v", len(r.Entries), err)
	}
	if n := len(search(t, c, StaffDN, 2, persons, "cn")); n != SeedPeople {
		t.Errorf("%d people, want %d", n, SeedPeople)
	}
	if n := len(search(t, c, GroupsDN, 2, "(objectClass=group)", "cn")); n != SeedGroups {
		t.Errorf("%d groups, want %d", n, SeedGroups)
	}
	const largest = "(cn=" + LargestGroup + ")"
	g := search(t, c, GroupsDN, 2, largest, "member")[0]
	if v, in := g.GetAttributeValues("member"), g.GetAttributeValues("member;range=0-1499"); len(v) != 0 || len(in) != 1500 {
		t.Errorf("member has %d, its range %d values", len(v), len(in))
	}
	g = search(t, c, GroupsDN, 2, largest, "member;range=1500-*")[0]
	if in := g.GetAttributeValues("member;range=1500-*"); len(in) != SeedLargest-1500 {
		t.Errorf("the last range has %d values: %v", len(in), g.Attributes[0].Name)
	}
	direct := connect(t, dc.URL(), dc.Authority())
	if err := direct.Bind(BindDN, BindPassword); err != nil {
		t.Fatal(err)
	}
	if n := len(search(t, direct, GroupsDN, 2, largest, "member")[0].GetAttributeValues("member")); n != SeedLargest {
		t.Errorf("Samba itself gives %d members: the proxy would not be needed", n)
	}
}

// TestProxyFaults commits each fault once.
func TestProxyFaults(t *testing.T) {
	f := fakeOf(t)
	for i := range 30 {
		if _, err := f.AddPerson(Person{Account: fmt.Sprintf("p%02d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	p := proxyOf(t, f)
	for name, c := range map[string]struct {
		fault Fault
		check func(entries int, guid int, err error) bool
	}{
		"none":           {Fault{}, func(n, g int, err error) bool { return n == 30 && g == 16 && err == nil }},
		"message":        {Fault{CutMessage: 5}, func(n, _ int, err error) bool { return n < 30 }},
		"page 1":         {Fault{CutPage: 1}, func(n, _ int, err error) bool { return n < 10 }},
		"page 2":         {Fault{CutPage: 2, Clean: true}, func(n, _ int, err error) bool { return n >= 10 && n < 20 }},
		"end":            {Fault{CutPage: 3, CutPageEnd: true, Clean: true}, func(n, _ int, err error) bool { return n == 30 }},
		"silence":        {Fault{SilentAfter: 4}, func(n, _ int, err error) bool { return err != nil }},
		"from the start": {Fault{SilentAfter: -1}, func(n, _ int, err error) bool { return err != nil }},
		"slow":           {Fault{Delay: 2 * time.Millisecond}, func(n, _ int, err error) bool { return n == 30 && err == nil }},
		"zero":           {Fault{Zero: true}, func(n, _ int, err error) bool { return n == 0 && err == nil }},
		"half":           {Fault{Half: true}, func(n, _ int, err error) bool { return n == 15 && err == nil }},
		"busy":           {Fault{Code: 51}, func(_, _ int, err error) bool { return ldap.IsErrorWithCode(err, 51) }},
		"bind":           {Fault{BindCode: 52}, func(_, _ int, err error) bool { return ldap.IsErrorWithCode(err, 52) }},
		"GUID":           {Fault{ShortGUID: true}, func(n, g int, err error) bool { return n == 30 && g == 15 }},
		"no paging":      {Fault{NoPaging: true}, func(n, _ int, err error) bool { return n == 10 }},
	} {
		t.Run(name, func(t *testing.T) {
			p.Set(c.fault)
			patience := 10 * time.Second
			if c.fault.SilentAfter != 0 {
				patience = 300 * time.Millisecond // nothing comes
			}
			entries, guid, err := readThrough(p, f, patience)
			if !c.check(entries, guid, err) {
				t.Errorf("%d entries with GUIDs of %d bytes: %v", entries, guid, err)
			}
		})
	}
	if n := p.Counts(); n.PlainBinds != 0 || n.Binds < 10 || n.BindNames[BindDN] != n.Binds {
		t.Errorf("counted %+v", n)
	}
}

// readThrough reads the people through a proxy and returns the last GUID's length;
// it waits so long for an answer.
func readThrough(p *Proxy, f *Fake, patience time.Duration) (entries, guid int, err error) {
	c, err := ldap.DialURL(p.URL(), ldap.DialWithTLSConfig(&tls.Config{RootCAs: f.authority.pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}),
		ldap.DialWithDialer(dialer(patience)))
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = c.Close() }()
	c.SetTimeout(patience)
	if err := c.Bind(BindDN, BindPassword); err != nil {
		return 0, 0, err
	}
	r, err := c.SearchWithPaging(ldap.NewSearchRequest(StaffDN, 2, 0, 0, 0, false, "(objectCategory=person)", []string{"objectGUID"}, nil), 10)
	if r != nil {
		entries = len(r.Entries)
		if entries > 0 {
			guid = len(r.Entries[entries-1].GetRawAttributeValue("objectGUID"))
		}
	}
	return entries, guid, err
}

// TestProxyTLS shows each wrong certificate to a client that checks, and what
// a client that does not check would lose.
func TestProxyTLS(t *testing.T) {
	f := fakeOf(t)
	p := proxyOf(t, f)
	for kind := range tlsKinds {
		t.Run(kind.String(), func(t *testing.T) {
			if err := p.SetTLS(kind); err != nil {
				t.Fatal(err)
			}
			p.Reset()
			_, _, err := readThrough(p, f, 3*time.Second)
			n := p.Counts()
			if kind == TLSRight {
				if err != nil || n.Binds != 1 || n.Handshakes != 1 {
					t.Errorf("the right certificate: %v, %+v", err, n)
				}
				return
			}
			if err == nil || n.Binds+n.PlainBinds != 0 || bytes.Contains(p.Raw(), []byte(BindPassword)) {
				t.Errorf("%v, %+v", err, n)
			}
		})
	}
	if err := p.SetTLS(TLSPlain); err != nil {
		t.Fatal(err)
	}
	c := connect(t, p.StartTLSURL(), f.Authority())
	if err := c.Bind(BindDN, BindPassword); err != nil {
		t.Errorf("a thief says yes: %v", err)
	}
	if n := p.Counts(); n.PlainBinds != 1 || !bytes.Contains(p.Raw(), []byte(BindPassword)) {
		t.Errorf("a leak is not seen: %+v", n)
	}
	p.Set(Fault{StartTLSCode: 2})
	if err := c.StartTLS(&tls.Config{MinVersion: tls.VersionTLS12}); !ldap.IsErrorWithCode(err, 2) {
		t.Errorf("StartTLS refused: %v", err)
	}
	p.Close()
	if _, _, err := readThrough(p, f, 3*time.Second); err == nil {
		t.Errorf("a closed proxy: %v", err)
	}
}

func dialer(limit time.Duration) *net.Dialer { return &net.Dialer{Timeout: limit} }
