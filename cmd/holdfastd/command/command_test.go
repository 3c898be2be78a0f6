package command

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	holdfast "holdfast/cmd/holdfast/command"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"holdfastd": func() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
		"holdfast":  func() { os.Exit(holdfast.Main(os.Args[1:])) },
	})
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
