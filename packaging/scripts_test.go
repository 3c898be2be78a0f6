package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// machine is a machine as the scripts see it: commands that write down how
// they were called, and fail when told so.
type machine struct {
	dir  string
	fail map[string]int // a call that begins like this exits with that
}

func newMachine(t *testing.T, booted, configured bool, fail map[string]int) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir(), fail: fail}
	var rules strings.Builder
	for call, code := range fail {
		rules.WriteString("case \"$call\" in '" + call + "'*) exit " + string(rune('0'+code)) + " ;; esac\n")
	}
	for _, name := range []string{"systemctl", "systemd-sysusers", "systemd-tmpfiles", "holdfastd"} {
		m.write(t, "bin/"+name, "#!/bin/sh\ncall=\""+name+" $*\"\necho \"$call\" >> '"+m.dir+"/calls'\n"+rules.String(), 0o755)
	}
	if booted {
		m.write(t, "run/systemd/system/there", "", 0o644)
	}
	if configured {
		m.write(t, "etc/holdfast/holdfastd.toml", "", 0o644)
	}
	for _, name := range []string{"upkeep", "deb-postinst", "deb-prerm", "deb-postrm", "rpm-post", "rpm-preun", "rpm-postun"} {
		text, err := os.ReadFile("scripts/" + name)
		if err != nil {
			t.Fatal(err)
		}
		s := string(text)
		for _, path := range []string{"/run/systemd/system", "/etc/holdfast", "/var/lib/holdfast", "/usr/libexec/holdfast"} {
			s = strings.ReplaceAll(s, " "+path, " "+m.dir+path)
			s = strings.ReplaceAll(s, "="+path, "="+m.dir+path)
			s = strings.ReplaceAll(s, "\t"+path, "\t"+m.dir+path)
		}
		if name == "upkeep" {
			name = "usr/libexec/holdfast/upkeep"
		}
		m.write(t, name, s, 0o755)
	}
	return m
}

