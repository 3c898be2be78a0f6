package anchor

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/outward"
)

// authority is a time-stamping authority by OpenSSL.
type authority struct {
	t   *testing.T
	dir string

	mu   sync.Mutex
	with string              // section of the configuration to answer with
	lie  func([]byte) []byte // what becomes of the question
	spin func(w http.ResponseWriter, answer []byte)
}

const tsaConfig = `
[ tsa ]
serial = DIR/serial
crypto_device = builtin
signer_cert = DIR/SIGNER.pem
certs = DIR/ca.pem
signer_key = DIR/SIGNER.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ordering = yes
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
`

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), with: "signer"}
	write(t, filepath.Join(a.dir, "serial"), "01\n")
	for name, usage := range map[string]string{"signer": "critical,timeStamping", "server": "serverAuth", "both": "critical,timeStamping,codeSigning"} {
		write(t, filepath.Join(a.dir, name+".ext"), "extendedKeyUsage="+usage+"\nkeyUsage=digitalSignature\n")
		write(t, filepath.Join(a.dir, name+".cnf"), strings.NewReplacer("DIR", a.dir, "SIGNER", name).Replace(tsaConfig))
	}
	for _, ca := range []string{"ca", "otherca"} {
		a.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", ca+".key", "-out", ca+".pem", "-days", "30", "-subj", "/CN="+ca)
	}
	for _, name := range []string{"signer", "server", "both"} {
		key := []string{"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}
		if name == "signer" {
			key = []string{"req", "-newkey", "rsa:2048"}
		}
		a.run(append(key, "-nodes", "-keyout", name+".key", "-out", name+".csr", "-subj", "/CN="+name)...)
		a.run("x509", "-req", "-in", name+".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "20", "-extfile", name+".ext", "-out", name+".pem")
	}
	return a
}

func (a *authority) run(args ...string) {
	a.t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = a.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		a.t.Fatalf("openssl %s: %v\n%s", args[0], err, out)
	}
}

func (a *authority) roots(name string) *x509.CertPool {
	a.t.Helper()
	pool, err := outward.Authorities(filepath.Join(a.dir, name))
	if err != nil {
		a.t.Fatal(err)
	}
	return pool
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	query, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Type") != "application/timestamp-query" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if a.lie != nil {
		query = a.lie(query)
	}
	write(a.t, filepath.Join(a.dir, "query"), string(query))
	a.run("ts", "-reply", "-config", a.with+".cnf", "-section", "tsa", "-queryfile", "query", "-out", "reply")
	answer, err := os.ReadFile(filepath.Join(a.dir, "reply"))
	if err != nil {
		a.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	if a.spin != nil {
		a.spin(w, answer)
		return
	}
	w.Write(answer)
}

func TestTimestamp(t *testing.T) {
	tsa := newAuthority(t)
	t.Run("OpenSSL", func(t *testing.T) { stampsByOpenSSL(t, tsa) })
	t.Run("hostile", func(t *testing.T) { stampsOfLiars(t, tsa) })
}

