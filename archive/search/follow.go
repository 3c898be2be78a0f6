package search

import (
	"context"
	"errors"
	"time"

	"holdfast/archive/query"
)

const (
	// A batch also ends when its texts come to this, so that long messages do
	// not need more memory than short ones.
	maxBatchBytes = 8 << 20

	roomRetry  = 5 * time.Second
	minBackoff = time.Second
	maxBackoff = time.Minute
)

// Follow keeps the index up with the log until ctx is done; it returns ctx's
// error. A failure is logged and tried again: ingest does not wait for the
// index, and searches scan or count what it lacks.
func (x *Index) Follow(ctx context.Context) error {
	backoff := minBackoff
	for {
		// The index is derived: the last free space belongs to entries that are not.
		if x.opts.Room != nil && !x.opts.Room() {
			if err := pause(ctx, roomRetry); err != nil {
				return err
			}
			continue
		}
		size := x.src.Size()
		more, err := x.step(ctx, size)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			x.opts.Log.Warn("search index: batch failed, will try again", "error", err, "after", backoff)
			if err := pause(ctx, backoff); err != nil {
				return err
			}
			backoff = min(2*backoff, maxBackoff)
			continue
		}
		backoff = minBackoff
		if more {
			continue
		}
		if err := x.waitGrown(ctx, size); err != nil {
			return err
		}
		if x.opts.Linger > 0 {
			// One batch for what a minute's quiet ward sends, not one for each
			// message; a search finds them meanwhile by scanning.
			if err := pause(ctx, x.opts.Linger); err != nil {
				return err
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// step indexes one batch of the newest log file that lacks something, and says
// whether there was one. The newest comes first, so that rebuilding old files
// does not make the unindexed tail grow.
func (x *Index) step(ctx context.Context, size uint64) (more bool, err error) {
	for file := x.files(size); file > 0; file-- {
		p, err := x.part(ctx, file-1)
		if err != nil {
			return false, err
		}
		if err := p.open(ctx, size); err != nil {
			return false, err
		}
		_, end := x.span(file-1, size)
		if from := p.through(); from < end {
			return true, x.batch(ctx, p, from, end)
		}
	}
	return false, nil
}

// batch indexes the next entries of [from,to) into p.
func (x *Index) batch(ctx context.Context, p *part, from, to uint64) error {
	docs := make([]query.Doc, 0, min(uint64(x.opts.BatchDocs), to-from))
	through, bytes := to, 0
	for doc, err := range x.src.Docs(ctx, from, to) {
		if err != nil {
			return err
		}
		if len(docs) == x.opts.BatchDocs || bytes > maxBatchBytes {
			through = doc.Seq
			break
		}
		docs = append(docs, doc)
		bytes += len(doc.Text)
		for i := range doc.Files {
			bytes += len(doc.Files[i].Text)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := p.write(docs, through)
	if errors.Is(err, errGone) {
		return nil // what was collected is out of date; it is begun anew
	}
	if err != nil {
		return errors.Join(err, p.reset())
	}
	return nil
}
