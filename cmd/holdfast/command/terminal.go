package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// Terminal is where a command reads and writes. The contract:
//
//   - stdout gets results and nothing else, so that it can be piped: one table
//     or text for people, or one JSON value on one line with --format json.
//   - stderr gets everything else: progress, counts, warnings, errors. The
//     progress bar is drawn only when stderr is a terminal.
//   - A query is repeated, with a mark under the fault, only when stderr is a
//     terminal: elsewhere it may be somebody's log.
//   - stdin is read only for --query-file - and --stdin. Only login asks
//     questions, on the terminal itself (/dev/tty), and shows no answer.
//   - Text from messages, and whatever else somebody outside wrote, cannot
//     steer a terminal: control characters and bidi overrides are made visible
//     in tables and texts (see visible) and escaped in JSON (see writeJSON).
//   - Tables are cut to the width of a terminal; piped ones are not cut.
type Terminal struct {
	In       io.Reader
	Out, Err io.Writer
	Width    int  // of stdout in columns; 0 when it is not a terminal
	ErrTTY   bool // stderr is a terminal

	// Ask puts a question to the person at the terminal, whose answer is not
	// shown; nil when there is none.
	Ask  func(ctx context.Context, prompt string) (string, error)
	Desk Desk // where the person's login is kept

	Socket string // where a daemon of this machine listens
}

// system returns the process's own terminal.
func system() *Terminal {
	t := &Terminal{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, ErrTTY: term.IsTerminal(int(os.Stderr.Fd())), // #nosec G115 -- a file descriptor
		Ask: askTerminal, Desk: systemDesk(), Socket: DefaultSocket}
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil { // #nosec G115 -- likewise
		t.Width = w
	}
	return t
}

// say writes one line for people to stderr.
func (t *Terminal) say(format string, args ...any) error {
	_, err := fmt.Fprintf(t.Err, format+"\n", args...)
	return err
}

// steers reports whether r could move a cursor, change a direction or hide
// itself: controls, line and paragraph separators, and format characters but
// for the two joiners that emoji and several scripts need.
func steers(r rune) bool {
	switch {
	case r == '\u200c' || r == '\u200d':
		return false
	case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
		return true
	}
	return r == utf8.RuneError
}

// visible returns s on one line with every character that steers replaced by
// one that shows it: ␊ for a line feed and so on, <U+202E> for the others.
func visible(s string) string {
	if !strings.ContainsFunc(s, steers) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < ' ':
			b.WriteRune('\u2400' + r)
		case r == 0x7f:
			b.WriteRune('\u2421')
		case r != utf8.RuneError && steers(r):
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// writeJSON writes v as one line. Characters that steer are written as \u
// escapes, which every JSON reader turns back.
func (t *Terminal) writeJSON(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := t.Out.Write(append(escapeJSON(bytes.TrimSuffix(b.Bytes(), []byte{'\n'})), '\n'))
	return err
}

// escapeJSON escapes characters that steer in valid JSON, where they can
// stand only within strings; its line breaks between tokens stay.
func escapeJSON(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == '\n' || !steers(r) || r == utf8.RuneError:
			out = append(out, b[:n]...)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[n:]
	}
	return out
}
