package archive

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"holdfast/archive/seal"
	"holdfast/internal/durable"
)

// BlobText is what was found out of an attachment's text.
type BlobText struct {
	Status string // as internal/extract calls it; at most 64 bytes
	Text   string // what could be read; at most MaxBlobText bytes
	Tool   string // what read it; at most 64 bytes
}

// MaxBlobText is how long an attachment's text may be, in bytes.
const MaxBlobText = 16 << 20

// textSuffix names the file of an attachment's text, beside the attachment.
const textSuffix = ".text"

// textPath is where an attachment's text lies.
func (n blobName) textPath(dir string) string { return n.path(dir) + textSuffix }

const (
	textVersion = 1
	textHead    = 3 // version, lengths of status and tool
	maxTextWord = 64
	// mostSealedText is what the longest file of a text has, in bytes.
	mostSealedText = seal.Overhead + textHead + 2*maxTextWord + MaxBlobText
)

// textKey is the key of an attachment's text: it comes from the attachment's
// own key, which lies in its message's body, and goes with that.
func textKey(name blobName, key [32]byte) (*seal.FileKey, error) {
	k, err := hkdf.Key(sha256.New, key[:], nil, "holdfast blob text v1", seal.KeySize)
	if err != nil {
		return nil, err
	}
	return seal.NewFileKey([seal.KeySize]byte(k), [seal.IDSize]byte(name[:seal.IDSize]))
}

// PutBlobText puts the text of a stored attachment beside it, sealed, durable
// once it returns; one that is there already is replaced. ErrNoBlob means that
// the attachment is not, or no longer, there: its text is not kept without it.
func (a *Archive) PutBlobText(ctx context.Context, bid string, ctSHA256, key [32]byte, t BlobText) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case a.opts.ReadOnly:
		return fmt.Errorf("%w: it was opened to be read only", ErrClosed)
	case len(t.Status) > maxTextWord || len(t.Tool) > maxTextWord || len(t.Text) > MaxBlobText:
		return fmt.Errorf("%w: an attachment's text is longer than one is kept", ErrInvalid)
	case !a.Room():
		return ErrDiskFull
	}
	name := newBlobName(bid, ctSHA256)
	k, err := textKey(name, key)
	if err != nil {
		return err
	}
	f, err := durable.NewFile(blobTemp(a.dir), name.textPath(a.dir))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Abort())
		}
	}()
	if _, err := f.Write(k.Seal(nil, 0, t.bytes())); err != nil {
		return err
	}
	return a.claims.beside(name.path(a.dir), f.Commit)
}

// beside runs f, which puts a file beside an attachment, while none is
// unlinked: a disposition that came before has taken the attachment, and one
// that comes after takes both.
func (c *blobClaims) beside(path string, f func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return ErrNoBlob
	} else if err != nil {
		return err
	}
	return f()
}

// BlobText returns the text of an attachment: ErrNoBlob when none was put
// beside it, ErrDamaged when what is there does not open. It is no evidence:
// who cannot read it reads the attachment again.
func (a *Archive) BlobText(bid string, ctSHA256, key [32]byte) (BlobText, error) {
	name := newBlobName(bid, ctSHA256)
	sealed, err := readLimited(name.textPath(a.dir), mostSealedText)
	if errors.Is(err, fs.ErrNotExist) {
		return BlobText{}, ErrNoBlob
	}
	if err != nil {
		return BlobText{}, err
	}
	k, err := textKey(name, key)
	if err != nil {
		return BlobText{}, err
	}
	plain, err := k.Open(nil, 0, sealed)
	if err != nil {
		return BlobText{}, fmt.Errorf("%w: the text of an attachment does not open", ErrDamaged)
	}
	return parseBlobText(plain)
}

// bytes is the file's content before sealing: archive/FORMAT.md, section on
// attachments.
func (t *BlobText) bytes() []byte {
	b := make([]byte, 0, textHead+len(t.Status)+len(t.Tool)+len(t.Text))
	b = append(b, textVersion, byte(len(t.Status)), byte(len(t.Tool))) // #nosec G115 -- at most maxTextWord
	b = append(append(b, t.Status...), t.Tool...)
	return append(b, t.Text...)
}

func parseBlobText(b []byte) (BlobText, error) {
	bad := fmt.Errorf("%w: the text of an attachment has another form", ErrDamaged)
	if len(b) < textHead || b[0] != textVersion || b[1] > maxTextWord || b[2] > maxTextWord {
		return BlobText{}, bad
	}
	status, tool := int(b[1]), int(b[2])
	if b = b[textHead:]; len(b) < status+tool || len(b) > status+tool+MaxBlobText {
		return BlobText{}, bad
	}
	return BlobText{Status: string(b[:status]), Tool: string(b[status : status+tool]), Text: string(b[status+tool:])}, nil
}

// unlink removes an attachment with its text, unless somebody is about to refer
// to it. The text goes first. A crash in between leaves either one, whatever of
// it had reached the disk; Destroy, called again, looks for both.
func (c *blobClaims) unlink(name blobName, dir string, between func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.claimed(name) {
		return nil
	}
	if err := os.Remove(name.textPath(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := between(); err != nil {
		return err
	}
	if err := os.Remove(name.path(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
