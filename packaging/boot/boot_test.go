//go:build boot

package boot

import (
	"fmt"
	"testing"
	"time"
)

// step is one thing that is shown. Each takes up where the one before it has
// left the machine.
type step struct {
	name string
	do   func(t *testing.T, m *machine)
}

// TestBoot does what an administrator does with the packages, in the order in
// which they do it. It prints a line a step, and the machine's journal of a step
// that fails; what comes after that is not tried, because it would not mean
// anything.
func TestBoot(t *testing.T) {
	began := now()
	m := boot(t)
	say("a Debian 12 tree is booted", began)
	defer m.stop(t)
	for _, s := range steps {
		began, cursor := now(), m.cursor()
		if !t.Run(s.name, func(t *testing.T) { s.do(t, m) }) {
			t.Fatalf("%s: failed; the machine's journal of it:\n%s", s.name, m.journal(cursor))
		}
		say(s.name, began)
	}
}

func say(what string, began time.Time) { fmt.Printf("boot: %5.1f s  %s\n", since(began), what) }

var steps = []step{
	{"the packages are there", deliver},
	{"install: starts nothing, says the next step", installs},
	{"units: systemd ignores no line of them, none is more exposed than it has to be", verifies},
	{"start before init: exit 78, says what to do, not tried again", unready},
	{"init --answers: an archive, once", initialises},
	{"enable --now: it runs as its own account, tells systemd and monitoring how it stands", starts},
	{"feed from the reference relay: all of it acked", feeds},
	{"search: by an account of the machine, an attachment's text too; not by others", searches},
	{"reload: the same process", reloads},
	{"kill -9: restarted, nothing lost", killed},
	{"a hang: the watchdog ends it, restarted", hangs},
	{"a missing credential: it waits as locked and says so; unlocked by the kit", locks},
	{"a sealed master key: loaded at the start; what it was sealed to is lost: locked, unlocked by the kit", seals},
	{"the backup's timer and its service: a backup, no keys in it", backsUp},
	{"the drill's service: leaves nothing", drills},
	{"restore into a new folder with the kit alone; never over the archive; a flipped byte is found", restores},
	{"upgrade with a bad configuration: the old process still runs", misupgrades},
	{"upgrade to a later schema: restarted, a copy was made", upgrades},
	{"downgrade: the running process is left alone, a start refused with 78 names the copy; the copy put back works", downgrades},
	{"remove: the daemon ends", removes},
	{"purge: data, keys and account stay", purges},
	{"reinstall: everything is found again", reinstalls},
	{"lintian has nothing to say of the debs", lints},
	{"rpm: install, upgrade with a bad and a good configuration, erase", rpms},
}
