package ingest

import (
	"container/heap"
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// run fetches what is pending until ctx ends.
func (b *blobFetcher) run(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	for range blobConnections {
		g.Go(func() error { return b.work(running) })
	}
	return g.Wait()
}

func (b *blobFetcher) work(ctx context.Context) error {
	for {
		if _, err := b.c.o.Gate.wait(ctx); err != nil {
			return err
		}
		p, wait := b.take(time.Now())
		if p != nil {
			b.attempt(ctx, p)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-b.wake:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// take returns the attachment that has been due for longest, or how long until one is.
func (b *blobFetcher) take(now time.Time) (*pendingBlob, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return nil, time.Hour // something pending wakes the worker earlier
	}
	if wait := b.queue[0].due.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&b.queue).(*pendingBlob), 0
}

// attempt tries one attachment once and either ends it or puts it back.
func (b *blobFetcher) attempt(ctx context.Context, p *pendingBlob) {
	err := b.fetch(ctx, &p.blobJob)
	status := b.judge(p, err)
	if status != archive.BlobPending {
		batch := archive.Batch{Entries: []archive.Entry{control(proof.KindBlob, p.body(status))}}
		told := false
		if status != archive.BlobStored {
			var alarm archive.Entry
			if alarm, told = b.c.alarms.onceInBatch(AlarmBlobLost, "", p.facts(status)); told {
				batch.Entries = append(batch.Entries, alarm)
			}
		}
		_, err = b.c.o.Log.Append(ctx, batch)
		if err == nil {
			b.ended(status)
			if told {
				b.c.alarms.told(AlarmBlobLost, "")
			}
			b.mu.Lock()
			delete(b.pending, p.key)
			b.mu.Unlock()
			return
		}
		// A crash here, or an append that failed, leaves the blob in the store and the log saying pending: the next attempt finds it there.
	}
	b.c.logFailed(ctx, err)
	b.c.o.Logger.Info("an attachment is still pending", "class", classOf(err))
	b.mu.Lock()
	defer b.mu.Unlock()
	p.due = time.Now().Add(p.pause.pause(err))
	b.push(p)
}

// judge says what an attempt makes of a pending attachment.
func (b *blobFetcher) judge(p *pendingBlob, err error) string {
	now := time.Now()
	class := classOf(err)
	if class != classNotFound {
		p.missing = time.Time{}
	}
	if !errors.Is(err, errBlobCorrupt) {
		p.corrupt = 0
	}
	switch {
	case err == nil:
		return archive.BlobStored
	case class == classGone:
		return archive.BlobMissing
	case class == classNotFound:
		if p.missing.IsZero() {
			p.missing = now
		}
		if now.Sub(p.missing) >= b.c.o.BlobGrace {
			return archive.BlobMissing
		}
	case errors.Is(err, errBlobCorrupt):
		if p.corrupt++; p.corrupt >= corruptTries {
			return archive.BlobCorrupt
		}
	}
	// A full disk or a failing log is no fault of the relay's.
	if class != classDiskFull && class != classLog && now.Sub(p.since) >= b.c.o.BlobGiveUp {
		return archive.BlobMissing
	}
	return archive.BlobPending
}
