//go:build boot

package boot

import (
	"strings"
	"testing"
)

// shares is a file with as many of the kit's shares as open the archive.
const shares = "/root/shares.txt"

// isLocked is what a daemon without its master key looks like from outside: it
// lives, and says what it waits for.
func (m *machine) isLocked(t *testing.T) {
	t.Helper()
	m.await(t, "it runs", m.equals(unit, "SubState", "running"))
	if text := m.is(unit, "StatusText"); !strings.Contains(text, "locked") || !strings.Contains(text, "holdfastd unlock") {
		t.Errorf("systemd is told %q", text)
	}
	m.await(t, "/healthz", func() error { return m.http("127.0.0.1:9185", "/healthz", 200) })
	m.await(t, "/readyz", func() error { return m.http("127.0.0.1:9185", "/readyz", 503) })
	if r := m.as(administrator, "holdfast", "status"); r.code == 0 || !strings.Contains(r.notes, "holdfastd unlock") {
		t.Errorf("`holdfast status` does not say what to do\n%s", r)
	}
}

// locks starts the daemon without its master key: it waits, and is unlocked by
// shares of the kit, under a new key that it finds by itself from then on.
func locks(t *testing.T, m *machine) {
	m.must(t, "bash", "-c", "set -e; awk '/^share [0-9]+ of/ { getline; print }' "+kit+" | head -2 > "+shares)
	m.must(t, "mv", "/etc/holdfast/credentials/holdfast.master", "/root/lost.master")
	cursor := m.cursor()
	m.must(t, "systemctl", "restart", unit)
	m.isLocked(t)
	if text := m.journal(cursor); !strings.Contains(text, "holdfastd unlock") {
		t.Error("the journal does not say what to do")
	}
	m.must(t, "holdfastd", "unlock", "--shares", shares)
	m.await(t, "it answers", m.answers(firstVersion))
	m.must(t, "systemctl", "restart", unit)
	m.await(t, "it finds its new key by itself", m.answers(firstVersion))
	m.await(t, "and finds", m.finds)
}

// seals has the master key sealed to the machine, and takes away what it was
// sealed to, as a board that is exchanged does.
func seals(t *testing.T, m *machine) {
	m.must(t, "mv", "/etc/holdfast/credentials/holdfast.master", "/root/lost.master")
	m.must(t, "systemctl", "restart", unit)
	m.must(t, "holdfastd", "unlock", "--shares", shares, "--keep", "sealed")
	m.await(t, "it answers", m.answers(firstVersion))
	m.must(t, "test", "!", "-e", "/etc/holdfast/credentials/holdfast.master")
	for _, u := range []string{"holdfastd", "holdfastd-drill"} {
		m.must(t, "test", "-f", "/etc/systemd/system/"+u+".service.d/50-holdfast-master.conf")
	}
	m.must(t, "systemctl", "restart", unit)
	m.await(t, "it finds its sealed key by itself", m.answers(firstVersion))

	m.must(t, "rm", "/var/lib/systemd/credential.secret")
	m.must(t, "systemctl", "restart", unit)
	m.isLocked(t)
	m.must(t, "holdfastd", "unlock", "--shares", shares)
	m.await(t, "it answers", m.answers(firstVersion))
	m.must(t, "systemctl", "restart", unit)
	m.await(t, "it finds what was sealed anew", m.answers(firstVersion))
	m.await(t, "and finds", m.finds)
}
