package ldapsync

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestOptions refuses what would not be secure, or not do.
func TestOptions(t *testing.T) {
	w := wards(t, nil)
	for name, change := range map[string]func(*Options){
		"no server":     func(o *Options) { o.URLs = nil },
		"http":          func(o *Options) { o.URLs = []string{"http://dc"} },
		"no scheme":     func(o *Options) { o.URLs = []string{"dc1"} },
		"user in URL":   func(o *Options) { o.URLs = []string{"ldaps://me:secret@dc"} },
		"path in URL":   func(o *Options) { o.URLs = []string{"ldaps://dc/DC=x"} },
		"ldapi":         func(o *Options) { o.URLs = []string{"ldapi:///x"} },
		"no CA":         func(o *Options) { o.CA = "" },
		"absent CA":     func(o *Options) { o.CA = t.TempDir() + "/x.pem" },
		"CA of nothing": func(o *Options) { o.CA = "doc.go" },
		"no base":       func(o *Options) { o.Base = nil },
		"no bind":       func(o *Options) { o.Bind = "" },
		"no password":   func(o *Options) { o.Password = nil },
		"loss":          func(o *Options) { o.MaxLossPercent = 101 },
	} {
		o := options(w.fake)
		change(&o)
		if _, _, err := Read(t.Context(), o); !errors.Is(err, errOptions) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for in, want := range map[string]target{
		"ldaps://dc1.x.test":    {"dc1.x.test", "dc1.x.test:636", false},
		"ldap://dc1.x.test/":    {"dc1.x.test", "dc1.x.test:389", true},
		"ldaps://[::1]:1636":    {"::1", "[::1]:1636", false},
		"LDAPS://dc1.x.test:99": {"dc1.x.test", "dc1.x.test:99", false},
	} {
		if got, err := parseTarget(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, read := range []func() (string, error){
		func() (string, error) { return "", nil },
		func() (string, error) { return "", errors.New("no such file") },
	} {
		o := options(w.fake)
		o.Password = read
		searches := w.fake.Attempts("holdfast-reader")
		if _, _, err := Read(t.Context(), o); classOf(err) != ClassCredential || w.fake.Attempts("holdfast-reader") != searches {
			t.Errorf("%v", err)
		}
	}
}

// TestSecretless looks for the password in what errors say, whatever happens.
func TestSecretless(t *testing.T) {
	w := wards(t, nil)
	w.s.o.Password = func() (string, error) { return "Hunter-2", nil }
	_, _, err := Read(t.Context(), w.s.o)
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", e, e, e), "Hunter-2") {
			t.Errorf("%#v", e)
		}
	}
	if classOf(err) != ClassBind || !strings.Contains(err.Error(), "LDAP code 49") {
		t.Errorf("%v", err)
	}
}

// TestFlood: a server that sends without end is left.
func TestFlood(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		for {
			// One LDAP message of 2 GiB, as far as its length says.
			if _, err := c.Write(append([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x04, 0x84, 0x7f, 0xff, 0xff, 0xf0}, make([]byte, 1<<16)...)); err != nil {
				return
			}
		}
	}()
	w := wards(t, nil)
	w.s.o.URLs = []string{"ldap://" + l.Addr().String()}
	w.s.o.bounds.bytes = 1 << 20
	if _, _, err := Read(t.Context(), w.s.o); err == nil || !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
