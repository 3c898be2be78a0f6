package ldapsync

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/archive"
	"holdfast/archive/people"
)

// maxBatchBytes bounds what one batch of entries holds, so that a relay's page
// does not wait long behind it.
const maxBatchBytes = 32 << 20

// Syncer keeps the log's people and groups in step with the directory. It is
// safe for concurrent use.
type Syncer struct {
	o       Options
	servers sticky
	read    func(context.Context) (*people.Snapshot, string, error) // Read, with what servers remembers

	reading  chan struct{} // capacity 1: held while one snapshot is read and applied, or read to see whether what was approved still holds
	deciding chan struct{} // capacity 1: held while changes are worked out and appended, never while a domain controller is asked
	kick     chan struct{} // capacity 1: Run does not wait for its interval

	mu        sync.Mutex // guards what follows
	status    Status
	pending   *Pending
	suspended map[people.GUID]bool // replaced, never changed
	failing   time.Time            // since when synchronisations fail; zero while they do not
	episodes  map[string]bool      // alarms that stand
	told      map[string]bool      // mapped groups of which the logger was told that they are not there
	noted     [32]byte             // digest of the refusal that is in the log
	owed      []people.Change      // appended with an outcome that is not known

	unsure bool // with deciding held: what Size counts may lack a batch whose append failed
}

// Report says what one synchronisation came to.
type Report struct {
	At      time.Time       `json:"at"`
	Source  string          `json:"source"` // host of the domain controller that was read
	People  int             `json:"people"` // as read
	Groups  int             `json:"groups"`
	Changes []people.Change `json:"changes"`
	Counts  people.Counts   `json:"counts"`
	Digest  [32]byte        `json:"-"` // of Changes; if refused, of the diff that waits
	Rails   []Rail          `json:"rails,omitempty"`
	Missing []string        `json:"missing,omitempty"` // mapped groups that are not in the directory, as the configuration names them
	Applied bool            `json:"applied"`           // Changes are in the log
	Refused bool            `json:"refused"`           // they wait for approval
	Took    time.Duration   `json:"took"`
}

// Status is how the synchronisation stands. It names nobody.
type Status struct {
	LastTry     time.Time       `json:"last_try,omitzero"`
	LastSuccess time.Time       `json:"last_success,omitzero"`
	Source      string          `json:"source,omitempty"` // host of the domain controller that answered last
	People      int             `json:"people"`           // of the last snapshot that was read whole
	Groups      int             `json:"groups"`
	Failing     Class           `json:"failing,omitempty"` // why the last synchronisation failed; "" if it did not
	Fix         string          `json:"fix,omitempty"`     // what to do about it
	Pending     *PendingSummary `json:"pending,omitempty"`
	Missing     []string        `json:"missing,omitempty"` // mapped groups, as the configuration names them, that were not there when it was read last
	Took        time.Duration   `json:"took"`              // the last successful one
}

// New returns a Syncer. It asks the directory nothing.
func New(o Options) (*Syncer, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	if o.Log == nil || o.History == nil || o.CatchUp == nil {
		return nil, fmt.Errorf("%w: Log, History and CatchUp are needed", errOptions)
	}
	s := &Syncer{
		o: o, reading: make(chan struct{}, 1), deciding: make(chan struct{}, 1), kick: make(chan struct{}, 1), episodes: map[string]bool{}, told: map[string]bool{},
	}
	s.read = func(ctx context.Context) (*people.Snapshot, string, error) { return s.o.read(ctx, &s.servers) }
	return s, nil
}

// Status returns how the synchronisation stands.
func (s *Syncer) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Pending = s.pending.summary()
	if st.Pending != nil {
		st.Pending.Suspended = len(s.suspended)
	}
	return st
}

// Sync synchronises now, because a person asks for it. The error is ErrRefused's
// with a Report when the rails refuse; with any other error nothing was taken.
func (s *Syncer) Sync(ctx context.Context) (*Report, error) { return s.sync(ctx, false) }

// Preview returns what a synchronisation would do now, and does nothing.
func (s *Syncer) Preview(ctx context.Context) (*Report, error) {
	if err := s.take(ctx, s.reading); err != nil {
		return nil, err
	}
	defer func() { <-s.reading }()
	snap, host, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.catchUp(ctx); err != nil {
		return nil, err
	}
	return s.judge(snap, host), nil
}

// sync is one synchronisation. byItself says that nobody asked for it, so that
// it leaves an account alone whose password was refused a moment ago.
func (s *Syncer) sync(ctx context.Context, byItself bool) (*Report, error) {
	if err := s.take(ctx, s.reading); err != nil {
		return nil, err
	}
	defer func() { <-s.reading }()
	start := time.Now()
	s.tried(start)
	r, err := s.once(ctx, byItself)
	if r != nil {
		r.Took = time.Since(start)
	}
	s.settle(ctx, r, err)
	return r, err
}

