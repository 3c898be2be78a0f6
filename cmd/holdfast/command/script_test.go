package command

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"holdfast/archive/export"
)

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){
		"holdfast": func() { os.Exit(Main(os.Args[1:])) },
	})
}

// leakless runs the tests and then looks for goroutines that they left.
type leakless struct{ m *testing.M }

func (l leakless) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Each script of testdata has a house of its own, served at $SOCKET. Beside
// the usual commands there is
//
//	house full|damaged|failing   makes something go wrong
//	looks N                      so many looks went through so far
//	exit N COMMAND...            the command's exit code
func TestScripts(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			dir, err := os.MkdirTemp("", "hf")
			if err != nil {
				return err
			}
			h := newHouse()
			env.Values["house"] = h
			socket := filepath.Join(dir, "s")
			env.Setenv("SOCKET", socket)
			env.Setenv("ME", regexp.QuoteMeta(me.Username+" ("+strconv.Itoa(os.Getuid())+")"))
			stop, err := h.start(socket)
			if err != nil {
				return err
			}
			env.Defer(func() {
				if err := stop(); err != nil {
					t.Error(err)
				}
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"house": func(ts *testscript.TestScript, _ bool, args []string) {
				h := ts.Value("house").(*house)
				h.set(func() {
					h.full, h.damaged = args[0] == "full", args[0] == "damaged"
					if args[0] == "failing" {
						h.fail = export.ErrChanged
					}
				})
			},
			"looks": func(ts *testscript.TestScript, _ bool, args []string) {
				h := ts.Value("house").(*house)
				h.set(func() {
					if strconv.Itoa(h.looks) != args[0] {
						ts.Fatalf("%d looks went through, want %s", h.looks, args[0])
					}
				})
			},
			"exit": func(ts *testscript.TestScript, _ bool, args []string) {
				want, got := args[0], "0"
				if err := ts.Exec(args[1], args[2:]...); err != nil {
					got = strconv.Itoa(exitCode(err))
				}
				if got != want {
					ts.Fatalf("exit code %s, want %s", got, want)
				}
			},
		},
	})
}

func exitCode(err error) int {
	if e, ok := err.(interface{ ExitCode() int }); ok {
		return e.ExitCode()
	}
	return -1
}
