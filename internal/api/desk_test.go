package api

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/archive/query"
)

func parse(q string) (*query.Query, error) { return query.Parse(q) }

// started is a moment in the past.
func (h *house) started() time.Time { return time.Now().Add(-time.Hour) }

// authority makes certificates for the tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string // file
	n    int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = filepath.Join(t.TempDir(), "ca.pem")
	writePEM(t, a.pem, "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes a new pair for 127.0.0.1 and returns its serial number.
func (a *authority) issue(cert, key string, until time.Time) int64 {
	a.t.Helper()
	a.n++
	serial := 100 + a.n
	k := newKey(a.t)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, k.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, cert, "CERTIFICATE", der)
	der, err = x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, key, "PRIVATE KEY", der)
	return serial
}

// desk is a server over HTTPS and how to reach it.
type desk struct {
	addr      string
	ca        *authority
	cert, key string
	http      *http.Client
	failed    chan error
}

// serveTLS runs a server on a real listener until the test ends.
func serveTLS(t *testing.T, s *Server) *desk {
	t.Helper()
	d := &desk{ca: newAuthority(t), cert: filepath.Join(t.TempDir(), "cert.pem"), key: filepath.Join(t.TempDir(), "key.pem"), failed: make(chan error, 10)}
	d.ca.issue(d.cert, d.key, time.Now().Add(time.Hour))
	c, err := LoadCertificate(d.cert, d.key, slog.New(slog.DiscardHandler), func(err error) { d.failed <- err })
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.ServeTLS(ctx, l, c) }()
	d.http = &http.Client{Transport: &http.Transport{TLSClientConfig: d.config()}, CheckRedirect: noRedirects}
	t.Cleanup(func() {
		d.http.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *desk) config() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(d.ca.cert)
	return &tls.Config{RootCAs: pool}
}

// client returns the real client, with a token unless that is empty.
func (d *desk) client(t *testing.T, token string) *Client {
	t.Helper()
	c, err := NewHTTPSClient(HTTPSOptions{Address: d.addr, CA: d.ca.pem, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// send sends a raw request.
func (d *desk) send(t *testing.T, token, method, path, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+d.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return d.do(t, r)
}

func (d *desk) do(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := d.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := readAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}
