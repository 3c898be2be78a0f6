package ingest

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"holdfast/ingest/wire"
)

// backoff is a row of growing pauses. Each is drawn between half of its length and all of it, so that many archives that lost the same
// relay do not come back at the same instant.
type backoff struct {
	low, high time.Duration
	next      time.Duration
}

func (c *Client) newBackoff() *backoff { return &backoff{low: c.o.BackoffMin, high: c.o.BackoffMax} }

// pause returns the next pause. A relay that said when to come back is not asked earlier.
func (b *backoff) pause(err error) time.Duration {
	b.next = min(max(2*b.next, b.low), b.high)
	d := b.next/2 + rand.N(b.next/2+1) // #nosec G404 -- jitter is no secret
	var p *wire.Problem
	if errors.As(err, &p) {
		d = max(d, p.RetryAfter)
	}
	return d
}

func (b *backoff) reset() { b.next = 0 }

// sleep waits for d, or less when ctx ends first; then it returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
