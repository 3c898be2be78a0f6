package extract

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Child reads one request from in and writes its answer to out, in a process
// that does nothing else: before it looks at the file it gives up whatever the
// process could do beside that. An error says nothing of the file.
func Child(in io.Reader, out io.Writer) error {
	q, err := readRequest(in)
	if err != nil {
		return err
	}
	if err := confine(q); err != nil {
		return fmt.Errorf("read an attachment's text: the process cannot be confined: %w", err)
	}
	content, err := io.ReadAll(in)
	if err != nil {
		return errors.New("read an attachment's text: its content broke off")
	}
	return writeAnswer(out, read(q.kind, content, int(q.text)))
}

// read reads a file's text. It does not panic.
func read(kind byte, content []byte, most int) (t Text) {
	w := &sheet{most: most}
	defer func() {
		if recover() != nil {
			t = w.done(StatusUnreadable)
		}
	}()
	switch kind {
	case kindText:
		return readText(w, content)
	case kindMarkp:
		t = readText(w, content)
		if t.Status == StatusText {
			t.Status = StatusPartial // words may be broken by tags, or written as entities
		}
		return t
	case kindPDF:
		return readPDF(w, content)
	case kindZip:
		return readDocx(w, content)
	case kindOLE:
		return readOLE(w, content)
	}
	return w.done(StatusUnreadable)
}

// sheet takes in a file's text.
type sheet struct {
	b    []byte
	most int
	full bool // there was more
}

// put adds text; what cannot stand in one is replaced, what is invisible left
// out.
func (w *sheet) put(s string) {
	for _, r := range s {
		switch {
		case r == '\r', r == '\f', r == '\v', r == 0x85, r == 0x2028, r == 0x2029:
			r = '\n'
		case r < 0x20 && r != '\n' && r != '\t', r == 0x7f:
			r = ' '
		case r == 0xad, r == 0xfeff:
			continue // soft hyphen, byte order mark
		}
		if len(w.b)+utf8.RuneLen(r) > w.most {
			w.full = true
			return
		}
		w.b = utf8.AppendRune(w.b, r)
	}
}

// line ends the line, unless it is empty.
func (w *sheet) line() {
	if n := len(w.b); n > 0 && w.b[n-1] != '\n' {
		w.put("\n")
	}
}

// space separates two words.
func (w *sheet) space() {
	if n := len(w.b); n > 0 && w.b[n-1] != '\n' && w.b[n-1] != ' ' {
		w.put(" ")
	}
}

// done makes the answer. What was read of a file that ends badly is part of its
// text.
func (w *sheet) done(status string) Text {
	switch {
	case w.full:
		status = StatusTooLarge
	case status == StatusUnreadable && len(w.b) > 0:
		status = StatusPartial
	case status == StatusPartial && len(w.b) == 0:
		status = StatusUnreadable
	}
	t := Text{Status: status, Tool: Tool}
	switch status {
	case StatusText, StatusPartial, StatusTooLarge:
		t.Text = string(w.b)
	}
	return t
}
