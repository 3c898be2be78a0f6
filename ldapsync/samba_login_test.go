package ldapsync

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive/people"
	"holdfast/internal/adtest"
)

// logins tries names and passwords on the real directory.
func (h *hospital) logins(t *testing.T) {
	o := h.options(h.one.URL(), h.two.URL())
	o.Base = departments("00", "03")
	s, log := h.syncer(t, o)
	if _, err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.right(t, s, log)
	h.codes(t, s)
	h.injections(t, s)
	h.oneBind(t, s)
	h.reused(t, s)
	h.readers(t)
}

// refusal logs in and wants a code. It returns how often the person was bound.
func (h *hospital) refusal(t *testing.T, s *Syncer, name, password string, codes ...string) int {
	t.Helper()
	before := h.binds()
	id, err := s.Authenticate(t.Context(), name, password)
	var l *LoginError
	if id != nil || !errors.As(err, &l) || !slices.Contains(codes, l.Code) {
		t.Errorf("%q: %v, want %v", name, err, codes)
	}
	return h.binds() - before
}

// binds counts the bind requests of anybody but the reading account.
func (h *hospital) binds() int {
	n := 0
	for _, p := range []*adtest.Proxy{h.one, h.two} {
		for name, times := range p.Counts().BindNames {
			if name != adtest.BindUPN {
				n += times
			}
		}
	}
	return n
}

func (h *hospital) right(t *testing.T, s *Syncer, log *memory) {
	for _, name := range []string{"p0003", "P0003", "p0003@hospital.test", "P0003@HOSPITAL.TEST"} {
		h.run(t, "login as "+name, func(t *testing.T) {
			id, err := s.Authenticate(t.Context(), name, adtest.Password)
			if err != nil || id.GUID != h.guid(t, "p0003") || id.Person.Account != "p0003" {
				t.Fatalf("%v: %v", id, err)
			}
			if n := h.binds(); n != 1 {
				t.Errorf("bound %d times", n)
			}
		})
	}
	h.run(t, "login by StartTLS", func(t *testing.T) {
		st, _ := h.syncer(t, h.department(h.one.StartTLSURL()))
		if _, err := st.Authenticate(t.Context(), "p0003", adtest.Password); err != nil {
			t.Error(err)
		}
	})
	h.run(t, "login with an awkward name", func(t *testing.T) {
		const name = `O'Neil, "Zoë" <x>; #1+=\ (*)`
		if _, err := h.dc.AddPerson(adtest.Person{Account: "awkward", Name: name, OU: "Department 03"}); err != nil {
			t.Fatal(err)
		}
		if id, err := s.Authenticate(t.Context(), "awkward", adtest.Password); err != nil || id.Person.Name != name {
			t.Errorf("%v: %v", id, err)
		}
	})
	h.run(t, "groups are those of now, not of the last synchronisation", func(t *testing.T) {
		group, _, err := log.history.GroupNow("ward-40")
		if err != nil {
			t.Fatal(err)
		}
		in := func() bool {
			id, err := s.Authenticate(t.Context(), "p0023", adtest.Password)
			if err != nil {
				t.Fatal(err)
			}
			return slices.Contains(id.Groups, group.GUID)
		}
		if in() {
			t.Error("in the group before")
		}
		if err := h.dc.AddMember("ward-40", "p0023"); err != nil {
			t.Fatal(err)
		}
		if !in() {
			t.Error("not in the group although the directory says so")
		}
		if err := h.dc.RemoveMember("ward-40", "p0023"); err != nil {
			t.Fatal(err)
		}
		if in() {
			t.Error("still in the group although the directory says no")
		}
	})
	h.run(t, "the first domain controller is down", func(t *testing.T) {
		h.one.Set(adtest.Fault{BindCode: 52})
		if _, err := s.Authenticate(t.Context(), "p0003", adtest.Password); err != nil {
			t.Error(err)
		}
	})
}

