package command

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	holdfast "holdfast/cmd/holdfast/command"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"holdfastd": func() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
		"holdfast":  func() { os.Exit(holdfast.Main(os.Args[1:])) },
	})
}

// Every command that people see says how it is used.
func TestEveryCommandHasExamples(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" || !strings.Contains(c.Example, "holdfastd ") && !strings.Contains(c.Example, "systemctl ") {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				visit(sub)
			}
		}
	}
	for _, c := range newRoot().Commands() {
		if !c.Hidden {
			visit(c)
		}
	}
}

// Each script in testdata is one behaviour. `exits N` runs a command and
// compares its exit code.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": runExits, "damage": damage, "listen": listen, "ready": ready, "newer": newer, "person": person, "ask": askSocket, "head": firstShares, "later": later,
			"flip": flip, "configured": configured, "lockfile": lockFile, "unlockfile": unlockFile,
		},
	})
}
