package command

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/api"
	"holdfast/internal/config"
)

// runAlone runs a command that needs no daemon.
func runAlone(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return runAnswering(t, "", args...)
}

// runAnswering does, with what somebody types.
func runAnswering(t *testing.T, typed string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = Run(t.Context(), &Terminal{In: strings.NewReader(typed), Out: &out, Err: &errOut}, args)
	return code, out.String(), errOut.String()
}

// Both steps of connecting to a relay; nothing is overwritten.
func TestRelayEnroll(t *testing.T) {
	dir := t.TempDir()
	head := filepath.Join(dir, "head.pem")
	if err := os.WriteFile(head, []byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := []string{"relay", "enroll", "--dir", dir, "--archive-id", "ward.test", "--url", "https://relay.example", "--head-key", head}
	pinned := filepath.Join(dir, "relay-head.pem")
	for _, typed := range []string{"", "no\n", "\n", "y\n"} {
		code, out, said := runAnswering(t, typed, first...)
		if code != api.ExitUsage || !strings.Contains(said, "nobody said that the fingerprints were compared") || strings.Contains(out, "[relay]") {
			t.Errorf("%q: %d\n%s%s", typed, code, out, said)
		}
		if _, err := os.Lstat(pinned); err == nil {
			t.Fatalf("%q: what nobody compared is in place", typed)
		}
	}
	code, out, said := runAnswering(t, "yes\n", first...)
	if code != api.ExitOK || !strings.Contains(out, "certificate request, CN=ward.test") || strings.Count(out, "SHA-256") != 2 || !strings.Contains(said, "over the telephone") || !strings.Contains(said, "enrolment.pem") {
		t.Fatalf("%d\n%s%s", code, out, said)
	}
	_, section, _ := strings.Cut(out, "[relay]")
	c, err := config.Parse([]byte("data = \"d\"\nsocket = \"s\"\n[relay]"+section), "/")
	if err != nil || c.Relay.HeadKey != pinned || c.Relay.Key != filepath.Join(dir, "relay.key") {
		t.Fatalf("%+v, %v\n%s", c, err, section)
	}
	if info, err := os.Stat(filepath.Join(dir, "relay.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "relay.key"))
	if err != nil {
		t.Fatal(err)
	}
	// Again, now from the folder and without a question: the same.
	if code, again, _ := runAlone(t, "relay", "enroll", "--dir", dir, "--archive-id", "ward.test", "--url", "https://relay.example", "--yes"); code != api.ExitOK || strings.ReplaceAll(again, pinned, head) != strings.ReplaceAll(out, pinned, head) {
		t.Errorf("asked again: %d\n%s", code, again)
	}
	// Another file in place of one that was compared is no way to change it.
	other := filepath.Join(dir, "other.pem")
	if err := os.WriteFile(other, []byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, said := runAlone(t, "relay", "enroll", "--dir", dir, "--archive-id", "ward.test", "--head-key", other, "--yes"); code != api.ExitUsage || !strings.Contains(said, "another file") || strings.Contains(out, "[relay]") {
		t.Errorf("another pin: %d\n%s%s", code, out, said)
	}
	if now, err := os.ReadFile(filepath.Join(dir, "relay.key")); err != nil || !bytes.Equal(now, key) {
		t.Errorf("the key was overwritten: %v", err)
	}
	signed := filepath.Join(dir, "signed.pem")
	second := []string{"relay", "enroll", "--dir", dir, "--certificate", signed}
	sign(t, key, signed, x509.ExtKeyUsageServerAuth)
	if code, _, said := runAlone(t, second...); code != api.ExitData || !strings.Contains(said, "ask the vendor") {
		t.Errorf("a server's certificate: %d\n%s", code, said)
	}
	sign(t, key, signed, x509.ExtKeyUsageClientAuth)
	if code, _, said := runAlone(t, second...); code != api.ExitOK || !strings.Contains(said, "installed") {
		t.Errorf("%d\n%s", code, said)
	}
	if code, _, said := runAlone(t, second...); code != api.ExitUsage || !strings.Contains(said, "another --name") {
		t.Errorf("installed twice: %d\n%s", code, said)
	}
	for name, args := range map[string][]string{
		"a private key as a pin": {"--yes", "--dir", dir, "--archive-id", "x", "--name", "b", "--ca", filepath.Join(dir, "relay.key")},
		"a name with a folder":   {"--dir", dir, "--archive-id", "x", "--name", "../b"},
		"no archive":             {"--dir", dir, "--identity", filepath.Join(dir, "none")},
		"a folder not there":     {"--dir", filepath.Join(dir, "none"), "--archive-id", "x"},
		"plain http":             {"--dir", dir, "--archive-id", "x", "--url", "http://relay.example"},
	} {
		if code, out, said := runAlone(t, append([]string{"relay", "enroll"}, args...)...); code == api.ExitOK || strings.Contains(out+said, "PRIVATE") {
			t.Errorf("%s: %d\n%s%s", name, code, out, said)
		}
	}
}

// sign writes a certificate of the key, signed by itself.
func sign(t *testing.T, key []byte, path string, usage x509.ExtKeyUsage) {
	t.Helper()
	block, _ := pem.Decode(key)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		t.Fatal("it does not sign")
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ward.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{usage}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
