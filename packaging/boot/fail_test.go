//go:build boot

package boot

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// restarted is for await: systemd has started the daemon again, so many times in
// all, and it answers.
func (m *machine) restarted(version string, times int) func() error {
	return func() error {
		if got := m.is(unit, "NRestarts"); got != strconv.Itoa(times) {
			return fmt.Errorf("%s restarts, not %d", got, times)
		}
		return m.answers(version)()
	}
}

// restarts is how often systemd has started the daemon again.
func (m *machine) restarts(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(m.is(unit, "NRestarts"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// killed ends the daemon without a word: it is started again, and has lost
// nothing.
func killed(t *testing.T, m *machine) {
	n := m.restarts(t)
	m.must(t, "systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit)
	m.await(t, "it is started again", m.restarted(firstVersion, n+1))
	m.await(t, "what it had is found", m.finds)
}

// hangs stops the daemon where it is: its watchdog ends it, and it is started
// again.
func hangs(t *testing.T, m *machine) {
	n, cursor := m.restarts(t), m.cursor()
	m.must(t, "systemctl", "kill", "--kill-whom=main", "--signal=STOP", unit)
	m.await(t, "it is started again", m.restarted(firstVersion, n+1))
	if text := m.journal(cursor); !strings.Contains(text, "Watchdog timeout") {
		t.Error("it was not the watchdog")
	}
}

// reloads has the daemon read its log level and certificates again.
func reloads(t *testing.T, m *machine) {
	pid := m.is(unit, "MainPID")
	m.must(t, "systemctl", "reload", unit)
	if now := m.is(unit, "MainPID"); now != pid {
		t.Errorf("process %s is now %s", pid, now)
	}
	m.await(t, "it answers", m.answers(firstVersion))
}
