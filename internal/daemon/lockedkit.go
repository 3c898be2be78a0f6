package daemon

import (
	"context"

	"holdfast/archive"
	"holdfast/internal/api"
)

// kitAPI returns what the API needs to note another set of shares.
func (p *parts) kitAPI() api.KitParts {
	return api.KitParts{Kit: func(ctx context.Context, uid uint32, r api.NoteKitRequest) error {
		return p.noteKeeper(ctx, archive.KeeperBody{Version: 1, Op: archive.KeySplit, By: uid, Set: r.Set, Needed: r.Needed, Shares: r.Shares})
	}}
}
