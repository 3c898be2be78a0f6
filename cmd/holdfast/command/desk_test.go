package command

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/api"
)

// memoryKeyring is a keyring in memory; silent, it answers nothing.
type memoryKeyring struct {
	tokens map[string]string
	silent bool
}

func (m *memoryKeyring) Keep(_ context.Context, server, token string) error {
	if m.silent {
		return errNoKeyring
	}
	m.tokens[server] = token
	return nil
}

func (m *memoryKeyring) Token(_ context.Context, server string) (string, error) {
	if m.silent || m.tokens[server] == "" {
		return "", errNoKeyring
	}
	return m.tokens[server], nil
}

func (m *memoryKeyring) Forget(_ context.Context, server string) error {
	if m.silent {
		return errNoKeyring
	}
	delete(m.tokens, server)
	return nil
}

const (
	somewhere = "https://archive.example.org:8443"
	authority = "authority-00112233445566778899aabbccddeeff.pem"
)

// Without a keyring the token lies in a file, and folder and file are the
// person's alone.
func TestDeskWithoutKeyring(t *testing.T) {
	state := filepath.Join(t.TempDir(), "new", "state")
	for name, ring := range map[string]Keyring{"none": nil, "silent": &memoryKeyring{silent: true}} {
		d := Desk{Dir: filepath.Join(state, name), Keyring: ring}
		if l, err := d.read(); l != nil || err != nil {
			t.Fatalf("%s: before any login: %+v, %v", name, l, err)
		}
		if _, err := d.save(t.Context(), login{Server: somewhere, CA: authority, Name: "jdoe"}, "hf1.secret"); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]os.FileMode{d.Dir: 0o700, d.path(): 0o600, state: 0o700, filepath.Dir(state): 0o700} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: mode %v, %v; want %#o", path, info.Mode(), err, want)
			}
		}
		l, err := d.read()
		if err != nil || l.Server != somewhere || l.CA != authority || l.Name != "jdoe" || l.Kept != inFile {
			t.Fatalf("%s: read %+v, %v", name, l, err)
		}
		if token, err := d.token(t.Context(), l); token != "hf1.secret" || err != nil {
			t.Errorf("%s: token %q, %v", name, token, err)
		}
		if err := d.forget(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(d.path())
		if err != nil || strings.Contains(string(b), "secret") || !strings.Contains(string(b), somewhere) {
			t.Errorf("%s: after the logout %s, %v", name, b, err)
		}
	}
}

