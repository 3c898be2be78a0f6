package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast/internal/adtest"
	"holdfast/ldapsync"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ready is a preflight of which all is right, but for what needs a network.
func ready(t *testing.T) *Preflight {
	t.Helper()
	return &Preflight{
		Data: filepath.Join(t.TempDir(), "not", "yet"), Daily: 1000, Years: 7,
		Environment: func(string) string { return "" }, Proxy: direct,
		Sync:       func() (TimeSync, error) { return TimeSync{Synced: true, Bound: time.Millisecond}, nil },
		Filesystem: func(string) (int64, error) { return 0xef53, nil },
		Space:      func(string) (int64, int64, error) { return 1 << 40, 1 << 41, nil },
		Directory:  func(context.Context) (*Rights, error) { return &Rights{Person: true, Group: true}, nil },
		Timeout:    5 * time.Second,
	}
}

func direct(*http.Request) (*url.URL, error) { return nil, nil }

// expect looks for a finding.
func expect(t *testing.T, found []Finding, id, severity, text, fix string) {
	t.Helper()
	for _, f := range found {
		if f.ID != id {
			continue
		}
		if f.Severity != severity || !strings.Contains(f.Text, text) || !strings.Contains(f.Fix, fix) || (f.Fix == "") != (severity == OK) {
			t.Errorf("%+v, want %s with %q and fix %q", f, severity, text, fix)
		}
		return
	}
	t.Errorf("no finding %s in %+v", id, found)
}

// relay makes a preflight that finds at relay.test what listens at address.
func atRelay(p *Preflight, address, pins string) *Preflight {
	_, port, _ := net.SplitHostPort(address)
	p.Relay, p.RelayCA = "https://relay.test:"+port, pins
	p.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return p
}

func TestPreflightOfWhatIsRight(t *testing.T) {
	ours := newAuthority(t, "Relay CA")
	address, received := ours.serveTLS(time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0), "relay.test")
	for _, f := range atRelay(ready(t), address, ours.file()).Findings(t.Context()) {
		if f.Severity != OK {
			t.Errorf("%+v", f)
		}
	}
	if n := received(); n != 0 {
		t.Errorf("%d bytes were sent to what was not yet believed", n)
	}
}

// A proxy that opens TLS shows a certificate of its own authority; whether or
// not this machine trusts that one, the pins do not.
func TestPreflightFindsTLSInspection(t *testing.T) {
	ours, theirs := newAuthority(t, "Relay CA"), newAuthority(t, "Corporate Inspection CA")
	proxy := interceptor(t, theirs)
	p := ready(t)
	p.Relay, p.RelayCA = "https://relay.test", ours.file()
	p.Environment = func(name string) string {
		if name == "HTTPS_PROXY" {
			return proxy.String()
		}
		return ""
	}
	p.Proxy = http.ProxyURL(proxy)
	found := p.Findings(t.Context())
	expect(t, found, "relay-tls", Critical, `neither the pins nor this machine know: TLS is opened on the way, or relay.ca is not the relay's. Issuer "Corporate Inspection CA"`, "taken out of TLS inspection")
	expect(t, found, "proxy", Warning, "through http://127.0.0.1", "systemctl edit holdfastd")
	p.Roots = x509.NewCertPool()
	p.Roots.AddCert(theirs.cert)
	expect(t, p.Findings(t.Context()), "relay-tls", Critical, "this machine trusts and the pins do not", "taken out of TLS inspection")
	p.RelayCA = theirs.file()
	expect(t, p.Findings(t.Context()), "relay-tls", OK, "pinned authority", "")
}

// interceptor is a proxy that answers CONNECT and opens the TLS inside.
func interceptor(t *testing.T, a *authority) *url.URL {
	t.Helper()
	cert, key := a.issue("relay.test", time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0), []string{"relay.test"})
	config := &tls.Config{MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(raw)); err == nil && r.Method == http.MethodConnect {
				_, _ = raw.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n"))
				handshake(raw, config)
			}
			_ = raw.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return &url.URL{Scheme: "http", Host: l.Addr().String()}
}

func TestPreflightOfRelays(t *testing.T) {
	ours := newAuthority(t, "Relay CA")
	good, year := time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	expired, _ := ours.serveTLS(good.AddDate(-2, 0, 0), good.AddDate(-1, 0, 0), "relay.test")
	expect(t, atRelay(ready(t), expired, ours.file()).Findings(t.Context()), "relay-tls", Critical, "not good at this machine's time", "Compare the machine's clock")
	ending, _ := ours.serveTLS(good, time.Now().Add(3*day), "relay.test")
	expect(t, atRelay(ready(t), ending, ours.file()).Findings(t.Context()), "relay-tls", Warning, "ends on", "operator")
	other, _ := ours.serveTLS(good, year, "elsewhere.test")
	expect(t, atRelay(ready(t), other, ours.file()).Findings(t.Context()), "relay-tls", Critical, "not for relay.test", "relay's name")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, atRelay(ready(t), closed, ours.file()).Findings(t.Context()), "relay-tls", Critical, "no connection", "firewall")
	p := atRelay(ready(t), closed, ours.file())
	p.Dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "relay.test", IsNotFound: true}
	}
	expect(t, p.Findings(t.Context()), "relay-tls", Critical, "not resolved", "DNS")
	p.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	p.Timeout = 10 * time.Millisecond
	expect(t, p.Findings(t.Context()), "relay-tls", Critical, "does not answer in time", "firewall")
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	p = atRelay(p, plain.Listener.Addr().String(), ours.file())
	p.Timeout = 5 * time.Second
	expect(t, p.Findings(t.Context()), "relay-tls", Critical, "speaks no TLS", "captive portal")

	p = ready(t)
	expect(t, p.Findings(t.Context()), "relay-tls", Warning, "not tried", "--relay")
	p.Relay, p.RelayCA = "http://relay.test", ours.file()
	expect(t, p.Findings(t.Context()), "relay-tls", Critical, "not https", "operator")
	p.Relay, p.RelayCA = "https://relay.test", filepath.Join(t.TempDir(), "none.pem")
	expect(t, p.Findings(t.Context()), "relay-tls", Critical, "none.pem", "fingerprint")
}

