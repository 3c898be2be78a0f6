package archive

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"holdfast/ingest/envelope"
)

// Attachment is an attachment's plaintext while it is read. It is a stream:
// nothing of it is written to any disk.
type Attachment struct {
	*envelope.AttachmentReader
	Size int64 // bytes of the whole file

	f *os.File
}

// Close closes the sealed file.
func (a *Attachment) Close() error { return a.f.Close() }

// OpenAttachment opens an attachment's plaintext (ingest/AMX.md section 2,
// A256GCM-STREAM64K) with the key that lies in its message's body. The whole
// file is checked before the first byte is given out, by the hash that its
// message states and chunk by chunk; as it is read, each chunk is again.
//
// ErrNoBlob means that it is not there, ErrDamaged that it is not what its
// message states or does not open with this key.
func (a *Archive) OpenAttachment(bid string, ctSHA256, key [32]byte) (*Attachment, error) {
	f, err := openRegular(a.blobPath(bid, ctSHA256), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoBlob
	}
	if err != nil {
		return nil, err
	}
	at, err := openedAttachment(f, ctSHA256, key)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return at, nil
}

// openedAttachment checks the file and begins it anew.
func openedAttachment(f *os.File, ctSHA256, key [32]byte) (*Attachment, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size, ok := envelope.OpenedSize(info.Size())
	if !ok {
		return nil, fmt.Errorf("%w: no attachment has so many sealed bytes", ErrDamaged)
	}
	h := sha256.New()
	if err := envelope.OpenAttachment(io.Discard, io.TeeReader(f, h), key, size); err != nil {
		var refused *envelope.Error
		if errors.As(err, &refused) {
			return nil, fmt.Errorf("%w: an attachment does not open with its message's key: %w", ErrDamaged, err)
		}
		return nil, err
	}
	if subtle.ConstantTimeCompare(h.Sum(nil), ctSHA256[:]) != 1 {
		return nil, fmt.Errorf("%w: an attachment has not the hash that its message states", ErrDamaged)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	r, err := envelope.NewAttachmentReader(f, key, size)
	if err != nil {
		return nil, err
	}
	return &Attachment{AttachmentReader: r, Size: size, f: f}, nil
}
