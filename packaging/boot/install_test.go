//go:build boot

package boot

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The machine's accounts: none of them is root or the daemon's own.
const (
	administrator = "itadmin"
	officer       = "compliance"
	stranger      = "visitor"
)

const (
	unit    = "holdfastd.service"
	config  = "/etc/holdfast/holdfastd.toml"
	data    = "/var/lib/holdfast"
	kit     = "/root/kit.txt"
	backups = "/srv/holdfast/backup"
	keys    = "/mnt/holdfast/keys"
	reason  = "complaint 2026-014"
)

// installs is the first install: nothing runs, and what is next is said.
func installs(t *testing.T, m *machine) {
	said := m.install(t, firstVersion)
	for _, want := range []string{"not started", "holdfastd init"} {
		if !strings.Contains(said, want) {
			t.Errorf("the install does not say %q:\n%s", want, said)
		}
	}
	for _, u := range []string{unit, "holdfastd-backup.timer", "holdfastd-drill.timer"} {
		if state := m.run("systemctl", "is-enabled", u).out; state != "disabled\n" {
			t.Errorf("%s is %q after the install", u, state)
		}
		if state := m.is(u, "ActiveState"); state != "inactive" {
			t.Errorf("%s is %s after the install", u, state)
		}
	}
	for path, want := range map[string]string{data: "700 holdfast holdfast", "/etc/holdfast": "750 root holdfast", "/etc/holdfast/credentials": "700 root root"} {
		if got := strings.TrimSpace(m.must(t, "stat", "--format=%a %U %G", path)); got != want {
			t.Errorf("%s is %q, not %q", path, got, want)
		}
	}
	if out := m.must(t, "find", data, "/etc/holdfast", "-type", "f"); out != "" {
		t.Errorf("the install made files: %s", out)
	}
}

// verifies lets systemd read the units as they were installed.
func verifies(t *testing.T, m *machine) {
	r := m.run("systemd-analyze", "verify", "--man=no", unit, "holdfastd-backup.timer", "holdfastd-drill.timer", "holdfast-master.socket", "holdfast-master@x.service")
	if r.code != 0 || r.notes != "" {
		t.Errorf("%s", r)
	}
	// In tenths. The daemon has the network's and that of telling accounts apart; the others have neither.
	for u, most := range map[string]string{"holdfastd.service": "12", "holdfastd-backup.service": "2", "holdfastd-drill.service": "2", "holdfast-master@.service": "7"} {
		if r := m.run("systemd-analyze", "security", "--offline=yes", "--threshold="+most, "/usr/lib/systemd/system/"+u); r.code != 0 {
			t.Errorf("%s is exposed by more than %s tenths:\n%s", u, most, r)
		}
	}
}

// unready starts the daemon before there is an archive: it says what to do, and
// is not tried again.
func unready(t *testing.T, m *machine) {
	cursor := m.cursor()
	if r := m.run("systemctl", "start", unit); r.code == 0 {
		t.Error("a daemon without an archive starts")
	}
	if code, tries := m.is(unit, "ExecMainStatus"), m.is(unit, "NRestarts"); code != "78" || tries != "0" {
		t.Errorf("exit %s after %s restarts, not 78 after none", code, tries)
	}
	if text := m.journal(cursor); !strings.Contains(text, "holdfastd init") {
		t.Error("the journal does not name `holdfastd init`")
	}
	m.must(t, "systemctl", "reset-failed", unit)
}

// accounts makes the machine's people.
func accounts(t *testing.T, m *machine) {
	for _, name := range []string{administrator, officer, stranger} {
		m.must(t, "useradd", "--create-home", name)
	}
	for _, name := range []string{administrator, officer} {
		m.must(t, "usermod", "--append", "--groups", "holdfast", name)
	}
}

// relays sets the reference relay up, as a vendor would elsewhere, and hands its
// certificates over.
func relays(t *testing.T, m *machine) {
	m.must(t, "holdfast-relay", "init", "--dir", "/opt/relay", "--archive-id", "st-marys.example", "--listen", "127.0.0.1:18443")
	block := m.must(t, "cat", "/opt/relay/relay.toml")
	if !strings.Contains(block, "18443") {
		t.Fatalf("the relay's configuration: %s", block)
	}
	for from, to := range map[string]string{"ca.pem": "relay-ca.pem", "archive.pem": "relay.pem", "archive.key": "relay.key", "head.pem": "relay-head.pem", "enrol.pem": "relay-enrol.pem"} {
		m.must(t, "cp", filepath.Join("/opt/relay/pki", from), "/etc/holdfast/"+to)
	}
}

// initialises makes the archive from an answers file, and once only.
func initialises(t *testing.T, m *machine) {
	accounts(t, m)
	relays(t, m)
	m.must(t, "mkdir", "--parents", backups, keys)
	m.must(t, "chown", "holdfast:", backups, keys)
	m.write(t, "/root/answers.toml", fmt.Sprintf(`archive_id = "st-marys.example"
time_zone = "America/Chicago"
metrics = "127.0.0.1:9185"
[kit]
needed = 2
shares = 3
out = %q
unchecked = true
[administrator]
account = %q
[relay]
url = "https://127.0.0.1:18443"
enrol_key = "/etc/holdfast/relay-enrol.pem"
[backup]
to = %q
keys_to = %q
`, kit, administrator, backups, keys), 0o600)
	r := m.run("holdfastd", "init", "--answers", "/root/answers.toml")
	if r.code != 0 {
		t.Fatal(r)
	}
	again := m.run("holdfastd", "init", "--answers", "/root/answers.toml")
	if again.code != 73 {
		t.Errorf("a second init is not refused with 73\n%s", again)
	}
	// Whoever looks for messages is somebody else than whoever administers.
	uid := strings.TrimSpace(m.must(t, "id", "--user", officer))
	m.append(t, config, "\n[[account]]\nuid = "+uid+"\nroles = [\"compliance-officer\"]\n")
	if r := m.run("holdfastd", "check-config", "--config", config); r.code != 0 {
		t.Fatal(r)
	}
	m.must(t, "holdfast-relay", "pin", "--dir", "/opt/relay", "--identity", data+"/identity.json")
	m.must(t, "systemd-run", "--unit=relay", "holdfast-relay", "serve", "--dir", "/opt/relay")
}

