package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newKey makes a key as a site would, and returns the file of its secret part
// and a GnuPG home that knows it.
func newKey(t *testing.T, kind, passphrase string) (file, home string) {
	t.Helper()
	// A socket's path is short.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The agent goes when its home does; asked for, it goes at once.
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	gpg(t, home, nil, "--pinentry-mode", "loopback", "--passphrase", passphrase, "--quick-gen-key", "Packages <packages@hospital.invalid>", kind, "sign", "never")
	text := gpg(t, home, nil, "--pinentry-mode", "loopback", "--passphrase", passphrase, "--armor", "--export-secret-keys")
	file = filepath.Join(t.TempDir(), "key.asc")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, home
}

func gpg(t *testing.T, home string, in []byte, args ...string) []byte {
	t.Helper()
	c := exec.Command("gpg", append([]string{"--homedir", home, "--batch", "--quiet"}, args...)...)
	c.Stdin = bytes.NewReader(in)
	var complaint bytes.Buffer
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		t.Fatalf("gpg %v: %v\n%s", args, err, complaint.Bytes())
	}
	return out
}

// packSmall makes the two formats of a small package.
func packSmall(t *testing.T, s *signer, epoch int64) (deb, rpm string) {
	t.Helper()
	dir := t.TempDir()
	o := options{out: dir, stage: dir, tree: "..", version: "1.0", epoch: epoch, sign: s, announce: func(string) {}}
	if err := writeChangelog("..", filepath.Join(dir, "changelog.yaml"), "1.0", epoch); err != nil {
		t.Fatal(err)
	}
	p := product{name: "small", description: "small thing\nIt is small.", section: "utils", entries: []entry{{dest: "/usr/share/doc/small/text", text: []byte("text\n")}}}
	if err := pack(o, p, "amd64", dir, o.put); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "small_1.0-1_amd64.deb"), filepath.Join(dir, "small-1.0-1.x86_64.rpm")
}

// Signed packages are verified by gpg and rpm themselves; a changed byte is found.
func TestSignatures(t *testing.T) {
	file, home := newKey(t, "rsa3072", "")
	for name, epoch := range map[string]int64{"an epoch before the key": 1767225600, "one after it": 4000000000} {
		t.Run(name, func(t *testing.T) {
			s, err := readSigner(file, "", epoch)
			if err != nil {
				t.Fatal(err)
			}
			deb, rpm := packSmall(t, s, epoch)
			again, rpmAgain := packSmall(t, s, epoch)
			for a, b := range map[string]string{deb: again, rpm: rpmAgain} {
				if !bytes.Equal(read(t, a), read(t, b)) {
					t.Errorf("%s signed twice differs", filepath.Base(a))
				}
			}
			if epoch > 3000000000 {
				return // gpg and rpm take no signature from the future
			}
			verifyDeb(t, deb, home)
			verifyRPM(t, rpm, home)
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// verifyDeb verifies what debsig-verify does: the member _gpgorigin over the
// other three.
func verifyDeb(t *testing.T, deb, home string) {
	t.Helper()
	member := func(name string) []byte {
		out, err := exec.Command("ar", "p", deb, name).Output()
		if err != nil || len(out) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		return out
	}
	data := bytes.Join([][]byte{member("debian-binary"), member("control.tar.gz"), member("data.tar.gz")}, nil)
	signature := filepath.Join(t.TempDir(), "signature")
	if err := os.WriteFile(signature, member("_gpgorigin"), 0o600); err != nil {
		t.Fatal(err)
	}
	gpg(t, home, data, "--verify", signature, "-")
	data[len(data)-1] ^= 1
	c := exec.Command("gpg", "--homedir", home, "--batch", "--verify", signature, "-")
	c.Stdin = bytes.NewReader(data)
	if text, err := c.CombinedOutput(); err == nil {
		t.Errorf("a changed deb verifies:\n%s", text)
	}
	if text, err := exec.Command("dpkg-deb", "-I", deb).CombinedOutput(); err != nil {
		t.Errorf("dpkg-deb cannot read a signed deb: %v\n%s", err, text)
	}
}

// verifyRPM has rpm verify it, in a key database of its own.
func verifyRPM(t *testing.T, file, home string) {
	t.Helper()
	db := "--dbpath=" + t.TempDir()
	public := filepath.Join(t.TempDir(), "public.asc")
	if err := os.WriteFile(public, gpg(t, home, nil, "--armor", "--export"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("rpmkeys", db, "--import", public).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	text, err := exec.Command("rpmkeys", db, "-Kv", file).CombinedOutput()
	if s := string(text); err != nil || strings.Count(s, "Signature") < 2 || strings.Contains(s, "NOKEY") || strings.Contains(s, "BAD") {
		t.Errorf("%v\n%s", err, text)
	}
	changed := read(t, file)
	changed[len(changed)-1] ^= 1
	if err := os.WriteFile(file, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("rpmkeys", db, "-K", file).CombinedOutput(); err == nil {
		t.Errorf("a changed rpm verifies:\n%s", text)
	}
}

// What does not sign says so before anything is built.
func TestKeysThatDoNotSign(t *testing.T) {
	word := filepath.Join(t.TempDir(), "word")
	if err := os.WriteFile(word, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const epoch = 1767225600
	locked, _ := newKey(t, "rsa3072", "correct horse")
	if _, err := readSigner(locked, word, epoch); err != nil {
		t.Errorf("with its passphrase: %v", err)
	}
	curve, _ := newKey(t, "ed25519", "")
	weak, _ := newKey(t, "rsa2048", "")
	noKey := filepath.Join(t.TempDir(), "none")
	if err := os.WriteFile(noKey, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string][2]string{
		"has a passphrase":        {locked, ""},
		"does not open":           {locked, noKey},
		"take an RSA key of 3072": {curve, ""},
		"3072 bits or more":       {weak, ""},
		"not an OpenPGP key":      {noKey, ""},
		"no such file":            {noKey + "x", ""},
	} {
		if _, err := readSigner(c[0], c[1], epoch); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
