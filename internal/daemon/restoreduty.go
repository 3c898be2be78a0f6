package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/state"
	"holdfast/ingest"
	"holdfast/internal/anchor"
	"holdfast/internal/api"
	"holdfast/internal/regular"
)

// reasonRestored is why ingest is held back after a restore.
const reasonRestored = "restored"

// AlarmRestored is the name of the alarm that a restored log lacks something
// and waits for two people.
const AlarmRestored = "restore-waiting"

// AlarmAnchorUnread is the name of the alarm that the log could not be held
// against its last anchor at the start.
const AlarmAnchorUnread = "anchor-unread"

// salvage is what the daemon knows of the log's restores: whether it goes on
// from an older log already, or what it waits for.
type salvage struct {
	p    *parts
	file string // of anchors; "": none

	changing sync.Mutex    // one going on at a time
	over     chan struct{} // closed once nothing is waited for

	mu      sync.Mutex
	state   string        // one of the API's
	anchor  *anchored     // the newest known of what was lost
	lost    *archive.Lost // of what it states
	blind   bool          // there are anchors, and the log could not be held against the last
	told    *told
	history []api.RestoreEntry
}

// told is what the relay said of the lost log.
type told struct {
	ingest.Told
	had  archive.Cursor // the restored log's
	more bool           // the archive had come further
}

// restoreDuty guards a log that was restored from a backup.
func (p *parts) restoreDuty(o Options) (duty, error) {
	s := &salvage{p: p, file: o.Config.Anchor.File, state: api.RestoreNone, over: make(chan struct{})}
	p.salvage = s
	return duty{
		appliers: map[proof.Kind]state.Applier{proof.KindRestore: s},
		metrics: []prometheus.Collector{prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "holdfast_restored_waiting", Help: "1 while a log that was restored from a backup waits: for the relay's word, or for two people.",
		}, func() float64 {
			if s.waits() {
				return 1
			}
			return 0
		})},
		start: s.start,
		run:   s.run,
	}, nil
}

// waits reports whether nothing may be pulled or disposed of yet.
func (s *salvage) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == api.RestoreAsking || s.state == api.RestoreWaiting
}

// errRestored is the answer to a disposition while a restored log waits.
var errRestored = &api.Problem{
	Title: "the archive was restored from a backup, and nothing is disposed of until it goes on", Status: 409, Code: api.CodeState, Exit: api.ExitTemporary,
	Hint: "`holdfast restore show` says what it waits for, and who does what next",
}

// settled returns an error while a restored log waits.
func (s *salvage) settled() error {
	if s.waits() {
		return errRestored
	}
	return nil
}

// then runs f once no restored log waits any more.
func (s *salvage) then(ctx context.Context, f func(ctx context.Context) error) error {
	select {
	case <-s.over:
		return f(ctx)
	case <-ctx.Done():
		return nil
	}
}

// unlessWaiting is a chore's work that a restored log leaves until it goes on.
func (s *salvage) unlessWaiting(do func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		if s.waits() {
			return nil
		}
		return do(ctx)
	}
}

// start holds the log against its last anchor, before anything is pulled. A log
// that is shorter, or another one, refuses the start, unless it is marked as
// restored.
func (s *salvage) start(ctx context.Context) error {
	err := s.judge(ctx)
	if errors.Is(err, archive.ErrAnchor) {
		return fmt.Errorf("%w; put the log back that was anchored, or a backup with `holdfastd restore --anchor FILE`: then two people can let the archive go on from it", err)
	}
	if err == nil && !s.waits() {
		close(s.over)
	}
	return err
}