// OpenSSL's time-stamps are taken, and OpenSSL takes what was kept of them.
func stampsByOpenSSL(t *testing.T, tsa *authority) {
	srv, client := server(t, tsa)
	at := func(roots string) *Authority {
		out, err := NewAuthority(srv.URL, tsa.roots(roots), client)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	l := newTree(t, "a", "b")
	a := l.ask()
	good := at("ca.pem")
	token, err := good.Anchor(t.Context(), a)
	if err != nil || good.Name() != "127.0.0.1" {
		t.Fatal(err, good.Name())
	}
	if when, err := VerifyToken(token, a.Signed, tsa.roots("ca.pem")); err != nil || time.Since(when).Abs() > time.Minute {
		t.Errorf("%v, %v", when, err)
	}
	write(t, filepath.Join(tsa.dir, "token"), string(token))
	write(t, filepath.Join(tsa.dir, "checkpoint"), string(a.Signed))
	tsa.run("ts", "-verify", "-data", "checkpoint", "-in", "token", "-token_in", "-CAfile", "ca.pem")

	if _, err := VerifyToken(token, append(bytes.Clone(a.Signed), ' '), tsa.roots("ca.pem")); !errors.Is(err, ErrToken) {
		t.Errorf("over something else: %v", err)
	}
	if _, err := VerifyToken(token, a.Signed, nil); !errors.Is(err, ErrToken) {
		t.Errorf("without anybody who may certify: %v", err)
	}
	if _, err := at("otherca.pem").Anchor(t.Context(), a); !errors.Is(err, ErrToken) {
		t.Errorf("of an authority that nobody here certified: %v", err)
	}
	late := a
	late.At = time.Now().Add(48 * time.Hour)
	if _, err := good.Anchor(t.Context(), late); !errors.Is(err, ErrToken) {
		t.Errorf("two days apart: %v", err)
	}
	for _, signer := range []string{"server", "both"} {
		tsa.with = signer
		if _, err := VerifyToken(tsa.forge(), a.Signed, tsa.roots("ca.pem")); !errors.Is(err, ErrToken) {
			t.Errorf("signed with a certificate for %s: %v", signer, err)
		}
	}
	tsa.with = "signer"
	if _, err := VerifyToken(tsa.forge(), a.Signed, tsa.roots("ca.pem")); !errors.Is(err, ErrToken) {
		t.Errorf("of content that is no time-stamp: %v", err)
	}
}

// forge makes a CMS message over the content of a time-stamp, which OpenSSL
// would not sign as one.
func (a *authority) forge() []byte {
	a.t.Helper()
	a.run("ts", "-reply", "-config", "signer.cnf", "-section", "tsa", "-queryfile", "query", "-token_out", "-out", "real")
	a.run("cms", "-verify", "-noverify", "-inform", "DER", "-in", "real", "-out", "tst")
	args := []string{"cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-signer", a.with + ".pem", "-inkey", a.with + ".key", "-in", "tst", "-out", "forged"}
	if a.with != "signer" {
		args = append(args, "-econtent_type", "1.2.840.113549.1.9.16.1.4")
	}
	a.run(args...)
	b, err := os.ReadFile(filepath.Join(a.dir, "forged"))
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

func stampsOfLiars(t *testing.T, tsa *authority) {
	srv, client := server(t, tsa)
	good, err := NewAuthority(srv.URL, tsa.roots("ca.pem"), client)
	if err != nil {
		t.Fatal(err)
	}
	l := newTree(t, "a", "b")
	a := l.ask()
	token, err := good.Anchor(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(filepath.Join(tsa.dir, "query"))
	if err != nil {
		t.Fatal(err)
	}
	tsa.lie = func([]byte) []byte { return first }
	if _, err := good.Anchor(t.Context(), a); !errors.Is(err, ErrToken) {
		t.Errorf("an answer to the question before: %v", err)
	}
	// The nonce is the question's own, but something else was stamped.
	digest := bytes.Index(first, []byte{0x04, 0x20})
	tsa.lie = func(q []byte) []byte { q[digest+2] ^= 1; return q }
	if _, err := good.Anchor(t.Context(), a); !errors.Is(err, ErrToken) {
		t.Errorf("something else was stamped: %v", err)
	}
	tsa.lie = nil
	tsa.spin = func(w http.ResponseWriter, answer []byte) { w.Write(append(answer, 0)) }
	if _, err := good.Anchor(t.Context(), a); !errors.Is(err, ErrAnswer) {
		t.Errorf("with a byte behind it: %v", err)
	}
	tsa.spin = func(w http.ResponseWriter, _ []byte) { w.Write([]byte{0x30, 5, 0x30, 3, 2, 1, 2}) }
	if _, err := good.Anchor(t.Context(), a); !errors.Is(err, ErrAnswer) {
		t.Errorf("a rejection: %v", err)
	}
	for name, h := range hostile {
		bad, client := server(t, h)
		place, err := NewAuthority(bad.URL, tsa.roots("ca.pem"), client)
		if err != nil {
			t.Fatal(err)
		}
		if token, err := place.Anchor(t.Context(), a); err == nil || token != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
	// No damage makes it panic, or stamp anything else.
	roots := tsa.roots("ca.pem")
	for i := 0; i < len(token); i += 5 {
		bit := byte(1) << (i % 8)
		token[i] ^= bit
		if at, err := VerifyToken(token, a.Signed, roots); err == nil && time.Since(at).Abs() > time.Minute {
			t.Errorf("byte %d changed: %v", i, at)
		}
		token[i] ^= bit
		if _, err := VerifyToken(token[:i], a.Signed, roots); err == nil {
			t.Errorf("its first %d bytes are taken", i)
		}
	}
}

func FuzzReadReply(f *testing.F) {
	f.Add([]byte{0x30, 5, 0x30, 3, 2, 1, 0})
	f.Add([]byte{0x30, 0x80, 0x30, 3, 2, 1, 0, 0x30, 0x80, 0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		token, _, err := readReply(b)
		if err == nil {
			_, _ = VerifyToken(token, b, x509.NewCertPool())
		}
	})
}
