package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// maxLine bounds an answer, in bytes.
const maxLine = 4 << 10

// Dialog asks a person. Questions go to Out, which is stderr: stdout has
// results. Answers come from In, a line each.
type Dialog struct {
	In  io.Reader
	Out io.Writer
	// Flags says, by what is asked for, which flag tells it without a person; nil
	// where that is an answers file.
	Flags map[string]string
}

// Question is one of them.
type Question struct {
	Key     string // of the answers file; what errors call it
	Explain string // shown before it; lines
	Text    string
	Default string // for an empty answer
	Check   func(answer string) error
}

// Ask asks until the answer can be used. The end of the input is an error.
func (d *Dialog) Ask(ctx context.Context, q Question) (string, error) {
	if q.Explain != "" {
		if err := d.Say("\n%s", q.Explain); err != nil {
			return "", err
		}
	}
	prompt := q.Text + ": "
	if q.Default != "" {
		prompt = q.Text + " [" + q.Default + "]: "
	}
	for {
		if _, err := io.WriteString(d.Out, prompt); err != nil {
			return "", err
		}
		line, err := d.line(ctx)
		if err != nil {
			return "", d.ended(q.Key, err)
		}
		answer := strings.TrimSpace(string(line))
		if answer == "" {
			answer = q.Default
		}
		if q.Check == nil {
			return answer, nil
		}
		if err = q.Check(answer); err == nil {
			return answer, nil
		}
		if err := d.Say("  %v", err); err != nil {
			return "", err
		}
	}
}

// Yes asks a question whose answer is yes or no.
func (d *Dialog) Yes(ctx context.Context, q Question) (bool, error) {
	q.Check = func(answer string) error {
		if _, ok := yesNo[strings.ToLower(answer)]; !ok {
			return errors.New("please answer yes or no")
		}
		return nil
	}
	answer, err := d.Ask(ctx, q)
	return yesNo[strings.ToLower(answer)], err
}

var yesNo = map[string]bool{"yes": true, "y": true, "no": false, "n": false}

// Secret asks for something that the terminal does not show. What it returns
// is as it was typed, without the line's end. When ctx ends, the terminal is put
// back as it was: it is set here and not by the goroutine that reads, so that
// nothing can set it afterwards.
func (d *Dialog) Secret(ctx context.Context, key, text string) (answer []byte, err error) {
	if restore, err := hush(d.In); err != nil {
		return nil, err
	} else if restore != nil {
		defer func() { err = errors.Join(err, restore()) }()
	}
	if _, err := io.WriteString(d.Out, text+": "); err != nil {
		return nil, err
	}
	line, err := d.line(ctx)
	return line, d.ended(key, err)
}

// hush has a terminal show nothing of what is typed but the line's end; nil where
// in is none.
func hush(in io.Reader) (restore func() error, err error) {
	if !AtTerminal(in) {
		return nil, nil
	}
	f, _ := in.(*os.File) // AtTerminal has seen it
	fd := int(f.Fd())     // #nosec G115 -- likewise
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	silent := *before
	silent.Lflag = silent.Lflag&^unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG
	silent.Iflag |= unix.ICRNL
	return func() error { return unix.IoctlSetTermios(fd, unix.TCSETS, before) }, unix.IoctlSetTermios(fd, unix.TCSETS, &silent)
}

// AtTerminal reports whether answers come from a person's terminal.
func AtTerminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) // #nosec G115 -- a descriptor
}

// Say writes a line.
func (d *Dialog) Say(format string, args ...any) error {
	_, err := fmt.Fprintf(d.Out, format+"\n", args...)
	return err
}

// errEnded is an input that ended before everything was asked for.
var errEnded = errors.New("the input ended")

func (d *Dialog) ended(key string, err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	if flag, ok := d.Flags[key]; ok {
		return fmt.Errorf("%w: %w where %s was asked for; without a person, give %s", ErrGiven, errEnded, key, flag)
	}
	return fmt.Errorf("%w: %w where %s was asked for; without a person, give --answers FILE", ErrAnswers, errEnded, key)
}

// line reads one line, byte by byte: nothing behind it is taken.
func (d *Dialog) line(ctx context.Context) ([]byte, error) {
	return until(ctx, func() ([]byte, error) {
		var out []byte
		b := make([]byte, 1)
		for {
			n, err := d.In.Read(b)
			switch {
			case n == 1 && b[0] == '\n':
				return bytes.TrimSuffix(out, []byte("\r")), nil
			case n == 1 && len(out) == maxLine:
				return nil, fmt.Errorf("%w: a line is longer than %d bytes", ErrGiven, maxLine)
			case n == 1:
				out = append(out, b[0])
			case errors.Is(err, io.EOF) && len(out) > 0:
				return out, nil
			case err != nil:
				return nil, err
			}
		}
	})
}

// until runs f, which may block on a terminal, until it returns or ctx ends; in
// the latter case f is left behind, and the process is about to end.
func until(ctx context.Context, f func() ([]byte, error)) ([]byte, error) {
	type result struct {
		b   []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		b, err := f()
		done <- result{b, err}
	}()
	select {
	case r := <-done:
		return r.b, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("interrupted: %w", ctx.Err())
	}
}
