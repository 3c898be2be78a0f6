package daemon

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/archive"
	"holdfast/archive/approval"
	"holdfast/archive/people"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/ingest/envelope"
	"holdfast/internal/api"
	"holdfast/internal/ijson"
	"holdfast/internal/role"
	"holdfast/retention"
)

// newBook makes the book of holds and schedules. It follows the log like the
// other registers, so that it is there before the log is read.
func (p *parts) newBook(o Options, catchUp func(ctx context.Context, size uint64) error) *retention.Book {
	return retention.New(retention.Options{
		Log: p.archive, CatchUp: catchUp, Relay: relayParties{p}, Texts: p.texts, People: retained{p}, Requests: pairs{p},
		Forget: func(ctx context.Context, files []uint64) error { return p.index.Forget(ctx, files) },
		Signer: p.archive.IdentitySigner(), Identity: p.archive.Identity(), Tool: "holdfastd " + p.version,
		Grace:  time.Duration(o.Config.Retention.GraceDays) * 24 * time.Hour,
		Logger: o.Logger,
	})
}

// relayParties implements retention.Relay.
type relayParties struct{ *parts }

// Party returns what the relay's directory knew of a usr at a place.
func (r relayParties) Party(usr string, at proof.Leaf) query.Party { return r.party(usr, at) }

// retained implements retention.People over the log's history.
type retained struct{ *parts }

// MembersEver returns everyone who was in a group at from or since.
func (r retained) MembersEver(group string, from time.Time) []string {
	return texts(r.history.MembersSince(people.GUID(group), from))
}

// Usrs returns the relay users that a person ever was.
func (r retained) Usrs(guid string) []string { return r.history.Usrs(people.GUID(guid)) }

// Names returns the relay users of everyone who ever had a name.
func (r retained) Names(value string) []string {
	var out []string
	for _, g := range r.history.Find(value) {
		out = append(out, r.history.Usrs(g)...)
	}
	return out
}

// PersonOf returns the person that a relay user is now.
func (r retained) PersonOf(usr string) (string, bool) {
	g, ok := r.history.PersonOf(usr)
	return string(g), ok
}

// EverOf returns everyone that a relay user ever was.
func (r retained) EverOf(usr string) []string { return texts(r.history.EverOf(usr)) }

// Departed returns since when a person has departed.
func (r retained) Departed(guid string) (time.Time, bool) {
	s, ok := r.history.Person(people.GUID(guid), time.Time{})
	return s.Since, ok && s.Status == people.StatusDeparted
}

// Group returns the group that is there now under a name.
func (r retained) Group(name string) (string, bool, error) {
	g, ok, err := r.history.GroupNow(name)
	return string(g.GUID), ok, err
}

func texts(guids []people.GUID) []string {
	out := make([]string, 0, len(guids))
	for _, g := range guids {
		out = append(out, string(g))
	}
	return out
}

// pairs implements retention.Requests over the two-person rule.
type pairs struct{ *parts }

// requestLife is how long an approval for holds, schedules and dispositions can
// be decided and used: a plan is looked at by people who have other work.
const requestLife = 14 * 24 * time.Hour

// Ask records a request.
func (r pairs) Ask(ctx context.Context, who role.Principal, act, digest, summary, reason string) (uint64, error) {
	return r.requests.Ask(ctx, r.archive, who, approval.Ask{Act: approval.Act(act), Digest: digest, Summary: summary, Reason: reason, TTL: requestLife})
}

// Executing returns the entry that uses an approval up.
func (r pairs) Executing(ctx context.Context, who role.Principal, seq uint64, act, digest string) (archive.Entry, func(error), error) {
	return r.requests.Executing(ctx, r.archive, who, seq, approval.Act(act), digest)
}

// Request returns a request as far as the log has been applied.
func (r pairs) Request(seq uint64) (retention.Request, bool) {
	q, err := r.requests.Request(seq)
	if err != nil {
		return retention.Request{}, false
	}
	out := retention.Request{Act: string(q.Act), Digest: q.Digest, By: q.By, Status: string(q.Status)}
	if d := q.Decision; d != nil && d.Approve {
		out.Approver = &d.By
	}
	if e := q.Execution; e != nil && !slices.ContainsFunc(q.Faults, func(f approval.Fault) bool { return f.Seq == e.Seq }) {
		out.Executed = e.Seq
	}
	return out, true
}

// retention is what the API serves of holds and disposition.
func (p *parts) retention() api.Retention {
	return api.Retention{
		Matters: p.book, Holds: holds{p.book, p}, Schedules: p.book, Dispositions: patientDispositions{p.book, p.salvage}, Clocks: clocks{p.book, p}, Copies: p.book, Standings: standings{p},
		Group: retained{p}.Group, HeldSet: p.book.HeldSet, Anchors: p.book.Anchors, Now: p.archive.Now,
	}
}

// clocks are the Book's; once the clock is believed again, keys whose time has
// come are looked after at once.
type clocks struct {
	*retention.Book
	parts *parts
}

