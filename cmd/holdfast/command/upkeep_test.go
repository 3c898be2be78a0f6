package command

import (
	"context"

	"holdfast/internal/api"
	"holdfast/internal/role"
)

// caretaker pauses ingest of a house that has no way out for its alarms.
type caretaker struct{ *house }

func (c caretaker) Paused(context.Context) (*api.PauseResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := &api.PauseResponse{Paused: c.paused, Relay: true}
	if c.paused {
		out.Entry, out.Since, out.Reasons = 9, &received, []string{"paused"}
	}
	return out, nil
}

func (c caretaker) Pause(_ context.Context, _ role.Principal, paused bool, _ string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = paused
	return nil
}

func (caretaker) TestNotices(context.Context) ([]api.NoticeResult, error) { return nil, nil }