func (s *Syncer) once(ctx context.Context, byItself bool) (*Report, error) {
	if byItself {
		if err := s.servers.gate(); err != nil {
			return nil, err
		}
	}
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
	r := s.judge(snap, host)
	s.suspend(ctx, r)
	s.payOwed(ctx, r.Changes)
	if len(r.Rails) > 0 {
		return r, s.refuse(ctx, r)
	}
	s.drop()
	if len(r.Changes) == 0 {
		return r, nil
	}
	body := people.SyncBody{Op: people.SyncApplied, Source: host, People: r.People, Groups: r.Groups, Changes: r.Counts, Digest: hexOf(r.Digest)}
	entries, err := s.entriesOf(r.Changes, body)
	if err != nil {
		return nil, err
	}
	if err := s.append(ctx, entries, r.Changes, 0); err != nil {
		return nil, err
	}
	r.Applied = true
	return r, nil
}

// judge compares a snapshot with what the log says.
func (s *Syncer) judge(snap *people.Snapshot, host string) *Report {
	now := time.Now()
	old := s.o.History.Snapshot()
	changes := Diff(old, snap, now)
	rails := Rails{MaxLossPercent: s.o.MaxLossPercent, MaxLoss: s.o.MaxLoss, Mapped: s.o.Mapped}
	return &Report{
		At: now, Source: host, People: len(snap.People), Groups: len(snap.Groups), Changes: changes, Counts: people.Count(changes),
		Digest: people.Digest(changes), Rails: rails.Check(old, snap, changes, now), Missing: rails.Missing(snap),
	}
}

// take takes a token, or gives up with ctx.
func (s *Syncer) take(ctx context.Context, token chan struct{}) error {
	select {
	case token <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &Failure{Class: ClassStopped, What: "wait for another synchronisation", Err: ctx.Err()}
	}
}

// catchUp brings the history to the log's present size.
func (s *Syncer) catchUp(ctx context.Context) error {
	if err := s.o.CatchUp(ctx, s.o.Log.Size()); err != nil {
		return fail(ClassLog, "read what the log says", err)
	}
	return nil
}

// makeSure is catchUp for whoever will append what follows from the history,
// with deciding held. A batch whose append failed may be in the log while Size
// does not count it yet. Working its changes out once more would put the same
// ones there twice, and the second ones would stop whatever follows the log.
func (s *Syncer) makeSure(ctx context.Context) error {
	if s.unsure {
		if _, err := s.o.Log.Checkpoint(ctx); err != nil {
			return fail(ClassLog, "learn what the log holds", err)
		}
		s.unsure = false
	}
	return s.catchUp(ctx)
}

// entriesOf returns the changes' entries and, last, that of their synchronisation.
// It gives none that the history would not take: such an entry would stop
// whatever follows the log.
func (s *Syncer) entriesOf(changes []people.Change, body people.SyncBody) ([]archive.Entry, error) {
	if err := s.o.History.Check(changes); err != nil {
		return nil, fail(ClassOther, "work out what changed", err)
	}
	entries := make([]archive.Entry, 0, len(changes)+2)
	for i := range changes {
		e, err := changes[i].Entry()
		if err != nil {
			return nil, malformed(changes[i].GUID(), err)
		}
		entries = append(entries, e)
	}
	e, err := body.Entry()
	if err != nil {
		return nil, fail(ClassOther, "note the synchronisation", err)
	}
	return append(entries, e), nil
}

// append appends the entries, of which changes are those from lead on, in as few
// batches as can be, and tells of the changes that are durable then.
//
// A crash between two batches leaves some changes out, and no entry of the
// synchronisation: the next one finds what is missing.
func (s *Syncer) append(ctx context.Context, entries []archive.Entry, changes []people.Change, lead int) error {
	done := 0
	var err error
	for done < len(entries) && err == nil {
		n := batchOf(entries[done:])
		if _, err = s.o.Log.Append(ctx, archive.Batch{Entries: entries[done : done+n]}); err == nil {
			done += n
		}
	}
	durable := min(max(done-lead, 0), len(changes))
	if err != nil {
		s.unsure = true
		s.mu.Lock()
		s.owed = append(s.owed, changes[durable:]...)
		s.mu.Unlock()
	}
	if durable > 0 {
		// The log has them, whatever becomes of the caller.
		after := context.WithoutCancel(ctx)
		if bad := s.catchUp(after); bad != nil && err == nil {
			err = bad
		}
		s.applied(after, changes[:durable])
	}
	if err != nil {
		return fail(ClassLog, "append what changed", err)
	}
	return nil
}

// batchOf returns how many of the entries make the next batch.
func batchOf(entries []archive.Entry) int {
	size := 0
	for i := range entries {
		size += len(entries[i].Body)
		if i == archive.MaxBatch || i > 0 && size > maxBatchBytes {
			return i
		}
	}
	return len(entries)
}

func (s *Syncer) applied(ctx context.Context, changes []people.Change) {
	if s.o.Applied != nil && len(changes) > 0 {
		s.o.Applied(ctx, changes)
	}
}

// payOwed tells of changes whose append failed with an outcome that was not
// known, and which turn out to be in the log: nothing wants them any more.
func (s *Syncer) payOwed(ctx context.Context, wanted []people.Change) {
	s.mu.Lock()
	owed := s.owed
	s.owed = nil
	s.mu.Unlock()
	if len(owed) == 0 {
		return
	}
	still := make(map[people.GUID]bool, len(wanted))
	for i := range wanted {
		still[wanted[i].GUID()] = true
	}
	s.applied(ctx, slices.DeleteFunc(owed, func(c people.Change) bool { return still[c.GUID()] }))
}