// codes earns every sub-code that Samba gives, and those that it does not from
// a proxy.
func (h *hospital) codes(t *testing.T, s *Syncer) {
	past := time.Now().Add(-time.Hour)
	for _, c := range []struct {
		code, password string
		do             func(account string) error
	}{
		{"52e", "wrong", nil},
		{"533", adtest.Password, h.dc.Disable},
		{"701", adtest.Password, func(a string) error { return h.dc.Expire(a, past) }},
		{"773", adtest.Password, h.dc.MustChange},
		{"775", adtest.Password, h.dc.Lock},
		{"530", adtest.Password, h.dc.DenyHours},
		{"531", adtest.Password, h.dc.DenyWorkstation},
	} {
		h.run(t, "sub-code "+c.code, func(t *testing.T) {
			account := "code" + c.code
			if _, err := h.dc.AddPerson(adtest.Person{Account: account, OU: "Department 03"}); err != nil {
				t.Fatal(err)
			}
			if c.do != nil {
				if err := c.do(account); err != nil {
					t.Fatal(err)
				}
			}
			if n := h.refusal(t, s, account, c.password, c.code); n != 1 {
				t.Errorf("bound %d times", n)
			}
		})
	}
	h.run(t, "sub-code 532", func(t *testing.T) { h.refusal(t, s, adtest.OldPassword, adtest.Password, "532") })
	h.run(t, "a person without a password", func(t *testing.T) { h.refusal(t, s, "p0900", adtest.Password, "52e") })
	for _, name := range []string{"nobody-has-this", "nobody@hospital.test", "administrator", "holdfast-reader", "WS-01$"} {
		h.run(t, "nobody of the staff: "+name, func(t *testing.T) {
			if n := h.refusal(t, s, name, adtest.Password, CodeNotOne); n != 0 {
				t.Errorf("bound %d times", n)
			}
		})
	}
	for _, code := range []string{"525", "568", "80090346"} { // gone since it was found; too many groups; channel binding
		h.forge(t, "sub-code "+code, func(t *testing.T) {
			h.one.Set(adtest.Fault{PersonCode: code})
			h.two.Set(adtest.Fault{PersonCode: code})
			if n := h.refusal(t, s, "p0003", adtest.Password, code); n != 1 {
				t.Errorf("bound %d times", n)
			}
		})
	}
	h.run(t, "an empty password", func(t *testing.T) {
		for _, name := range []string{"p0003", "p0003@hospital.test", "", "administrator"} {
			h.refusal(t, s, name, "", CodeEmpty)
		}
		if a, b := h.one.Counts(), h.two.Counts(); a.Connections+b.Connections != 0 {
			t.Errorf("%d connections for nothing", a.Connections+b.Connections)
		}
	})
}

// injections tries names that would mean something else if they were not escaped.
func (h *hospital) injections(t *testing.T, s *Syncer) {
	for _, name := range []string{
		"*", "p*", "p0003*", "*@hospital.test", "p0003)(objectClass=*", "p0003)(|(objectClass=*", "x)(|(sAMAccountName=p0003))", `p0003\2a`, `\70\30\30\30\33`,
		"p0003\x00", "p0003 ", " p0003", "p0003\n", "ｐ0003", "p000３", "ṗ0003", "p0003@hospital.test)(mail=*", "CN=p0003," + adtest.StaffDN, `HOSPITAL\p0003`,
		"<GUID=" + string(h.guid(t, "p0003")) + ">", "()", "(&)", "&", "!", "p0003\xff", strings.Repeat("p", 300), strings.Repeat("*", 200), "p0003@HOSPITAL.TEST.",
	} {
		h.run(t, "injection "+strings.ToValidUTF8(strings.ReplaceAll(name, "/", "_"), "?")[:min(24, len(strings.ToValidUTF8(name, "?")))], func(t *testing.T) {
			if n := h.refusal(t, s, name, adtest.Password, CodeNotOne, CodeTooLong); n != 0 {
				t.Errorf("bound %d times", n)
			}
		})
	}
}

// oneBind counts what reaches the directory, in Samba's own count too.
func (h *hospital) oneBind(t *testing.T, s *Syncer) {
	h.run(t, "each wrong password counts once", func(t *testing.T) {
		if _, err := h.dc.AddPerson(adtest.Person{Account: "clumsy", OU: "Department 03"}); err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 3; i++ {
			bound := h.refusal(t, s, "clumsy", "wrong", "52e")
			if n, err := h.dc.WrongPasswords("clumsy"); err != nil || n != i || bound != 1 {
				t.Fatalf("after %d: Samba counts %d, %d binds: %v", i, n, bound, err)
			}
		}
		if h.dc.Locked("clumsy") {
			t.Error("locked before the fifth")
		}
		if _, err := s.Authenticate(t.Context(), "clumsy", adtest.Password); err != nil {
			t.Error(err)
		}
	})
	for name, fault := range map[string]adtest.Fault{"is cut": {PersonCut: true, Clean: true}, "is reset": {PersonCut: true}} {
		h.run(t, "no second bind when the first "+name, func(t *testing.T) {
			h.one.Set(fault)
			h.two.Set(fault)
			if n := h.refusal(t, s, "p0003", "wrong", string(ClassUnreachable)); n != 1 {
				t.Errorf("bound %d times", n)
			}
			if n, err := h.dc.WrongPasswords("p0003"); err != nil || n > 2 {
				t.Errorf("Samba counts %d: %v", n, err)
			}
		})
	}
	h.run(t, "a silent server after the password", func(t *testing.T) {
		o := h.options(h.one.URL(), h.two.URL())
		o.Timeout = time.Second
		quick, _ := h.syncer(t, o)
		h.one.Set(adtest.Fault{SilentAfter: 3}) // the reader's bind, the entry, the end
		h.two.Set(adtest.Fault{SilentAfter: 3})
		began := time.Now()
		_, err := quick.Authenticate(t.Context(), "p0003", adtest.Password)
		var l *LoginError
		if !errors.As(err, &l) || time.Since(began) > 8*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if n := h.binds(); n > 1 {
			t.Errorf("bound %d times", n)
		}
	})
}

