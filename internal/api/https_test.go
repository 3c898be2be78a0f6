package api

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTLS13Alone(t *testing.T) {
	desk := serveTLS(t, newTown(t).server())
	shake := func(change func(*tls.Config)) (*tls.ConnectionState, error) {
		conf := desk.config()
		change(conf)
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", desk.addr, conf)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		// What a server of TLS 1.3 refuses shows on the first read.
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			return nil, err
		}
		if _, err := io.ReadAll(c); err != nil {
			return nil, err
		}
		state := c.ConnectionState()
		return &state, nil
	}
	for _, old := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		if _, err := shake(func(c *tls.Config) { c.MinVersion, c.MaxVersion = old, old }); err == nil {
			t.Errorf("a client of %s was answered", tls.VersionName(old))
		}
	}
	state, err := shake(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS13 })
	if err != nil || state.Version != tls.VersionTLS13 {
		t.Fatalf("TLS 1.3: %+v, %v", state, err)
	}
	var modern []uint16
	for _, s := range tls.CipherSuites() {
		if slices.Equal(s.SupportedVersions, []uint16{tls.VersionTLS13}) {
			modern = append(modern, s.ID)
		}
	}
	if !slices.Contains(modern, state.CipherSuite) {
		t.Errorf("cipher suite %s", tls.CipherSuiteName(state.CipherSuite))
	}
	for _, curve := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256} {
		if state, err := shake(func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{curve} }); err != nil || state.CurveID != curve {
			t.Errorf("%s: %v", curve, err)
		}
	}
	if state, err := shake(func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }); err != nil || state.NegotiatedProtocol != "http/1.1" {
		t.Errorf("HTTP/1.1: %v", err)
	}
	if _, err := shake(func(c *tls.Config) { c.NextProtos = []string{"h2"} }); err == nil {
		t.Error("HTTP/2 was agreed on")
	}
	c, err := net.Dial("tcp", desk.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err == nil && strings.Contains(string(b), "200") {
		t.Errorf("answered without TLS: %q", b)
	}
}

func TestAnswersOverHTTPS(t *testing.T) {
	w := furnished(t)
	desk := serveTLS(t, w.server())
	r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+desk.addr+"/v1/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "bearer token-auditor")
	r.Header.Set("Origin", "https://elsewhere.example")
	resp, body := desk.do(t, r)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, cy) || resp.ProtoMajor != 1 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		"Referrer-Policy": "no-referrer", "Strict-Transport-Security": "max-age=31536000",
		"Access-Control-Allow-Origin": "", "Set-Cookie": "", "Access-Control-Allow-Credentials": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if resp, _ := desk.send(t, "token-auditor", "OPTIONS", "/v1/whoami", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a preflight: %d", resp.StatusCode)
	}
	// A token counts in its own header alone, exactly once.
	for name, change := range map[string]func(*http.Request){
		"cookie":    func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "token", Value: "token-auditor"}) },
		"query":     func(r *http.Request) { r.URL.RawQuery = "access_token=token-auditor" },
		"basic":     func(r *http.Request) { r.SetBasicAuth("token-auditor", "") },
		"other":     func(r *http.Request) { r.Header.Set("Authorization", "Basic token-auditor") },
		"bare":      func(r *http.Request) { r.Header.Set("Authorization", "token-auditor") },
		"empty":     func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
		"twice":     func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer token-auditor", "Bearer x"} },
		"very long": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 2*maxToken)) },
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+desk.addr+"/v1/whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		if resp, body := desk.do(t, r); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(body, CodeLogin) || strings.Contains(body, "token-") {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
	if resp, body := desk.send(t, "token-auditor", "GET", "/v1/whoami?access_token=token-auditor", ""); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a token in the URL besides: %d %s", resp.StatusCode, body)
	}
}

