package daemon

import (
	"context"
	"slices"

	"holdfast/archive/approval"
	"holdfast/archive/people"
	"holdfast/ingest"
	"holdfast/internal/role"
)

// newProvisioner makes what asks the relay to shut out whoever departed, if the
// site wants that.
func (p *parts) newProvisioner(o Options) error {
	p.tails = ingest.NewTails(p.archive)
	if !p.provision.On() || p.client == nil {
		return nil
	}
	var err error
	p.provisioner, err = ingest.NewProvisioner(ingest.ProvisionerOptions{
		Relay: p.client, Log: p.archive, Book: p.provisions, CatchUp: p.state.CatchUp, Plan: p.planProvision, Logger: o.Logger,
	})
	return err
}

// planProvision says what the relay is to be asked for as of the log's end.
func (p *parts) planProvision(ctx context.Context) ([]ingest.ProvisionDecision, error) {
	if err := p.caughtUp(ctx); err != nil {
		return nil, err
	}
	if p.holds != nil {
		if err := p.tails.CatchUp(ctx, p.archive.Size()); err != nil {
			return nil, err
		}
	}
	overridden, err := p.overridden(ctx)
	if err != nil {
		return nil, err
	}
	policy := ingest.ProvisionPolicy{Disable: p.provision.Disable, Revoke: p.provision.Revoke, Wipe: p.provision.Wipe}
	return ingest.PlanProvision(p.departed(), slices.Collect(p.state.Directory().Devices()), policy, p.held, p.tails.Tail, overridden), nil
}

// departed returns the relay users of whoever departed, with the entry that
// says so.
func (p *parts) departed() []ingest.Departed {
	var out []ingest.Departed
	for g := range p.history.Snapshot().Departed {
		var since uint64
		for _, v := range p.history.Versions(g) {
			if v.Op == people.OpDepart {
				since = v.Seq
			}
		}
		for _, usr := range p.history.Usrs(g) {
			// A relay user that was found to be somebody else's since is not shut out.
			if now, ok := p.history.PersonOf(usr); ok && now == g {
				out = append(out, ingest.Departed{Usr: usr, Since: since})
			}
		}
	}
	return out
}

// held reports whether a relay user's person is under hold. Whoever is nobody's
// might be anybody.
func (p *parts) held(usr string) bool {
	if p.holds == nil {
		return false
	}
	g, ok := p.history.PersonOf(usr)
	return !ok || p.holds.Held(g)
}

// overridden uses up what two people approved, and returns whether a request
// is among that.
func (p *parts) overridden(ctx context.Context) (func(id string) bool, error) {
	used := map[string]bool{}
	for _, r := range p.requests.Requests(approval.Filter{Act: approval.WipeOverride}) {
		if r.Status == approval.Approved {
			// A crash after this leaves an approval that is used and counts from now on: the wipe it is for is wanted by the next plan.
			if err := p.requests.Execute(ctx, p.archive, role.Daemon(), r.Seq, r.Act, r.Digest); err != nil {
				return nil, err
			}
			r.Status = approval.Executed
		}
		used[r.Digest] = used[r.Digest] || r.Status == approval.Executed
	}
	return func(id string) bool {
		request, ok := p.provisions.Get(id)
		return ok && used[request.OverrideDigest()]
	}, nil
}
