package ldapsync

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/archive"
	"holdfast/archive/people"
)

// ErrNotPending is returned by Apply when the diff with that digest is not the
// one that waits.
var ErrNotPending = errors.New("no diff with that digest waits for approval; see `holdfast directory diff` for the one that does")

// Pending is a diff that the rails refused, frozen as it was then. It is
// replaced only when the directory takes one of its changes back, and dropped
// when a later synchronisation runs into no rail: what somebody approves is
// exactly this, and nothing that has become wrong meanwhile, for which Apply
// looks once more.
type Pending struct {
	Digest  [32]byte        `json:"-"` // people.Digest of Changes
	Since   time.Time       `json:"since"`
	Source  string          `json:"source"` // host of the domain controller that was read
	People  int             `json:"people"` // as read
	Groups  int             `json:"groups"`
	Changes []people.Change `json:"changes"` // none when there is nothing to approve: the configuration is what has to change
	Rails   []Rail          `json:"rails"`
	Request uint64          `json:"request,omitempty"` // seq of the request for approval, once there is one
	More    bool            `json:"more,omitempty"`    // the directory would change further things by now; a later synchronisation will
}

// PendingSummary is a Pending without its changes.
type PendingSummary struct {
	Digest  string        `json:"digest"` // hexadecimal
	Since   time.Time     `json:"since"`
	Counts  people.Counts `json:"counts"`
	Rails   []Rail        `json:"rails"`
	Request uint64        `json:"request,omitempty"`
	More    bool          `json:"more,omitempty"`
	// Suspended is how many people have no access meanwhile, see Syncer.Suspended.
	Suspended int `json:"suspended"`
}

func (p *Pending) summary() *PendingSummary {
	if p == nil {
		return nil
	}
	return &PendingSummary{
		Digest: hex.EncodeToString(p.Digest[:]), Since: p.Since, Counts: people.Count(p.Changes), Rails: p.Rails, Request: p.Request, More: p.More,
	}
}

// PendingDiff returns a copy of the diff that waits for approval, nil if none does.
// Its lists are shared and not to be changed.
func (s *Syncer) PendingDiff() *Pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		return nil
	}
	p := *s.pending
	return &p
}

// freeze keeps what the rails refused, or what they refused before if all of it
// still holds. It returns a copy of what waits.
func (s *Syncer) freeze(r *Report) Pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pending; p != nil && len(p.Changes) > 0 && holds(p.Changes, r.Changes) {
		p.More = p.Digest != r.Digest
		return *p
	}
	s.pending = &Pending{
		Digest: r.Digest, Since: r.At, Source: r.Source, People: r.People, Groups: r.Groups, Changes: r.Changes, Rails: r.Rails,
	}
	return *s.pending
}

// refuse freezes the diff, notes the refusal in the log with its alarm, once,
// and asks for approval.
func (s *Syncer) refuse(ctx context.Context, r *Report) error {
	p := s.freeze(r)
	r.Digest, r.Refused = p.Digest, true
	if err := s.noteRefusal(ctx, &p); err != nil {
		return err
	}
	if s.o.Pending != nil && len(p.Changes) > 0 {
		if err := s.o.Pending(ctx, &p); err != nil {
			// It is asked for again after the next synchronisation.
			s.o.Logger.Warn("approval of the pending diff could not be asked for", "class", string(classOf(err)))
		}
		s.setRequest(p.Digest, p.Request)
	}
	return &Failure{Class: ClassRefused, What: "synchronise", Err: ErrRefused}
}

func (s *Syncer) setRequest(digest [32]byte, request uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil && s.pending.Digest == digest {
		s.pending.Request = request
	}
}

