package command

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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
// the usual commands there are
//
//	run ARGS...                  holdfast in-process, with --socket $SOCKET unless it is given
//	exit N ARGS...               the same, ending with exit code N
//	house full|damaged|failing   makes something go wrong; new: no relay has been heard
//	looks N                      so many looks went through so far
//
// A name that begins with ./ is that of a file of the script. `exec holdfast`
// runs a process.
func TestScripts(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("ME", regexp.QuoteMeta(me.Username+" ("+strconv.Itoa(os.Getuid())+")"))
			return moveIn(t, env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"run": func(ts *testscript.TestScript, neg bool, args []string) {
				if code := inProcess(ts, args); (code == 0) == neg {
					ts.Fatalf("exit code %d", code)
				}
			},
			"exit": func(ts *testscript.TestScript, _ bool, args []string) {
				if code := inProcess(ts, args[1:]); strconv.Itoa(code) != args[0] {
					ts.Fatalf("exit code %d, want %s", code, args[0])
				}
			},
			"house": func(ts *testscript.TestScript, _ bool, args []string) {
				h := ts.Value("house").(*house)
				h.set(func() {
					h.full, h.damaged, h.unheard = args[0] == "full", args[0] == "damaged", args[0] == "new"
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
		},
	})
}

// moveIn serves a new house for a script.
func moveIn(t *testing.T, env *testscript.Env) error {
	dir, err := os.MkdirTemp("", "hf") // short enough for a socket
	if err != nil {
		return err
	}
	h := newHouse()
	env.Values["house"] = h
	socket := filepath.Join(dir, "s")
	env.Setenv("SOCKET", socket)
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
}

func inProcess(ts *testscript.TestScript, args []string) int {
	here := ts.MkAbs(".") + "/"
	full := []string{"--socket", ts.Getenv("SOCKET")}
	for _, a := range args {
		if rest, ok := strings.CutPrefix(a, "./"); ok {
			a = here + rest
		}
		full = append(full, a)
	}
	var out, errs bytes.Buffer
	code := Run(context.Background(), &Terminal{In: strings.NewReader(""), Out: &out, Err: &errs}, full)
	names := strings.NewReplacer(here, "./")
	_, err := names.WriteString(ts.Stdout(), out.String())
	ts.Check(err)
	_, err = names.WriteString(ts.Stderr(), errs.String())
	ts.Check(err)
	return code
}