// ReleaseClock records that somebody found the clock right.
func (c clocks) ReleaseClock(ctx context.Context, who role.Principal, reason string) error {
	if err := c.Book.ReleaseClock(ctx, who, reason); err != nil {
		return err
	}
	wake(c.parts.housekeepSoon)
	return nil
}

// standings implements api.Standings.
type standings struct{ *parts }

// Standing returns how an entry stands, or the certificate of its disposition.
func (s standings) Standing(ctx context.Context, seq uint64) (*retention.Standing, *retention.Certificate, error) {
	if err := s.caughtUp(ctx); err != nil {
		return nil, nil, err
	}
	rec, err := s.archive.Record(ctx, seq)
	if errors.Is(err, archive.ErrDisposed) {
		c, _ := s.book.CertificateFor(seq, rec.Leaf) // none yet while its disposition is under way
		return nil, c, nil
	}
	if err != nil {
		return nil, nil, err
	}
	standing, err := s.book.Standing(ctx, rec)
	return standing, nil, err
}

// rotate makes and destroys recipient keys whose time has come.
func (p *parts) rotate(ctx context.Context) error {
	needed, err := p.quarantineNeeds(ctx)
	if err != nil {
		return err
	}
	made, err := p.archive.RotateRecipients(ctx, needed)
	if err == nil && len(made.Made)+len(made.Destroyed) > 0 {
		p.logger.Info("recipient keys rotated", "made", len(made.Made), "destroyed", len(made.Destroyed))
	}
	return err
}

// quarantineNeeds tells which recipient keys quarantined envelopes still need:
// those that were not opened, and not because their key does not open them.
func (p *parts) quarantineNeeds(ctx context.Context) (func(kid string) bool, error) {
	if err := p.counts.catchUp(ctx, p.archive); err != nil {
		return nil, err
	}
	needed, all := map[string]bool{}, false
	for _, seq := range p.counts.newest(math.MaxInt) {
		rec, err := p.archive.Record(ctx, seq)
		var note archive.QuarantineNote
		switch {
		case errors.Is(err, archive.ErrDisposed):
			continue
		case errors.Is(err, archive.ErrNoBody), errors.Is(err, archive.ErrDamaged):
			all = true // it may be put back from a backup, and then need any of them
			continue
		case err != nil:
			return nil, err
		}
		if err := ijson.Unmarshal(rec.Note, &note); err != nil || note.Opened || note.Code == string(envelope.DecryptFailed) {
			continue
		}
		if kid, ok := envelope.KeyID(rec.Body); ok {
			needed[kid] = true
		}
	}
	return func(kid string) bool { return all || needed[kid] }, nil
}

// retentionMetrics are the figures of holds and disposition. A time that is not
// known is 0.
func (p *parts) retentionMetrics(gauge func(name, help string, f func() float64) prometheus.Collector) []prometheus.Collector {
	of := func(f func(g retention.Gauges) float64) func() float64 {
		return func() float64 { return f(p.book.Gauges()) }
	}
	seconds := func(t *time.Time) float64 {
		if t == nil {
			return 0
		}
		return float64(t.UnixMilli()) / 1e3
	}
	return []prometheus.Collector{
		gauge("holdfast_disposition_next_cutoff_timestamp_seconds", "When the next entry becomes due, as far as is known.", of(func(g retention.Gauges) float64 { return seconds(g.NextCutoff) })),
		gauge("holdfast_disposition_due_entries", "Entries that are due and not held, as of the last look.", of(func(g retention.Gauges) float64 { return float64(g.DueMessages) })),
		gauge("holdfast_disposition_due_bytes", "Bytes of the entries that are due and not held, as of the last look.", of(func(g retention.Gauges) float64 { return float64(g.DueBytes) })),
		gauge("holdfast_disposition_looked_timestamp_seconds", "When it was last found out what is due.", of(func(g retention.Gauges) float64 { return seconds(g.AsOf) })),
		gauge("holdfast_disposition_plans_waiting", "Plans that wait for a second person.", of(func(g retention.Gauges) float64 { return float64(g.PlansWaiting) })),
		gauge("holdfast_holds_active", "Holds in force.", of(func(g retention.Gauges) float64 { return float64(g.HoldsActive) })),
		gauge("holdfast_hold_oldest_timestamp_seconds", "When the oldest hold in force was placed.", of(func(g retention.Gauges) float64 { return seconds(g.OldestHold) })),
		gauge("holdfast_disposition_frozen", "1 while the clock is doubted and nothing is disposed of.", of(func(g retention.Gauges) float64 {
			if g.Frozen {
				return 1
			}
			return 0
		})),
		gauge("holdfast_survey_lag_entries", "Entries that the survey of what holds keep has not seen yet.", of(func(g retention.Gauges) float64 {
			return float64(p.archive.Size() - min(p.archive.Size(), g.SurveyThrough))
		})),
	}
}
