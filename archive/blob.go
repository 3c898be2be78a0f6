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
	"sync"
	"time"

	"holdfast/internal/durable"
)

// blobName names an attachment's file: SHA-256("holdfast blob v1\0" ‖ bid ‖
// 0x00 ‖ SHA-256 of the ciphertext). The name is ours, whatever the relay calls
// it, and fetching again after a crash finds the same file.
type blobName [sha256.Size]byte

func newBlobName(bid string, ctSHA256 [32]byte) blobName {
	h := sha256.New()
	h.Write([]byte("holdfast blob v1\x00" + bid + "\x00"))
	h.Write(ctSHA256[:])
	return blobName(h.Sum(nil))
}

func (n blobName) path(dir string) string {
	name := hex.EncodeToString(n[:])
	return filepath.Join(dir, "blobs", name[:2], name)
}

func (a *Archive) blobPath(bid string, ctSHA256 [32]byte) string {
	return newBlobName(bid, ctSHA256).path(a.dir)
}

// blobClaims remembers which attachments somebody was lately told to be there,
// so that none is unlinked between that and the entry that refers to it.
type blobClaims struct {
	mu     sync.Mutex
	at     map[blobName]time.Time
	pruned time.Time
}

// claimLife is how long an attachment may be on its way into an entry.
const claimLife = time.Hour

// claim runs f, which looks for the attachment or puts it in place, while none
// is unlinked, and notes that its caller goes on to refer to it.
func (c *blobClaims) claim(name blobName, f func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := f()
	if err != nil {
		return err
	}
	now := time.Now()
	if now.Sub(c.pruned) > claimLife || c.at == nil {
		old := c.at
		c.at, c.pruned = map[blobName]time.Time{}, now
		for n, t := range old {
			if now.Sub(t) <= claimLife {
				c.at[n] = t
			}
		}
	}
	c.at[name] = now
	return nil
}

// claimed reports whether the attachment was claimed lately. c.mu is held.
func (c *blobClaims) claimed(name blobName) bool {
	t, known := c.at[name]
	return known && time.Since(t) <= claimLife
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
	return a.claims.claim(newBlobName(bid, ctSHA256), f.Commit)
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

// HasBlob reports whether the archive holds the attachment, durably, to who is
// about to append an entry that refers to it: no disposition unlinks it for an
// hour. A crash
// between a PutBlob's rename and its fsync of the folder leaves a file that a
// loss of power would still take away.
func (a *Archive) HasBlob(bid string, ctSHA256 [32]byte) (bool, error) {
	name := newBlobName(bid, ctSHA256)
	path := name.path(a.dir)
	err := a.claims.claim(name, func() error {
		_, err := os.Stat(path)
		return err
	})
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
	f, err := openRegular(a.blobPath(bid, ctSHA256), os.O_RDONLY, 0)
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
