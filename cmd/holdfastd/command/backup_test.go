package command

import (
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// flip runs `flip GLOB NAME`: it flips one bit in the middle of the largest of
// the files, and puts the file's path into the environment under that name.
// Run again on that very file, it mends it.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip GLOB NAME")
	}
	paths, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	var largest string
	var text []byte
	for _, p := range paths {
		b, err := os.ReadFile(p)
		ts.Check(err)
		if len(b) > len(text) {
			largest, text = p, b
		}
	}
	if len(text) == 0 {
		ts.Fatalf("no file is named %s", args[0])
	}
	text[len(text)/2] ^= 1
	ts.Check(os.WriteFile(largest, text, 0o600))
	ts.Setenv(args[1], largest)
}

// configured runs `configured FILE FROM`: it writes a configuration in which
// WORK stands for the script's folder.
func configured(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: configured FILE FROM")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(ts.ReadFile(args[1]), "WORK", ts.Getenv("WORK"))), 0o600))
}

// lockFile runs `lockfile FILE`: it plays another process that makes a backup,
// until `unlockfile`.
func lockFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lockfile FILE")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	ts.Check(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	lockedFiles.Store(ts, f)
}

func unlockFile(ts *testscript.TestScript, _ bool, _ []string) {
	f, ok := lockedFiles.LoadAndDelete(ts)
	if !ok {
		ts.Fatalf("lockfile comes first")
	}
	ts.Check(f.(*os.File).Close())
}

var lockedFiles sync.Map // *testscript.TestScript → *os.File
