package ldapsync

import (
	"context"
	"slices"

	"holdfast/archive/people"
)

// losses are the rails that a wrong reading of a directory runs into: a filter,
// a base or a limit by which too much is not there.
var losses = []string{RailNoPeople, RailNoGroups, RailPeopleLoss, RailGroupLoss}

// Suspended reports whether somebody is to have no access although the log does
// not say that they departed: the directory said, of them in particular, that
// they are disabled or expired, and that is not in the log yet because the rails
// hold it back, or because the log did not take it. Who is only missing, or only
// taken out of a group, waits with the diff.
//
// A reading by which too many would depart, or groups be lost, suspends nobody
// more: a mistake must not shut everybody out. Whoever is suspended stays so
// until a synchronisation finds them enabled and not expired, or the log says
// that they departed. It is kept in memory: after a start the first
// synchronisation says it again.
func (s *Syncer) Suspended(person people.GUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.suspended[person]
}

// suspend brings to what r says who is suspended, and tells if somebody more is.
// It is called with deciding held and before anything of r is appended, so that
// no failure of the log keeps anybody in.
func (s *Syncer) suspend(ctx context.Context, r *Report) {
	sound := !slices.ContainsFunc(r.Rails, func(rail Rail) bool { return slices.Contains(losses, rail.Code) })
	now, more := map[people.GUID]bool{}, false
	s.mu.Lock()
	for i := range r.Changes {
		c := &r.Changes[i]
		if c.Op != people.OpDepart {
			continue
		}
		explicit := c.Why == people.WhyDisabled || c.Why == people.WhyExpired
		if was := s.suspended[c.GUID()]; was || sound && explicit {
			now[c.GUID()] = true
			more = more || !was
		}
	}
	s.suspended = now
	s.mu.Unlock()
	if more && s.o.Suspended != nil {
		s.o.Suspended(ctx)
	}
}
