//go:build boot

package boot

import (
	"fmt"
	"strings"
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
		if !t.Run(strings.ReplaceAll(s.name, " ", "-"), func(t *testing.T) { s.do(t, m) }) {
			t.Fatalf("%s: failed; the machine's journal of it:\n%s", s.name, m.journal(cursor))
		}
		say(s.name, began)
	}
}

func say(what string, began time.Time) { fmt.Printf("boot: %5.1f s  %s\n", since(began), what) }

var steps = []step{}
