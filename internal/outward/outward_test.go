package outward

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What must not be in an error: the first three are told to a server, the last
// is what it says.
const (
	secretPath = "/hooks/path-canary"
	secretBody = "body-canary"
	secretUser = "user-canary"
	theirs     = "answer-canary"
)

// newServer serves h over TLS 1.3 and returns a client that believes it.
func newServer(t *testing.T, h http.HandlerFunc) (*httptest.Server, *http.Client) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, HTTP(s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs)
}

func tell(ctx context.Context, client *http.Client, url string, limit int64) (*Answer, error) {
	return Post(ctx, client, url, http.Header{"Content-Type": {"text/plain"}}, strings.NewReader(secretBody), limit)
}

func TestPost(t *testing.T) {
	s, client := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || string(b) != secretBody || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "text/plain" || r.UserAgent() != "holdfast" {
			t.Error(r.Method, r.Header, string(b), err)
		}
		w.Header().Set("Content-Type", "x/y")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "12345")
	})
	a, err := tell(t.Context(), client, s.URL, 5)
	if err != nil || a.Status != http.StatusTeapot || a.Type != "x/y" || string(a.Body) != "12345" {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := tell(t.Context(), client, s.URL, 4); !errors.Is(err, ErrTooLong) || err.Error() != ErrTooLong.Error() {
		t.Errorf("five bytes where four are due: %v", err)
	}
}

// Whatever the server says, what it was told goes nowhere else, and the answer
// is the redirect.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var elsewhere, here atomic.Int32
	other, _ := newServer(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{other.URL, "/again"} {
			here.Store(0)
			s, client := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				here.Add(1)
				w.Header().Set("Location", to)
				w.WriteHeader(status)
			})
			a, err := tell(t.Context(), client, s.URL, 10)
			if err != nil || a.Status != status || here.Load() != 1 || elsewhere.Load() != 0 {
				t.Errorf("%d to %s: %+v, %v; asked %d times here and %d elsewhere", status, to, a, err, here.Load(), elsewhere.Load())
			}
		}
	}
}

// An answer without an end is left after as many bytes as are due, compressed
// or not.
func TestAnswersAreBounded(t *testing.T) {
	const limit = 1000
	var wrote atomic.Int64
	s, client := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("it asks for %q, which unpacks to any length", r.Header.Get("Accept-Encoding"))
		}
		for {
			n, err := w.Write(make([]byte, 32<<10))
			if wrote.Add(int64(n)); err != nil {
				return
			}
		}
	})
	if _, err := tell(t.Context(), client, s.URL, limit); !errors.Is(err, ErrTooLong) {
		t.Errorf("an endless answer: %v", err)
	}
	if wrote.Load() > 64<<20 {
		t.Errorf("%d bytes were taken", wrote.Load())
	}
	s, client = newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat(theirs, 128<<10/len(theirs)))
	})
	if a, err := tell(t.Context(), client, s.URL, limit); err == nil {
		t.Errorf("a header of 128 KB: %+v", a)
	}
}

// pipes is a network whose other ends h has: no socket, so that time can be
// tested.
func pipes(wait *sync.WaitGroup, h func(ctx context.Context, c net.Conn)) *http.Client {
	client := HTTP(nil)
	tr := client.Transport.(*http.Transport)
	tr.Proxy = nil
	tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		wait.Go(func() { h(ctx, far); far.Close() })
		return near, nil
	}
	return client
}

// readHead reads a request's head and body.
func readHead(c net.Conn) {
	b := make([]byte, 64<<10)
	for n := 0; ; {
		m, err := c.Read(b[n:])
		if n += m; err != nil || bytes.HasSuffix(b[:n], []byte(secretBody)) {
			return
		}
	}
}

