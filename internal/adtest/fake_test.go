package adtest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect is the test's own connection: of the library that the product uses.
func connect(t *testing.T, url string, a *Authority) *ldap.Conn {
	t.Helper()
	c, err := ldap.DialURL(url, ldap.DialWithTLSConfig(&tls.Config{RootCAs: a.pool, ServerName: hostName, MinVersion: tls.VersionTLS12}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func fakeOf(t *testing.T, people ...Person) *Fake {
	t.Helper()
	f, err := NewFake(t.TempDir(), people...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func search(t *testing.T, c *ldap.Conn, base string, scope int, filter string, attributes ...string) []*ldap.Entry {
	t.Helper()
	r, err := c.SearchWithPaging(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, 0, 0, false, filter, attributes, nil), 500)
	if err != nil {
		t.Fatal(err)
	}
	return r.Entries
}

// TestFakeFilters asks with each kind of filter.
func TestFakeFilters(t *testing.T) {
	f := fakeOf(t, Person{Account: "ada", Name: "Ada, Countess (Lovelace)", Mail: "ada@hospital.test", Department: "Cardiology", OU: "Cardiology"},
		Person{Account: "bob", Department: "Radiology"}, Person{Account: "eve"})
	if err := firstOf(f.Disable("eve"), f.AddComputer("ws1", ""), func() error { _, err := f.AddGroup("nurses", "ada", "bob"); return err }()); err != nil {
		t.Fatal(err)
	}
	c := connect(t, f.URL(), f.Authority())
	if err := c.Bind(BindDN, BindPassword); err != nil {
		t.Fatal(err)
	}
	for filter, want := range map[string]string{
		"(&(objectCategory=person)(objectClass=user))": "ada bob eve",
		"(objectClass=user)":                           "ada bob eve ws1$",
		"(&(objectCategory=person)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))":                     "ada bob",
		"(|(sAMAccountName=ADA)(department=radiology))":                                                   "ada bob",
		"(&(objectCategory=person)(mail=*))":                                                              "ada",
		"(&(objectCategory=person)(department=c*o*gy))":                                                   "ada",
		"(displayName=Ada, Countess \\28Lovelace\\29)":                                                    "ada",
		"(&(sAMAccountType=805306368)(accountExpires>=9223372036854775807))":                              "ada bob eve",
		"(memberOf=cn=NURSES, ou=groups,dc=hospital,dc=test)":                                             "ada bob",
		"(&(objectCategory=person)(userAccountControl:1.2.840.113556.1.4.804:=3))":                        "eve",
		"(memberOf:1.2.840.113556.1.4.1941:=CN=nurses,OU=Groups,DC=hospital,DC=test)":                     "",
		"(distinguishedName=CN=Ada\\5c, Countess \\28Lovelace\\29,OU=Cardiology,OU=Staff," + BaseDN + ")": "ada",
	} {
		var got []string
		for _, e := range search(t, c, StaffDN, ldap.ScopeWholeSubtree, filter, "sAMAccountName") {
			got = append(got, e.GetAttributeValue("sAMAccountName"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s finds %v, want %s", filter, got, want)
		}
	}
	if got := search(t, c, StaffDN, ldap.ScopeSingleLevel, "(objectCategory=person)"); len(got) != 2 {
		t.Errorf("one level holds %d people, want 2", len(got))
	}
	groups := search(t, c, search(t, c, StaffDN, ldap.ScopeWholeSubtree, "(sAMAccountName=ada)")[0].DN, ldap.ScopeBaseObject, "(objectClass=*)", "tokenGroups")
	if n := len(groups[0].GetRawAttributeValues("tokenGroups")); n != 2 {
		t.Errorf("tokenGroups has %d groups, want 2: the primary one and nurses", n)
	}
	_, err := c.Search(ldap.NewSearchRequest("OU=None,"+BaseDN, ldap.ScopeWholeSubtree, 0, 0, 0, false, "(a=b)", nil, nil))
	if !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		t.Errorf("a base that is not there: %v", err)
	}
}

// TestFakeLimits meets the limits of a domain controller.
func TestFakeLimits(t *testing.T) {
	f := fakeOf(t)
	var all []string
	for i := range 1600 {
		all = append(all, fmt.Sprintf("p%04d", i))
		if _, err := f.AddPerson(Person{Account: all[i]}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.AddGroup("everybody", all...); err != nil {
		t.Fatal(err)
	}
	c := connect(t, f.URL(), f.Authority())
	if err := c.Bind(BindUPN, BindPassword); err != nil {
		t.Fatal(err)
	}
	r, err := c.Search(ldap.NewSearchRequest(StaffDN, ldap.ScopeWholeSubtree, 0, 0, 0, false, "(objectCategory=person)", []string{"cn"}, nil))
	if !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || len(r.Entries) != 1000 {
		t.Errorf("an unpaged search: %v", err)
	}
	if n := len(search(t, c, StaffDN, ldap.ScopeWholeSubtree, "(objectCategory=person)", "cn")); n != 1600 {
		t.Errorf("a paged search finds %d", n)
	}
	g := search(t, c, GroupsDN, ldap.ScopeWholeSubtree, "(cn=everybody)", "member")[0]
	if v, in := g.GetAttributeValues("member"), g.GetAttributeValues("member;range=0-1499"); len(v) != 0 || len(in) != 1500 {
		t.Errorf("member has %d, its range %d values", len(v), len(in))
	}
	g = search(t, c, GroupsDN, ldap.ScopeWholeSubtree, "(cn=everybody)", "member;range=1500-*")[0]
	if in := g.GetAttributeValues("member;range=1500-*"); len(in) != 100 {
		t.Errorf("the last range has %d values", len(in))
	}
}

// TestFakeSubCodes earns each sub-code.
func TestFakeSubCodes(t *testing.T) {
	f := fakeOf(t)
	past := time.Now().Add(-time.Hour)
	for _, c := range []struct {
		code     string
		do       func(account string) error
		password string
	}{
		{"", func(string) error { return nil }, Password},
		{"52e", func(string) error { return nil }, "wrong"},
		{"533", f.Disable, Password},
		{"52e", f.Disable, "wrong"},
		{"701", func(a string) error { return f.Expire(a, past) }, Password},
		{"532", f.ExpirePassword, Password},
		{"773", f.MustChange, Password},
		{"775", f.Lock, Password},
		{"775", f.Lock, "wrong"},
		{"530", f.DenyHours, Password},
		{"531", f.DenyWorkstation, Password},
		{"525", f.Delete, Password},
	} {
		if _, err := f.AddPerson(Person{Account: "who"}); err != nil {
			t.Fatal(err)
		}
		if err := c.do("who"); err != nil {
			t.Fatal(err)
		}
		err := connect(t, f.URL(), f.Authority()).Bind("CN=who,"+StaffDN, c.password)
		var refused *ldap.Error
		switch {
		case c.code == "" && err != nil:
			t.Errorf("a right login: %v", err)
		case c.code != "" && (!errors.As(err, &refused) || refused.ResultCode != 49 || !strings.Contains(refused.Err.Error(), "data "+c.code+",")):
			t.Errorf("%s: %v", c.code, err)
		}
		if c.code != "525" {
			if n := f.Attempts("who"); n != 1 {
				t.Errorf("%s: %d attempts counted", c.code, n)
			}
			_ = f.Delete("who")
		}
	}
}

// TestFakeStartTLS binds on the plain port, before and after TLS.
func TestFakeStartTLS(t *testing.T) {
	f := fakeOf(t)
	c := connect(t, f.StartTLSURL(), f.Authority())
	if err := c.Bind(BindDN, BindPassword); !ldap.IsErrorWithCode(err, ldap.LDAPResultStrongAuthRequired) || f.PlainBinds() != 1 {
		t.Errorf("a bind without TLS: %v, %d counted", err, f.PlainBinds())
	}
	if err := c.StartTLS(&tls.Config{RootCAs: f.authority.pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}); err != nil {
		t.Fatal(err)
	}
	if err := c.Bind(BindDN, ""); err == nil {
		t.Error("the library itself refuses an empty password")
	}
	if err := c.UnauthenticatedBind(BindDN); err != nil {
		t.Errorf("an empty password is an anonymous success: %v", err)
	}
	if _, err := c.Search(ldap.NewSearchRequest(StaffDN, 2, 0, 0, 0, false, "(cn=*)", nil, nil)); !ldap.IsErrorWithCode(err, ldap.LDAPResultOperationsError) {
		t.Errorf("an anonymous search: %v", err)
	}
	if err := c.Bind(BindUPN, BindPassword); err != nil {
		t.Error(err)
	}
}
