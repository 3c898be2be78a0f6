package extract

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the child: the real one, and such as do what a hostile file
// might make of it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if act, is := children[os.Args[1]]; is {
			act()
			os.Exit(0)
		}
	}
	if raced {
		dir, err := os.MkdirTemp("", "extract")
		if err == nil {
			childPath = filepath.Join(dir, "child")
			var out []byte
			if out, err = exec.Command("go", "test", "-c", "-o", childPath, ".").CombinedOutput(); err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "the child is not built:", err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if raced {
			if err := os.RemoveAll(filepath.Dir(childPath)); err != nil && code == 0 {
				code = 1
			}
		}
		os.Exit(code)
	}))
}

// childPath is what runs the children.
var childPath = os.Args[0]

var children = map[string]func(){
	"child-real": func() {
		if err := Child(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	},
	"child-hang":    hang,
	"child-exit":    func() { os.Exit(3) },
	"child-garbage": func() { fmt.Print("HFX1 and then what nobody expects") },
	"child-nothing": func() {},
	"child-endless": func() {
		for {
			if _, err := os.Stdout.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil {
				os.Exit(1)
			}
		}
	},
	"child-short": func() { os.Stdout.Write([]byte("HFX1\x00\x00\x00\x00\x09four")) },
	"child-more":  func() { os.Stdout.Write([]byte("HFX1\x00\x00\x00\x00\x04four and more")) },
	"child-code":  func() { os.Stdout.Write([]byte("HFX1\x09\x00\x00\x00\x00")) },
	"child-utf8":  func() { os.Stdout.Write([]byte("HFX1\x00\x00\x00\x00\x01\xff")) },
	"child-lies":  func() { os.Stdout.Write([]byte("HFX1\x02\x00\x00\x00\x04four")) }, // a text of what has none
	"child-grandchild": func() { // something that holds the pipes open
		cmd := exec.Command("/bin/sleep", "600")
		cmd.Stdout, cmd.Stdin = os.Stdout, os.Stdin
		if err := cmd.Start(); err != nil {
			os.Exit(9)
		}
		hang()
	},
	"child-panic":  func() { confined(func() { panic("a name") }) },
	"child-memory": func() { confined(grow) },
	"child-stack":  func() { confined(func() { fmt.Fprint(io.Discard, deeper(1)) }) },
	"child-cpu": func() {
		confined(func() {
			for n := uint64(1); n != 0; n++ {
			}
		})
	},
	"child-threads": func() {
		confined(func() {
			var threads sync.WaitGroup
			ready := make(chan struct{})
			for range 20 {
				threads.Go(func() {
					runtime.LockOSThread()
					<-ready
				})
			}
			close(ready)
			threads.Wait()
			report(nil)
		})
	},
	"child-tries": func() { confined(func() { report(escapes()) }) },
}

// hang waits for what never comes.
func hang() {
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR1)
	<-never
}

// confined runs f as the child would a parser.
func confined(f func()) {
	q, err := readRequest(os.Stdin)
	if err == nil {
		_, err = io.ReadAll(os.Stdin)
	}
	if err == nil {
		err = confine(q)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(7)
	}
	f()
}

func deeper(n int) int {
	if n == 0 {
		return 0
	}
	return deeper(n+1) + n
}

var grown [][]byte

func grow() {
	for {
		b := make([]byte, 8<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		grown = append(grown, b)
	}
}

// escapes tries what a parser that was taken over might, and names what worked.
func escapes() []string {
	var worked []string
	try := func(what string, f func() error) {
		if f() == nil {
			worked = append(worked, what)
		}
	}
	try("open a file", func() error { _, err := os.Open("/etc/passwd"); return err })
	try("make a file", func() error { return os.WriteFile("/tmp/holdfast-extract-escape", nil, 0o600) })
	try("list a folder", func() error { _, err := os.ReadDir("/"); return err })
	try("dial", func() error { _, err := net.Dial("tcp", "127.0.0.1:1"); return errNo(err) })
	try("dial a socket", func() error { _, err := net.Dial("unix", "/run/x"); return errNo(err) })
	try("start a process", func() error { return exec.Command("/bin/true").Run() })
	try("signal the parent", func() error {
		p, err := os.FindProcess(os.Getppid())
		if err == nil {
			err = p.Signal(os.Interrupt)
		}
		return err
	})
	if env := os.Environ(); len(env) > 0 {
		worked = append(worked, "see the environment: "+strings.Join(env, " "))
	}
	return worked
}

// errNo takes a refused connection for one that could be tried.
func errNo(err error) error {
	if err != nil && strings.Contains(err.Error(), "connection refused") {
		return nil
	}
	return err
}

func report(worked []string) {
	if err := writeAnswer(os.Stdout, Text{Status: StatusText, Text: "escaped: " + strings.Join(worked, ", ")}); err != nil {
		os.Exit(8)
	}
}

// reader runs a child.
func reader(t *testing.T, child string, change func(*Options)) *Reader {
	t.Helper()
	o := Options{Command: []string{childPath, child}}
	if change != nil {
		change(&o)
	}
	return NewReader(o)
}

// real reads with the real child, and fails on an error.
func real(t *testing.T, name, mime string, content []byte) Text {
	t.Helper()
	got, err := reader(t, "child-real", nil).Read(t.Context(), name, mime, int64(len(content)), bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// runRaw runs a child by itself, without a deadline.
func runRaw(t *testing.T, command []string, in []byte) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Stdin, cmd.Env = bytes.NewReader(in), []string{}
	return cmd.Output()
}
