package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/archive"
	"holdfast/archive/seal"
	"holdfast/internal/config"
)

// installed makes an archive that is stopped, with everything that its
// configuration names.
func installed(t *testing.T) *Machine {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	data, master := filepath.Join(dir, "data"), seal.NewKey()
	if _, err := archive.Create(t.Context(), data, archive.CreateOptions{ArchiveID: "ward", Master: master, Recovery: recovery.Public()}); err != nil {
		t.Fatal(err)
	}
	ours := newAuthority(t, "Hospital CA")
	cert, key := ours.pair(time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0))
	m := &Machine{
		ConfigPath: filepath.Join(dir, "holdfastd.toml"), Credentials: filepath.Join(dir, "credentials"), Now: time.Now(),
		Sync: func() (TimeSync, error) { return TimeSync{Synced: true}, nil },
		Config: &config.Config{Data: data, Relay: &config.Relay{CA: ours.file(), Cert: cert, Key: key}, HTTPS: &config.HTTPS{Cert: cert, Key: key},
			Directory: &config.Directory{CA: ours.file()}},
	}
	put(t, m.ConfigPath, "", 0o640)
	if err := os.Mkdir(m.Credentials, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(m.Credentials, "holdfast.master"), string(master[:]), 0o600)
	return m
}

func put(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestMachineIsWell(t *testing.T) {
	for _, f := range installed(t).Findings(t.Context()) {
		if f.Severity != OK && f.ID != "disk" { // the disk is this machine's
			t.Errorf("%+v", f)
		}
	}
}

// Every check of the machine can fail, and says what to do.
func TestEveryMachineCheckFails(t *testing.T) {
	mode := func(path func(*Machine) string, mode fs.FileMode) func(*testing.T, *Machine) {
		return func(t *testing.T, m *Machine) {
			if err := os.Chmod(path(m), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	in := func(name string) func(*Machine) string {
		return func(m *Machine) string { return filepath.Join(m.Config.Data, name) }
	}
	remove := func(name string) func(*testing.T, *Machine) {
		return func(t *testing.T, m *Machine) {
			if err := os.RemoveAll(in(name)(m)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		id, severity, text, fix string
		change                  func(t *testing.T, m *Machine)
	}{
		{"config", Critical, "relay.head_key: no; https.cert: no", "check-config", func(_ *testing.T, m *Machine) {
			m.Files = errors.Join(errors.New("relay.head_key: no"), fmt.Errorf("https.cert: no: %w", fs.ErrNotExist))
		}},
		{"permissions", Critical, "may change the configuration", "chmod go-w", mode(func(m *Machine) string { return m.ConfigPath }, 0o666)},
		{"permissions", Critical, "others may look into the archive", "chmod 0700", mode(func(m *Machine) string { return m.Config.Data }, 0o755)},
		{"permissions", Critical, "others may read", "chmod -R go-rwx", mode(in("keyring"), 0o644)},
		{"permissions", Critical, "look into the credentials", "chmod 0700", mode(func(m *Machine) string { return m.Credentials }, 0o711)},
		{"permissions", Critical, "read a credential", "chmod 0600", mode(func(m *Machine) string { return filepath.Join(m.Credentials, "holdfast.master") }, 0o640)},
		{"permissions", Critical, "the relay's client key", fmt.Sprintf("; chown %d: ", os.Getuid()), mode(func(m *Machine) string { return m.Config.Relay.Key }, 0o644)},
		{"permissions", Critical, "the key of the API's certificate", "chmod 0600 ", mode(func(m *Machine) string { return m.Config.HTTPS.Key }, 0o644)},
		{"permissions", Critical, "the key of the API's certificate", "; chown holdfast: ", func(t *testing.T, m *Machine) {
			m.Account = new(uint32)
			if err := os.Chmod(m.Config.HTTPS.Key, 0o644); err != nil {
				t.Fatal(err)
			}
		}},
		{"permissions", Critical, "(user id 4711) cannot enter", "the daemon's account can enter", func(_ *testing.T, m *Machine) { id := uint32(4711); m.Account = &id }},
		{"permissions", Critical, "belongs to user id", "chown -R 4711:4711", func(_ *testing.T, m *Machine) { id := uint32(4711); m.Account = &id }},
		{"keys", Critical, "without one the daemon waits as locked", "holdfastd unlock", func(t *testing.T, m *Machine) {
			if err := os.Remove(filepath.Join(m.Credentials, "holdfast.master")); err != nil {
				t.Fatal(err)
			}
		}},
		{"keys", Critical, "keyring is missing", "holdfastd unlock --by-shares", remove("keyring")},
		{"keys", Critical, "keyring.recovery is missing", "/keyring.recovery-N with the highest N", remove("keyring.recovery")},
		{"roles", Warning, "root and the daemon's own account hold every role", "[[account]]", func(_ *testing.T, m *Machine) { m.Config.Directory = nil }},
		{"backup-folders", Warning, "backup.keys_to: /nowhere is not there", "Mount it", func(t *testing.T, m *Machine) { m.Config.Backup = config.Backup{To: t.TempDir(), KeysTo: "/nowhere"} }},
		{"keys", Critical, "there is no archive", "Mount the archive's volume", func(_ *testing.T, m *Machine) { m.Config.Data += "x" }},
		{"chain", Critical, "there is no archive", "Only where there never was an archive: `holdfastd init`", func(_ *testing.T, m *Machine) { m.Config.Data += "x" }},
		{"chain", Critical, "cannot be read and proven", "holdfastd verify --data", func(t *testing.T, m *Machine) {
			path := in("log/000000.db")(m)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := len(b) / 4; i < len(b); i++ {
				b[i] ^= 1
			}
			put(t, path, string(b), 0o600)
		}},
		{"chain", Warning, "another process", "socket", func(t *testing.T, m *Machine) {
			key, err := os.ReadFile(filepath.Join(m.Credentials, "holdfast.master"))
			if err != nil {
				t.Fatal(err)
			}
			a, err := archive.Open(t.Context(), m.Config.Data, archive.Options{Master: [seal.MasterSize]byte(key)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			})
		}},
		{"disk", Critical, "are free", "Enlarge", func(_ *testing.T, m *Machine) { m.Config.Disk.LowWater = 1 << 60 }},
		{"disk", Warning, "could not be found out", "mounted", func(_ *testing.T, m *Machine) { m.Config.Data += "x" }},
		{"time-sync", Warning, "no time service", "timedatectl", func(_ *testing.T, m *Machine) { m.Sync = func() (TimeSync, error) { return TimeSync{}, nil } }},
		{"certificate-relay-client", Critical, "ended on", "holdfast relay enroll --name relay-2", func(_ *testing.T, m *Machine) { m.Now = time.Now().AddDate(2, 0, 0) }},
		{"certificate-relay-client", Critical, "does not fit", "holdfast relay enroll", func(_ *testing.T, m *Machine) { m.Config.Relay.Key = m.Config.Relay.CA }},
		{"certificate-https", Warning, "for 20 days", "https.cert", func(_ *testing.T, m *Machine) { m.Now = time.Now().AddDate(1, 0, -20).Add(-time.Hour) }},
		{"certificate-https", Critical, "not good before", "clock", func(_ *testing.T, m *Machine) { m.Now = time.Now().AddDate(-1, 0, 0) }},
		{"certificate-relay-ca", Critical, "for 4 days", "phone", func(_ *testing.T, m *Machine) { m.Now = time.Now().AddDate(5, 0, -5) }},
		{"certificate-directory-ca", Critical, "no PEM certificate", "daemon's account", func(_ *testing.T, m *Machine) { m.Config.Directory.CA = m.ConfigPath }},
		{"certificate-webhook-ca", Critical, "read a certificate", "PEM", func(_ *testing.T, m *Machine) {
			m.Config.Notify.Webhook = &config.Webhook{CA: "nowhere"}
		}},
		{"certificate-smtp-ca", Critical, "nowhere", "PEM", func(_ *testing.T, m *Machine) {
			m.Config.Notify.SMTP = &config.SMTP{CA: "nowhere"}
		}},
	} {
		t.Run(c.id+" "+c.text, func(t *testing.T) {
			m := installed(t)
			c.change(t, m)
			expect(t, m.Findings(t.Context()), c.id, c.severity, c.text, c.fix)
		})
	}
}

// What the daemon's account could not read is found by root, who could.
func TestAccountCannotRead(t *testing.T) {
	dir := t.TempDir()
	for path := dir; path != "/" && path != os.TempDir(); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const other, group = 1 << 30, 1<<30 + 1
	file := filepath.Join(dir, "file")
	for _, c := range []struct {
		mode fs.FileMode
		want string
	}{{0o644, ""}, {0o604, ""}, {0o640, file}, {0o600, file}} {
		put(t, file, "x", c.mode)
		if got := blocked(file, other, []uint32{group}); got != c.want {
			t.Errorf("%04o: %q", c.mode, got)
		}
		if got := blocked(file, 0, nil); got != "" {
			t.Errorf("root, %04o: %q", c.mode, got)
		}
	}
	put(t, file, "x", 0o640)
	if got := blocked(file, other, []uint32{group, uint32(os.Getgid())}); got != "" { // #nosec G115 -- a group id
		t.Errorf("of the group: %q", got)
	}
	put(t, file, "x", 0o604)
	if got := blocked(file, other, []uint32{uint32(os.Getgid())}); got != file { // #nosec G115 -- a group id
		t.Errorf("the group's bits come before the others': %q", got)
	}
	put(t, file, "x", 0o644)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := blocked(file, other, nil); got != dir {
		t.Errorf("a folder that is shut: %q", got)
	}
	if got := blocked(filepath.Join(dir, "missing"), 0, nil); got != "" {
		t.Errorf("missing: %q", got)
	}
}

// A private key that the daemon's account cannot read is to be given to that
// account, and not to its group, who are those that use the socket.
func TestAccountCannotReadKey(t *testing.T) {
	m := installed(t)
	for path := filepath.Dir(m.Config.Relay.Key); path != "/" && path != os.TempDir(); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	account := uint32(1 << 30)
	m.Account = &account
	var f faults
	m.readable(&f)
	fixes := strings.Join(f.fixes, "; ")
	if !strings.Contains(fixes, "chmod 0600 "+m.Config.Relay.Key+"; chown holdfast: "+m.Config.Relay.Key) || strings.Contains(fixes, "chmod g+r "+m.Config.Relay.Key) {
		t.Errorf("%s", fixes)
	}
}

// The runbook says of the relay's certificate what doctor and the alarm say.
func TestRunbookRenewsRelayClient(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "packaging", "watch", "RUNBOOK.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range []string{"HoldfastCertificateEnds30", "HoldfastCertificateEnds7"} {
		_, section, _ := strings.Cut(string(text), "### "+alert+"\n")
		section, _, _ = strings.Cut(section, "\n### ")
		for _, step := range []string{"holdfast relay enroll --name relay-2", "--name relay-2 --certificate FILE", "[relay]", "restart"} {
			if !strings.Contains(section, step) || !strings.Contains(RenewRelayClient, step) {
				t.Errorf("%s: %q", alert, step)
			}
		}
	}
}

// withoutRights runs f on a thread that reads as an account without rights does.
func withoutRights(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this
		_, err := unix.SetfsuidRetUid(65534)
		f()
		done <- err
	}()
	if err := <-done; err != nil && os.Getuid() == 0 {
		t.Fatal(err)
	}
}

// What an account may not look at is not called broken: root is to ask again. What
// is broken besides stays so.
func TestWhoMayNotLookIsToldSo(t *testing.T) {
	m := installed(t)
	m.Files = errors.Join(fmt.Errorf("relay.ca: %w", &fs.PathError{Op: "open", Path: m.Config.Relay.CA, Err: fs.ErrPermission}))
	m.Config.Backup.To = filepath.Join(m.Config.Data, "to")
	for _, path := range []string{m.Config.Data, m.Credentials, m.Config.Relay.CA, m.Config.Relay.Cert, m.Config.HTTPS.Cert, m.Config.HTTPS.Key, m.Config.Directory.CA} {
		for up := filepath.Dir(path); up != os.TempDir(); up = filepath.Dir(up) {
			if err := os.Chmod(up, 0o711); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := os.Chmod(m.Config.Data, 0o700); err != nil {
			t.Error(err)
		}
	})
	var found []Finding
	withoutRights(t, func() { found = m.Findings(t.Context()) })
	for _, id := range []string{"config", "permissions", "keys", "backup-folders", "certificate-relay-client", "certificate-relay-ca", "certificate-https", "certificate-directory-ca", "chain"} {
		expect(t, found, id, Warning, "from this account", "as root")
	}

	p := &Preflight{Relay: "https://relay.test", RelayCA: m.Config.Relay.CA}
	withoutRights(t, func() { found = []Finding{p.relayTLS(t.Context())} })
	expect(t, found, "relay-tls", Warning, "from this account", "as root")

	if err := os.Chmod(m.Config.Relay.Cert, 0o644); err != nil {
		t.Fatal(err)
	}
	withoutRights(t, func() { found = m.certificates() })
	expect(t, found, "certificate-relay-client", Warning, m.Config.Relay.Key, "as root") // its key

	m.Files = errors.Join(m.Files, errors.New("directory.ca holds no PEM certificate"))
	put(t, m.ConfigPath, "", 0o666)
	withoutRights(t, func() { found = m.Findings(t.Context()) })
	expect(t, found, "config", Critical, "no PEM", "as root")
	expect(t, found, "permissions", Critical, "may change the configuration", "chmod go-w")
}

// A pipe in place of a file keeps root, who asks, from no answer.
func TestPipesAreNotWaitedFor(t *testing.T) {
	for name, path := range map[string]func(m *Machine) string{
		"the log":       func(m *Machine) string { return filepath.Join(m.Config.Data, "log", "000000.db") },
		"identity":      func(m *Machine) string { return filepath.Join(m.Config.Data, "identity.json") },
		"keyring":       func(m *Machine) string { return filepath.Join(m.Config.Data, "keyring.recovery") },
		"a certificate": func(m *Machine) string { return m.Config.Relay.Cert },
		"its key":       func(m *Machine) string { return m.Config.HTTPS.Key },
	} {
		m := installed(t)
		pipe := path(m)
		if err := errors.Join(os.Remove(pipe), unix.Mkfifo(pipe, 0o600)); err != nil {
			t.Fatal(err)
		}
		done := make(chan []Finding, 1)
		go func() { done <- m.Findings(t.Context()) }()
		select {
		case found := <-done:
			if !slices.ContainsFunc(found, func(f Finding) bool { return f.Severity == Critical }) {
				t.Errorf("%s: nobody noticed", name)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s: it waits at a pipe", name)
			end, err := os.OpenFile(pipe, os.O_RDWR, 0) // lets go whoever waits
			if err != nil {
				t.Fatal(err)
			}
			defer end.Close()
			<-done
		}
	}
}

func TestConfigThatCannotBeRead(t *testing.T) {
	expect(t, []Finding{Config("f", errors.New("line 3: there is no such key"))}, "config", Critical, "line 3", "holdfastd.toml.example lists every key")
	expect(t, []Finding{Config("f", fs.ErrNotExist)}, "config", Critical, "not exist", "holdfastd init")
	expect(t, []Finding{Config("f", fs.ErrPermission)}, "config", Critical, "permission", "as root")
}

// The growth is what the archive takes an entry, times the entries of a day.
func TestGrowth(t *testing.T) {
	m := installed(t)
	g, err := Measure(m.Config.Data, 1<<20, now, now.Add(-60*day), 1000, func(at time.Time) (uint64, error) {
		if !at.Equal(now.Add(-30 * day)) {
			t.Errorf("asked at %v", at)
		}
		return 700, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := float64(g.Used) / 1000 * 10; g.Used == 0 || g.Daily < want*0.999 || g.Daily > want*1.001 {
		t.Errorf("%+v", g)
	}
	if g, err = Measure(m.Config.Data, 0, now, now.Add(-time.Hour), 1000, nil); err != nil || g.Daily != 0 || g.LowWater == 0 {
		t.Errorf("%+v %v", g, err)
	}
}
