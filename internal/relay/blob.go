package relay

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/durable"
)

// MaxBlob is the largest sealed attachment that the reference relay takes, in bytes.
const MaxBlob = 1 << 30

const blobDir = "blobs"

// PutBlob stores a sealed attachment, durable once it returns. The same bytes again are a success; other bytes under the same bid are
// refused, since a reader may already have begun to fetch the first.
func (r *Relay) PutBlob(bid string, src io.Reader) error {
	if !envelope.ValidID16(bid) {
		return problem(400, wire.CodeBadRequest, "a bid is 16 bytes in base64url")
	}
	// Each upload has its own temporary file, so that two of one blob cannot mix.
	temp, err := os.CreateTemp(filepath.Join(r.dir, blobDir), "upload-*")
	if err != nil {
		return fmt.Errorf("store a blob: %w", err)
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(temp, sum), io.LimitReader(src, MaxBlob+1))
	if err == nil && n > MaxBlob {
		err = problem(413, wire.CodeTooLarge, "a blob is larger than 1 GiB")
	}
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	err = r.queue.recordBlob(bid, sum.Sum(nil), func() error {
		return durable.Publish(temp.Name(), filepath.Join(r.dir, blobDir, bid))
	})
	if err != nil {
		return errors.Join(err, removed(temp.Name()))
	}
	return removed(temp.Name())
}

// removed unlinks a temporary file that may have been published already.
func removed(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// recordBlob publishes a blob's file and then records its hash. A crash between the two leaves a file without a record, which the next
// upload of that blob replaces; a record without its file cannot be.
func (q *queue) recordBlob(bid string, sum []byte, publish func() error) error {
	return q.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketBlobs)
		if old := b.Get([]byte(bid)); old != nil {
			if !bytes.Equal(old, sum) {
				return problem(409, wire.CodeBadRequest, "this bid is taken by other bytes")
			}
			return nil
		}
		if err := publish(); err != nil {
			return err
		}
		return b.Put([]byte(bid), sum)
	})
}

// blobSum returns the SHA-256 of a blob, or a 404 problem.
func (q *queue) blobSum(bid string) ([]byte, error) {
	var sum []byte
	err := q.db.View(func(tx *bolt.Tx) error {
		sum = bytes.Clone(tx.Bucket(bucketBlobs).Get([]byte(bid)))
		if sum == nil {
			return problem(404, wire.CodeNotFound, "no such blob")
		}
		return nil
	})
	return sum, err
}

func (r *Relay) serveBlob(w http.ResponseWriter, req *http.Request) error {
	bid := req.PathValue("bid")
	if !envelope.ValidID16(bid) || r.faults.blob(faultBlobMissing, bid) {
		return problem(404, wire.CodeNotFound, "no such blob")
	}
	sum, err := r.queue.blobSum(bid)
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(r.dir, blobDir, bid)) // #nosec G304 -- bid is 22 characters of base64url
	if err != nil {
		return fmt.Errorf("a recorded blob cannot be opened: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	content := io.ReadSeeker(f)
	if r.faults.blob(faultBlobCorrupt, bid) {
		content = &corruptReader{ReadSeeker: f, at: info.Size() / 2}
	}
	if r.faults.blob(faultBlobStall, bid) {
		w = &stallWriter{ResponseWriter: w, left: info.Size() / 2, stop: r.stop, gone: req.Context().Done()}
	}
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum)+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	http.ServeContent(w, req, "", time.Time{}, content)
	return nil
}

func (r *Relay) servePutBlob(w http.ResponseWriter, req *http.Request) error {
	if err := r.PutBlob(req.PathValue("bid"), req.Body); err != nil {
		return err
	}
	return writeJSON(w, struct{}{})
}

// corruptReader changes the byte at one offset.
type corruptReader struct {
	io.ReadSeeker
	at  int64
	pos int64
}

func (c *corruptReader) Seek(offset int64, whence int) (int64, error) {
	pos, err := c.ReadSeeker.Seek(offset, whence)
	c.pos = pos
	return pos, err
}

func (c *corruptReader) Read(p []byte) (int, error) {
	n, err := c.ReadSeeker.Read(p)
	if i := c.at - c.pos; i >= 0 && i < int64(n) {
		p[i] ^= 1
	}
	c.pos += int64(n)
	return n, err
}

// stallWriter stops after a number of bytes until the reader is gone or the relay stops.
type stallWriter struct {
	http.ResponseWriter
	left int64
	stop <-chan struct{}
	gone <-chan struct{}
}

var errStalled = errors.New("the transfer was stalled by an injected fault")

func (s *stallWriter) Write(p []byte) (int, error) {
	if int64(len(p)) <= s.left {
		s.left -= int64(len(p))
		return s.ResponseWriter.Write(p)
	}
	n, err := s.ResponseWriter.Write(p[:s.left])
	s.left -= int64(n)
	if err == nil {
		err = http.NewResponseController(s.ResponseWriter).Flush()
	}
	if err != nil {
		return n, err
	}
	select {
	case <-s.stop:
	case <-s.gone:
	}
	return n, errStalled
}
