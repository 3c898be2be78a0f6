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
	if !a.Room() {
		return ErrDiskFull
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
	if _, err := io.Copy(io.MultiWriter(f, h, &roomGuard{archive: a}), r); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(h.Sum(nil), ctSHA256[:]) != 1 {
		return fmt.Errorf("%w: an attachment has not the hash that its message states", ErrInvalid)
	}
	return f.Commit()
}

// roomGuard ends the fetching of an attachment, however large it is, when the
// disk comes to its low-water mark: what is below belongs to entries.
type roomGuard struct {
	archive *Archive
	written int
}

// Write counts, and looks at the disk once in each margin's worth of bytes.
func (g *roomGuard) Write(b []byte) (int, error) {
	if g.written += len(b); g.written >= margin {
		g.written = 0
		if !g.archive.Room() {
			return 0, ErrDiskFull
		}
	}
	return len(b), nil
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

// OpenBlob opens an attachment's ciphertext: ErrNoBlob when it is not there,
// ErrDamaged when it is not what its message states.
func (a *Archive) OpenBlob(bid string, ctSHA256 [32]byte) (io.ReadCloser, error) {
	f, err := os.Open(a.blobPath(bid, ctSHA256))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoBlob
	}
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err == nil && subtle.ConstantTimeCompare(h.Sum(nil), ctSHA256[:]) != 1 {
		err = fmt.Errorf("%w: an attachment has not the hash that its message states", ErrDamaged)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
