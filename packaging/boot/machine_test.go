//go:build boot

package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// patience bounds what should happen at once, on a machine where others work too.
	patience = 40 * time.Second
	lookAt   = 20 * time.Millisecond
)

func now() time.Time                { return time.Now() }
func since(began time.Time) float64 { return time.Since(began).Seconds() }

// patiently does something until it succeeds.
func patiently(do func() error) error {
	tick := time.NewTicker(lookAt)
	defer tick.Stop()
	end := time.After(patience)
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-end:
			return fmt.Errorf("after %v: %w", patience, err)
		}
	}
}

// machine is a tree that systemd has booted.
type machine struct {
	root   string // of the tree, as seen from outside it
	leader int    // its systemd's process id here
	nspawn *exec.Cmd
	ended  chan error
}

// boot unpacks the tree and boots it.
func boot(t *testing.T) *machine {
	t.Helper()
	m := &machine{root: filepath.Join(os.Getenv(dirEnv), inMemory, "tree"), ended: make(chan error, 1)}
	if err := os.Mkdir(m.root, 0o755); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("tar", "-xf", treePath(), "-C", m.root).CombinedOutput(); err != nil {
		t.Fatalf("unpack the tree: %v\n%s", err, text)
	}
	console, err := os.Create(filepath.Join(os.Getenv(dirEnv), inMemory, "console"))
	if err != nil {
		t.Fatal(err)
	}
	m.nspawn = exec.Command("systemd-nspawn", "--quiet", "--directory="+m.root, "--boot", "--machine=holdfast-boot", "--register=no", "--keep-unit",
		"--private-network", "--console=pipe", "--timezone=off", "--resolv-conf=off", "--link-journal=no",
		"--bind="+filepath.Join(os.Getenv(dirEnv), onDisk)+":/var/lib/systemd", "systemd.show_status=no")
	m.nspawn.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	m.nspawn.Stdout, m.nspawn.Stderr = console, console
	if err := errors.Join(m.nspawn.Start(), console.Close()); err != nil {
		t.Fatal(err)
	}
	go func() { m.ended <- m.nspawn.Wait() }()
	if err := patiently(m.running); err != nil {
		text, _ := os.ReadFile(console.Name())
		t.Fatalf("the tree does not boot: %v\n%s", err, text)
	}
	return m
}

// running finds the machine's systemd, and whether all of its units are up.
func (m *machine) running() error {
	select {
	case err := <-m.ended:
		m.ended <- err
		return fmt.Errorf("systemd-nspawn ended: %w", err)
	default:
	}
	pid := strconv.Itoa(m.nspawn.Process.Pid)
	text, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		return err
	}
	children := strings.Fields(string(text))
	if len(children) == 0 {
		return errors.New("systemd-nspawn has started nothing yet")
	}
	if m.leader, err = strconv.Atoi(children[0]); err != nil {
		return err
	}
	if r := m.run("systemctl", "is-system-running"); r.out != "running\n" {
		return fmt.Errorf("systemd is %q %s", r.out, r.notes)
	}
	return nil
}

// stop shuts the machine down as its power button would.
func (m *machine) stop(t *testing.T) {
	t.Helper()
	if err := m.nspawn.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-m.ended:
		if err != nil {
			t.Errorf("the machine did not shut down: %v", err)
		}
	case <-time.After(patience):
		t.Error("the machine does not shut down")
	}
}

// result is what a command in the machine came to.
type result struct {
	command    string
	code       int
	out, notes string // stdout, stderr
}

func (r result) String() string {
	return fmt.Sprintf("%s\nexit %d\nstdout: %s\nstderr: %s", r.command, r.code, r.out, r.notes)
}

// run runs a command in the machine as root.
func (m *machine) run(command ...string) result { return m.feed("", command...) }

// feed does with something on its standard input.
func (m *machine) feed(stdin string, command ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	args := append([]string{"--target", strconv.Itoa(m.leader), "--all", "--", "/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "--chdir=/root"}, command...)
	c := exec.CommandContext(ctx, "nsenter", args...)
	var out, notes bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &notes
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(&notes, err)
	}
	return result{command: strings.Join(command, " "), code: c.ProcessState.ExitCode(), out: out.String(), notes: notes.String()}
}

// must runs a command that has to succeed and returns its standard output.
func (m *machine) must(t *testing.T, command ...string) string {
	t.Helper()
	r := m.run(command...)
	if r.code != 0 {
		t.Fatal(r)
	}
	return r.out
}

// write puts a file into the machine, root's.
func (m *machine) write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	at := filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(at, []byte(text), mode), os.Chmod(at, mode)); err != nil {
		t.Fatal(err)
	}
}

// bring copies a file of this machine into it.
func (m *machine) bring(t *testing.T, from, path string, mode os.FileMode) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, path, string(b), mode)
}

// is returns one of a unit's properties.
func (m *machine) is(unit, property string) string {
	return strings.TrimSpace(m.run("systemctl", "show", "--value", "--property="+property, unit).out)
}

// await waits until something holds in the machine.
func (m *machine) await(t *testing.T, what string, holds func() error) {
	t.Helper()
	if err := patiently(holds); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// equals is for await: a unit's property has a value.
func (m *machine) equals(unit, property, want string) func() error {
	return func() error {
		if got := m.is(unit, property); got != want {
			return fmt.Errorf("%s of %s is %q, not %q", property, unit, got, want)
		}
		return nil
	}
}

// journal is what the machine has noted since a cursor.
func (m *machine) journal(cursor string) string {
	args := []string{"journalctl", "--no-pager", "--output=short-precise", "--no-hostname", "--lines=200"}
	if cursor != "" {
		args = append(args, "--after-cursor="+cursor)
	}
	return m.run(args...).out
}

// cursor is where its journal is now.
func (m *machine) cursor() string {
	_, after, _ := strings.Cut(m.run("journalctl", "--no-pager", "--lines=0", "--show-cursor").out, "-- cursor: ")
	return strings.TrimSpace(after)
}