// A request's address is that of its connection, not that of the login.
func TestLoginAndLogout(t *testing.T) {
	w := furnished(t)
	desk := serveTLS(t, w.server())
	c := desk.client(t, "")
	_, err := c.Login(t.Context(), LoginRequest{Name: "anna", Password: "wrong canary"})
	if p := problem(t, err); p.Code != CodeRefused || p.Exit != ExitPermission || strings.Contains(p.Error()+p.Hint, "canary") {
		t.Errorf("wrong password: %+v", p)
	}
	g, err := c.Login(t.Context(), LoginRequest{Name: "auditor", Password: "right", Code: "123456"})
	if err != nil || g.Token != "token-auditor" || g.Person != anna || g.Idle != 900 || g.Roles == nil {
		t.Fatalf("%+v, %v", g, err)
	}
	if trace := w.traced(); !slices.Equal(trace, []string{"login from 127.0.0.1", "login from 127.0.0.1"}) {
		t.Errorf("trace %q", trace)
	}
	mine := desk.client(t, g.Token)
	if me, err := mine.Whoami(t.Context()); err != nil || me.Address != "127.0.0.1" || len(me.Roles) != 1 {
		t.Errorf("%+v, %v", me, err)
	}
	for range 2 { // the second finds the session ended, which is what was asked for or a missing session
		if err := mine.Logout(t.Context()); err != nil && problem(t, err).Code != CodeLogin {
			t.Errorf("logout: %v", err)
		}
	}
	if _, err := mine.Whoami(t.Context()); problem(t, err).Code != CodeLogin {
		t.Errorf("after the logout: %v", err)
	}
}

