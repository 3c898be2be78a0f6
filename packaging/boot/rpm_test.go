//go:build boot

package boot

import (
	"strings"
	"testing"
)

// rpm runs rpm on the tree, whose own packages it knows nothing of. Its
// scriptlets meet the real systemd.
func (m *machine) rpm(t *testing.T, args ...string) string {
	t.Helper()
	r := m.run(append([]string{"rpm", "--nodeps", "--force-debian"}, args...)...)
	if r.code != 0 {
		t.Fatal(r)
	}
	return r.out + r.notes
}

func (m *machine) rpmUp(t *testing.T, version string) string {
	t.Helper()
	return m.rpm(t, "--upgrade", "--oldpackage", file("holdfast", version, "rpm"), file("holdfastd", version, "rpm"))
}

// rpms does with the rpms what was done with the debs: install over the kept
// archive, start, upgrade with a wrong and a right configuration, erase.
func rpms(t *testing.T, m *machine) {
	m.rpmUp(t, firstVersion)
	if state := m.is(unit, "ActiveState"); state != "inactive" {
		t.Errorf("the install leaves the daemon %s", state)
	}
	m.must(t, "systemctl", "enable", "--now", unit)
	m.await(t, "it answers", m.answers(firstVersion))
	m.await(t, "and finds", m.finds)

	whole := m.must(t, "cat", config)
	m.append(t, config, "\n[nonsense]\nkey = 1\n")
	pid := m.is(unit, "MainPID")
	said := m.rpmUp(t, secondVersion)
	if now := m.is(unit, "MainPID"); now != pid || !strings.Contains(said, "keeps running") {
		t.Errorf("process %s is now %s:\n%s", pid, now, said)
	}
	m.await(t, "the old one answers", m.answers(firstVersion))
	m.write(t, config, whole, 0o640)
	m.must(t, "chown", "root:holdfast", config)

	if said := m.rpmUp(t, firstVersion); !strings.Contains(said, "restarted") {
		t.Errorf("with a right configuration it is not restarted:\n%s", said)
	}
	if now := m.is(unit, "MainPID"); now == pid {
		t.Error("the old process still runs")
	}
	m.await(t, "it answers", m.answers(firstVersion))

	before := m.must(t, "sha256sum", data+"/identity.json", config)
	m.rpm(t, "--erase", "holdfastd", "holdfast")
	m.gone(t)
	if after := m.must(t, "sha256sum", data+"/identity.json", config); after != before {
		t.Error("erasing the package changed what it should have kept")
	}
}
