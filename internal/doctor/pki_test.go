package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority certifies for tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key = a.issue(name, time.Now().Add(-time.Hour), time.Now().AddDate(5, 0, 0), nil)
	return a
}

// issue certifies a new key; with hosts it is a server's.
func (a *authority) issue(name string, from, to time.Time, hosts []string) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: hosts, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	parent, signer := a.cert, a.key
	if hosts == nil {
		c.IsCA, c.KeyUsage, c.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	}
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) file() string { return writePEM(a.t, "CERTIFICATE", a.cert.Raw) }

// pair writes a server's certificate and its key.
func (a *authority) pair(from, to time.Time) (certFile, keyFile string) {
	a.t.Helper()
	cert, key := a.issue("server", from, to, []string{"relay.test"})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return writePEM(a.t, "CERTIFICATE", cert.Raw), writePEM(a.t, "PRIVATE KEY", der)
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serveTLS answers handshakes as relay.test until the test ends, and counts the
// bytes that come after them.
func (a *authority) serveTLS(from, to time.Time, host string) (address string, received func() int) {
	a.t.Helper()
	cert, key := a.issue("server", from, to, []string{host})
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.t.Fatal(err)
	}
	done, total := make(chan struct{}), 0
	go func() {
		defer close(done)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			total += handshake(raw, config)
		}
	}()
	end := func() int {
		_ = l.Close()
		<-done
		return total
	}
	a.t.Cleanup(func() { end() })
	return l.Addr().String(), end
}

// handshake answers one connection and returns how many bytes came after it.
func handshake(raw net.Conn, config *tls.Config) int {
	defer raw.Close()
	c := tls.Server(raw, config)
	if err := c.Handshake(); err != nil {
		return 0
	}
	n, _ := c.Read(make([]byte, 1024))
	return n
}