// untilClosed reads until the other end is closed.
func untilClosed(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// Whoever takes his time is heard for half a minute at most, at whichever point
// he stops.
func TestExchangesEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		scheme string
		within time.Duration
		h      func(ctx context.Context, c net.Conn)
	}{
		"no handshake": {"https", Timeout / 2, func(_ context.Context, c net.Conn) { untilClosed(c) }},
		"no answer":    {"http", Timeout / 2, func(_ context.Context, c net.Conn) { readHead(c); untilClosed(c) }},
		"a slow header": {"http", Timeout / 2, func(_ context.Context, c net.Conn) {
			readHead(c)
			for _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "); err == nil; _, err = io.WriteString(c, "x") {
				time.Sleep(time.Second)
			}
		}},
		"a slow body": {"http", Timeout, func(_ context.Context, c net.Conn) {
			readHead(c)
			for _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); err == nil; _, err = io.WriteString(c, "x") {
				time.Sleep(time.Second)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var wait sync.WaitGroup
				begun := time.Now()
				a, err := tell(t.Context(), pipes(&wait, tt.h), tt.scheme+"://witness.test"+secretPath, 1<<20)
				took := time.Since(begun)
				wait.Wait()
				var network net.Error
				if err == nil || !errors.As(err, &network) || !network.Timeout() || took != tt.within {
					t.Errorf("%+v, %v after %s", a, err, took)
				}
				quiet(t, err)
			})
		})
	}
}

// A connection that is never made is given up as well.
func TestDialEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		defer close(end)
		client := HTTP(nil)
		client.Transport.(*http.Transport).Proxy = nil
		client.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
			<-end
			return nil, errors.New("over")
		}
		begun := time.Now()
		_, err := tell(t.Context(), client, "https://witness.test", 10)
		if took := time.Since(begun); err == nil || took != Timeout {
			t.Errorf("%v after %s", err, took)
		}
	})
}

// No connection outlives its exchange.
func TestConnectionsAreNotKept(t *testing.T) {
	var mu sync.Mutex
	from := map[string]bool{}
	s, client := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		from[r.RemoteAddr] = true
	})
	for range 3 {
		if _, err := tell(t.Context(), client, s.URL, 10); err != nil {
			t.Fatal(err)
		}
	}
	if len(from) != 3 {
		t.Errorf("three exchanges over %d connections", len(from))
	}
}

// TLS below 1.2, another name, and a server that the named authorities do not
// certify end before anything is told.
func TestServersAreCertified(t *testing.T) {
	var told atomic.Int32
	h := func(http.ResponseWriter, *http.Request) { told.Add(1) }
	s, believing := newServer(t, h)
	old := httptest.NewUnstartedServer(http.HandlerFunc(h))
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	t.Cleanup(old.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		client *http.Client
		url    string
	}{
		"TLS 1.1":                 {believing, old.URL},
		"certified by nobody":     {HTTP(nil), s.URL},
		"of another name":         {believing, "https://localhost:" + port},
		"over HTTP to an HTTPS's": {believing, "http://127.0.0.1:" + port},
	} {
		a, err := tell(t.Context(), tt.client, tt.url+secretPath, 10)
		if a != nil && a.Status == http.StatusBadRequest && told.Load() == 0 {
			continue // net/http says so to who speaks no TLS
		}
		if err == nil || told.Load() != 0 {
			t.Errorf("%s: %+v, %v", name, a, err)
			continue
		}
		quiet(t, err)
		var verify *tls.CertificateVerificationError
		if slices.Contains([]string{"certified by nobody", "of another name"}, name) && !errors.As(err, &verify) {
			t.Errorf("%s: what kind of failure it is cannot be told: %v", name, err)
		}
	}
	if c := TLS("mail.test", nil); c.ServerName != "mail.test" || c.MinVersion != tls.VersionTLS12 || c.InsecureSkipVerify {
		t.Errorf("%+v", c)
	}
}

// TLS 1.2 is spoken, and certified, as in old mail servers.
func TestOldServersAreSpokenTo(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	if _, err := tell(t.Context(), HTTP(s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs), s.URL, 10); err != nil {
		t.Error(err)
	}
}

