package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"holdfast/archive"
	"holdfast/archive/query"
	"holdfast/archive/reading"
	"holdfast/ingest/envelope"
	"holdfast/internal/extract"
)

// fileTexts are what is known of attachments' texts: it lies beside the sealed
// attachments, once it has been read.
type fileTexts struct {
	archive *archive.Archive
	reader  *extract.Reader // nil: texts are not read, only what is there is used
	logger  *slog.Logger
	warned  atomic.Bool // that no process can be started
	patient patience
}

// newTexts returns the texts; command runs extract.Child.
func newTexts(a *archive.Archive, command []string, logger *slog.Logger) *fileTexts {
	t := &fileTexts{archive: a, logger: logger}
	if len(command) > 0 {
		t.reader = extract.NewReader(extract.Options{Command: command})
	}
	return t
}

// File returns an attachment with the text that was read of it.
func (t *fileTexts) File(a *envelope.Attachment) query.File {
	s, err := newSealed(a)
	if err != nil {
		return reading.Unread(a)
	}
	text, err := t.archive.BlobText(a.BID, s.sum, s.key)
	if err != nil {
		return reading.Unread(a)
	}
	return fileOf(a, text)
}

// fileOf is an attachment as queries see it. A picture has a text that nobody
// has read.
func fileOf(a *envelope.Attachment, t archive.BlobText) query.File {
	return query.File{Name: a.Name, Text: t.Text, Unread: t.Status != extract.StatusText}
}

// Status returns what came of reading an attachment, as internal/extract calls
// it; "" when nobody has tried.
func (t *fileTexts) Status(a *envelope.Attachment) string {
	s, err := newSealed(a)
	if err != nil {
		return ""
	}
	text, err := t.archive.BlobText(a.BID, s.sum, s.key)
	if err != nil {
		return ""
	}
	return text.Status
}

// sealed is what opens an attachment.
type sealed struct{ sum, key [32]byte }

func newSealed(a *envelope.Attachment) (s sealed, err error) {
	if s.sum, err = a.Sum(); err == nil {
		s.key, err = a.Secret()
	}
	return s, err
}

// read reads a stored attachment's text, unless it was read before, and puts
// it beside the attachment, whatever came of it. An error is ctx's: whatever
// else keeps a text from being read makes it unread. usr sent it.
func (t *fileTexts) read(ctx context.Context, usr string, a *envelope.Attachment) (query.File, error) {
	s, err := newSealed(a)
	if err != nil {
		return reading.Unread(a), nil
	}
	known, err := t.archive.BlobText(a.BID, s.sum, s.key)
	if err == nil && (known.Tool == extract.Tool || t.reader == nil) {
		return fileOf(a, known), nil // what another version read, this one may read better
	}
	began := time.Now()
	if t.reader == nil || !t.patient.with(usr, began) {
		return reading.Unread(a), nil
	}
	content := &opening{open: func() (io.ReadCloser, error) { return t.archive.OpenAttachment(a.BID, s.sum, s.key) }}
	found, err := t.reader.Read(ctx, a.Name, a.MIME, a.Size, content)
	if err = errors.Join(err, content.close()); err != nil {
		if ctx.Err() != nil {
			return query.File{}, ctx.Err()
		}
		t.failed(err)
		return reading.Unread(a), nil
	}
	if found.Status == extract.StatusTimeout {
		t.patient.waited(usr, time.Since(began))
	}
	text := archive.BlobText{Status: found.Status, Text: found.Text, Tool: found.Tool}
	if err := t.archive.PutBlobText(ctx, a.BID, s.sum, s.key, text); err != nil {
		if ctx.Err() != nil {
			return query.File{}, ctx.Err()
		}
		// It is used all the same, and read anew when it is needed again.
		t.failed(err)
	}
	return fileOf(a, text), nil
}

// failed says what keeps attachments from being read, once for each start of the
// daemon where it is the machine's. An attachment that is gone or damaged is
// what Check and its message's entry say.
func (t *fileTexts) failed(err error) {
	if errors.Is(err, archive.ErrNoBlob) || errors.Is(err, archive.ErrDamaged) || !t.warned.CompareAndSwap(false, true) {
		return
	}
	t.logger.Warn("attachments' texts are not read or not kept; searches say of how many entries nothing is known; start the daemon anew once this is mended, and have the index read again",
		"err", err)
}

// opening opens what it reads when it is first read.
type opening struct {
	open func() (io.ReadCloser, error)
	r    io.ReadCloser
}

func (o *opening) Read(p []byte) (int, error) {
	if o.r == nil {
		r, err := o.open()
		if err != nil {
			return 0, err
		}
		o.r = r
	}
	return o.r.Read(p)
}

func (o *opening) close() error {
	if o.r == nil {
		return nil
	}
	return o.r.Close()
}
