package command

import (
	"bytes"
	"context"
	"errors"
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
	"holdfast/retention"
)

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){
		"holdfast": func() { os.Exit(Main(os.Args[1:])) },
		"keepsake": keepsake,
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
//	desk N ARGS...               from elsewhere than the appliance: without --socket, ending with exit code N
//	types FILE                   what the person at the desk answers, one a line; also stdin
//	house full|damaged|failing   makes something go wrong; new: no relay has been heard; ended: all sessions end;
//	                             matter: M-7 is open and yours, of which the log says nothing;
//	                             locked: the desk's keyring does not answer, unlocked: it does
//	looks N                      so many looks went through so far
//	office N ARGS...             holdfast in-process, of an office that knows matters, holds and disposition, ending with exit code N
//	office none|frozen|ahead     (without a number) has the office know nothing, its clock have jumped, or be 20 years ahead
//	asked TEXT                   the office was asked exactly that last: a path and a body
//
// At the desk a daemon of the same machine would be at $LOCAL, where none is.
// The house is at $SERVER with $CA's certificate as well. The desk's login is
// in the script's folder desk. In what commands print, $SERVER is called SERVER.
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
			env.Setenv("NAME", regexp.QuoteMeta(me.Username))
			env.Setenv("DIGEST", digest)
			env.Setenv("DEVICE", device)
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
					switch args[0] {
					case "matter":
						h.matters["M-7"] = retention.Matter{ID: "M-7", State: retention.StateOpen, Members: []string{fmt.Sprint("uid:", os.Getuid())}}
					case "ended":
						clear(h.sessions)
					case "locked", "unlocked":
						ts.Value("keyring").(*memoryKeyring).silent = args[0] == "locked"
					}
					h.full, h.damaged, h.unheard = args[0] == "full", args[0] == "damaged", args[0] == "new"
					if args[0] == "failing" {
						h.fail = export.ErrChanged
					}
				})
			},
			"desk": func(ts *testscript.TestScript, _ bool, args []string) {
				if code := atDesk(ts, args[1:]); strconv.Itoa(code) != args[0] {
					ts.Fatalf("exit code %d, want %s", code, args[0])
				}
			},
			"types": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value("person").(*person).types = ts.ReadFile(args[0])
			},
			"office": func(ts *testscript.TestScript, _ bool, args []string) {
				o := ts.Value("office").(*office)
				if len(args) == 1 {
					o.set(args[0])
					return
				}
				code := runIn(ts, &Terminal{In: strings.NewReader(ts.Value("person").(*person).types)}, append([]string{"--socket", ts.Getenv("OFFICE")}, args[1:]...))
				if strconv.Itoa(code) != args[0] {
					ts.Fatalf("exit code %d, want %s", code, args[0])
				}
			},
			"asked": func(ts *testscript.TestScript, _ bool, args []string) {
				if got := ts.Value("office").(*office).lastAsked(); got != strings.Join(args, " ") {
					ts.Fatalf("the office was asked %s", got)
				}
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
	o := newOffice()
	env.Values["office"] = o
	env.Setenv("OFFICE", filepath.Join(dir, "o"))
	stopOffice, err := o.start(filepath.Join(dir, "o"))
	if err != nil {
		return errors.Join(err, stop())
	}
	env.Values["person"], env.Values["keyring"] = &person{}, &memoryKeyring{tokens: map[string]string{}, silent: true}
	env.Setenv("LOCAL", filepath.Join(dir, "none"))
	env.Setenv("SERVER", h.server)
	env.Setenv("CA", h.ca)
	env.Defer(func() {
		if err := errors.Join(stop(), stopOffice()); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return nil
}

// person is who sits at a script's desk.
type person struct{ types string }

// answer is a Terminal's Ask: the question stands on the terminal, not on
// stdout or stderr.
func (p *person) answer(context.Context, string) (string, error) {
	line, rest, _ := strings.Cut(p.types, "\n")
	p.types = rest
	return line, nil
}

// inProcess runs holdfast at the appliance.
func inProcess(ts *testscript.TestScript, args []string) int {
	return runIn(ts, &Terminal{In: strings.NewReader("")}, append([]string{"--socket", ts.Getenv("SOCKET")}, args...))
}

// atDesk runs holdfast at a desk elsewhere.
func atDesk(ts *testscript.TestScript, args []string) int {
	p := ts.Value("person").(*person)
	return runIn(ts, &Terminal{In: strings.NewReader(p.types), Ask: p.answer, Socket: ts.Getenv("LOCAL"), Desk: Desk{Dir: ts.MkAbs("desk"), Keyring: ts.Value("keyring").(*memoryKeyring)}}, args)
}

func runIn(ts *testscript.TestScript, t *Terminal, args []string) int {
	here := ts.MkAbs(".") + "/"
	var full []string
	for _, a := range args {
		if rest, ok := strings.CutPrefix(a, "./"); ok {
			a = here + rest
		}
		full = append(full, a)
	}
	var out, errs bytes.Buffer
	t.Out, t.Err = &out, &errs
	code := Run(context.Background(), t, full)
	names := strings.NewReplacer(here, "./", ts.Getenv("SERVER"), "SERVER", ts.Getenv("SOCKET"), "SOCKET", ts.Getenv("OFFICE"), "OFFICE")
	_, err := names.WriteString(ts.Stdout(), out.String())
	ts.Check(err)
	_, err = names.WriteString(ts.Stderr(), errs.String())
	ts.Check(err)
	return code
}
