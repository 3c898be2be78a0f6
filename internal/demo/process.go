package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	pollEvery   = 100 * time.Millisecond
	stopWithin  = 30 * time.Second
	tailLines   = 25
	startWithin = 60 * time.Second
)

// command makes a command of the built ones, with an environment in which
// nothing of the caller's steers it.
func (d *demo) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(d.bin, name), args...) // #nosec G204 -- our own programs, just built
	c.Dir = d.dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "HOME=" + d.dir}
	return c
}

// ask runs a command to its end, wants the given exit code and returns what
// it printed.
func (d *demo) ask(ctx context.Context, code int, name string, args ...string) ([]byte, error) {
	return finish(d.command(ctx, name, args...), code)
}

// finish is ask for a command that is made already. What it was given to read,
// passwords for one, is not told when it fails.
func finish(c *exec.Cmd, code int) ([]byte, error) {
	name, args := filepath.Base(c.Path), c.Args[1:]
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	if got := c.ProcessState.ExitCode(); got != code {
		return nil, fmt.Errorf("%s %s: exit code %d, want %d\n%s%s", name, strings.Join(args, " "), got, code, errs.String(), out.String())
	}
	return out.Bytes(), nil
}

// askJSON is ask for a command that prints JSON, which is decoded into v.
func (d *demo) askJSON(ctx context.Context, v any, code int, name string, args ...string) error {
	b, err := d.ask(ctx, code, name, args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s %s did not print the JSON expected: %w", name, args[0], err)
	}
	return nil
}

// holdfast asks the daemon and decodes its answer.
func (d *demo) holdfast(ctx context.Context, v any, args ...string) error {
	return d.askJSON(ctx, v, 0, "holdfast", append([]string{"--socket", d.path("socket"), "--format", "json"}, args...)...)
}

// process is a program that runs beside the demo. A nil one does nothing.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed once it has ended; then err says how
	err  error

	mu  sync.Mutex
	log bytes.Buffer // what it wrote to stdout and stderr
}

// Write keeps what the process prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (d *demo) launch(ctx context.Context, name string, args ...string) (*process, error) {
	p := &process{name: name, done: make(chan struct{})}
	p.cmd = d.command(ctx, name, args...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// await asks again and again whether something has come true, until it has,
// one of the processes that it depends on ends, or the limit is over.
func await(ctx context.Context, limit time.Duration, what string, ready func(context.Context) (bool, error), needs ...*process) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last error
	for {
		ok, err := ready(ctx)
		if ok {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		for _, p := range needs {
			select {
			case <-p.done:
				return fmt.Errorf("%s ended before %s: %w", p.name, what, errors.Join(p.err, last))
			default:
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, errors.Join(ctx.Err(), last))
		case <-tick.C:
		}
	}
}

// stop asks the process to end with SIGTERM and wants it to end well.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%s did not stop cleanly: %w", p.name, p.err)
		}
		return nil
	case <-time.After(stopWithin):
		return fmt.Errorf("%s did not stop within %v of SIGTERM", p.name, stopWithin)
	}
}

// kill ends the process if it still runs.
func (p *process) kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// writeTail writes the last lines that the process logged.
func (p *process) writeTail(w io.Writer) {
	if p == nil {
		return
	}
	lines := strings.Split(strings.TrimSpace(p.logged()), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	_, _ = fmt.Fprintf(w, "\nthe last lines of %s:\n", p.name)
	for _, l := range lines {
		_, _ = fmt.Fprintln(w, "  "+l)
	}
}