// Where a keyring answers, the token is in no file.
func TestDeskWithKeyring(t *testing.T) {
	ring := &memoryKeyring{tokens: map[string]string{}}
	d := Desk{Dir: filepath.Join(t.TempDir(), "holdfast"), Keyring: ring}
	if _, err := d.save(t.Context(), login{Server: somewhere}, "hf1.secret"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(d.path()); err != nil || strings.Contains(string(b), "secret") {
		t.Errorf("login.json %s, %v", b, err)
	}
	l, err := d.read()
	if err != nil || l.Kept != inKeyring || ring.tokens[somewhere] != "hf1.secret" {
		t.Fatalf("read %+v, %v; keyring %v", l, err, ring.tokens)
	}
	if token, err := d.token(t.Context(), l); token != "hf1.secret" || err != nil {
		t.Errorf("token %q, %v", token, err)
	}
	ring.silent = true
	var p *api.Problem
	if _, err := d.token(t.Context(), l); !errors.As(err, &p) || p.Exit != api.ExitPermission || !strings.Contains(p.Hint, "holdfast login") {
		t.Errorf("token from a silent keyring: %v", err)
	}
	ring.silent = false
	if err := d.forget(t.Context(), l); err != nil || len(ring.tokens) != 0 {
		t.Errorf("forget: %v; keyring %v", err, ring.tokens)
	}
}

// A login that others may have read or written is not used, nor is what is no
// regular file.
func TestDeskRefuses(t *testing.T) {
	fresh := func(t *testing.T) Desk {
		d := Desk{Dir: filepath.Join(t.TempDir(), "holdfast")}
		if _, err := d.save(t.Context(), login{Server: somewhere}, "hf1.secret"); err != nil {
			t.Fatal(err)
		}
		return d
	}
	for name, spoil := range map[string]func(d Desk) error{
		"file of the group":   func(d Desk) error { return os.Chmod(d.path(), 0o640) },
		"file of everybody":   func(d Desk) error { return os.Chmod(d.path(), 0o604) },
		"file others write":   func(d Desk) error { return os.Chmod(d.path(), 0o602) },
		"folder of the group": func(d Desk) error { return os.Chmod(d.Dir, 0o750) },
		"folder of everybody": func(d Desk) error { return os.Chmod(d.Dir, 0o701) },
		"link": func(d Desk) error {
			return errors.Join(os.Rename(d.path(), d.path()+".real"), os.Symlink(loginFile+".real", d.path()))
		},
		"linked folder": func(d Desk) error {
			return errors.Join(os.Rename(d.Dir, d.Dir+".real"), os.Symlink(d.Dir+".real", d.Dir))
		},
		"folder for a file": func(d Desk) error { return errors.Join(os.Remove(d.path()), os.Mkdir(d.path(), 0o700)) },
		"too large":         func(d Desk) error { return os.Truncate(d.path(), maxLogin+1) },
		"empty":             func(d Desk) error { return os.Truncate(d.path(), 0) },
	} {
		d := fresh(t)
		if err := spoil(d); err != nil {
			t.Fatal(err)
		}
		var p *api.Problem
		if l, err := d.read(); l != nil || !errors.As(err, &p) || p.Exit != api.ExitPermission || p.Hint == "" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
	if os.Geteuid() == 0 {
		d := fresh(t)
		if err := os.Chown(d.path(), 65534, -1); err != nil {
			t.Fatal(err)
		}
		if l, err := d.read(); l != nil || err == nil || !strings.Contains(err.Error(), "another account") {
			t.Errorf("somebody else's file: %+v, %v", l, err)
		}
	}
	d := Desk{}
	if _, err := d.save(t.Context(), login{Server: somewhere}, "hf1.secret"); err == nil {
		t.Error("a login was kept nowhere")
	}
}

// A folder that is open to others gets no token.
func TestDeskSavesNothingInTheOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "holdfast")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d := Desk{Dir: dir}
	if _, err := d.save(t.Context(), login{Server: somewhere}, "hf1.secret"); err == nil {
		t.Error("a token was written into a folder that others can see into")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// What is read is what would be written again, or refused without a word of it.
func FuzzLogin(f *testing.F) {
	// Its folder's files are all that a login may name.
	if l, err := parseLogin([]byte(`{"v":1,"server":"https://a:1","ca":"../authority-00112233445566778899aabbccddeeff.pem"}`)); err == nil {
		f.Errorf("a file elsewhere is named: %+v", l)
	}
	for _, s := range []string{
		`{"v":1,"server":"https://a:1"}`, `{"v":1,"server":"https://a:1","kept":"file","token":"sesame"}`, `{"v":1,"server":"https://a:1","kept":"keyring"}`,
		`{"v":1,"server":"https://a:1","token":"sesame"}`, `{"v":1,"server":"https://a:1","kept":"file"}`, `{"v":2,"server":"https://a:1"}`,
		`{"v":1,"server":"http://a:1"}`, `{"v":1,"server":"https://a"}`, `{"v":1,"server":"https://a:1","ca":"../x"}`, `{"v":1,"server":"https://a:1","ca":"` + authority + `"}`, `{"v":1,"server":"https://a:1","sesame":1}`, `{"v":"sesame","server":"https://a:1"}`, `{} {}`, `[]`, ``, `{"v":1,"server":"https://a:1"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseLogin(b)
		if err != nil {
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("%q: %v", b, err)
			}
			return
		}
		again, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if l2, err := parseLogin(again); err != nil || *l2 != *l {
			t.Errorf("%q: %+v became %+v, %v", b, l, l2, err)
		}
		if server, err := serverURL(l.Server); err != nil || server != l.Server || (l.Token != "") != (l.Kept == inFile) {
			t.Errorf("%q: %+v, %v", b, l, err)
		}
	})
}

func TestServerURL(t *testing.T) {
	for s, want := range map[string]string{
		"https://Archive.Example.org:8443": somewhere, "https://archive.example.org:8443/": somewhere,
		"https://archive.example.org": "https://archive.example.org:443", "https://[2001:DB8::1]:8443": "https://[2001:db8::1]:8443",
	} {
		if got, err := serverURL(s); err != nil || got != want {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "archive.example.org", "http://a:1", "https://", "https://:1", "https://a:", "https://a:0", "https://a:65536", "https://a:x",
		"https://u:p@a:1", "https://a:1/x", "https://a:1?x", "https://a:1?", "https://a:1#x", "https:a", "ftp://a:1", "https://a\u202e:1", "https://a b:1"} {
		if got, err := serverURL(s); err == nil {
			t.Errorf("%q is taken as %q", s, got)
		}
	}
}

func TestSystemDesk(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for state, want := range map[string]string{"": home + "/.local/state/holdfast", "relative": home + "/.local/state/holdfast", "/var/state": "/var/state/holdfast"} {
		t.Setenv("XDG_STATE_HOME", state)
		if got := systemDesk().Dir; got != want {
			t.Errorf("XDG_STATE_HOME %q: %q", state, got)
		}
	}
	t.Setenv("XDG_STATE_HOME", "")
	for _, home := range []string{"", "relative", filepath.Join(home, "nowhere")} {
		t.Setenv("HOME", home)
		if got := systemDesk().Dir; got != "" {
			t.Errorf("HOME %q, which is no folder: %q", home, got)
		}
	}
}

func TestSessionBus(t *testing.T) {
	at := filepath.Join(t.TempDir(), "bus")
	for address, want := range map[string]bool{"unix:path=/x": true, "unix:abstract=x": true, "autolaunch:": false, "unixexec:path=/bin/sh": false, "tcp:host=x": false, "": false} {
		if got := sessionBus(address, at); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
	if err := os.WriteFile(at, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !sessionBus("", at) {
		t.Error("the bus at its usual place is not seen")
	}
}

// keepsake is TestMain's program that keeps a token and reads it again, as the commands
// do, and says where it lay.
func keepsake() {
	d := systemDesk()
	l, err := d.save(context.Background(), login{Server: somewhere}, "hf1.secret")
	if err == nil {
		var token string
		if token, err = d.token(context.Background(), l); err == nil && token != "hf1.secret" {
			err = errors.New("another token")
		}
	}
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString(l.Kept)
}

// As a process of its own, for what the library leaves behind: without D-Bus
// nothing is started or printed, and a bus that never answers holds a command
// up for a short while only.
func TestNoKeyringAnswers(t *testing.T) {
	program, err := exec.LookPath("keepsake") // testscript's
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	launched := filepath.Join(dir, "launched")
	if err := os.WriteFile(filepath.Join(dir, "dbus-launch"), []byte("#!/bin/sh\n: > "+launched+"\n"), 0o700); err != nil { // #nosec G306 -- it is run
		t.Fatal(err)
	}
	silent, err := net.Listen("unix", filepath.Join(dir, "silent"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, address := range map[string]string{"no bus": "", "silent": "unix:path=" + filepath.Join(dir, "silent"), "nobody": "unix:path=" + filepath.Join(dir, "nobody"), "autolaunch": "autolaunch:"} {
		bounded, cancel := context.WithTimeout(t.Context(), 4*keyringTimeout)
		defer cancel()
		cmd := exec.CommandContext(bounded, program)
		cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(dir, "of "+name), "PATH="+dir+":"+os.Getenv("PATH"), "DBUS_SESSION_BUS_ADDRESS="+address)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != inFile {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	if _, err := os.Stat(launched); err == nil {
		t.Error("a bus was started")
	}
}
