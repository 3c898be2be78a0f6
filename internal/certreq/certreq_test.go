package certreq

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// signed signs the request in a file as its own authority.
func signed(t *testing.T, dir string, change func(*x509.Certificate)) []byte {
	t.Helper()
	key, err := privateKey(filepath.Join(dir, "k.key"))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ward"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func made(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := Make(filepath.Join(dir, "k.key"), filepath.Join(dir, "k.csr"), "ward", []string{"archive.example", "10.0.0.5"}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestMake(t *testing.T) {
	dir := made(t)
	text, err := Read(filepath.Join(dir, "k.csr"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CheckSignature(); err != nil || r.Subject.CommonName != "ward" || r.DNSNames[0] != "archive.example" || r.IPAddresses[0].String() != "10.0.0.5" {
		t.Errorf("%+v, %v", r, err)
	}
	info, err := os.Stat(filepath.Join(dir, "k.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	if err := Make(filepath.Join(dir, "k.key"), filepath.Join(dir, "other.csr"), "x", nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a key was overwritten: %v", err)
	}
}

func TestInstall(t *testing.T) {
	dir, other := made(t), made(t)
	key, path := filepath.Join(dir, "k.key"), filepath.Join(dir, "k.pem")
	private, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"another key's":     signed(t, other, nil),
		"ended":             signed(t, dir, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }),
		"not begun":         signed(t, dir, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) }),
		"a server's":        signed(t, dir, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"a private key":     append(signed(t, dir, nil), private...),
		"nothing":           nil,
		"no PEM":            []byte("hello"),
		"damaged":           pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("hello")}),
		"larger than ought": bytes.Repeat([]byte("x"), maxPEM+1),
	} {
		if _, err := Install(text, key, path, x509.ExtKeyUsageClientAuth, now); !errors.Is(err, ErrCertificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("a certificate that does not fit was installed")
	}
	good := signed(t, dir, nil)
	if c, err := Install(append([]byte("subject=ward\n"), good...), key, path, x509.ExtKeyUsageClientAuth, now); err != nil || c.Subject.CommonName != "ward" {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, good) {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := Install(good, key, path, x509.ExtKeyUsageClientAuth, now); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a certificate was overwritten: %v", err)
	}
}

func TestPins(t *testing.T) {
	dir := made(t)
	request, err := os.ReadFile(filepath.Join(dir, "k.csr"))
	if err != nil {
		t.Fatal(err)
	}
	pins, err := Pins(append(signed(t, dir, nil), request...))
	if err != nil || len(pins) != 2 || pins[0].What != "certificate" || pins[1].What != "certificate request" || pins[0].Sum == pins[1].Sum {
		t.Fatalf("%+v, %v", pins, err)
	}
	spoken := Spoken(pins[0].Sum)
	if len(strings.Fields(spoken)) != 16 || strings.Count(spoken, "\n") != 1 {
		t.Errorf("%q", spoken)
	}
	if name, err := Requester(request); err != nil || !strings.Contains(pins[1].Name, "CN="+name) || name == "" {
		t.Errorf("%q, %v", name, err)
	}
	private, err := os.ReadFile(filepath.Join(dir, "k.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{nil, private, []byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")} {
		if _, err := Requester(text); !errors.Is(err, ErrCertificate) {
			t.Errorf("no request: %v", err)
		}
	}
	if _, err := Pins(private); !errors.Is(err, ErrCertificate) {
		t.Errorf("a private key: %v", err)
	}
}

// What is read from a stranger's file is bounded, and never a private key.
func FuzzPins(f *testing.F) {
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if name, err := Requester(text); err != nil && name != "" {
			t.Fatalf("%q, %v", name, err)
		}
		pins, err := Pins(text)
		if err != nil {
			return
		}
		for _, p := range pins {
			if strings.Contains(p.What, "private") {
				t.Fatalf("%q", p.What)
			}
		}
		_, _ = certificates(text)
	})
}

// Where the request cannot be made no key is left, and what is there stays.
func TestMakeUndoes(t *testing.T) {
	dir := t.TempDir()
	key, request := filepath.Join(dir, "k.key"), filepath.Join(dir, "k.csr")
	if err := os.WriteFile(request, []byte("there"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Make(key, request, "ward", nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(key); err == nil {
		t.Error("the key was left")
	}
	if text, err := os.ReadFile(request); err != nil || string(text) != "there" {
		t.Errorf("%q, %v", text, err)
	}
}
