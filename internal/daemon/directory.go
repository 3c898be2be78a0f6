package daemon

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"holdfast/archive"
	"holdfast/archive/approval"
	"holdfast/archive/people"
	"holdfast/internal/api"
	"holdfast/internal/role"
	"holdfast/ldapsync"
)

// askAgain is how long a pending diff that somebody denied is not asked for
// again.
const askAgain = 24 * time.Hour

// askForDiff asks for the approval of a diff that the rails refused. It is the
// syncer's Pending.
func (p *parts) askForDiff(ctx context.Context, d *ldapsync.Pending) error {
	if err := p.caughtUp(ctx); err != nil {
		return err
	}
	digest := hex.EncodeToString(d.Digest[:])
	for _, r := range p.requests.Requests(approval.Filter{Act: approval.DirectoryDiff, Digest: digest}) {
		if r.Status == approval.Denied && time.Since(r.At) < askAgain {
			d.Request = r.Seq
			return nil
		}
	}
	n := people.Count(d.Changes)
	seq, err := p.requests.Ask(ctx, p.archive, role.Daemon(), approval.Ask{
		Act: approval.DirectoryDiff, Digest: digest, Reason: "the rails refused it",
		Summary: fmt.Sprintf("people: %d added, %d changed, %d departed, %d returned; groups: %d added, %d changed, %d removed",
			n.Added, n.Changed, n.Departed, n.Returned, n.GroupsAdded, n.GroupsChanged, n.GroupsRemoved),
	})
	if err == nil {
		d.Request = seq
	}
	return err
}

// peopleSuspended ends the sessions of whoever is disabled or expired in the
// directory while the diff that says so waits. It is the syncer's Suspended.
func (p *parts) peopleSuspended(ctx context.Context) {
	if err := p.folk.auth.Refresh(ctx); err != nil {
		p.logger.Error("sessions of people who are suspended could not be looked through; each request checks for itself", "err", err)
	}
}

// peopleChanged follows a synchronisation: sessions end, relay users find
// their people, the relay is asked for what it has to do, and whoever left
// under hold is told of. It is the syncer's Applied.
func (p *parts) peopleChanged(ctx context.Context, changes []people.Change) {
	if err := p.folk.auth.Refresh(ctx); err != nil {
		p.logger.Error("sessions of people who left could not be looked through; each request checks for itself", "err", err)
	}
	p.wakeMatch()
	if p.provisioner != nil {
		p.provisioner.Wake()
	}
	for _, c := range changes {
		if c.Op == people.OpDepart && c.Person != nil && p.book.HeldPerson(string(c.Person.GUID)) {
			p.raiseDepartedHeld(ctx, c.Person.GUID)
		}
	}
}

// AlarmDepartedHeld is the name of the alarm that a custodian under hold left.
const AlarmDepartedHeld = "departed-under-hold"

func (p *parts) raiseDepartedHeld(ctx context.Context, who people.GUID) {
	err := p.raise(ctx, archive.AlarmBody{
		Name: AlarmDepartedHeld, Severity: "warning", Text: "a custodian under hold has left the directory",
		Fix:   "Compliance officers: see `holdfast directory person` for the objectGUID below. The messages stay; make sure that devices and other sources of the custodian are preserved.",
		Facts: map[string]string{"person": string(who)},
	})
	if err != nil {
		p.logger.Error("the alarm of a custodian under hold who left was not raised", "err", err)
	}
}

// directoryAPI implements api.Directory.
type directoryAPI struct{ *parts }