func (s *salvage) judge(ctx context.Context) error {
	key, err := s.p.archive.Identity().LogVerifier()
	if err != nil {
		return err
	}
	mark := s.p.archive.Restored()
	last, err := s.anchors(ctx, mark != nil && mark.Pending, key)
	if err != nil {
		return err
	}
	for _, a := range last {
		if _, err := s.p.archive.Compare(a.Checkpoint); err != nil {
			return err
		}
	}
	if mark == nil {
		return nil
	}
	var known *anchored
	if mark.Anchor != nil {
		c, err := proof.OpenCheckpoint(mark.Anchor, key)
		if err != nil {
			return fmt.Errorf("the anchor in the record of restores: %w", err)
		}
		known = &anchored{c, mark.Anchor}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.anchor = api.RestoreSettled, known
	for _, a := range last {
		if a.Restored < mark.Times() && (s.anchor == nil || archive.Beyond(a.Checkpoint, s.anchor.Checkpoint)) {
			s.anchor = &a
		}
	}
	if s.anchor != nil {
		if s.lost, err = s.p.archive.Compare(s.anchor.Checkpoint); err != nil {
			return err
		}
	}
	switch {
	case !mark.Pending && s.anchor == known:
		return nil
	case s.lost != nil, mark.Pending && s.blind:
		s.state = api.RestoreWaiting
	case mark.Pending:
		s.state = api.RestoreAsking
	default:
		return nil
	}
	s.p.gate.Close(reasonRestored)
	return nil
}

// anchored is a checkpoint of the file of anchors.
type anchored struct {
	proof.Checkpoint
	note []byte
}

// anchors reads the last line of the file of anchors, and for a restored log
// that waits the last of each log before it: those that it signs meanwhile say
// nothing of what was lost. A file that cannot be read is an alarm, and no
// reason not to start.
func (s *salvage) anchors(ctx context.Context, all bool, key note.Verifier) ([]anchored, error) {
	if s.file == "" {
		return nil, nil
	}
	var out []anchored
	line, err := anchor.Last(s.file)
	if (errors.Is(err, fs.ErrNotExist) || errors.Is(err, anchor.ErrNoLine)) && !s.anchoredBefore() {
		return nil, nil // nothing was anchored yet; that nothing can be, the anchors' duty says
	}
	if err == nil {
		var c proof.Checkpoint
		if c, err = line.Open(key); err == nil {
			out = append(out, anchored{c, []byte(line.Checkpoint)})
		}
	}
	if err == nil && all {
		var before []anchored
		before, err = lastOfEach(s.file, key)
		out = append(out, before...)
	}
	if err == nil {
		return out, nil
	}
	s.mu.Lock()
	s.blind = true
	s.mu.Unlock()
	s.p.logger.Error("the log could not be held against its last anchor", "err", err)
	return nil, s.p.raiseOnce(ctx, archive.AlarmBody{
		Name: AlarmAnchorUnread, Severity: "critical", Text: "the file of anchors cannot be read, is gone, or is another archive's, and the log was not held against its last anchor",
		Fix: "See that anchor.file is mounted and is this archive's, and start the daemon again. If the file was given up on purpose, acknowledge this.",
	})
}

// anchoredBefore reports whether the log says that it was anchored in a file.
func (s *salvage) anchoredBefore() bool {
	return slices.ContainsFunc(s.p.anchors.Standings(), func(a anchor.Standing) bool { return a.Kind == anchor.KindFile && a.Last != nil })
}

// maxAnchorLine is above what a line of a file of anchors can have, in bytes.
const maxAnchorLine = 64 << 10

// lastOfEach reads the newest anchor of each log that a file of anchors names.
// What is no whole line is passed over, as it is where the file is written.
func lastOfEach(path string, key note.Verifier) (out []anchored, err error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	newest := map[uint32]anchored{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxAnchorLine)
	for lines.Scan() {
		l, err := anchor.ParseLine(lines.Bytes())
		if err != nil {
			continue
		}
		c, err := l.Open(key)
		if err == nil && c.Size >= newest[c.Restored].Size {
			newest[c.Restored] = anchored{c, []byte(l.Checkpoint)}
		}
	}
	for _, a := range newest {
		out = append(out, a)
	}
	return out, lines.Err()
}

// The pauses between which the relay is asked until it answers.
const (
	askFirst = time.Second
	askMost  = time.Minute
)

// run asks the relay whether the archive had come further than the restored
// log. If it had not, and no anchor says otherwise, the log goes on by itself;
// where nobody says anything, two people do.
func (s *salvage) run(ctx context.Context) error {
	if !s.waits() {
		return nil
	}
	if err := s.askRelay(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	// Where neither an anchor nor the relay says anything, nobody outside knows whether the log is whole.
	if s.state == api.RestoreAsking && (s.told != nil && s.told.more || s.told == nil && s.anchor == nil) {
		s.state = api.RestoreWaiting
	}
	asking := s.state == api.RestoreAsking
	s.mu.Unlock()
	if asking {
		return s.goOnAlone(ctx)
	}
	return s.p.raiseOnce(ctx, archive.AlarmBody{
		Name: AlarmRestored, Severity: "critical", Text: "the archive was restored from a backup that is older than the log that was lost, or nobody outside can say that it is not; nothing is pulled or disposed of",
		Fix: "Look at `holdfast restore show`. If there is a newer backup, restore that one. Else ask for going on with `holdfast restore ask --reason TEXT`, have another person approve it, " +
			"and go on with `holdfast restore go-on NUMBER`: what the relay still has is pulled again.",
	})
}

// askRelay asks until the relay answers. Without a relay nobody is asked.
func (s *salvage) askRelay(ctx context.Context) error {
	if s.p.client == nil {
		return nil
	}
	had, _ := s.p.archive.Cursor()
	for pause := askFirst; ; pause = min(2*pause, askMost) {
		said, err := s.p.client.Told(ctx)
		if err == nil {
			s.mu.Lock()
			s.told = &told{Told: said, had: had, more: further(said, had)}
			s.mu.Unlock()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.p.logger.Warn("the relay was not reached; the restored log waits for its word")
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// further reports whether the relay was told of more than a log has. What it
// was told in an epoch that has ended it does not say; that it was told
// anything of one that the log does not know is enough.
func further(said ingest.Told, had archive.Cursor) bool {
	if said.Epoch == had.Epoch {
		return said.Acked > had.Seq
	}
	return said.Acked > 0
}