func (m *machine) append(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(m.root, path), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); errors.Join(err, f.Close()) != nil {
		t.Fatal(err)
	}
}

// hastened makes the unit's waits short, as a site's drop-in would make them long.
const hastened = "[Service]\nRestartSec=200ms\nWatchdogSec=4s\nTimeoutAbortSec=2s\n"

// starts enables the daemon as the package says.
func starts(t *testing.T, m *machine) {
	m.write(t, "/etc/systemd/system/holdfastd.service.d/hastened.conf", hastened, 0o644)
	m.must(t, "systemctl", "daemon-reload")
	m.must(t, "systemctl", "enable", "--now", unit)
	m.await(t, "the daemon runs", m.equals(unit, "SubState", "running"))
	if text := m.is(unit, "StatusText"); text == "" {
		t.Error("the daemon tells systemd nothing of how it stands")
	}
	if user := strings.TrimSpace(m.must(t, "stat", "--format=%U", "/proc/"+m.is(unit, "MainPID"))); user != "holdfast" {
		t.Errorf("the daemon runs as %s", user)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		m.await(t, path, func() error { return m.http("127.0.0.1:9185", path, 200) })
	}
}

// as runs a command as one of the machine's people.
func (m *machine) as(who string, command ...string) result {
	return m.run(append([]string{"setpriv", "--reuid=" + who, "--regid=" + who, "--init-groups", "--", "env", "HOME=/home/" + who}, command...)...)
}

// status is what the daemon says of itself.
type status struct {
	Version   string `json:"version"`
	Size      uint64 `json:"size"`
	Accepting bool   `json:"accepting"`
	Relay     struct {
		Acked   uint64 `json:"acked"`
		High    uint64 `json:"high"`
		Failing string `json:"failing"`
	} `json:"relay"`
	Alarms uint64 `json:"open_alarms"`
}

func (m *machine) status() (s status, err error) {
	r := m.as(administrator, "holdfast", "status", "--format", "json")
	if r.code != 0 {
		return s, errors.New(r.String())
	}
	return s, json.Unmarshal([]byte(r.out), &s)
}

// answers is for await: the daemon answers, as a version.
func (m *machine) answers(version string) func() error {
	return func() error {
		s, err := m.status()
		if err == nil && (s.Version != version || !s.Accepting) {
			err = fmt.Errorf("it is %+v", s)
		}
		return err
	}
}

// feeds sends the ward's messages through the relay and waits until all of them
// are acked.
func feeds(t *testing.T, m *machine) {
	m.must(t, "holdfast-relay", "load", "--dir", "/opt/relay", inMachine+"/ward.jsonl")
	m.await(t, "the relay's events are acked", func() error {
		s, err := m.status()
		if err == nil && (s.Relay.High == 0 || s.Relay.Acked < s.Relay.High || s.Relay.Failing != "") {
			err = fmt.Errorf("it is %+v", s)
		}
		return err
	})
}

// found counts what an account finds.
func (m *machine) found(who, query string) (int, error) {
	r := m.as(who, "holdfast", "search", query, "--reason", reason, "--format", "json")
	if r.code != 0 {
		return 0, errors.New(r.String())
	}
	var h struct {
		Total int `json:"total"`
	}
	err := json.Unmarshal([]byte(r.out), &h)
	return h.Total, err
}

// What the ward's messages hold: in a message, and in an attachment that a
// process of its own reads under the unit's confinement.
const (
	inMessage, inAttachment = "heparin", "magnesium has:attachment"
	messages, attachments   = 4, 1
)

// finds is for await: both are found.
func (m *machine) finds() error {
	for query, want := range map[string]int{inMessage: messages, inAttachment: attachments} {
		if n, err := m.found(officer, query); err != nil || n != want {
			return fmt.Errorf("%d found of %s, not %d: %w", n, query, want, err)
		}
	}
	return nil
}

// searches looks for messages as one of the machine's people; the others may not.
func searches(t *testing.T, m *machine) {
	m.await(t, "a compliance officer searches", m.finds)
	if r := m.as(administrator, "holdfast", "search", inMessage, "--reason", reason); r.code != 77 {
		t.Errorf("an administrator searches\n%s", r)
	}
	for _, path := range []string{"/etc/holdfast/relay.key", "/etc/holdfast/credentials/holdfast.master", data + "/identity.json"} {
		if r := m.as(officer, "cat", path); r.code == 0 {
			t.Errorf("whoever may use the socket reads %s", path)
		}
	}
	if r := m.as(stranger, "holdfast", "status"); r.code == 0 {
		t.Errorf("whoever is not in the group reaches the daemon\n%s", r)
	}
}

// http asks something in the machine for a page, by bash's own means.
func (m *machine) http(address, path string, want int) error {
	host, port, _ := strings.Cut(address, ":")
	r := m.run("bash", "-c", fmt.Sprintf(`exec 3<>/dev/tcp/%s/%s; printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' >&3; head -1 <&3`, host, port, path, address))
	if !strings.Contains(r.out, fmt.Sprintf(" %d ", want)) {
		return fmt.Errorf("%s%s: %s", address, path, r)
	}
	return nil
}
