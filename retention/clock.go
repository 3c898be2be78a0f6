package retention

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// ClockState says whether disposition is frozen because the clock jumped.
type ClockState struct {
	Frozen   bool      `json:"frozen"`
	Since    uint64    `json:"since,omitempty"` // seq of the jump's entry; 0 while there is none
	Received time.Time `json:"received"`        // the log's time
	Wall     time.Time `json:"wall"`            // the machine's clock
}

// Clock says how the clock stands.
func (b *Book) Clock() ClockState {
	c := b.options.Log.Clock()
	return ClockState{Frozen: c.Suspect, Since: c.Since, Received: c.Received, Wall: c.Wall}
}

// ReleaseClock records that who looked at the clock and found it right:
// received time follows it again, and disposition is free. It returns
// archive.ErrClockSound when there is nothing to release.
func (b *Book) ReleaseClock(ctx context.Context, who role.Principal, reason string) error {
	if err := words("reason", reason); err != nil {
		return err
	}
	by, err := json.Marshal(who)
	if err != nil {
		return err
	}
	e, err := controlEntry(proof.KindClock, archive.ClockBody{Version: 1, Op: archive.ClockRelease, By: by, Reason: reason})
	if err != nil {
		return err
	}
	placed, err := b.options.Log.ReleaseClock(ctx, archive.Batch{Entries: []archive.Entry{e}})
	if err != nil {
		return fmt.Errorf("release the clock: %w", err)
	}
	return b.options.CatchUp(context.WithoutCancel(ctx), placed[len(placed)-1].Seq+1)
}
