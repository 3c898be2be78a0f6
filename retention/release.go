package retention

import (
	"context"

	"holdfast/internal/role"
	"holdfast/retention/hold"
)

// PreviewRelease says what the release of a hold would let go, but for what
// keep would go on holding.
func (b *Book) PreviewRelease(ctx context.Context, seq uint64, keep *hold.Scope) (*Preview, error) {
	return nil, nil
}

// AskRelease asks for the release of a hold, or for its narrowing to keep.
func (b *Book) AskRelease(ctx context.Context, who role.Principal, seq uint64, keep *hold.Scope, reason string) (request uint64, p *Preview, err error) {
	return 0, nil, nil
}

// ReleaseHold does what was asked for and approved.
func (b *Book) ReleaseHold(ctx context.Context, who role.Principal, request uint64) (*Hold, error) {
	return nil, nil
}

// CancelRelease takes back a release in its grace period.
func (b *Book) CancelRelease(ctx context.Context, who role.Principal, seq uint64, reason string) (*Hold, error) {
	return nil, nil
}
