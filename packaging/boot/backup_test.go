//go:build boot

package boot

import (
	"fmt"
	"strings"
	"testing"
)

// backsUp runs what the timer runs.
func backsUp(t *testing.T, m *machine) {
	for _, what := range []string{"holdfastd-backup", "holdfastd-drill"} {
		m.must(t, "systemctl", "enable", "--now", what+".timer")
		if next := m.is(what+".timer", "NextElapseUSecRealtime"); next == "" {
			t.Errorf("%s.timer does not say when it elapses next", what)
		}
	}
	m.oneshot(t, "holdfastd-backup.service")
	out := m.must(t, "find", backups, "-name", "*.backup")
	if strings.Count(out, "\n") != 1 {
		t.Errorf("backups: %s", out)
	}
	if out := m.must(t, "find", backups, "-name", "keyring*"); out != "" {
		t.Errorf("keys in the data backup: %s", out)
	}
	if out := m.must(t, "find", keys, "-name", "keyring.recovery-*"); out == "" {
		t.Error("no copy of the keyring beside it")
	}
}

// oneshot runs a service to its end.
func (m *machine) oneshot(t *testing.T, service string) {
	t.Helper()
	r := m.run("systemctl", "start", service)
	if result := m.is(service, "Result"); r.code != 0 || result != "success" {
		t.Fatalf("%s: %s\n%s", service, result, r)
	}
}

// drills restores the newest backup into a folder that is gone afterwards.
func drills(t *testing.T, m *machine) {
	m.oneshot(t, "holdfastd-drill.service")
	if r := m.run("find", data+"/drill", "-mindepth", "1"); r.out != "" {
		t.Errorf("the drill leaves %s", r.out)
	}
}

// restores puts the backup back into a new folder, with the kit alone, and finds
// a byte that was flipped in it.
func restores(t *testing.T, m *machine) {
	restore := func(from, to string) result {
		return m.run("holdfastd", "restore", "--from", from, "--keys-from", keys, "--to", to, "--credentials", to+".credentials", "--shares", shares)
	}
	const restored = "/var/lib/restored"
	if r := restore(backups, restored); r.code != 0 {
		t.Fatal(r)
	}
	m.must(t, "holdfastd", "verify", "--data", restored)
	if r := restore(backups, data); r.code == 0 {
		t.Error("a live archive is restored over")
	}
	m.must(t, "bash", "-c", fmt.Sprintf(`set -e -o pipefail
cp -a %s /root/flipped
file=$(find /root/flipped/objects -type f -size +8k | sort | head -1)
at=$(($(stat --format=%%s "$file") / 2))
byte=$(od -An -tu1 -j $at -N 1 "$file")
printf "\\$(printf %%o $((byte ^ 1)))" | dd of="$file" bs=1 seek=$at conv=notrunc status=none`, backups))
	if r := restore("/root/flipped", "/var/lib/flipped"); r.code != 65 {
		t.Errorf("a flipped byte is not found\n%s", r)
	}
}
