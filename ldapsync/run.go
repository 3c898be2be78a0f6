package ldapsync

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// The names of the alarms that synchronisation raises: stable, for scripts and
// alert rules.
const (
	AlarmUnreachable = "directory-unreachable" // no synchronisation has succeeded for Options.UnreachableAfter
	AlarmRefused     = "directory-refused"     // the rails refuse what the directory says
)

// advice is what is always the same about an alarm.
type advice struct{ severity, text, fix string }

var adviceFor = map[string]advice{
	AlarmUnreachable: {"warning", "people and groups have not been read from the directory for a while; who came or left since is not known here",
		"`holdfast directory status` names the last failure's class and what to do about it. Messages are taken in all the same."},
	AlarmRefused: {"critical", "the directory says something that would take too many people, or a role, away at once; nothing of it has been applied",
		"Until it is decided people keep the roles that it takes away; only whoever it says is disabled or expired has no access already, unless it loses too many at once. See `holdfast directory diff`. If it is a mistake, correct the directory or [directory]; if it is right, have another person approve it with `holdfast directory approve`."},
}

// The pauses after failures.
const (
	backoffMin  = 10 * time.Second
	bindBackoff = time.Hour // the longest pause while the reading account is refused
)

// Run synchronises at once and then at every interval, until ctx ends; then it
// returns nil. After failures it comes back sooner, but not to an account whose
// password is refused. It holds no lock while it waits for a domain controller,
// and appends nothing before a snapshot is complete.
func (s *Syncer) Run(ctx context.Context) error {
	var backoff time.Duration
	for ctx.Err() == nil {
		_, err := s.sync(ctx, true)
		var pause time.Duration
		pause, backoff = s.pause(backoff, err)
		timer := time.NewTimer(s.untilDue(jitter(pause)))
		select {
		case <-timer.C:
		case <-s.kick:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// wake makes Run go on at once.
func (s *Syncer) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// pause returns how long to wait after an outcome, and how long that was because
// of failures; backoff is the latter of the time before.
func (s *Syncer) pause(backoff time.Duration, err error) (pause, next time.Duration) {
	switch class := classOf(err); {
	case err == nil, class == ClassRefused:
		return s.o.Interval, 0
	case class == ClassBind:
		backoff = min(max(2*backoff, bindPause, s.o.Interval), max(bindBackoff, s.o.Interval))
	default:
		backoff = min(max(2*backoff, backoffMin), s.o.Interval)
	}
	return backoff, backoff
}

// jitter shortens a pause by up to a tenth, so that what the directory changed
// takes effect within one interval and many archives do not ask at once.
func jitter(d time.Duration) time.Duration {
	return d - rand.N(d/10+1) // #nosec G404 -- jitter is no secret
}

// untilDue shortens a pause so that an alarm is raised when it is due.
func (s *Syncer) untilDue(d time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing.IsZero() || s.episodes[AlarmUnreachable] || s.status.Failing == ClassBind {
		return d
	}
	if due := time.Until(s.failing.Add(s.o.UnreachableAfter)); due > 0 {
		return min(d, due)
	}
	return d
}

func (s *Syncer) tried(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.LastTry = at
}

// settle notes the outcome of a synchronisation, and raises an alarm when they
// have failed for too long.
func (s *Syncer) settle(ctx context.Context, r *Report, err error) {
	class := Class("")
	if err != nil {
		class = classOf(err)
	}
	if class == ClassStopped {
		return // the caller gave up; it says nothing about the directory
	}
	now := time.Now()
	overdue := s.note(now, r, class)
	switch class {
	case "":
		s.o.Metrics.succeeded(now, r.Took, r.People)
		s.tellMissing(r.Missing)
		if r.Applied {
			n := r.Counts
			s.o.Logger.Info("directory synchronised", "host", r.Source, "took", r.Took, "people", r.People, "groups", r.Groups,
				"added", n.Added, "changed", n.Changed, "departed", n.Departed, "returned", n.Returned,
				"groups_added", n.GroupsAdded, "groups_changed", n.GroupsChanged, "groups_removed", n.GroupsRemoved)
		}
	default:
		s.o.Metrics.failures.WithLabelValues(string(class)).Inc()
		s.o.Logger.Warn("directory not synchronised", "class", string(class))
	}
	if overdue > 0 {
		s.raise(ctx, AlarmUnreachable, map[string]string{"class": string(class), "hours": strconv.Itoa(int(overdue / time.Hour))})
	}
}

// tellMissing says of each mapped group that is not there, and that nothing
// waits for, that it is not: once, and without its name, which the status has.
func (s *Syncer) tellMissing(missing []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, spec := range missing {
		if !s.told[spec] {
			s.told[spec] = true
			s.o.Logger.Warn("a group that gives a role is not in the directory, so nobody has its role; restore it or take it out of [[directory.role]]",
				"mapped", slices.Index(s.o.Mapped, spec)+1)
		}
	}
}

// note brings the status up to date. It returns for how long synchronisations
// have failed, if that is too long.
func (s *Syncer) note(now time.Time, r *Report, class Class) (overdue time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Failing, s.status.Fix = class, fixes[class]
	if r != nil {
		s.status.Source, s.status.People, s.status.Groups, s.status.Missing = r.Source, r.People, r.Groups, r.Missing
	}
	switch class {
	case "":
		s.status.LastSuccess, s.status.Took = now, r.Took
		s.failing = time.Time{}
		clear(s.episodes)
	case ClassRefused:
		s.failing = time.Time{} // it is in reach
		delete(s.episodes, AlarmUnreachable)
	default:
		if s.failing.IsZero() {
			s.failing = now
		}
		if d := now.Sub(s.failing); d >= s.o.UnreachableAfter {
			return d
		}
	}
	return 0
}

// raise appends an alarm, once per episode. One that cannot be appended now is
// raised again by the next failure.
func (s *Syncer) raise(ctx context.Context, name string, facts map[string]string) {
	e, raise := s.alarmOnce(name, facts)
	if !raise {
		return
	}
	if _, err := s.o.Log.Append(ctx, archive.Batch{Entries: []archive.Entry{e}}); err != nil {
		s.o.Logger.Warn("an alarm is not in the log yet", "class", string(classOf(err)))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.episodes[name] = true
}

// alarmOnce returns an alarm's entry, unless the alarm stands already.
func (s *Syncer) alarmOnce(name string, facts map[string]string) (archive.Entry, bool) {
	s.mu.Lock()
	stands := s.episodes[name]
	s.mu.Unlock()
	if stands {
		return archive.Entry{}, false
	}
	about := adviceFor[name]
	s.o.Logger.Error("alarm", "alarm", name, "text", about.text)
	b, err := json.Marshal(archive.AlarmBody{Name: name, Severity: about.severity, Text: about.text, Fix: about.fix, Facts: facts})
	if err != nil {
		b = fmt.Appendf(nil, `{"name":%q}`, name) // strings and a map of strings marshal always
	}
	return archive.Entry{Kind: proof.KindAlarm, Class: proof.ClassControl, Body: b}, true
}

func hexOf(digest [32]byte) string { return hex.EncodeToString(digest[:]) }
