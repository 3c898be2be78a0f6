//go:build boot

package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// misupgrades upgrades while the configuration is wrong: the old process goes on.
func misupgrades(t *testing.T, m *machine) {
	whole := m.must(t, "cat", config)
	m.append(t, config, "\n[nonsense]\nkey = 1\n")
	pid := m.is(unit, "MainPID")
	said := m.install(t, secondVersion)
	if !strings.Contains(said, "keeps running") {
		t.Errorf("the upgrade does not say that the old process keeps running:\n%s", said)
	}
	if now := m.is(unit, "MainPID"); now != pid {
		t.Errorf("process %s is now %s", pid, now)
	}
	m.await(t, "the old one answers", m.answers(firstVersion))
	m.await(t, "and finds", m.finds)
	// Mended as the upgrade said.
	if err := os.WriteFile(filepath.Join(m.root, config), []byte(whole), 0); err != nil {
		t.Fatal(err)
	}
	m.must(t, "holdfastd", "check-config", "--config", config)
	m.must(t, "systemctl", "restart", unit)
	m.await(t, "the new one answers", m.answers(secondVersion))
}

// upgrades takes the archive to a later schema: it is restarted, and what the
// migration changed was copied.
func upgrades(t *testing.T, m *machine) {
	pid := m.is(unit, "MainPID")
	said := m.install(t, thirdVersion)
	if !strings.Contains(said, "restarted") {
		t.Errorf("the upgrade does not say that it has restarted the daemon:\n%s", said)
	}
	m.await(t, "the new one answers", m.answers(thirdVersion))
	if now := m.is(unit, "MainPID"); now == pid {
		t.Error("the old process still runs")
	}
	m.must(t, "test", "-d", data+"/before-schema-2/log")
	m.await(t, "and finds", m.finds)
}

// downgrades puts the former version over a store of a later schema: the package
// leaves the running process alone, and a start is refused with 78, naming the
// copy.
func downgrades(t *testing.T, m *machine) {
	pid := m.is(unit, "MainPID")
	said := m.install(t, secondVersion)
	if now := m.is(unit, "MainPID"); now != pid || !strings.Contains(said, "keeps running") {
		t.Errorf("process %s is now %s:\n%s", pid, now, said)
	}
	m.await(t, "the later one answers", m.answers(thirdVersion))
	cursor := m.cursor()
	if r := m.run("systemctl", "restart", unit); r.code == 0 {
		t.Error("an older daemon opens a newer store")
	}
	if code, state := m.is(unit, "ExecMainStatus"), m.is(unit, "ActiveState"); code != "78" || state != "failed" {
		t.Errorf("exit %s, %s", code, state)
	}
	if text := m.journal(cursor); !strings.Contains(text, data+"/before-schema-2") {
		t.Error("the copy is not named")
	}
	m.install(t, thirdVersion)
	m.must(t, "systemctl", "reset-failed", unit)
	m.must(t, "systemctl", "start", unit)
	m.await(t, "the later one answers again", m.answers(thirdVersion))
	// Back to the release with the copy, as the message says.
	m.must(t, "systemctl", "stop", unit)
	m.must(t, "bash", "-c", fmt.Sprintf("set -e; cd %s; cp -a before-schema-2/log/. log/; rm -r before-schema-2", data))
	m.install(t, secondVersion)
	m.must(t, "systemctl", "start", unit)
	m.await(t, "the former one answers", m.answers(secondVersion))
	m.await(t, "and finds", m.finds)
}
