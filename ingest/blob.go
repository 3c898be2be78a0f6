package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"holdfast/archive"
	"holdfast/ingest/envelope"
)

// errBlobCorrupt says that the relay gave the whole of a blob and that it is not the one that its message names.
var errBlobCorrupt = errors.New("the blob is not the one that its message names")

// errBlobSlow says that an attempt took longer than a blob of that size may.
var errBlobSlow = errors.New("the relay gives the blob too slowly")

// blobKey names an attachment by its message's place in the relay's stream.
type blobKey struct {
	epoch    string
	relaySeq uint64
	bid      string
}

// blobJob is what fetching an attachment takes.
type blobJob struct {
	key  blobKey
	sum  [32]byte // SHA-256 of the ciphertext
	size int64    // of the ciphertext, bytes
}

func newBlobJob(epoch string, relaySeq uint64, a *envelope.Attachment) (blobJob, error) {
	sum, err := a.Sum()
	if err != nil {
		return blobJob{}, err
	}
	return blobJob{key: blobKey{epoch, relaySeq, a.BID}, sum: sum, size: envelope.SealedSize(a.Size)}, nil
}

// facts are what an alarm says of an attachment.
func (j *blobJob) facts(status string) map[string]string {
	return map[string]string{"epoch": j.key.epoch, "relay_seq": decimal(j.key.relaySeq), "blob": j.key.bid, "status": status}
}

// patience is how long one attempt may take. Without it a relay that sends a byte now and then would hold a fetcher for as long as it likes:
// no such connection is ever silent for long.
func (j *blobJob) patience() time.Duration {
	return blobPatience + min(time.Duration(min(j.size/leastBlobSpeed, 1<<20))*time.Second, mostBlobTime)
}

func (j *blobJob) body(status string) archive.BlobBody {
	return archive.BlobBody{Epoch: j.key.epoch, RelaySeq: j.key.relaySeq, BID: j.key.bid, Status: status}
}

// fetch brings one attachment in; it is durable once fetch returns nil.
func (b *blobFetcher) fetch(ctx context.Context, job *blobJob) error {
	have, err := b.c.o.Blobs.HasBlob(job.key.bid, job.sum)
	if have || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, job.patience(), errBlobSlow)
	defer cancel()
	r := &blobReader{ctx: ctx, relay: b.c.relay, pause: b.c.newBackoff(), job: job}
	defer r.close()
	err = b.c.o.Blobs.PutBlob(ctx, job.key.bid, job.sum, r)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, archive.ErrInvalid):
		err = errBlobCorrupt
	case errors.Is(context.Cause(ctx), errBlobSlow):
		err = errBlobSlow
	}
	return fmt.Errorf("fetch an attachment: %w", err)
}

// blobReader reads a blob's ciphertext, taking it up again with Range where the connection broke. It stops at a byte more than the size
// that the message names; whether these are the right bytes, and all, is the store's to check, by their hash.
type blobReader struct {
	ctx   context.Context // of one fetch; a reader has no other way to get it
	relay remote
	pause *backoff
	job   *blobJob

	part  io.ReadCloser // nil between connections
	etag  string
	at    int64 // bytes read
	tries int   // connections in a row that gave nothing
}

const maxTries = 4

func (r *blobReader) Read(p []byte) (int, error) {
	for {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		if r.part == nil {
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		// One byte more than there should be is asked for, so that a blob that is too long shows.
		n, err := r.part.Read(p[:min(int64(len(p)), r.job.size-r.at+1)])
		r.at += int64(n)
		if n > 0 {
			r.tries = 0
		}
		switch {
		case r.at > r.job.size:
			return 0, errBlobCorrupt
		case errors.Is(err, io.EOF):
			return n, io.EOF
		case err != nil:
			r.close()
			if n == 0 {
				if err := r.again(err); err != nil {
					return 0, err
				}
				continue
			}
		}
		return n, nil
	}
}

// open connects for what is still to come.
func (r *blobReader) open() error {
	for {
		part, err := r.relay.blob(r.ctx, r.job.key.bid, r.at, r.etag)
		if err == nil {
			if part.offset != r.at || r.at > 0 && part.etag != r.etag {
				// Without the same strong ETag the rest of this blob cannot be joined to its beginning.
				_ = part.body.Close()
				return fmt.Errorf("the relay does not resume the blob at byte %d", r.at)
			}
			r.part, r.etag = part.body, part.etag
			return nil
		}
		switch classOf(err) {
		case classNotFound, classGone, classRefused:
			return err
		}
		if err := r.again(err); err != nil {
			return err
		}
	}
}

// again waits before the next connection, or gives up with the last one's error.
func (r *blobReader) again(err error) error {
	if r.tries++; r.tries >= maxTries || r.ctx.Err() != nil {
		return err
	}
	if r.at > 0 && r.etag == "" {
		return err
	}
	return sleep(r.ctx, r.pause.pause(err))
}

func (r *blobReader) close() {
	if r.part != nil {
		_ = r.part.Close()
		r.part = nil
	}
}
