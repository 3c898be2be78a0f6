package archive

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"holdfast/internal/durable"
)

// blobPath names an attachment's file: the hex of SHA-256("holdfast blob v1\0"
// ‖ bid ‖ 0x00 ‖ SHA-256 of the ciphertext). The name is ours, whatever the
// relay calls it, and fetching again after a crash finds the same file.
func (a *Archive) blobPath(bid string, ctSHA256 [32]byte) string {
	h := sha256.New()
	h.Write([]byte("holdfast blob v1\x00" + bid + "\x00"))
	h.Write(ctSHA256[:])
	name := hex.EncodeToString(h.Sum(nil))
	return filepath.Join(a.dir, "blobs", name[:2], name)
}

// blobTemp is the folder of attachments that are still being fetched.
func blobTemp(dir string) string { return filepath.Join(dir, "blobs", "tmp") }

// PutBlob stores an attachment's ciphertext as the relay gave it, durable once
// it returns. Content that has not the SHA-256 given is refused and leaves
// nothing. The key that opens it lies in its message's body.
func (a *Archive) PutBlob(ctx context.Context, bid string, ctSHA256 [32]byte, r io.Reader) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if a.opts.ReadOnly {
		return fmt.Errorf("%w: it was opened to be read only", ErrClosed)
	}
	path := a.blobPath(bid, ctSHA256)
	if err := durable.Mkdir(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := durable.NewFile(blobTemp(a.dir), path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Abort())
		}
	}()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, h), r); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(h.Sum(nil), ctSHA256[:]) != 1 {
		return fmt.Errorf("%w: an attachment has not the hash that its message states", ErrInvalid)
	}
	return f.Commit()
}

// HasBlob reports whether the archive holds the attachment, durably: a crash
// between a PutBlob's rename and its fsync of the folder leaves a file that a
// loss of power would still take away.
func (a *Archive) HasBlob(bid string, ctSHA256 [32]byte) (bool, error) {
	path := a.blobPath(bid, ctSHA256)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && !a.opts.ReadOnly {
		err = durable.SyncDir(filepath.Dir(path))
	}
	return err == nil, err
}

// OpenBlob opens an attachment's ciphertext: ErrNoBlob when it is not there.
func (a *Archive) OpenBlob(bid string, ctSHA256 [32]byte) (io.ReadCloser, error) {
	f, err := os.Open(a.blobPath(bid, ctSHA256))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoBlob
	}
	return f, err
}
