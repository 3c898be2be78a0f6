package command

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/internal/api"
)

// tty is a terminal with a process on it, from the person's side.
type tty struct {
	screen, slave *os.File
	shown         bytes.Buffer
	cmd           *exec.Cmd
}

// onTerminal starts holdfast with a terminal of its own; its stdout and stderr
// lead elsewhere.
func onTerminal(t *testing.T, state string, args ...string) (*tty, *bytes.Buffer) {
	t.Helper()
	program, err := exec.LookPath("holdfast") // testscript's
	if err != nil {
		t.Fatal(err)
	}
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+state, "DBUS_SESSION_BUS_ADDRESS=autolaunch:")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &tty{screen: screen, slave: slave, cmd: cmd}, &out
}

// wait reads what the terminal shows until it is text.
func (y *tty) wait(t *testing.T, text string) {
	t.Helper()
	b := make([]byte, 256)
	for !strings.HasSuffix(y.shown.String(), text) {
		n, err := y.screen.Read(b)
		if err != nil {
			t.Fatalf("the terminal showed %q: %v", &y.shown, err)
		}
		y.shown.Write(b[:n])
	}
}

func (y *tty) types(t *testing.T, text string) {
	t.Helper()
	if _, err := y.screen.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// echoes reports whether the terminal shows what is typed.
func (y *tty) echoes(t *testing.T) bool {
	t.Helper()
	mode, err := unix.IoctlGetTermios(int(y.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return mode.Lflag&unix.ECHO != 0
}

// Questions stand on the terminal and nowhere else; answers stand nowhere.
func TestAnswersAreNotShown(t *testing.T) {
	h, dir := newHouse(), t.TempDir()
	stop, err := h.start(filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	y, out := onTerminal(t, filepath.Join(dir, "state"), "login", "--server", h.server, "--ca", h.ca, "--name", "jdoe")
	y.wait(t, "password of jdoe for "+h.server+": ")
	if y.echoes(t) {
		t.Error("the terminal would show a password")
	}
	y.types(t, "correct horse\n")
	y.wait(t, "code: ")
	y.types(t, "123456\n")
	if err := y.cmd.Wait(); err != nil || !strings.Contains(out.String(), "compliance-officer") || strings.Contains(out.String(), "password") {
		t.Errorf("%v\n%s", err, out)
	}
	if shown := y.shown.String(); strings.Contains(shown, "horse") || strings.Contains(shown, "123456") {
		t.Errorf("the terminal showed %q", shown)
	}
	if !y.echoes(t) {
		t.Error("the terminal was left showing nothing")
	}
}

// Whoever changes their mind gets the terminal back as it was.
func TestInterruptedAtAQuestion(t *testing.T) {
	for name, interrupt := range map[string]func(y *tty){
		"key":    func(y *tty) { y.types(t, "corr\x03") },
		"signal": func(y *tty) { _ = y.cmd.Process.Signal(syscall.SIGTERM) },
	} {
		y, out := onTerminal(t, t.TempDir(), "login", "--server", somewhere, "--name", "jdoe")
		y.wait(t, ": ")
		interrupt(y)
		var exit *exec.ExitError
		if err := y.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != api.ExitTemporary || !strings.Contains(out.String(), "interrupted") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if !y.echoes(t) {
			t.Errorf("%s: the terminal was left showing nothing", name)
		}
	}
}

// Without a terminal there is nobody to ask, and nothing is taken from stdin
// unasked.
func TestNoTerminalToAskOn(t *testing.T) {
	program, err := exec.LookPath("holdfast")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "login", "--server", somewhere, "--name", "jdoe")
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir())
	cmd.Stdin = strings.NewReader("correct horse\n123456\n")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != api.ExitUsage || !strings.Contains(string(out), "--stdin") {
		t.Errorf("%v\n%s", err, out)
	}
}
