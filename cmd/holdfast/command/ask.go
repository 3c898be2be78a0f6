package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"holdfast/internal/api"
)

// maxSecret bounds a line that somebody types.
const maxSecret = 1 << 10

// askTerminal asks on the process's controlling terminal, wherever stdin and
// stdout lead, without showing what is typed. When ctx ends the terminal is
// put back as it was: a shell that shows nothing would be left behind. The
// terminal is set here and not by the goroutine that reads, so that nothing
// can set it after it was put back.
func askTerminal(ctx context.Context, prompt string) (answer string, err error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errNoTerminal
	}
	defer tty.Close()
	fd := int(tty.Fd()) // #nosec G115 -- a file descriptor
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", errNoTerminal
	}
	silent := *before
	silent.Lflag = silent.Lflag&^unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG
	silent.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return "", errNoTerminal
	}
	defer func() { err = errors.Join(err, unix.IoctlSetTermios(fd, unix.TCSETS, before)) }()
	if _, err := fmt.Fprint(tty, prompt+": "); err != nil {
		return "", errNoTerminal
	}
	return wait(ctx, func() (string, error) { return readLine(bufio.NewReaderSize(tty, maxSecret+2)) })
}

var (
	errNoTerminal = &api.Problem{Title: "there is no terminal to ask on", Code: api.CodeBadRequest, Exit: api.ExitUsage,
		Hint: "in a script, write the answers to stdin, one a line, and add --stdin"}
	errUnanswered = &api.Problem{Title: "the answers ended early", Code: api.CodeBadRequest, Exit: api.ExitUsage,
		Hint: "`holdfast login --help` says which lines --stdin takes"}
	errEmpty = &api.Problem{Title: "an answer is empty", Code: api.CodeBadRequest, Exit: api.ExitUsage,
		Hint: "repeat `holdfast login` and answer every question: nobody logs in without a password and a code"}
	errAnswer = usage("an answer is a line of at most %d bytes in UTF-8", maxSecret)
)

// questions puts questions to whoever logs in: on the terminal, or to a
// script that writes the answers to stdin.
type questions struct {
	terminal func(ctx context.Context, prompt string) (string, error)
	lines    *bufio.Reader // of stdin, if not nil
}

func (t *Terminal) questions(stdin bool) *questions {
	q := &questions{terminal: t.Ask}
	if stdin {
		q.lines = bufio.NewReaderSize(t.In, maxSecret+2)
	}
	return q
}

// put asks one question. An answer has at least one character; it is never
// repeated in an error.
func (q *questions) put(ctx context.Context, prompt string) (string, error) {
	var s string
	var err error
	switch {
	case q.lines != nil:
		s, err = wait(ctx, func() (string, error) { return readLine(q.lines) })
	case q.terminal == nil:
		return "", errNoTerminal
	default:
		s, err = q.terminal(ctx, prompt)
	}
	switch {
	case err != nil:
		return "", err
	case s == "":
		return "", errEmpty
	case len(s) > maxSecret || !utf8.ValidString(s):
		return "", errAnswer
	}
	return s, nil
}

// readLine reads one line and needs nothing of what is behind it: that may be
// the next question's answer, which is not there yet.
func readLine(r *bufio.Reader) (string, error) {
	b, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errAnswer
	case err != nil && (!errors.Is(err, io.EOF) || len(b) == 0):
		return "", errUnanswered
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}
