package command

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/internal/api"
)

// tty is a terminal with a process on it, from the person's side. Questions
// come to it; stdout leads elsewhere.
type tty struct {
	screen, slave *os.File
	shown         bytes.Buffer
	read          int // of shown, by wait
	cmd           *exec.Cmd
	out           *seen
}

// onTerminal starts holdfastd with stdin and stderr on a terminal of its own.
func onTerminal(t *testing.T, args ...string) *tty {
	t.Helper()
	program, err := exec.LookPath("holdfastd") // testscript's
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
	y := &tty{screen: screen, slave: slave, out: newSeen(), cmd: exec.CommandContext(t.Context(), program, args...)}
	y.cmd.Env = append(os.Environ(), "SUDO_USER=")
	y.cmd.Stdin, y.cmd.Stdout, y.cmd.Stderr = slave, y.out, slave
	y.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := y.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return y
}

// wait reads what the terminal shows until it ends with text, and returns what is
// new.
func (y *tty) wait(t *testing.T, text string) string {
	t.Helper()
	b := make([]byte, 256)
	for !strings.HasSuffix(y.shown.String()[y.read:], text) {
		n, err := y.screen.Read(b)
		if err != nil {
			t.Fatalf("the terminal showed %q: %v", &y.shown, err)
		}
		y.shown.Write(b[:n])
	}
	fresh := y.shown.String()[y.read:]
	y.read = y.shown.Len()
	return fresh
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

// ends waits for the process, and reads what is left on the terminal.
func (y *tty) ends(t *testing.T) int {
	t.Helper()
	err := y.cmd.Wait()
	y.out.end()
	// A line of the test's own comes behind all that the process showed.
	if _, werr := y.slave.WriteString("the end\n"); werr != nil {
		t.Fatal(werr)
	}
	y.wait(t, "the end\r\n")
	if !y.echoes(t) {
		t.Error("the terminal was left showing nothing")
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

const phrase = "correct horse battery staple"

// wrapped makes an archive whose master key is wrapped by a phrase that is typed,
// and returns its configuration and its kit.
func wrapped(t *testing.T) (conf, kit string) {
	t.Helper()
	dir := t.TempDir()
	conf, kit = filepath.Join(dir, "h.toml"), filepath.Join(dir, "kit.txt")
	answers := filepath.Join(dir, "answers.toml")
	text := fmt.Sprintf("archive_id = \"ward\"\nconfig = %q\ndata = %q\ncredentials = %q\nsocket = %q\n[master]\nkind = \"passphrase\"\n[kit]\nneeded = 2\nshares = 3\nout = %q\n",
		conf, filepath.Join(dir, "d"), filepath.Join(dir, "cred"), filepath.Join(dir, "s"), kit)
	if err := os.WriteFile(answers, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	y := onTerminal(t, "init", "--answers", answers)
	for _, typed := range []string{"short", phrase, "another phrase than that", phrase, phrase} {
		y.wait(t, ": ")
		if y.echoes(t) {
			t.Error("the terminal would show the passphrase")
		}
		y.types(t, typed+"\n")
	}
	asked := y.wait(t, ": ")
	if !y.echoes(t) {
		t.Error("a share is typed blind")
	}
	printed, err := os.ReadFile(kit)
	if err != nil {
		t.Fatal(err)
	}
	paper := newSeen()
	if _, err := paper.Write(printed); err != nil {
		t.Fatal(err)
	}
	y.types(t, typedShare(asked, paper)+"\n")
	if code := y.ends(t); code != 0 {
		t.Fatalf("%d\n%s", code, &y.shown)
	}
	for _, secret := range []string{"short", phrase, "another phrase"} {
		if strings.Contains(y.shown.String()+y.out.text(), secret) {
			t.Errorf("%q is shown:\n%s", secret, &y.shown)
		}
	}
	for _, want := range []string{"has 16 characters or more", "are not the same", "That share is right", "made the archive ward"} {
		if !strings.Contains(y.shown.String(), want) {
			t.Errorf("%q is not in\n%s", want, &y.shown)
		}
	}
	return conf, string(printed)
}

// A passphrase and shares are asked for on the terminal, and shown nowhere.
func TestSecretsAreNotShown(t *testing.T) {
	conf, kit := wrapped(t)
	y := onTerminal(t, "unlock", "--config", conf)
	y.wait(t, "passphrase: ")
	if y.echoes(t) {
		t.Error("the terminal would show the passphrase")
	}
	y.types(t, phrase+"\n")
	if code := y.ends(t); code != 0 || !strings.Contains(y.shown.String(), "no daemon runs") || strings.Contains(y.shown.String()+y.out.text(), "horse") {
		t.Errorf("%d\n%s", code, &y.shown)
	}
	y = onTerminal(t, "unlock", "--config", conf)
	y.wait(t, "passphrase: ")
	y.types(t, "incorrect horse battery\n")
	if code := y.ends(t); code != api.ExitPermission || strings.Contains(y.shown.String(), "horse") {
		t.Errorf("another passphrase: %d\n%s", code, &y.shown)
	}

	shares := regexp.MustCompile(`(?m)^[A-Z0-9]{4}(-[A-Z0-9]{4}){16}$`).FindAllString(kit, -1)
	if len(shares) != 3 {
		t.Fatalf("%d shares in the kit", len(shares))
	}
	y = onTerminal(t, "unlock", "--config", conf, "--by-shares", "--keep", "file")
	for _, share := range []string{shares[2], shares[0]} {
		y.wait(t, ": ")
		if y.echoes(t) {
			t.Error("the terminal would show a share")
		}
		y.types(t, share+"\n")
	}
	if code := y.ends(t); code != 0 || !strings.Contains(y.shown.String(), "under a new master key") {
		t.Errorf("%d\n%s", code, &y.shown)
	}
	for _, share := range shares {
		if strings.Contains(y.shown.String()+y.out.text(), share[:9]) {
			t.Errorf("a share is shown:\n%s", &y.shown)
		}
	}
}

// Whoever changes their mind at a secret gets the terminal back as it was, and
// nothing was changed.
func TestInterruptedAtASecret(t *testing.T) {
	conf, _ := wrapped(t)
	for name, interrupt := range map[string]func(y *tty){
		"key":    func(y *tty) { y.types(t, "corr\x03") },
		"signal": func(y *tty) { _ = y.cmd.Process.Signal(syscall.SIGTERM) },
	} {
		y := onTerminal(t, "unlock", "--config", conf)
		y.wait(t, "passphrase: ")
		interrupt(y)
		if code := y.ends(t); code != api.ExitTemporary || !strings.Contains(y.shown.String(), "interrupted") {
			t.Errorf("%s: %d\n%s", name, code, &y.shown)
		}
	}
	y := onTerminal(t, "unlock", "--config", conf)
	y.wait(t, "passphrase: ")
	y.types(t, "\x04") // the end of the input
	if code := y.ends(t); code != api.ExitUsage {
		t.Errorf("no answer: %d\n%s", code, &y.shown)
	}
}

// With flags too, a person at a terminal types one share back; who cannot has
// made nothing.
func TestShareIsTypedBackWithFlags(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	args := []string{"init", "--data", path("d"), "--archive-id", "ward", "--credentials", path("cred")}
	y := onTerminal(t, args...)
	for range 3 {
		y.wait(t, ": ")
		y.types(t, "kept\n")
	}
	if code := y.ends(t); code != api.ExitUsage || !strings.Contains(y.shown.String(), "nothing was made") {
		t.Errorf("typed wrongly: %d\n%s", code, &y.shown)
	}
	y = onTerminal(t, append(args, "--recovery-out", path("kit"))...)
	y.wait(t, ": ")
	y.types(t, "\x03")
	if code := y.ends(t); code == 0 {
		t.Errorf("interrupted:\n%s", &y.shown)
	}
	for _, name := range []string{"d", "cred", "kit"} {
		if _, err := os.Lstat(path(name)); err == nil {
			t.Errorf("%s was made", name)
		}
	}
	y = onTerminal(t, args...)
	asked := y.wait(t, ": ")
	y.types(t, typedShare(asked, y.out)+"\n")
	if code := y.ends(t); code != 0 || !strings.Contains(y.shown.String(), "That share is right") {
		t.Errorf("%d\n%s", code, &y.shown)
	}
	if _, err := os.Stat(path("d/identity.json")); err != nil {
		t.Error(err)
	}
}
