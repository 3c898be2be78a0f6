// Package mail renders productions as mails of RFC 5322: a file for each
// message, or all of them in one mbox (the kind called mboxrd).
//
// It is pure: the same units and options give the same bytes. archive/export
// imports it, to produce and to verify. What each header and part holds is
// specified in archive/render/mail/FORMAT.md.
package mail

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"time"

	"holdfast/archive/render"
)

// EML is one file for each unit, eml/STEM.eml: a message with what hangs at it and
// its attachments. Lines end CR LF.
func EML() render.Format {
	return render.Format{
		Name:   "eml",
		Units:  []render.UnitKind{render.Message},
		Embeds: true,
		New: func(o render.Options, sink render.Sink) (render.Writer, error) {
			return &folder{composer: newComposer(o), sink: sink, out: bufio.NewWriterSize(nil, bufferSize)}, nil
		},
	}
}

// MBOX is all mails in one file, messages.mbox (mboxrd: a line that begins with
// any number of > and "From " has one > more). Lines end LF, as is the custom of
// mbox (RFC 4155 appendix A).
func MBOX() render.Format {
	return render.Format{
		Name:   "mbox",
		Units:  []render.UnitKind{render.Message},
		Embeds: true,
		New: func(o render.Options, sink render.Sink) (render.Writer, error) {
			f, err := sink.Create("messages.mbox")
			if err != nil {
				return nil, err
			}
			return &box{composer: newComposer(o), file: f, out: bufio.NewWriterSize(f, bufferSize)}, nil
		},
	}
}

// bufferSize is how many bytes go to a file at a time.
const bufferSize = 64 << 10

type folder struct {
	*composer
	sink render.Sink
	out  *bufio.Writer
}

// Unit implements render.Writer.
func (w *folder) Unit(u *render.Unit) (err error) {
	f, err := w.sink.Create("eml/" + u.Stem + ".eml")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w.out.Reset(f)
	if err := w.compose(w.out, u); err != nil {
		return err
	}
	return w.out.Flush()
}

// Close implements render.Writer: every file was whole when its unit was done.
func (w *folder) Close() error { return nil }

type box struct {
	*composer
	file io.WriteCloser
	out  *bufio.Writer
}

// Unit implements render.Writer.
func (w *box) Unit(u *render.Unit) error {
	e, err := headOf(u)
	if err != nil {
		return err
	}
	// The separator's time has no zone: it is UTC (RFC 4155).
	io.WriteString(w.out, "From "+sender(e).Address()+" "+dated(e).UTC().Format(time.ANSIC)+"\n")
	lines := &quoter{to: w.out}
	if err := w.compose(lines, u); err != nil {
		return err
	}
	if err := lines.end(); err != nil {
		return err
	}
	return w.out.Flush()
}

// Close implements render.Writer.
func (w *box) Close() error { return w.file.Close() }

// A quoter writes a mail whose lines end CR LF into an mbox.
type quoter struct {
	to   *bufio.Writer
	line []byte // begun and not ended yet; a mail's lines are short
}

// Write implements io.Writer.
func (q *quoter) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		at := bytes.IndexByte(rest, '\n')
		if at < 0 {
			q.line = append(q.line, rest...)
			break
		}
		line := rest[:at]
		if len(q.line) > 0 {
			q.line = append(q.line, line...)
			line = q.line
		}
		if err := q.put(line); err != nil {
			return 0, err
		}
		q.line = q.line[:0]
		rest = rest[at+1:]
	}
	return len(b), nil
}

// put writes one line, quoted where a reader would take it for the beginning
// of a mail, or for one that was quoted.
func (q *quoter) put(line []byte) error {
	if bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
		if err := q.to.WriteByte('>'); err != nil {
			return err
		}
	}
	if _, err := q.to.Write(bytes.TrimSuffix(line, []byte("\r"))); err != nil {
		return err
	}
	return q.to.WriteByte('\n')
}

// end ends the mail: an empty line stands before the next.
func (q *quoter) end() error {
	if len(q.line) > 0 {
		if err := q.put(q.line); err != nil {
			return err
		}
	}
	return q.to.WriteByte('\n')
}
