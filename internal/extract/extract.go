package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// The statuses of a file's text. Only of StatusText is everything known that a
// search could find in the file.
const (
	StatusText       = "text"       // all of its text was read; it may be empty
	StatusPartial    = "partial"    // some of its text was read, and there is more: a page that is a picture, an embedded file
	StatusNone       = "none"       // it is a picture, a recording or a scan: whatever it says is not there as text
	StatusUnreadable = "unreadable" // damaged, or a format that is not read
	StatusEncrypted  = "encrypted"  // it opens with a password only
	StatusTooLarge   = "too-large"  // it, or what is packed into it, is larger than is read; its text may begin it
	StatusTimeout    = "timeout"    // it takes longer than it may
)

// Tool names what reads texts: when its answers change it gets another number.
const Tool = "holdfast extract 1"

// Text is what was read from a file.
type Text struct {
	Status string
	Text   string // UTF-8, with \n between lines; not empty for StatusText, StatusPartial and StatusTooLarge alone
	Tool   string
}

// Options are a Reader's bounds. The zero value of each field but Command is
// its default.
type Options struct {
	Command  []string      // what runs Child: an absolute path and arguments
	Deadline time.Duration // for one file; 20 s
	Memory   int64         // address space that the child may gain, bytes; 512 MiB
	MaxFile  int64         // bytes of a file; 64 MiB
	MaxText  int           // bytes of its text; 4 MiB
	Parallel int           // files at once; 1
}

// Reader reads texts of files, each in a child process of its own. It is safe
// for concurrent use.
type Reader struct {
	options Options
	turns   chan struct{}
}

// NewReader returns a reader.
func NewReader(o Options) *Reader {
	if o.Deadline <= 0 {
		o.Deadline = 20 * time.Second
	}
	if o.Memory <= 0 {
		o.Memory = 512 << 20
	}
	if o.MaxFile <= 0 {
		o.MaxFile = 64 << 20
	}
	if o.MaxText <= 0 {
		o.MaxText = 4 << 20
	}
	return &Reader{options: o, turns: make(chan struct{}, max(1, o.Parallel))}
}

// ErrStart means that no child process could be started: nothing is known of
// the file.
var ErrStart = errors.New("the process that reads attachments' text cannot be started")

// Read reads the text of a file. What kind of file it is its content says; name
// and MIME type, as its sender gave them, only where that leaves it open. size
// is what the file is said to have, in bytes.
//
// Whatever the file is the answer is a status. An error is ctx's, content's
// own, or ErrStart, and says nothing of the file.
func (r *Reader) Read(ctx context.Context, name, mime string, size int64, content io.Reader) (Text, error) {
	if size > r.options.MaxFile {
		return r.is(StatusTooLarge), nil
	}
	src := &source{r: content, left: r.options.MaxFile}
	head := make([]byte, sniffed)
	n, err := io.ReadFull(src, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Text{}, err
	}
	head = head[:n]
	kind := sniff(head, name, mime)
	switch kind {
	case kindEmpty:
		return r.is(StatusText), nil
	case kindMedia:
		return r.is(StatusNone), nil
	case kindOther:
		return r.is(StatusUnreadable), nil
	}
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
	case <-ctx.Done():
		return Text{}, ctx.Err()
	}
	return r.run(ctx, kind, io.MultiReader(bytes.NewReader(head), src), src)
}

func (r *Reader) is(status string) Text { return Text{Status: status, Tool: Tool} }

// run reads the file in a child process.
func (r *Reader) run(ctx context.Context, kind byte, content io.Reader, src *source) (Text, error) {
	within, cancel := context.WithTimeout(ctx, r.options.Deadline)
	defer cancel()
	q := request{
		kind: kind, seconds: uint32(r.options.Deadline/time.Second) + 1, // #nosec G115 -- a deadline is no age
		memory: uint64(r.options.Memory), text: uint32(r.options.MaxText), // #nosec G115 -- positive, and limits of memory
	}
	answer := &bounded{most: answerHead + r.options.MaxText}
	cmd := exec.CommandContext(within, r.options.Command[0], r.options.Command[1:]...) // #nosec G204 -- the daemon's own executable
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.Stdin, cmd.Stdout = io.MultiReader(bytes.NewReader(q.bytes()), content), answer
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for pipes that something else would hold open
	if err := cmd.Start(); err != nil {
		return Text{}, fmt.Errorf("%w: %w", ErrStart, err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return Text{}, ctx.Err()
	case within.Err() != nil:
		return r.is(StatusTimeout), nil
	case src.failed() != nil:
		return Text{}, src.failed()
	case src.over:
		return r.is(StatusTooLarge), nil
	case errors.As(err, &exit) && killed(exit):
		return r.is(StatusTimeout), nil
	case err != nil:
		return r.is(StatusUnreadable), nil
	}
	t, ok := parseAnswer(answer.b.Bytes(), r.options.MaxText)
	if !ok {
		return r.is(StatusUnreadable), nil
	}
	return t, nil
}

// killed reports whether the kernel ended the child, which it does when its
// CPU time is spent.
func killed(e *exec.ExitError) bool {
	s, ok := e.Sys().(syscall.WaitStatus)
	return ok && s.Signaled() && (s.Signal() == syscall.SIGKILL || s.Signal() == syscall.SIGXCPU)
}

// source is the file's content on its way to the child.
type source struct {
	r    io.Reader
	left int64
	over bool
	err  error
}

// Read ends when the file is longer than it may be: the child's answer is not
// asked for then.
func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if s.left -= int64(n); s.left < 0 {
		s.over, err = true, io.EOF
		n = 0
	}
	s.err = err
	return n, err
}

// failed is what ended the reading other than the file's end.
func (s *source) failed() error {
	if errors.Is(s.err, io.EOF) {
		return nil
	}
	return s.err
}

// bounded takes in so many bytes and fails at one more, which ends the child's
// writing.
type bounded struct {
	b    bytes.Buffer
	most int
}

var errTooMuch = errors.New("the child writes more than it may")

func (w *bounded) Write(p []byte) (int, error) {
	if w.b.Len()+len(p) > w.most {
		return 0, errTooMuch
	}
	return w.b.Write(p)
}
