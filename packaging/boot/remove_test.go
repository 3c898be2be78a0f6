//go:build boot

package boot

import (
	"strings"
	"testing"
)

// stays is what neither a removal nor a purge takes away: a hash of the archive's
// and the site's files, and the account.
func (m *machine) stays(t *testing.T) string {
	t.Helper()
	return m.must(t, "bash", "-c", "set -e -o pipefail; find "+data+" /etc/holdfast -type f -not -path '*/index/*' -print0 | sort -z | xargs -0 sha256sum; id holdfast")
}

// removes takes the package away: the daemon ends, and nothing else does.
func removes(t *testing.T, m *machine) {
	m.await(t, "it answers", m.answers(secondVersion))
	m.must(t, "dpkg", "--remove", "holdfastd")
	m.gone(t)
	if got := m.is(unit, "LoadState"); got != "not-found" {
		t.Errorf("the unit is %s", got)
	}
	m.must(t, "test", "-s", data+"/identity.json")
}

// gone fails where a process of the daemon is left.
func (m *machine) gone(t *testing.T) {
	t.Helper()
	if out := m.must(t, "bash", "-c", "cat /proc/[0-9]*/comm"); strings.Contains(out, "holdfastd\n") {
		t.Errorf("the daemon still runs: %s", out)
	}
}

// purges keeps data, keys and account, and says so.
func purges(t *testing.T, m *machine) {
	before := m.stays(t)
	r := m.run("dpkg", "--purge", "holdfastd", "holdfast")
	if r.code != 0 {
		t.Fatal(r)
	}
	if !strings.Contains(r.out+r.notes, data) {
		t.Errorf("the purge does not say what is kept\n%s", r)
	}
	if after := m.stays(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if out := m.run("bash", "-c", "ls -d /usr/bin/holdfast* /usr/lib/systemd/system/holdfast* /usr/lib/*/holdfast*").out; out != "" {
		t.Errorf("the purge leaves %s", out)
	}
}

// reinstalls finds the archive as it was.
func reinstalls(t *testing.T, m *machine) {
	said := m.install(t, secondVersion)
	if strings.Contains(said, "holdfastd init") {
		t.Errorf("there is an archive, and init is recommended:\n%s", said)
	}
	if state := m.is(unit, "ActiveState"); state != "inactive" {
		t.Errorf("the install leaves the daemon %s", state)
	}
	m.must(t, "systemctl", "enable", "--now", unit)
	m.await(t, "it answers", m.answers(secondVersion))
	m.await(t, "and finds", m.finds)
	m.must(t, "dpkg", "--purge", "holdfastd", "holdfast")
}