// Status tells how the synchronisation stands.
func (d directoryAPI) Status(ctx context.Context) (*api.DirectoryStatus, error) {
	if err := d.caughtUp(ctx); err != nil {
		return nil, err
	}
	s := &api.DirectoryStatus{Configured: d.syncer != nil, Matched: len(d.history.Matches())}
	unmatched, err := d.unmatched()
	if err != nil {
		return nil, err
	}
	s.Unmatched = len(unmatched)
	snap := d.history.Snapshot()
	s.People, s.Departed, s.Groups = len(snap.People), len(snap.Departed), len(snap.Groups)
	if last, ok := d.history.LastSync(); ok { // until this process has synchronised: when the log last changed by one
		s.Source, s.LastSuccess = last.Source, timeOrNil(last.At)
	}
	if d.syncer == nil {
		return s, nil
	}
	now := d.syncer.Status()
	s.Failing, s.LastTry, s.Missing = string(now.Failing), timeOrNil(now.LastTry), now.Missing
	if !now.LastSuccess.IsZero() {
		s.Source, s.Took, s.LastSuccess = now.Source, now.Took.Seconds(), timeOrNil(now.LastSuccess)
	}
	if w := now.Pending; w != nil {
		s.Pending = &api.PendingDiff{Digest: w.Digest, Since: w.Since.UTC(), Counts: countsOf(w.Counts), Rails: railsOf(w.Rails), Request: w.Request, Suspended: w.Suspended}
	}
	return s, nil
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func countsOf(n people.Counts) map[string]int {
	out := map[string]int{}
	for name, count := range map[string]int{
		"added": n.Added, "changed": n.Changed, "departed": n.Departed, "returned": n.Returned,
		"groups_added": n.GroupsAdded, "groups_changed": n.GroupsChanged, "groups_removed": n.GroupsRemoved,
	} {
		if count > 0 {
			out[name] = count
		}
	}
	return out
}

func railsOf(rails []ldapsync.Rail) []api.Rail {
	out := make([]api.Rail, 0, len(rails))
	for _, r := range rails {
		out = append(out, api.Rail{Code: r.Code, Text: r.Text})
	}
	return out
}

// Diff returns what waits, else what a synchronisation would change now.
func (d directoryAPI) Diff(ctx context.Context) (*api.DirectoryDiff, error) {
	if d.syncer == nil {
		return nil, errNoDirectory
	}
	if w := d.syncer.PendingDiff(); w != nil {
		return &api.DirectoryDiff{Pending: pendingOf(w), Digest: hex.EncodeToString(w.Digest[:]), Changes: changesOf(w.Changes)}, nil
	}
	r, err := d.syncer.Preview(ctx)
	if err != nil {
		return nil, directoryProblem(err)
	}
	return &api.DirectoryDiff{Digest: hex.EncodeToString(r.Digest[:]), Changes: changesOf(r.Changes)}, nil
}

func pendingOf(w *ldapsync.Pending) *api.PendingDiff {
	return &api.PendingDiff{
		Digest: hex.EncodeToString(w.Digest[:]), Since: w.Since.UTC(), Counts: countsOf(people.Count(w.Changes)), Rails: railsOf(w.Rails), Request: w.Request,
	}
}

func changesOf(changes []people.Change) []api.DirectoryChange {
	out := make([]api.DirectoryChange, 0, len(changes))
	for _, c := range changes {
		d := api.DirectoryChange{Op: string(c.Op), GUID: string(c.GUID()), Fields: c.Fields, Why: c.Why}
		switch {
		case c.Person != nil:
			d.Subject, d.Name = "person", nameOf(*c.Person)
		case c.Group != nil:
			d.Subject, d.Name = "group", c.Group.Name
			if c.Op == people.OpAdd {
				c.Added = c.Group.Members
			}
		}
		for _, g := range c.Added {
			d.Added = append(d.Added, string(g))
		}
		for _, g := range c.Removed {
			d.Removed = append(d.Removed, string(g))
		}
		out = append(out, d)
	}
	return out
}

// Sync synchronises now.
func (d directoryAPI) Sync(ctx context.Context) (*api.DirectoryReport, error) {
	if d.syncer == nil {
		return nil, errNoDirectory
	}
	r, err := d.syncer.Sync(ctx)
	if err != nil && (r == nil || !errors.Is(err, ldapsync.ErrRefused)) {
		return nil, directoryProblem(err)
	}
	// The relay users of whoever is new, or has other addresses, are matched before this is told.
	if err := d.match(ctx); err != nil {
		return nil, err
	}
	return d.report(r), nil
}

func (d directoryAPI) report(r *ldapsync.Report) *api.DirectoryReport {
	out := &api.DirectoryReport{
		Applied: r.Applied, Source: r.Source, People: r.People, Groups: r.Groups, Counts: countsOf(r.Counts),
		Digest: hex.EncodeToString(r.Digest[:]), Took: r.Took.Seconds(),
	}
	if w := d.syncer.PendingDiff(); w != nil && r.Refused {
		out.Pending = pendingOf(w)
	}
	return out
}

// Approve decides the request for exactly the pending diff and, when it is
// approved, applies it. A diff that was approved when the daemon went down is
// applied when it is approved by the same call again.
func (d directoryAPI) Approve(ctx context.Context, who role.Principal, digest string, approve bool, reason string) (*api.ApproveDiffResponse, error) {
	if d.syncer == nil {
		return nil, errNoDirectory
	}
	w := d.syncer.PendingDiff()
	if w == nil || hex.EncodeToString(w.Digest[:]) != digest || w.Request == 0 {
		return nil, fmt.Errorf("%w: %w", api.ErrState, ldapsync.ErrNotPending)
	}
	err := d.requests.Decide(ctx, d.archive, who, w.Request, approve, reason)
	if errors.Is(err, approval.ErrDecided) && approve {
		if r, rerr := d.requests.Request(w.Request); rerr == nil && r.Status == approval.Approved {
			err = nil // by an earlier call, which did not live to apply it
		}
	}
	if err != nil {
		return nil, err
	}
	out := &api.ApproveDiffResponse{}
	if approve {
		r, err := d.apply(ctx, w)
		if err != nil {
			return nil, err
		}
		out.Report = d.report(r)
	}
	r, err := d.requests.Request(w.Request)
	if err != nil {
		return nil, err
	}
	asked := requestOf(r)
	out.Request = &asked
	return out, d.match(ctx)
}

func (d directoryAPI) apply(ctx context.Context, w *ldapsync.Pending) (*ldapsync.Report, error) {
	done := func(error) {}
	r, err := d.syncer.Apply(ctx, w.Digest, func() (archive.Entry, error) {
		entry, end, err := d.requests.Executing(ctx, d.archive, role.Daemon(), w.Request, approval.DirectoryDiff, hex.EncodeToString(w.Digest[:]))
		if err == nil {
			done = end
		}
		return entry, err
	})
	done(err)
	if err != nil {
		return nil, directoryProblem(err)
	}
	return r, nil
}

var errNoDirectory = &api.Problem{
	Title: "there is no directory", Status: 409, Code: api.CodeState, Exit: api.ExitConfig,
	Hint: "the configuration names none: add [directory], then restart the daemon",
}

// directoryProblem tells the API what the directory's failures mean. Their
// texts have no names in them.
func directoryProblem(err error) error {
	var f *ldapsync.Failure
	switch {
	case errors.Is(err, ldapsync.ErrNotPending):
		return fmt.Errorf("%w: %w", api.ErrState, err)
	case errors.As(err, &f) && f.Class != ldapsync.ClassLog && f.Class != ldapsync.ClassStopped:
		return &api.Problem{
			Title: "the directory could not be read", Status: 503, Code: api.CodeDirectory, Exit: api.ExitTemporary, Detail: string(f.Class),
			Hint: f.Error() + "; nothing was changed",
		}
	}
	return err
}
