package ingest

import (
	"context"
	"errors"

	"holdfast/archive"
)

// fatal reports whether an error of reading one entry back is one of reading any: the client is ending, or the log is closed or must be
// reopened. What else goes wrong with one entry is that entry's own.
func fatal(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, archive.ErrClosed) || errors.Is(err, archive.ErrFailed))
}

// unreadable collects the entries that could not be read back for one purpose. They are told of together: a damaged file holds thousands.
type unreadable struct {
	what  string // what they were needed for
	count uint64
	first uint64 // seq of the lowest
	class string // of its failure
}

func (u *unreadable) add(seq uint64, err error) {
	if u.count == 0 || seq < u.first {
		u.first, u.class = seq, classOf(err)
	}
	u.count++
}

// tell raises the alarm for entries that could not be read back; again only when they are others than before.
func (c *Client) tell(ctx context.Context, u *unreadable) {
	if u.count == 0 {
		return
	}
	c.alarms.raise(ctx, AlarmBacklogDamaged, u.what+"/"+decimal(u.first)+"/"+decimal(u.count), map[string]string{
		"needed_for": u.what, "entries": decimal(u.count), "first_entry": decimal(u.first), "class": u.class})
}

// logFailed raises the alarm for a failure of the log's that holds ingest up. A write that failed has an alarm of its own, once the log has
// been reopened; a log that was closed takes none.
func (c *Client) logFailed(ctx context.Context, err error) {
	if ctx.Err() != nil || classOf(err) != classLog || errors.Is(err, archive.ErrFailed) || errors.Is(err, archive.ErrClosed) {
		return
	}
	c.alarms.raise(ctx, AlarmLogFailing, "", nil)
}
