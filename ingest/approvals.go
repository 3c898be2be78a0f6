package ingest

import (
	"context"

	"holdfast/ingest/envelope"
)

// approvals follows people's approvals of devices for one session, whose directory is ahead of the log by the pages in flight. Only the
// opener's goroutine uses it once the session runs.
type approvals struct {
	c *Client
	n int // how many were seen
}

// next returns those that were not seen yet.
func (a *approvals) next(ctx context.Context) ([]envelope.Approval, error) {
	if a.c.o.Approvals == nil {
		return nil, nil
	}
	given, err := a.c.o.Approvals(ctx, a.n)
	a.n += len(given)
	return given, err
}

// since returns those that were not seen yet. While they cannot be read, messages stay relay-asserted, which claims less than is known, and
// ingest goes on.
func (a *approvals) since(ctx context.Context) []envelope.Approval {
	given, err := a.next(ctx)
	if err != nil && ctx.Err() == nil {
		a.c.o.Logger.Warn("approvals of devices cannot be read; messages stay relay-asserted until they can", "class", classOf(err))
	}
	return given
}
