package daemon

import (
	"context"
	"slices"

	"holdfast/archive"
	"holdfast/archive/approval"
	"holdfast/archive/people"
	"holdfast/ingest"
	"holdfast/internal/role"
)

// newProvisioner makes what asks the relay to shut out whoever departed, if the
// site wants that.
func (p *parts) newProvisioner(o Options) error {
	if !p.provision.On() || p.client == nil {
		return nil
	}
	p.tails = ingest.NewTails(p.archive)
	var err error
	p.provisioner, err = ingest.NewProvisioner(ingest.ProvisionerOptions{
		Relay: guarded{p}, Log: p.archive, Book: p.provisions, CatchUp: p.state.CatchUp,
		Plan: p.planProvision, Override: p.override, Metrics: p.ingestMetrics, Logger: o.Logger,
	})
	return err
}

// planProvision says what the relay is to be asked for as of the log's end.
func (p *parts) planProvision(ctx context.Context) ([]ingest.ProvisionDecision, error) {
	return p.planFor(ctx, func(string) bool { return true })
}

// planFor is planProvision for some relay users.
func (p *parts) planFor(ctx context.Context, of func(usr string) bool) ([]ingest.ProvisionDecision, error) {
	if err := p.caughtUp(ctx); err != nil {
		return nil, err
	}
	if p.provision.Wipe {
		if err := p.tails.CatchUp(ctx, p.archive.Size()); err != nil {
			return nil, err
		}
	}
	policy := ingest.ProvisionPolicy{Disable: p.provision.Disable, Revoke: p.provision.Revoke, Wipe: p.provision.Wipe}
	gone := slices.DeleteFunc(p.departed(), func(d ingest.Departed) bool { return !of(d.Usr) })
	return ingest.PlanProvision(gone, slices.Collect(p.state.Directory().Devices()), policy, p.held, p.tails.Tail, p.overridden), nil
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

// held reports whether a person is under hold whom a relay user is, or ever was:
// what the device has may be from then. Whoever is nobody's might be anybody that
// is.
func (p *parts) held(usr string) bool {
	if _, ok := p.history.PersonOf(usr); !ok {
		return p.book.Gauges().HoldsActive > 0
	}
	return slices.ContainsFunc(p.history.EverOf(usr), func(g people.GUID) bool { return p.book.HeldPerson(string(g)) })
}

// overridden reports whether two people let the wipe with that id go ahead.
func (p *parts) overridden(id string) bool {
	request, ok := p.provisions.Get(id)
	if !ok {
		return false
	}
	_, ok = p.overrideOf(request.ProvisionRequest)
	return ok
}

func (p *parts) overrideOf(r ingest.ProvisionRequest) (approval.Request, bool) {
	for _, a := range p.requests.Requests(approval.Filter{Act: approval.WipeOverride, Digest: r.OverrideDigest()}) {
		if a.Status == approval.Approved || a.Status == approval.Executed {
			return a, true
		}
	}
	return approval.Request{}, false
}

// override returns the entry that uses the approval of a wipe up.
func (p *parts) override(ctx context.Context, r ingest.ProvisionRequest) (archive.Entry, func(bool), error) {
	a, ok := p.overrideOf(r)
	if !ok {
		return archive.Entry{}, nil, approval.ErrNotApproved
	}
	entry, done, err := p.requests.Executing(ctx, p.archive, role.Daemon(), a.Seq, a.Act, a.Digest)
	if err != nil {
		return archive.Entry{}, nil, err
	}
	return entry, func(appended bool) {
		if appended {
			done(nil)
			return
		}
		done(archive.ErrFailed) // whether it is in the log shows by the log's next entry
	}, nil
}
