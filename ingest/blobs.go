package ingest

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// blobFetcher brings attachments in: while their page waits for them, and afterwards in the background.
type blobFetcher struct {
	c    *Client
	wake chan struct{} // capacity 1

	mu      sync.Mutex
	pending map[blobKey]*pendingBlob
	queue   dueQueue // those of pending that no worker has taken
	stalled bool     // the last page that waited, waited in vain
}

// pendingBlob is owned by the background while it is taken.
type pendingBlob struct {
	blobJob
	since   time.Time // from when on it is pending
	due     time.Time // of the next attempt
	pause   backoff
	missing time.Time // when the relay first said 404, zero after any other answer
	corrupt int       // wrong blobs in a row
}

const (
	blobConnections = 2 // of the background, and of a page that waits
	corruptTries    = 3
	messageReach    = 4096 // leaves before a KindBlob entry among which its message stands
	blobPauseMin    = 10   // times BackoffMin
	blobPauseMax    = 10   // times BackoffMax
)

func newBlobFetcher(c *Client) *blobFetcher {
	return &blobFetcher{c: c, wake: make(chan struct{}, 1), pending: map[blobKey]*pendingBlob{}}
}

// inline fetches the attachments of a page's messages within the deadline and returns each one's state. After a page that waited in vain
// the next do not wait at all until an attachment comes again: stalled blobs must not slow the stream page by page.
func (b *blobFetcher) inline(ctx context.Context, outcomes []outcome) map[blobKey]string {
	states := map[blobKey]string{}
	var jobs []*blobJob
	for i := range outcomes {
		for j := range outcomes[i].blobs {
			job := &outcomes[i].blobs[j]
			states[job.key] = archive.BlobPending
			jobs = append(jobs, job)
		}
	}
	if len(jobs) == 0 {
		return states
	}
	deadline := b.c.o.BlobDeadline
	if b.isStalled() {
		deadline = -1
	}
	waiting, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(blobConnections)
	for _, job := range jobs {
		g.Go(func() error {
			state := b.settle(waiting, job)
			mu.Lock()
			defer mu.Unlock()
			states[job.key] = state
			return nil
		})
	}
	// The workers report through states; none returns an error.
	_ = g.Wait()
	if deadline > 0 {
		b.setStalled(errors.Is(waiting.Err(), context.DeadlineExceeded))
	}
	return states
}

// settle tries once and returns the attachment's state. Only what the relay says to be gone is settled at the first attempt: a message
// may overtake its attachment.
func (b *blobFetcher) settle(ctx context.Context, job *blobJob) string {
	err := b.fetch(ctx, job)
	switch {
	case err == nil:
		b.ended(archive.BlobStored)
		return archive.BlobStored
	case classOf(err) == classGone:
		b.ended(archive.BlobMissing)
		return archive.BlobMissing
	}
	return archive.BlobPending
}

func (b *blobFetcher) isStalled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stalled
}

func (b *blobFetcher) setStalled(stalled bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stalled = stalled
}

// ended counts an attachment that has come to its end state.
func (b *blobFetcher) ended(status string) {
	b.c.o.Metrics.blobs.WithLabelValues(status).Inc()
	if status == archive.BlobStored {
		b.setStalled(false)
		b.c.alarms.clear(AlarmBlobLost, "")
	}
}

// add hands attachments over to the background. What is pending already stays as it is.
func (b *blobFetcher) add(jobs ...blobJob) {
	for _, job := range jobs {
		b.enqueue(job, time.Now())
	}
}

func (b *blobFetcher) enqueue(job blobJob, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending[job.key] != nil {
		return
	}
	o := &b.c.o
	p := &pendingBlob{
		blobJob: job, since: since, due: time.Now(),
		pause: backoff{low: blobPauseMin * o.BackoffMin, high: blobPauseMax * o.BackoffMax},
	}
	b.pending[job.key] = p
	b.push(p)
}

// push runs with mu held.
func (b *blobFetcher) push(p *pendingBlob) {
	heap.Push(&b.queue, p)
	select {
	case b.wake <- struct{}{}: // a worker may be asleep for longer than until p is due
	default:
	}
}

// dueQueue is a heap: what has been due for longest comes first.
type dueQueue []*pendingBlob

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q dueQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push and Pop serve package container/heap alone.
func (q *dueQueue) Push(x any) { *q = append(*q, x.(*pendingBlob)) }

// Pop removes the last.
func (q *dueQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// resume takes up what the log says is pending. Which bytes are awaited is written in the message alone, so that is read back. An attachment
// whose message cannot be read stays pending and is told of: one damaged entry must not stop the stream.
func (b *blobFetcher) resume(ctx context.Context) error {
	pending, err := b.c.o.State.PendingBlobs(ctx)
	if err != nil {
		return fmt.Errorf("pending attachments: %w", err)
	}
	unread := unreadable{what: "attachments"}
	for _, p := range pending {
		job, err := b.readBack(ctx, p)
		if errors.Is(err, archive.ErrDisposed) {
			continue // and the attachment's key with it
		}
		if fatal(ctx, err) {
			return fmt.Errorf("pending attachment of relay seq %d: %w", p.RelaySeq, err)
		}
		if err != nil {
			unread.add(p.Seq, err)
			continue
		}
		b.enqueue(job, p.Since)
	}
	b.c.tell(ctx, &unread)
	return nil
}

func (b *blobFetcher) readBack(ctx context.Context, p PendingBlob) (blobJob, error) {
	log := b.c.o.Log
	for leaf, err := range log.Scan(ctx, p.Seq-min(p.Seq, messageReach), p.Seq) {
		if err != nil {
			return blobJob{}, err
		}
		if leaf.RelaySeq != p.RelaySeq || leaf.Epoch != p.Epoch {
			continue
		}
		rec, err := log.Record(ctx, leaf.Seq)
		if err != nil {
			return blobJob{}, err
		}
		if rec.Leaf.Kind == proof.KindRedelivery {
			var of archive.RedeliveryBody
			if err := ijson.Unmarshal(rec.Body, &of); err != nil {
				return blobJob{}, err
			}
			if rec, err = log.Record(ctx, of.Of); err != nil {
				return blobJob{}, err
			}
		}
		return jobIn(rec.Body, p)
	}
	return blobJob{}, fmt.Errorf("its message is not in the log: %w", archive.ErrNotFound)
}

// jobIn finds a pending attachment in its message.
func jobIn(message []byte, p PendingBlob) (blobJob, error) {
	c, err := jws.Parse(message, envelope.TypMessage)
	if err != nil {
		return blobJob{}, err
	}
	payload, err := envelope.ParsePayload(c.Payload)
	if err != nil {
		return blobJob{}, err
	}
	for i := range payload.Att {
		if payload.Att[i].BID == p.BID {
			return newBlobJob(p.Epoch, p.RelaySeq, &payload.Att[i])
		}
	}
	return blobJob{}, fmt.Errorf("its message does not name it: %w", archive.ErrNotFound)
}