func TestAuthorities(t *testing.T) {
	s, _ := newServer(t, func(http.ResponseWriter, *http.Request) {})
	one := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	path := filepath.Join(t.TempDir(), "ca.pem")
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if pool, err := Authorities(""); pool != nil || err != nil {
		t.Errorf("none named: %v, %v", pool, err)
	}
	if _, err := Authorities(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	write(one)
	pool, err := Authorities(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tell(t.Context(), HTTP(pool), s.URL, 10); err != nil {
		t.Errorf("certified by the file's: %v", err)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "no PEM": []byte("none"), "no certificate": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
		"too long": slices.Concat(one, bytes.Repeat([]byte{'\n'}, MaxCA)),
	} {
		write(text)
		if pool, err := Authorities(path); err == nil || pool != nil {
			t.Errorf("%s: %v, %v", name, pool, err)
		}
	}
}

// quiet looks for what must be in no error.
func quiet(t *testing.T, err error) {
	t.Helper()
	for _, c := range []string{secretPath, secretBody, secretUser, theirs, base64.StdEncoding.EncodeToString([]byte(secretUser + ":" + secretUser))} {
		if strings.Contains(err.Error(), c) {
			t.Errorf("%q is in %q", c, err)
		}
	}
}

// raw answers each connection with a text, after the request's head.
func raw(t *testing.T, answer string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				defer c.Close()
				if _, err := c.Read(make([]byte, 16<<10)); err == nil {
					_, _ = io.WriteString(c, answer)
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wait.Wait() })
	return l.Addr().String()
}

// No error says what was sent, to which address, or what came back.
func TestErrorsAreQuiet(t *testing.T) {
	for name, answer := range map[string]string{
		"no HTTP":          theirs + "\r\n\r\n",
		"a bad status":     "HTTP/1.1 2" + theirs + " OK\r\n\r\n",
		"a bad header":     "HTTP/1.1 200 OK\r\n" + theirs + "\r\n\r\n",
		"a bad length":     "HTTP/1.1 200 OK\r\nContent-Length: " + theirs + "\r\n\r\n",
		"a bad encoding":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + theirs + "\r\n\r\n",
		"a short body":     "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + theirs,
		"a bad chunk":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + theirs + "\r\n",
		"no answer at all": "",
		"a bad redirect":   "HTTP/1.1 302 Found\r\nLocation: http://[" + theirs + "\r\nContent-Length: 9\r\n\r\n",
	} {
		_, err := tell(t.Context(), HTTP(nil), "http://"+secretUser+":"+secretUser+"@"+raw(t, answer)+secretPath, 1<<10)
		if err == nil {
			t.Errorf("%s is an answer", name)
			continue
		}
		quiet(t, err)
	}
	gone := raw(t, "")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx context.Context
		url string
	}{
		"nobody listens":   {t.Context(), "http://" + closed + secretPath},
		"no address":       {t.Context(), "http://127.0.0.1:x" + secretPath},
		"no HTTP address":  {t.Context(), "gopher://" + closed + secretPath},
		"stopped meantime": {ended, "http://" + gone + secretPath},
	} {
		if _, err := tell(tt.ctx, HTTP(nil), tt.url, 1<<10); err == nil {
			t.Errorf("%s is an answer", name)
		} else {
			quiet(t, err)
		}
	}
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A proxy learns its credentials and no error has them, nor what it says.
func TestProxyCredentialsStayThere(t *testing.T) {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(secretUser+":"+secretUser))
	var asked atomic.Int32
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Proxy-Authorization") != want || r.Method != http.MethodConnect {
			t.Errorf("%s, %q", r.Method, r.Header.Get("Proxy-Authorization"))
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 407 "+theirs+"\r\nProxy-Authenticate: Basic realm="+theirs+"\r\n\r\n")
	}))
	t.Cleanup(refusing.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	for name, proxy := range map[string]string{"refuses": strings.TrimPrefix(refusing.URL, "http://"), "is not there": closed, "speaks no HTTP": raw(t, theirs)} {
		// ProxyFromEnvironment reads its variables once in a process, and leaves out the machine itself.
		client := HTTP(nil)
		tr := client.Transport.(*http.Transport)
		if tr.Proxy == nil {
			t.Fatal("no proxy is ever asked")
		}
		tr.Proxy = http.ProxyURL(mustParse(t, "http://"+secretUser+":"+secretUser+"@"+proxy))
		_, err := tell(t.Context(), client, "https://witness.test"+secretPath, 1<<10)
		if err == nil {
			t.Errorf("%s: an answer", name)
			continue
		}
		quiet(t, err)
	}
	if asked.Load() != 1 {
		t.Errorf("the proxy was asked %d times", asked.Load())
	}
}
