package command

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.etcd.io/bbolt"
)

// runExits runs `exits CODE COMMAND ARG...` and fails unless the command ends
// with that code. What it wrote can be matched by stdout and stderr.
func runExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s ended with %d, not %d", args[1], got, want)
	}
}

// damage runs `damage FILE TEXT`: it flips one bit of TEXT wherever FILE has
// it. bbolt leaves copies of a page's former state, so there may be several.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: damage FILE TEXT")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	text := []byte(args[1])
	changed := bytes.Clone(text)
	changed[len(changed)/2] ^= 1
	if !bytes.Contains(b, text) {
		ts.Fatalf("%s does not hold that text", args[0])
	}
	ts.Check(os.WriteFile(path, bytes.ReplaceAll(b, text, changed), 0o600))
}

// listen runs `listen`: it plays systemd for the daemons that are started
// after it.
func listen(ts *testscript.TestScript, _ bool, _ []string) {
	address := &net.UnixAddr{Name: ts.MkAbs("notify"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", address)
	ts.Check(err)
	ready := make(chan struct{}, 16)
	ts.Defer(func() { ts.Check(conn.Close()) })
	go func() { // whoever writes waits for room: read everything
		b := make([]byte, 512)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			if string(b[:n]) == "READY=1" {
				ready <- struct{}{}
			}
		}
	}()
	ts.Setenv("NOTIFY_SOCKET", address.Name)
	notified.Store(ts, ready)
}

var notified sync.Map // *testscript.TestScript → chan struct{}, one for each READY=1

// ready runs `ready`: it waits until a daemon has said READY=1.
func ready(ts *testscript.TestScript, _ bool, _ []string) {
	v, ok := notified.Load(ts)
	if !ok {
		ts.Fatalf("listen comes first")
	}
	select {
	case <-v.(chan struct{}):
	case <-time.After(time.Minute):
		ts.Fatalf("no daemon said that it is ready")
	}
}

// newer runs `newer FILE`: it writes a format number from the future into a
// database of the store.
func newer(ts *testscript.TestScript, _ bool, args []string) {
	db, err := bbolt.Open(ts.MkAbs(args[0]), 0o600, nil)
	ts.Check(err)
	ts.Check(db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{0, 0, 0, 2})
	}))
	ts.Check(db.Close())
}

// later runs `later FILE`: it writes a schema from the future into the newest
// log file.
func later(ts *testscript.TestScript, _ bool, args []string) {
	db, err := bbolt.Open(ts.MkAbs(args[0]), 0o600, nil)
	ts.Check(err)
	ts.Check(db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte{0, 0, 0, 9})
	}))
	ts.Check(db.Close())
}