func (m *machine) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// run runs a script in dash, as Debian's sh is, and returns its exit code, what
// it said and what it called.
func (m *machine) run(t *testing.T, script string, args ...string) (code int, said, calls string) {
	t.Helper()
	c := exec.Command("dash", append([]string{filepath.Join(m.dir, script)}, args...)...)
	c.Env = []string{"PATH=" + m.dir + "/bin:/usr/bin:/bin"}
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(m.dir, "calls"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(out), string(text)
}

// An upgrade restarts a daemon that runs, when the new program accepts what it
// finds, and nothing else; whatever happens the package is installed.
func TestInstallAndUpgrade(t *testing.T) {
	const inactive, refuses, noStart = "systemctl --quiet is-active", "holdfastd check-config", "systemctl restart"
	for name, c := range map[string]struct {
		booted, configured bool
		fail               map[string]int
		says, calls, not   string
	}{
		"first":         {true, false, map[string]int{inactive: 3}, "Next: holdfastd doctor --preflight", "systemd-sysusers holdfast.conf", "restart"},
		"chroot":        {false, false, nil, "Next:", "systemd-tmpfiles --create", "daemon-reload"},
		"not running":   {true, true, map[string]int{inactive: 3}, "", "systemctl daemon-reload", "restart"},
		"accepted":      {true, true, nil, "restarted with the new version", "systemctl restart holdfastd.service", "start holdfastd-backup"},
		"refused":       {true, true, map[string]int{refuses: 8}, "the old process keeps running", "holdfastd check-config --config ", "restart"},
		"does not come": {true, true, map[string]int{noStart: 1}, "did not start", "systemctl restart holdfastd.service", "preset"},
		"no reload":     {true, true, map[string]int{"systemctl daemon-reload": 1}, "run `systemctl daemon-reload`", "systemctl restart", "preset"},
		"no folders":    {true, true, map[string]int{"systemd-tmpfiles": 1}, "says which", "systemctl restart", "preset"},
	} {
		t.Run(name, func(t *testing.T) {
			for script, args := range map[string][]string{"deb-postinst": {"configure", "0.9-1"}, "rpm-post": {"2"}} {
				code, said, calls := newMachine(t, c.booted, c.configured, c.fail).run(t, script, args...)
				if code != 0 || !strings.Contains(said, c.says) || !strings.Contains(calls, c.calls) || strings.Contains(calls, c.not) {
					t.Errorf("%s: exit code %d\n%s%s", script, code, said, calls)
				}
			}
		})
	}
}

// A daemon that would wait for its passphrase at night is left to a person.
func TestUpgradeWithAPassphrase(t *testing.T) {
	m := newMachine(t, true, true, nil)
	m.write(t, "etc/holdfast/credentials/holdfast.master.passphrase", "", 0o600)
	code, said, calls := m.run(t, "deb-postinst", "configure", "0.9-1")
	if code != 0 || !strings.Contains(said, "holdfastd unlock") || strings.Contains(calls, "restart") {
		t.Errorf("exit code %d\n%s%s", code, said, calls)
	}
}

// Without its account the daemon could not run at all.
func TestNoAccount(t *testing.T) {
	for script, args := range map[string][]string{"deb-postinst": {"configure", ""}, "rpm-post": {"1"}} {
		if code, said, _ := newMachine(t, true, false, map[string]int{"systemd-sysusers": 1}).run(t, script, args...); code == 0 {
			t.Errorf("%s: %s", script, said)
		}
	}
}

func TestFirstInstallStartsNothing(t *testing.T) {
	for script, args := range map[string][]string{"deb-postinst": {"configure", ""}, "rpm-post": {"1"}} {
		code, _, calls := newMachine(t, true, false, map[string]int{"systemctl --quiet is-active": 3}).run(t, script, args...)
		if code != 0 || !strings.Contains(calls, "preset holdfastd.service holdfastd-backup.timer") {
			t.Errorf("%s: exit code %d\n%s", script, code, calls)
		}
		for _, verb := range []string{" start ", "restart", " enable", "--now"} {
			if strings.Contains(calls, verb) {
				t.Errorf("%s: %s\n%s", script, verb, calls)
			}
		}
	}
}

// Removing stops; upgrading does not. Purging names what it keeps and touches
// nothing of it.
func TestRemove(t *testing.T) {
	const stop = "systemctl stop holdfastd.service holdfastd-backup.timer"
	for _, c := range []struct {
		script string
		arg    string
		stops  bool
	}{{"deb-prerm", "remove", true}, {"rpm-preun", "0", true}, {"deb-prerm", "upgrade", false}, {"rpm-preun", "1", false}, {"deb-prerm", "deconfigure", false}} {
		code, said, calls := newMachine(t, true, true, nil).run(t, c.script, c.arg)
		if code != 0 || strings.Contains(calls, stop) != c.stops || strings.Contains(calls, "disable holdfastd.service") != c.stops {
			t.Errorf("%s %s: exit code %d\n%s%s", c.script, c.arg, code, said, calls)
		}
	}
	if code, said, _ := newMachine(t, true, true, map[string]int{"systemctl": 1}).run(t, "deb-prerm", "remove"); code != 0 || !strings.Contains(said, "could be stopped") {
		t.Errorf("a unit that does not stop: exit code %d, %s", code, said)
	}
	if _, _, calls := newMachine(t, false, true, nil).run(t, "rpm-preun", "0"); strings.Contains(calls, "stop") {
		t.Errorf("in a chroot: %s", calls)
	}
	m := newMachine(t, true, true, nil)
	m.write(t, "var/lib/holdfast/keyring", "k", 0o600)
	code, said, calls := m.run(t, "deb-postrm", "purge")
	if code != 0 || !strings.Contains(said, "var/lib/holdfast is kept") || !strings.Contains(said, "etc/holdfast is kept") || calls != "" {
		t.Errorf("purge: exit code %d\n%s%s", code, said, calls)
	}
	if text, err := os.ReadFile(filepath.Join(m.dir, "var/lib/holdfast/keyring")); err != nil || string(text) != "k" {
		t.Errorf("purge: %q, %v", text, err)
	}
	for script, arg := range map[string]string{"deb-postrm": "remove", "rpm-postun": "0"} {
		if code, _, calls := newMachine(t, true, true, nil).run(t, script, arg); code != 0 || calls != "systemctl daemon-reload\n" {
			t.Errorf("%s: exit code %d, %s", script, code, calls)
		}
	}
}

func TestUnknownCalls(t *testing.T) {
	for _, call := range [][]string{{"deb-postinst", "what"}, {"deb-prerm", "what"}, {"usr/libexec/holdfast/upkeep", "what"}, {"usr/libexec/holdfast/upkeep"}} {
		if code, _, calls := newMachine(t, true, true, nil).run(t, call[0], call[1:]...); code == 0 || calls != "" {
			t.Errorf("%v: exit code %d, %s", call, code, calls)
		}
	}
}
