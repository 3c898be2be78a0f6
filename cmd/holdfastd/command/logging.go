package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// newLogger logs as text to w, one line an event whatever a value holds. Where
// w is the journal each line begins with its priority, and without the time,
// which the journal has. No message content, name or query is ever handed to
// it.
func newLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	if isJournal(w, os.Getenv("JOURNAL_STREAM")) {
		return slog.New(newJournal(w, level))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// isJournal reports whether w is what systemd connected to the journal:
// JOURNAL_STREAM holds the device and inode numbers of that (systemd.exec(5)).
func isJournal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	device, inode, found := strings.Cut(stream, ":")
	if !ok || !found {
		return false
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil { // #nosec G115 -- a descriptor
		return false
	}
	return device == strconv.FormatUint(st.Dev, 10) && inode == strconv.FormatUint(st.Ino, 10)
}

// journal puts before each line of text how grave it is, as sd-daemon(3) has
// it.
type journal struct {
	text slog.Handler // writes to line
	out  *journalOut
}

// journalOut is where lines go: one write each, so that none is mixed with
// another.
type journalOut struct {
	mu   sync.Mutex
	line bytes.Buffer
	w    io.Writer
}

func newJournal(w io.Writer, level slog.Leveler) *journal {
	out := &journalOut{w: w}
	return &journal{out: out, text: slog.NewTextHandler(&out.line, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime})}
}

// withoutTime drops the record's own time, which the journal keeps beside the
// line. The level stays: what journalctl prints as text has no priority, and a
// support bundle is made of that.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// Enabled implements slog.Handler.
func (j *journal) Enabled(ctx context.Context, l slog.Level) bool { return j.text.Enabled(ctx, l) }

// Handle implements slog.Handler.
func (j *journal) Handle(ctx context.Context, r slog.Record) error {
	j.out.mu.Lock()
	defer j.out.mu.Unlock()
	j.out.line.Reset()
	fmt.Fprintf(&j.out.line, "<%d>", priority(r.Level))
	if err := j.text.Handle(ctx, r); err != nil {
		return err
	}
	_, err := j.out.w.Write(j.out.line.Bytes())
	return err
}

// WithAttrs implements slog.Handler.
func (j *journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journal{j.text.WithAttrs(attrs), j.out}
}

// WithGroup implements slog.Handler.
func (j *journal) WithGroup(name string) slog.Handler {
	return &journal{j.text.WithGroup(name), j.out}
}

// priority is a level as syslog counts it (RFC 5424 section 6.2.1): error 3,
// warning 4, informational 6, debug 7.
func priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}
