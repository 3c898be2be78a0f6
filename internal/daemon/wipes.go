package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/archive/approval"
	"holdfast/ingest"
	"holdfast/ingest/wire"
	"holdfast/internal/api"
	"holdfast/internal/role"
	"holdfast/retention"
	"holdfast/retention/hold"
)

// wipesAPI implements api.Wipes.
type wipesAPI struct{ *parts }

// Wipes lists the wipes of departed people's devices.
func (w wipesAPI) Wipes(ctx context.Context) ([]api.Wipe, error) {
	if err := w.caughtUp(ctx); err != nil {
		return nil, err
	}
	var out []api.Wipe
	for _, p := range w.provisions.List() {
		if p.Op == wire.OpDeviceWipe {
			out = append(out, w.wipeOf(p))
		}
	}
	return out, nil
}

// Wipe returns one of them.
func (w wipesAPI) Wipe(ctx context.Context, id string) (*api.Wipe, error) {
	if err := w.caughtUp(ctx); err != nil {
		return nil, err
	}
	p, ok := w.provisions.Get(id)
	if !ok || p.Op != wire.OpDeviceWipe {
		return nil, api.ErrUnknown
	}
	out := w.wipeOf(p)
	return &out, nil
}

// holdCodes are those by which a hold stops a wipe.
var holdCodes = []string{ingest.CodeTailUnknown, ingest.CodeTailGap, ingest.CodeTailOpen, ingest.CodeTailQuarantine}

func (w wipesAPI) wipeOf(p ingest.Provision) api.Wipe {
	held := slices.Contains(holdCodes, p.Code)
	out := api.Wipe{
		ID: p.ID, Usr: p.Usr, Dev: p.Dev, Kid: p.Kid, State: string(p.State), Code: p.Code, Seq: p.Seq, At: p.At,
		Stopped: held && p.State == ingest.ProvisionRefused, Told: held || p.Code == ingest.CodeOverridden, Digest: p.OverrideDigest(),
	}
	if g, ok := w.history.PersonOf(p.Usr); ok {
		out.Person = string(g)
		if s, ok := w.history.Person(g, time.Time{}); ok {
			out.Name = nameOf(s.Person)
		}
	}
	for _, r := range w.requests.Requests(approval.Filter{Open: true, Act: approval.WipeOverride, Digest: out.Digest}) {
		out.Request = r.Seq
	}
	return out
}

// holds are the Book's. What the relay is asked for follows them at once.
type holds struct {
	*retention.Book
	parts *parts
}

// PlaceHold places a hold, durable when it returns.
func (h holds) PlaceHold(ctx context.Context, who role.Principal, n retention.NewHold) (*retention.Hold, error) {
	defer h.wake()
	return h.Book.PlaceHold(ctx, who, n)
}

// WidenHold adds a scope to one.
func (h holds) WidenHold(ctx context.Context, who role.Principal, seq uint64, s hold.Scope, reason string) (*retention.Hold, error) {
	defer h.wake()
	return h.Book.WidenHold(ctx, who, seq, s, reason)
}

// ReleaseHold does an approved release.
func (h holds) ReleaseHold(ctx context.Context, who role.Principal, request uint64) (*retention.Hold, error) {
	defer h.wake()
	return h.Book.ReleaseHold(ctx, who, request)
}

func (h holds) wake() {
	if h.parts.provisioner != nil {
		h.parts.provisioner.Wake()
	}
}

// errStopped says that a hold was placed after a wipe was planned.
var errStopped = errors.New("a hold stops it since it was planned")

// guarded asks the relay for a wipe only when it is still to be asked for: since
// the plan was made, a hold may have been placed.
type guarded struct{ *parts }

// Provision asks the relay for one thing.
func (g guarded) Provision(ctx context.Context, r ingest.ProvisionRequest) error {
	if r.Op == wire.OpDeviceWipe {
		plan, err := g.planFor(ctx, func(usr string) bool { return usr == r.Usr })
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(plan, func(d ingest.ProvisionDecision) bool { return d.ID == r.ID && d.State == ingest.ProvisionWanted }) {
			return fmt.Errorf("wipe %s: %w", r.ID, errStopped)
		}
	}
	return g.client.Provision(ctx, r)
}