func TestClientBelievesNobody(t *testing.T) {
	desk := serveTLS(t, newTown(t).server())
	strange := newAuthority(t)
	c, err := NewHTTPSClient(HTTPSOptions{Address: desk.addr, CA: strange.pem})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Status(t.Context())
	if p := problem(t, err); p.Code != CodeUntrusted || p.Exit != ExitUnreachable || p.Detail != "no known authority made it" {
		t.Errorf("%+v", p)
	}
	host, port, err := net.SplitHostPort(desk.addr)
	if err != nil || host != "127.0.0.1" {
		t.Fatal(host, err)
	}
	c, err = NewHTTPSClient(HTTPSOptions{Address: "https://localhost:" + port, CA: desk.ca.pem})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err = c.Status(t.Context()); problem(t, err).Detail != "it is for another host" {
		t.Errorf("another host: %v", err)
	}
	for _, bad := range []string{"", "http://x:1", "https://", "https://u:p@x", "https://x/path", "https://x?q", "ftp://x", "https://x#f", "::"} {
		if _, err := NewHTTPSClient(HTTPSOptions{Address: bad}); problem(t, err).Exit != ExitUsage {
			t.Errorf("%q: %v", bad, err)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ca := range []string{empty, empty + ".not"} {
		if _, err := NewHTTPSClient(HTTPSOptions{Address: "x:1", CA: ca}); problem(t, err).Exit != ExitConfig {
			t.Errorf("%s: %v", ca, err)
		}
	}
}

func serialNow(t *testing.T, d *desk) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", d.addr, d.config())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestCertificateIsReadAgain(t *testing.T) {
	desk := serveTLS(t, newTown(t).server())
	if got := serialNow(t, desk); got != 101 {
		t.Fatalf("serial %d", got)
	}
	want := desk.ca.issue(desk.cert, desk.key, time.Now().Add(time.Hour))
	if got := serialNow(t, desk); got != want {
		t.Errorf("after a change: serial %d, want %d", got, want)
	}
	good, err := os.ReadFile(desk.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, breakIt := range map[string]func(){
		"torn":     func() { _ = os.WriteFile(desk.key, good[:40], 0o600) },
		"missing":  func() { _ = os.Remove(desk.key) },
		"of other": func() { desk.ca.issue(filepath.Join(t.TempDir(), "x"), desk.key, time.Now().Add(time.Hour)) },
		"expired":  func() { desk.ca.issue(desk.cert, desk.key, time.Now().Add(-time.Minute)) },
	} {
		breakIt()
		if got := serialNow(t, desk); got != want {
			t.Errorf("%s: serial %d, want the old %d", name, got, want)
		}
	}
	want = desk.ca.issue(desk.cert, desk.key, time.Now().Add(time.Hour))
	if got := serialNow(t, desk); got != want {
		t.Errorf("mended: serial %d, want %d", got, want)
	}
	select {
	case err := <-desk.failed:
		t.Errorf("told at once, while files may still be in exchange: %v", err)
	default:
	}
	if _, err := LoadCertificate(desk.cert, desk.cert+".not", slog.New(slog.DiscardHandler), nil); err == nil {
		t.Error("a start without a key")
	}
}

// A pair that stays broken is told once, and again when it breaks anew.
func TestBrokenCertificateIsTold(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c"), filepath.Join(dir, "k")
	ca.issue(cert, key, time.Now().AddDate(100, 0, 0))
	synctest.Test(t, func(t *testing.T) {
		var told []error
		c, err := LoadCertificate(cert, key, slog.New(slog.DiscardHandler), func(err error) { told = append(told, err) })
		if err != nil {
			t.Fatal(err)
		}
		old := c.NotAfter()
		for round := 1; round <= 2; round++ {
			if err := os.Remove(key); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				c.current()
				time.Sleep(settle / 2)
			}
			if len(told) != round {
				t.Errorf("round %d: told %d times", round, len(told))
			}
			ca.issue(cert, key, time.Now().AddDate(110, 0, 0))
			if c.current(); c.NotAfter().Equal(old) {
				t.Error("the mended pair does not serve")
			}
		}
	})
}

func TestStrangersAreBounded(t *testing.T) {
	w := furnished(t)
	s := w.server()
	h := s.Handler()
	synctest.Test(t, func(t *testing.T) {
		from := func(address, token string) int {
			return as(h, end{via: "https", address: address}, token, "GET", "/v1/whoami", "").Code
		}
		for i := range burst {
			if code := from("192.0.2.1", "guess"); code != http.StatusUnauthorized {
				t.Fatalf("request %d: %d", i, code)
			}
		}
		if code := from("192.0.2.1", "guess"); code != http.StatusTooManyRequests {
			t.Errorf("beyond the bound: %d", code)
		}
		login := as(h, end{via: "https", address: "192.0.2.1"}, "", "POST", "/v1/login", bodies["POST /v1/login"])
		if login.Code != http.StatusTooManyRequests || len(w.traced()) > 0 {
			t.Errorf("a login beyond the bound: %d, %q", login.Code, w.traced())
		}
		if code := from("192.0.2.1", "token-auditor"); code != http.StatusOK {
			t.Errorf("a session behind the same address: %d", code)
		}
		if code := from("192.0.2.2", "guess"); code != http.StatusUnauthorized {
			t.Errorf("another address: %d", code)
		}
		time.Sleep(refill)
		if a, b := from("192.0.2.1", "guess"), from("192.0.2.1", "guess"); a != http.StatusUnauthorized || b != http.StatusTooManyRequests {
			t.Errorf("after a while: %d, %d", a, b)
		}
	})
	f := strangers{places: s.strangers.places}
	now := time.Now()
	for i := range 3 * maxPlaces {
		_ = f.admit(net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)).String(), now)
		if len(f.places) > maxPlaces {
			t.Fatalf("%d addresses remembered", len(f.places))
		}
	}
	if f.admit("198.51.100.1", now) == nil {
		t.Error("addresses beyond those remembered are unbounded together")
	}
	if f.admit("198.51.100.1", now.Add(time.Hour)) != nil {
		t.Error("and for ever")
	}
	if placeOf("2001:db8::1") != placeOf("2001:db8::ffff:1") || placeOf("2001:db8::1") == placeOf("2001:db8:0:1::1") || placeOf("192.0.2.1") == placeOf("192.0.2.2") || placeOf("::ffff:192.0.2.1") != placeOf("192.0.2.1") {
		t.Error("what one machine has to itself is not one place")
	}
}

// Connections beyond the bound wait, and get in when another ends.
func TestConnectionsAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limited(inner, 1, 9)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := dial(), dial()
	defer a.Close()
	defer b.Close()
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			err = c.Close()
		}
		second <- err
	}()
	select {
	case err := <-second:
		t.Fatalf("a second connection got in: %v", err)
	default:
	}
	if err := errors.Join(first.Close(), <-second); err != nil {
		t.Error(err)
	}
	held := dial()
	defer held.Close()
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	go func() { _, err := l.Accept(); second <- err }()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-second; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept on a closed listener: %v", err)
	}
}

// Requests that arrive too slowly, or too large, are cut off.
func TestLimitsOfTheListener(t *testing.T) {
	desk := serveTLS(t, newTown(t).server())
	r, err := http.NewRequestWithContext(context.Background(), "GET", "https://"+desk.addr+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Large", strings.Repeat("x", 4*maxHeader))
	if resp, _ := desk.do(t, r); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("large headers: %d", resp.StatusCode)
	}
	if resp, body := desk.send(t, "", "POST", "/v1/login", `{"name":"`+strings.Repeat("x", MaxRequest)+`"}`); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a large login: %d %s", resp.StatusCode, body)
	}
}