// reused logs in with names that have changed hands.
func (h *hospital) reused(t *testing.T, s *Syncer) {
	add := func(t *testing.T, p adtest.Person) people.GUID {
		t.Helper()
		if _, err := h.dc.AddPerson(p); err != nil {
			t.Fatal(err)
		}
		return h.guid(t, p.Account)
	}
	h.run(t, "a name used again logs in its new owner", func(t *testing.T) {
		was := add(t, adtest.Person{Account: "handed", OU: "Department 03"})
		if err := h.dc.Delete("handed"); err != nil {
			t.Fatal(err)
		}
		is := add(t, adtest.Person{Account: "handed", OU: "Department 03"})
		id, err := s.Authenticate(t.Context(), "handed", adtest.Password)
		if err != nil || id.GUID != is || is == was {
			t.Errorf("%v: %v", id, err)
		}
	})
	h.run(t, "a name that was given up logs nobody in", func(t *testing.T) {
		g := add(t, adtest.Person{Account: "renamed", OU: "Department 03"})
		if err := h.dc.Set("renamed", "sAMAccountName", "renamed2"); err != nil {
			t.Fatal(err)
		}
		if n := h.refusal(t, s, "renamed", adtest.Password, CodeNotOne); n != 0 {
			t.Errorf("bound %d times", n)
		}
		if id, err := s.Authenticate(t.Context(), "renamed2", adtest.Password); err != nil || id.GUID != g {
			t.Errorf("%v: %v", id, err)
		}
	})
	h.run(t, "who was moved out of the base is nobody", func(t *testing.T) {
		add(t, adtest.Person{Account: "mover", OU: "Department 03"})
		if err := h.dc.Move("mover", adtest.FormerDN); err != nil {
			t.Fatal(err)
		}
		h.refusal(t, s, "mover", adtest.Password, CodeNotOne)
	})
	h.run(t, "a UPN of another domain is not the account's", func(t *testing.T) {
		add(t, adtest.Person{Account: "double", UPN: "double@elsewhere.test", OU: "Department 03"})
		for name, ok := range map[string]bool{"double@elsewhere.test": true, "double": true, "double@hospital.test": false} {
			id, err := s.Authenticate(t.Context(), name, adtest.Password)
			if (err == nil) != ok || ok && id.Person.Account != "double" {
				t.Errorf("%s: %v %v", name, id, err)
			}
		}
	})
	h.run(t, "who is disabled in the middle of the day", func(t *testing.T) {
		add(t, adtest.Person{Account: "leaver", OU: "Department 03"})
		if _, err := s.Authenticate(t.Context(), "leaver", adtest.Password); err != nil {
			t.Fatal(err)
		}
		if err := h.dc.Disable("leaver"); err != nil {
			t.Fatal(err)
		}
		h.refusal(t, s, "leaver", adtest.Password, "533")
	})
}

// readers gives the reading account wrong passwords: it must not be locked out
// by being tried again and again.
func (h *hospital) readers(t *testing.T) {
	h.run(t, "the reading account's password is wrong", func(t *testing.T) {
		o := h.department()
		o.Password = func() (string, error) { return "not-the-passw0rd", nil }
		s, _ := h.syncer(t, o)
		for range 8 {
			_, _ = s.Authenticate(t.Context(), "p0003", adtest.Password)
		}
		if n := h.one.Counts().Binds; n != 1 {
			t.Errorf("bound %d times", n)
		}
		if h.dc.Locked("holdfast-reader") {
			t.Error("the reading account is locked")
		}
	})
	h.run(t, "the reading account's password cannot be read", func(t *testing.T) {
		o := h.department()
		o.Password = func() (string, error) { return "", errors.New("no credential") }
		h.fails(t, o, ClassCredential)
	})
	h.run(t, "the reading account's password is empty", func(t *testing.T) {
		o := h.department()
		o.Password = func() (string, error) { return "", nil }
		h.fails(t, o, ClassCredential)
		if n := h.one.Counts().Binds; n != 0 {
			t.Errorf("bound %d times", n)
		}
	})
}