func (s *Syncer) noteRefusal(ctx context.Context, p *Pending) error {
	s.mu.Lock()
	noted := s.noted == p.Digest && s.episodes[AlarmRefused]
	s.mu.Unlock()
	if noted {
		return nil
	}
	body := p.body(people.SyncRefused)
	for _, r := range p.Rails {
		body.Rails = append(body.Rails, r.Code)
	}
	slices.Sort(body.Rails)
	body.Rails = slices.Compact(body.Rails)
	e, err := body.Entry()
	if err != nil {
		return fail(ClassOther, "note the refusal", err)
	}
	entries := []archive.Entry{e}
	alarm, raise := s.alarmOnce(AlarmRefused, map[string]string{
		"departing": strconv.Itoa(body.Changes.Departed), "people": strconv.Itoa(p.People), "groups_removed": strconv.Itoa(body.Changes.GroupsRemoved), "rails": strings.Join(body.Rails, " "),
	})
	if raise {
		entries = append(entries, alarm)
	}
	if _, err := s.o.Log.Append(ctx, archive.Batch{Entries: entries}); err != nil {
		return fail(ClassLog, "note the refusal", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noted = p.Digest
	s.episodes[AlarmRefused] = true
	return nil
}

func (p *Pending) body(op string) people.SyncBody {
	return people.SyncBody{
		Op: op, Source: p.Source, People: p.People, Groups: p.Groups, Changes: people.Count(p.Changes),
		Digest: hex.EncodeToString(p.Digest[:]), Request: p.Request,
	}
}

// Apply applies the diff that waits, if its digest is the given one and the
// directory, which is read once more for it, still wants every one of its
// changes: its changes, the entry of their synchronisation and the one that
// execution returns, which uses the approval up, in one batch. Only a diff of
// more than archive.MaxBatch entries takes several; then the approval is used up
// in the first one, and what a crash in between leaves out is found by the next
// synchronisation and judged anew.
//
// When the directory has taken a change back, the error is ErrNotPending, and
// what it says now takes the diff's place: it is asked for anew, or, when no
// rail refuses it, left to the next synchronisation, which Run makes at once.
// When the directory cannot be read the diff goes on waiting.
//
// execution is called once everything else is ready; its error ends Apply with
// nothing appended. After archive.ErrFailed the batch may be in the log or not.
func (s *Syncer) Apply(ctx context.Context, digest [32]byte, execution func() (archive.Entry, error)) (*Report, error) {
	if s.waiting(digest) == nil {
		return nil, ErrNotPending // no domain controller need be asked
	}
	if err := s.take(ctx, s.reading); err != nil {
		return nil, err
	}
	defer func() { <-s.reading }()
	snap, host, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.take(ctx, s.deciding); err != nil {
		return nil, err
	}
	defer func() { <-s.deciding }()
	if err := s.makeSure(ctx); err != nil {
		return nil, err
	}
	p := s.waiting(digest)
	if p == nil {
		return nil, ErrNotPending // a synchronisation came first
	}
	now := s.judge(snap, host)
	s.suspend(ctx, now)
	if !holds(p.Changes, now.Changes) {
		return nil, s.replace(ctx, now)
	}
	return s.approved(ctx, p, execution)
}

// waiting returns a copy of the diff that waits, if it is the one with that
// digest and there is something to approve.
func (s *Syncer) waiting(digest [32]byte) *Pending {
	p := s.PendingDiff()
	if p == nil || len(p.Changes) == 0 || people.Digest(p.Changes) != digest {
		return nil
	}
	return p
}

// replace puts what the directory says now in the place of a diff of which it
// has taken something back.
func (s *Syncer) replace(ctx context.Context, now *Report) error {
	if len(now.Rails) == 0 {
		s.drop()
		s.wake()
		return ErrNotPending
	}
	if err := s.refuse(ctx, now); !errors.Is(err, ErrRefused) {
		return err
	}
	return ErrNotPending
}

// approved appends the diff that waits, with deciding held.
func (s *Syncer) approved(ctx context.Context, p *Pending, execution func() (archive.Entry, error)) (*Report, error) {
	r := &Report{At: time.Now(), Source: p.Source, People: p.People, Groups: p.Groups, Changes: p.Changes, Counts: people.Count(p.Changes), Digest: p.Digest, Rails: p.Rails}
	body := p.body(people.SyncApplied)
	entries, err := s.entriesOf(p.Changes, body)
	if err != nil {
		return nil, err
	}
	used, err := execution()
	if err != nil {
		return nil, err
	}
	entries = append([]archive.Entry{used}, entries...)
	if err := s.append(ctx, entries, p.Changes, 1); err != nil {
		if errors.Is(err, archive.ErrFailed) {
			s.drop() // it may have been applied; the next synchronisation sees
		}
		return nil, err
	}
	s.drop()
	r.Applied = true
	s.wake()
	return r, nil
}

// drop forgets what waits.
func (s *Syncer) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = nil
}
