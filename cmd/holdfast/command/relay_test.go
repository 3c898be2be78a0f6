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
	if !strings.Contains(said, "Then: holdfast relay enroll --dir "+dir+" --certificate FILE") {
		t.Errorf("the second step is said without the first one's folder:\n%s", said)
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
	// The request that is there is never passed off as another archive's.
	if code, out, said := runAlone(t, "relay", "enroll", "--dir", dir, "--archive-id", "other.test", "--yes"); code != api.ExitUsage || !strings.Contains(said, "the request of the archive ward.test, not of other.test") || !strings.Contains(said, "another --name") || out != "" {
		t.Errorf("another archive's request: %d\n%s%s", code, out, said)
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
	// Nobody has said where the relay is: that is no address that could be left in.
	if code, out, said := runAlone(t, second...); code != api.ExitOK || !strings.Contains(said, "installed") || !strings.Contains(out, "\nurl       = \"\" # FILL IN") || !strings.Contains(said, "fill it in") {
		t.Errorf("%d\n%s%s", code, out, said)
	}
	if err := os.WriteFile(filepath.Join(dir, "holdfastd.toml"), []byte("# [relay]\n# url = \"https://relay.test\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, said := runAlone(t, "relay", "enroll", "--dir", dir, "--archive-id", "ward.test", "--yes"); code != api.ExitOK || !strings.Contains(out, "\nurl       = \"https://relay.test\"\n") || strings.Contains(said, "fill it in") {
		t.Errorf("%d\n%s%s", code, out, said)
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

// The relay's url is the configuration's, in force or waiting, and never an example.
func TestRelayURL(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "holdfastd.toml")
	e := &enrollment{dir: dir}
	if got := e.relayURL(); got != "" {
		t.Errorf("no configuration: %q", got)
	}
	const whole = "data = \"d\"\nsocket = \"s\"\n[relay]\nurl = \"https://one.test\"\nca = \"a\"\ncert = \"b\"\nkey = \"c\"\nhead_key = \"d\"\n"
	for text, want := range map[string]string{
		whole: "https://one.test",
		"data = \"d\"\n\n# [relay]\n# url = \"https://two.test\"      # the relay\n# ca = \"x\"\n": "https://two.test",
		"# [relay]\n# url = \"https://relay.vendor.example\"\n":                                    "",
		"# [relay]\n# ca = \"x\"\n# [anchor.witness]\n# url = \"https://witness.test\"\n":          "",
		"# [relay]\n# url = \"http://two.test\"\n":                                                 "",
		"# [relay]\n# url = https://two.test\n":                                                    "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := e.relayURL(); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	if e.url = "https://given.test"; e.relayURL() != e.url {
		t.Error("what was given counts")
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