func TestPreflightOfTheMachine(t *testing.T) {
	try := func(id, severity, text, fix string, change func(p *Preflight)) {
		t.Helper()
		p := ready(t)
		change(p)
		expect(t, p.Findings(t.Context()), id, severity, text, fix)
	}
	try("proxy", Critical, "is not one", "HTTPS_PROXY", func(p *Preflight) {
		p.Relay = "https://relay.test"
		p.Environment = func(string) string { return "::" }
		p.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("no URL") }
	})
	try("time-sync", Warning, "no time service", "timedatectl", func(p *Preflight) { p.Sync = func() (TimeSync, error) { return TimeSync{}, nil } })
	try("time-sync", Warning, "off by 4.0 seconds", "chrony", func(p *Preflight) {
		p.Sync = func() (TimeSync, error) { return TimeSync{Synced: true, Bound: 4 * time.Second}, nil }
	})
	try("time-sync", Warning, "cannot be found out", "timedatectl", func(p *Preflight) {
		p.Sync = func() (TimeSync, error) { return TimeSync{}, errors.New("not permitted") }
	})
	try("filesystem", Critical, "lies on NFS", "local disk", func(p *Preflight) { p.Filesystem = func(string) (int64, error) { return 0x6969, nil } })
	try("filesystem", Warning, "cannot be looked at", "mounted", func(p *Preflight) { p.Filesystem = func(string) (int64, error) { return 0, errors.New("gone") } })
	try("filesystem", Warning, "not tried", "--data", func(p *Preflight) { p.Data = "" })
	try("sizing", Critical, "without attachments", "larger volume", func(p *Preflight) { p.Space = func(string) (int64, int64, error) { return 1 << 30, 1 << 40, nil } })
	try("sizing", Warning, "without attachments", "larger volume", func(p *Preflight) {
		p.Space = func(string) (int64, int64, error) { return 1000 * 365 * 7 * BytesPerMessage * 5 / 4, 1 << 40, nil }
	})
	try("sizing", Warning, "not tried", "--daily", func(p *Preflight) { p.Daily = 0 })
	try("sizing", Warning, "cannot be measured", "mounted", func(p *Preflight) {
		p.Space = func(string) (int64, int64, error) { return 0, 0, errors.New("gone") }
	})
	if _, err := kernelSync(); err != nil {
		t.Errorf("adjtimex: %v", err)
	}
}

// The account is tried against a directory that answers as a domain controller.
func TestPreflightOfTheDirectory(t *testing.T) {
	fake, err := adtest.NewFake(t.TempDir(), adtest.Person{Account: "anna.lund"})
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	if _, err := fake.AddGroup("wards", "anna.lund"); err != nil {
		t.Fatal(err)
	}
	o := ldapsync.Options{URLs: []string{fake.URL()}, CA: fake.CAFile(), Bind: adtest.BindDN, Base: []string{adtest.StaffDN}, GroupBase: []string{adtest.GroupsDN},
		Password: func() (string, error) { return adtest.BindPassword, nil }}
	try := func(severity, text, fix string) {
		t.Helper()
		p := ready(t)
		p.Directory = func(ctx context.Context) (*Rights, error) {
			r, err := ldapsync.TryRights(ctx, o)
			if err != nil {
				return nil, err
			}
			return &Rights{Person: r.Person, Group: r.Group, Writes: r.Writes}, nil
		}
		expect(t, p.Findings(t.Context()), "directory-rights", severity, text, fix)
	}
	try(OK, "may change nothing", "")
	o.Filter = "(title=nobody)"
	try(Critical, "finds no person", "[directory] base")
	o.Filter, o.GroupBase = "", []string{adtest.StaffDN}
	try(Critical, "finds no group", "group_base")
	o.GroupBase = []string{"OU=Nowhere," + adtest.BaseDN}
	try(Critical, "base", "Check [directory] base and group_base")
	o.GroupBase = []string{adtest.GroupsDN}
	o.Password = func() (string, error) { return "wrong", nil }
	try(Critical, "bind", "holdfast.directory")
	o.Password = func() (string, error) { return adtest.BindPassword, nil }
	other := newAuthority(t, "Other CA")
	ca := o.CA
	o.CA = other.file()
	try(Critical, "tls", "[directory] ca")
	o.CA = ca
	if err := fake.Set("anna.lund", "allowedAttributesEffective", "telephoneNumber", "title"); err != nil {
		t.Fatal(err)
	}
	try(Warning, "2 kinds of things: telephoneNumber, title", "Domain Users")
	p := ready(t)
	p.Directory = nil
	expect(t, p.Findings(t.Context()), "directory-rights", Warning, "not tried", "--config")
}
