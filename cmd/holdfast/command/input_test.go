package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/api"
)

// reading tells when somebody reads from it, and has nothing until it is
// closed.
type reading struct {
	*io.PipeReader
	began chan struct{}
}

func (r *reading) Read(b []byte) (int, error) {
	close(r.began)
	return r.PipeReader.Read(b)
}

// A query that never comes is waited for until the user has had enough.
func TestInterruptedWhileAQueryIsAwaited(t *testing.T) {
	pr, pw := io.Pipe()
	in := &reading{pr, make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-in.began
		cancel()
	}()
	var out, errs bytes.Buffer
	code := Run(ctx, &Terminal{Out: &out, Err: &errs, In: in}, []string{"--socket", "nowhere", "search", "--query-file", "-", "--reason", "r"})
	if code != api.ExitTemporary || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit code %d, stderr %q", code, &errs)
	}
	if err := pw.Close(); err != nil { // the reader that was left behind ends
		t.Error(err)
	}
}

// A pipe that nobody writes to cannot even be opened: the process ends by a
// signal all the same.
func TestInterruptedWhileAPipeIsOpened(t *testing.T) {
	dir := t.TempDir()
	for i, args := range [][]string{
		{"export", "--reason", "r", "--out", filepath.Join(dir, "out"), "--query-file"},
		{"verify", dir, "--log-key"},
	} {
		// A pipe of its own, or its writer could meet the reader of the one before.
		pipe := filepath.Join(dir, fmt.Sprint("pipe", i))
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, pipe)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var out, errs bytes.Buffer
		if code := Run(ctx, &Terminal{Out: &out, Err: &errs, In: strings.NewReader("")}, args); code != api.ExitTemporary || !strings.Contains(errs.String(), "interrupted") {
			t.Errorf("%s: exit code %d, stderr %q", args[0], code, &errs)
		}
		release(t, pipe)
	}
}

// release lets a goroutine go on that opens a pipe for reading, and waits for
// it: the pipe gets a writer, and with that an end.
func release(t *testing.T, pipe string) {
	t.Helper()
	f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Error(err)
	}
}

// As a process: SIGTERM and SIGINT end a command that waits for its query.
func TestSignalsEndAWait(t *testing.T) {
	program, err := exec.LookPath("holdfast") // testscript's
	if err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		cmd := exec.CommandContext(t.Context(), program, "search", "--query-file", pipe, "--reason", "r")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // once the command reads
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != api.ExitTemporary {
			t.Errorf("%v: %v", sig, err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What is neither folder nor file is no production, and is not opened.
func TestVerifyAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := Run(t.Context(), &Terminal{Out: &out, Err: &errs}, []string{"verify", pipe})
	if code != api.ExitUsage || !strings.Contains(errs.String(), "neither a folder nor a regular file") {
		t.Errorf("exit code %d, stderr %q", code, &errs)
	}
}

// What is sealed is not taken for damaged.
func TestVerifyASealedZip(t *testing.T) {
	at := filepath.Join(t.TempDir(), "p.zip.age")
	if err := os.WriteFile(at, []byte("age-encryption.org/v1\n-> X25519 x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := Run(t.Context(), &Terminal{Out: &out, Err: &errs}, []string{"verify", at})
	if code != api.ExitUsage || !strings.Contains(errs.String(), "age --decrypt") {
		t.Errorf("exit code %d, stderr %q", code, &errs)
	}
}

// A zip file that was cut off or damaged anywhere is told as what it is.
func TestVerifyADamagedZip(t *testing.T) {
	dir, logKey, _ := produce(t)
	whole := pack(t, dir)
	at := filepath.Join(t.TempDir(), "p.zip")
	verify := func(b []byte) (int, string) {
		if err := os.WriteFile(at, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		code := Run(t.Context(), &Terminal{Out: &out, Err: &errs}, []string{"verify", at, "--log-key", logKey})
		return code, out.String() + errs.String()
	}
	if code, out := verify(whole); code != api.ExitOK {
		t.Fatalf("whole: exit code %d\n%s", code, out)
	}
	for _, n := range []int{0, 1, 100, len(whole) / 2, len(whole) - 23, len(whole) - 1} {
		if code, out := verify(whole[:n]); code != api.ExitData || !strings.Contains(out, "is not a whole production") {
			t.Errorf("cut at %d of %d: exit code %d\n%s", n, len(whole), code, out)
		}
	}
	directory := bytes.Index(whole, []byte("PK\x01\x02"))
	for _, i := range []int{0, 80, directory} {
		b := bytes.Clone(whole)
		b[i] ^= 0xff
		if code, out := verify(b); code != api.ExitData {
			t.Errorf("byte %d damaged: exit code %d\n%s", i, code, out)
		}
	}
}
