package mail

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"holdfast/archive/render"
)

// attachments writes a part for each attachment of e whose content is there.
func (c *composer) attachments(w io.Writer, open string, e *render.Entry) error {
	for n := range e.Attachments {
		a := &e.Attachments[n]
		if a.Open == nil {
			continue
		}
		var b strings.Builder
		b.WriteString(open)
		b.WriteString("Content-Type: " + mimeType(a.MIME) + "\r\n")
		disposition(&b, "attachment", render.FileName(a.Name))
		header(&b, "X-Holdfast-Seq", fmt.Sprint(e.Seq))
		header(&b, "X-Holdfast-Name", a.Name)
		header(&b, "X-Holdfast-Type", a.MIME)
		header(&b, "X-Holdfast-MD5", a.MD5)
		header(&b, "X-Holdfast-SHA256", a.SHA256)
		header(&b, "X-Holdfast-Bates", a.Bates)
		b.WriteString("Content-Transfer-Encoding: base64\r\n\r\n")
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
		if err := c.embed(w, a); err != nil {
			return fmt.Errorf("attachment %d of entry %d: %w", n+1, e.Seq, err)
		}
	}
	return nil
}

const (
	// lineBytes is how many bytes a line of base64 holds: 76 octets (RFC 2045 section 6.8).
	lineBytes = 57
	// readLines is how many lines are read at a time.
	readLines = 512
)

// embed writes an attachment's content as base64.
func (c *composer) embed(w io.Writer, a *render.Attachment) (err error) {
	content, err := a.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	if c.read == nil {
		c.read = make([]byte, readLines*lineBytes)
	}
	for {
		n, ended, err := fill(content, c.read)
		if err != nil {
			return err
		}
		c.lines = base64Lines(c.lines[:0], c.read[:n])
		if _, err := w.Write(c.lines); err != nil {
			return err
		}
		if ended {
			return nil
		}
	}
}

// fill reads until b is full or r has ended. Unlike io.ReadFull's, its answer
// is not the same for a stream that ends and for one that was cut off.
func fill(r io.Reader, b []byte) (n int, ended bool, err error) {
	for n < len(b) {
		m, err := r.Read(b[n:])
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// base64Lines appends b in lines of base64.
func base64Lines(to, b []byte) []byte {
	for len(b) > 0 {
		n := min(len(b), lineBytes)
		to = base64.StdEncoding.AppendEncode(to, b[:n])
		to = append(to, '\r', '\n')
		b = b[n:]
	}
	return to
}

// history tells what hangs at a unit's head, and of attachments that are not in
// the mail; "" for nothing. A line without indentation is ours.
func history(u *render.Unit, head *render.Entry) string {
	var b strings.Builder
	for i := range u.Entries {
		e := &u.Entries[i]
		if e != head {
			tell(&b, e)
		}
		for n := range e.Attachments {
			if a := &e.Attachments[n]; a.Open == nil {
				fmt.Fprintf(&b, "seq %d, attachment %d is not here (%s): %s\n", e.Seq, n+1, render.Visible(a.Status), render.Visible(a.Name))
			}
		}
	}
	return b.String()
}

// tell writes what one entry adds to the message it hangs at.
func tell(b *strings.Builder, e *render.Entry) {
	fmt.Fprintf(b, "seq %d", e.Seq)
	part := func(before, s string) {
		if s != "" {
			b.WriteString(before + render.Visible(s))
		}
	}
	part(", ", e.Kind)
	part(" ", e.Typ)
	part(": ", e.Status)
	part(" at ", stamp(e.StatusAt))
	part(", sent ", stamp(e.Sent))
	part(", received ", stamp(e.Received))
	if e.From != nil {
		part(", by ", e.From.Usr)
		part(" ", e.From.Name)
	}
	part(", assurance ", e.Assurance)
	part(", flags ", strings.Join(e.Flags, " "))
	part(", ", e.Bates)
	part(", leaf hash ", e.LeafHash)
	if e.Redacted {
		b.WriteString(", redacted")
	}
	b.WriteByte('\n')
	if said := content(e); said != "" {
		b.WriteString("    " + strings.ReplaceAll(said, "\n", "\n    ") + "\n")
	}
}
