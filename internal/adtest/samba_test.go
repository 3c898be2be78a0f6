package adtest

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// TestFakeAgreesWithSamba does the same to both and compares what a client
// sees: what the Fake imitates is worth nothing otherwise.
func TestFakeAgreesWithSamba(t *testing.T) {
	dc := Samba(t)
	for name, d := range map[string]Directory{"fake": fakeOf(t), "samba": dc} {
		t.Run(name, func(t *testing.T) {
			t.Run("entries", func(t *testing.T) { agreeEntries(t, d) })
			t.Run("sub-codes", func(t *testing.T) { agreeCodes(t, d) })
		})
	}
}

// connectTo checks the certificate's name too.
func connectTo(t *testing.T, d Directory) *ldap.Conn {
	t.Helper()
	c := connect(t, d.URL(), d.Authority())
	if err := c.Bind(BindUPN, BindPassword); err != nil {
		t.Fatal(err)
	}
	return c
}

func agreeEntries(t *testing.T, d Directory) {
	guid, err := d.AddPerson(Person{Account: "ada", Name: `Lovelace, "Ada" <x>; #1+=\ é`, Mail: "ada@hospital.test", Department: "Radiology", OU: "Scans"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.AddPerson(Person{Account: "bob", OU: "Scans"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddGroup("inner", "ada", "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddGroup("outer", "inner"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddGroup("main", "bob"); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		d.SetPrimaryGroup("bob", "main"), d.AddComputer("ws", "Scans"), d.Disable("bob"), d.Move("bob", FormerDN), d.Rename("bob", "Robert"),
		d.AddMember("inner", "outer"), d.RemoveMember("inner", "bob"), d.Expire("bob", time.Now().Add(-time.Hour)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := connectTo(t, d)
	ada := one(t, c, "(sAMAccountName=ada)", "*", "objectGUID")
	if got, _ := guidText(string(ada.GetRawAttributeValue("objectGUID"))); got != guid || d.GUID("ada") != guid {
		t.Errorf("objectGUID is %s and %s, was %s", got, d.GUID("ada"), guid)
	}
	for name, want := range map[string]string{"cn": `Lovelace, "Ada" <x>; #1+=\ é`, "userPrincipalName": "ada@hospital.test", "sAMAccountType": "805306368", "primaryGroupID": "513", "displayName": `Lovelace, "Ada" <x>; #1+=\ é`} {
		if got := ada.GetEqualFoldAttributeValue(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if dn, err := ldap.ParseDN(ada.DN); err != nil || dn.RDNs[0].Attributes[0].Value != `Lovelace, "Ada" <x>; #1+=\ é` {
		t.Errorf("the DN is %s: %v", ada.DN, err)
	}
	if n := len(search(t, c, "OU=Scans,"+StaffDN, 2, "(objectClass=user)")); n != 2 {
		t.Errorf("Scans holds %d entries of class user, want 2: ada and a computer", n)
	}
	if n := len(search(t, c, "OU=Scans,"+StaffDN, 2, "(&(objectCategory=person)(objectClass=user))")); n != 1 {
		t.Errorf("Scans holds %d people, want 1", n)
	}
	bob := one(t, c, "(&(sAMAccountName=bob)(userAccountControl:1.2.840.113556.1.4.803:=2))", "userAccountControl", "accountExpires", "primaryGroupID")
	if !strings.HasPrefix(strings.ToLower(bob.DN), "cn=robert,ou=former,") {
		t.Errorf("bob is now %s", bob.DN)
	}
	if got := one(t, c, "(cn=main)", "member").GetAttributeValues("member"); len(got) != 0 {
		t.Errorf("the primary group's member is %q, want none", got)
	}
	if got := one(t, c, "(cn=inner)", "member").GetAttributeValues("member"); len(got) != 2 {
		t.Errorf("inner's members are %q, want ada and outer", got)
	}
	tokens := search(t, c, ada.DN, ldap.ScopeBaseObject, "(objectClass=*)", "tokenGroups")[0].GetRawAttributeValues("tokenGroups")
	for _, g := range []string{"inner", "outer"} {
		sid := one(t, c, "(cn="+g+")", "objectSid").GetRawAttributeValue("objectSid")
		in := false
		for _, s := range tokens {
			in = in || string(s) == string(sid)
		}
		if !in {
			t.Errorf("tokenGroups lacks %s", g)
		}
	}
	if err := d.Delete("ada"); err != nil {
		t.Fatal(err)
	}
	if again, err := d.AddPerson(Person{Account: "ada"}); err != nil || again == guid {
		t.Errorf("a name used again has GUID %s, was %s: %v", again, guid, err)
	}
}

func one(t *testing.T, c *ldap.Conn, filter string, attributes ...string) *ldap.Entry {
	t.Helper()
	found := search(t, c, BaseDN, ldap.ScopeWholeSubtree, filter, attributes...)
	if len(found) != 1 {
		t.Fatalf("%s finds %d entries", filter, len(found))
	}
	return found[0]
}

func agreeCodes(t *testing.T, d Directory) {
	past := time.Now().Add(-time.Hour)
	absent := "525" // as Microsoft's servers; Samba does not tell who exists
	if _, real := d.(*DC); real {
		absent = "52e"
	}
	for _, c := range []struct {
		name, code string
		do         func(account string) error
		password   string
	}{
		{"right", "", nil, Password},
		{"wrong", "52e", nil, "wrong"},
		{"disabled", "533", d.Disable, Password},
		{"expired", "701", func(a string) error { return d.Expire(a, past) }, Password},
		{"must change", "773", d.MustChange, Password},
		{"locked", "775", d.Lock, Password},
		{"locked and wrong", "775", d.Lock, "wrong"},
		{"hours", "530", d.DenyHours, Password},
		{"workstation", "531", d.DenyWorkstation, Password},
		{"disabled and wrong", "52e", d.Disable, "wrong"},
		{"absent", absent, d.Delete, Password},
	} {
		t.Run(c.name, func(t *testing.T) {
			account := "code-" + strings.ReplaceAll(c.name, " ", "-")
			if _, err := d.AddPerson(Person{Account: account}); err != nil {
				t.Fatal(err)
			}
			if c.do != nil {
				if err := c.do(account); err != nil {
					t.Fatal(err)
				}
			}
			err := connect(t, d.URL(), d.Authority()).Bind("CN="+account+","+StaffDN, c.password)
			var refused *ldap.Error
			switch {
			case c.code == "" && err != nil:
				t.Errorf("a right login: %v", err)
			case c.code != "" && (!errors.As(err, &refused) || refused.ResultCode != 49 || !strings.Contains(refused.Err.Error(), "data "+c.code+",")):
				t.Errorf("want %s: %v", c.code, err)
			}
		})
	}
}

// TestSambaLeavesNothing starts where a killed process has left its folder.
func TestSambaLeavesNothing(t *testing.T) {
	dir, release, err := runFolder()
	if err != nil {
		t.Fatal(err)
	}
	dc := Samba(t)
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("a folder in use was removed: %v", err)
	}
	release()
	pid := dc.process.Process.Pid
	dc.Stop()
	if err := syscall.Kill(-pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("something of Samba's group still runs: %v", err)
	}
	if _, err := os.Stat(dc.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
	again, free, err := runFolder()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a killed process's folder is still there: %v", err)
	}
	if err := os.RemoveAll(again); err != nil {
		t.Error(err)
	}
	free()
}
