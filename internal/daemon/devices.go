package daemon

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"holdfast/archive"
	"holdfast/archive/approval"
	"holdfast/archive/state"
	"holdfast/internal/api"
	"holdfast/internal/role"
)

// devicesAPI implements api.Devices.
type devicesAPI struct{ *parts }

// Devices lists the relay's devices.
func (d devicesAPI) Devices(ctx context.Context) ([]api.Device, error) {
	if err := d.caughtUp(ctx); err != nil {
		return nil, err
	}
	var out []api.Device
	for _, v := range d.state.Devices() {
		out = append(out, d.deviceOf(v))
	}
	return out, nil
}

// deviceOf gives the name that the hospital's directory has, where the relay
// user is matched: the relay's own is a claim.
func (d devicesAPI) deviceOf(v state.Device) api.Device {
	out := api.Device{
		Kid: v.Kid, Fingerprint: v.Fingerprint, Usr: v.Usr, Dev: v.Dev, Name: v.Name,
		Assurance: string(v.Assurance), Revoked: v.Revoked, Added: v.Added,
	}
	if g, ok := d.history.PersonOf(v.Usr); ok {
		out.Person = string(g)
		if s, ok := d.history.Person(g, time.Time{}); ok {
			out.Name = nameOf(s.Person)
		}
	}
	if a := v.Approval; a != nil {
		out.Approved, out.By = timeOrNil(a.At), a.By.String()
	}
	return out
}

// Approve records that somebody compared a device's fingerprint.
func (d devicesAPI) Approve(ctx context.Context, who role.Principal, kid, reason string) (*api.Device, error) {
	if err := d.caughtUp(ctx); err != nil {
		return nil, err
	}
	cursor, _ := d.archive.Cursor()
	entry, err := d.state.ApproveDevice(kid, cursor, who, reason)
	switch {
	case errors.Is(err, state.ErrNoDevice):
		return nil, fmt.Errorf("%w: %w", api.ErrUnknown, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", api.ErrState, err)
	}
	if _, err := d.archive.Append(ctx, archive.Batch{Entries: []archive.Entry{entry}}); err != nil {
		return nil, err
	}
	if err := d.caughtUp(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	for _, v := range d.state.Devices() {
		if v.Kid == kid {
			out := d.deviceOf(v)
			return &out, nil
		}
	}
	return nil, api.ErrUnknown
}

// approvalsAPI implements api.Approvals.
type approvalsAPI struct{ *parts }

// Requests lists the open requests, or all, newest first.
func (a approvalsAPI) Requests(ctx context.Context, all bool) ([]api.ApprovalRequest, error) {
	if err := a.caughtUp(ctx); err != nil {
		return nil, err
	}
	var out []api.ApprovalRequest
	for _, r := range a.requests.Requests(approval.Filter{Open: !all}) {
		out = append(out, requestOf(r))
	}
	return out, nil
}

// Request returns one request.
func (a approvalsAPI) Request(ctx context.Context, seq uint64) (*api.ApprovalRequest, error) {
	if err := a.caughtUp(ctx); err != nil {
		return nil, err
	}
	r, err := a.requests.Request(seq)
	if err != nil {
		return nil, err
	}
	out := requestOf(r)
	return &out, nil
}

// Ask records a request.
func (a approvalsAPI) Ask(ctx context.Context, who role.Principal, ask api.Ask) (*api.ApprovalRequest, error) {
	seq, err := a.requests.Ask(ctx, a.archive, who, approval.Ask{Act: approval.Act(ask.Act), Digest: ask.Digest, Summary: ask.Summary, Reason: ask.Reason})
	if err != nil {
		return nil, err
	}
	return a.Request(ctx, seq)
}

// Decide approves or denies. A diff of the directory is approved where it is
// applied, too: by `directory approve`, which names it by its digest. One that
// does not wait any more can only be denied: nobody could have applied it.
func (a approvalsAPI) Decide(ctx context.Context, who role.Principal, seq uint64, approve bool, reason string) (*api.ApprovalRequest, error) {
	if approve {
		if err := a.stillWaits(ctx, seq); err != nil {
			return nil, err
		}
	}
	if err := a.requests.Decide(ctx, a.archive, who, seq, approve, reason); err != nil {
		return nil, err
	}
	out, err := a.Request(ctx, seq)
	if err == nil && out.Act == string(approval.WipeOverride) && a.provisioner != nil {
		a.provisioner.Wake()
	}
	return out, err
}

// stillWaits returns an error for an undecided request for a diff of the
// directory that is not the one that waits now.
func (a approvalsAPI) stillWaits(ctx context.Context, seq uint64) error {
	r, err := a.Request(ctx, seq)
	if err != nil {
		return err
	}
	if r.Act != string(approval.DirectoryDiff) || r.Status != string(approval.Pending) {
		return nil // the rules of requests say the rest
	}
	if a.syncer != nil {
		if w := a.syncer.PendingDiff(); w != nil && hex.EncodeToString(w.Digest[:]) == r.Digest {
			return nil
		}
	}
	return fmt.Errorf("%w: that diff does not wait any more; deny the request, and see `holdfast directory diff` for what waits", api.ErrState)
}

// Execute uses up an approval.
func (a approvalsAPI) Execute(ctx context.Context, who role.Principal, seq uint64, act, digest string) error {
	return a.requests.Execute(ctx, a.archive, who, seq, approval.Act(act), digest)
}

func requestOf(r approval.Request) api.ApprovalRequest {
	out := api.ApprovalRequest{
		Seq: r.Seq, Act: string(r.Act), Digest: r.Digest, Summary: r.Summary, By: r.By, Reason: r.Reason, At: r.At, Expires: r.Expires, Status: string(r.Status),
	}
	if d := r.Decision; d != nil {
		out.Decision = &api.Decision{Seq: d.Seq, By: d.By, At: d.At, Approve: d.Approve, Reason: d.Reason}
	}
	if x := r.Execution; x != nil {
		out.Executed = &api.Execution{Seq: x.Seq, By: x.By, At: x.At}
	}
	return out
}
