package retention

import (
	"slices"
	"strings"
	"time"

	"holdfast/retention/hold"
)

// held returns how many entries scopes of one hold cover, families included,
// and through where that is known.
func (s *survey) held(covers []*coverage) (entries, through uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	through = s.reached(covers)
	switch len(covers) {
	case 0:
	case 1:
		entries = covers[0].count
	default:
		for seq := range uint64(len(s.kin.parent)) {
			if s.heldIn(s.kin.root(seq), covers) {
				entries++
			}
		}
	}
	return entries, through
}

// reached returns through where the log was surveyed for scopes. mu is held.
func (s *survey) reached(covers []*coverage) uint64 {
	through := s.through
	for _, c := range covers {
		through = min(through, c.done)
	}
	return through
}

// surveyed is reached for who does not hold mu.
func (s *survey) surveyed(covers []*coverage) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.reached(covers)
}

// heldIn reports whether one of the scopes covers a member of a family.
func (s *survey) heldIn(root uint64, covers []*coverage) bool {
	return slices.ContainsFunc(covers, func(c *coverage) bool { return c.roots.has(root) })
}

// family reports whether one of the scopes covers a member of the entry's family.
func (s *survey) family(f *entryFacts, covers []*coverage) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.ContainsFunc(s.kin.families(f), func(root uint64) bool { return s.heldIn(root, covers) })
}

// messageWith returns the message with a digest.
func (s *survey) messageWith(digest [32]byte) (seq uint64, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, ok := s.kin.digests[s.kin.key(digest)]
	return uint64(at), ok
}

// closed returns when a conversation was closed; nil while it is not.
func (s *survey) closed(id string) *time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	talk := s.talks[id]
	if talk == nil || talk.end <= talk.last {
		return nil
	}
	return new(talk.closed)
}

// unseen returns the conversations and relay users of a scope that no entry
// below size is about; none before the survey has come that far.
func (s *survey) unseen(sc *hold.Scope, size uint64) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.through < size {
		return nil
	}
	var out []string
	for _, id := range sc.Conversations {
		if s.talks[id] == nil {
			out = append(out, id)
		}
	}
	for _, c := range sc.Custodians {
		if usr, ok := strings.CutPrefix(c, hold.UsrPrefix); ok && !has(s.seen, usr) {
			out = append(out, c)
		}
	}
	return out
}

// unfinished reports whether an access read messages and has no outcome.
func (s *survey) unfinished(access uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.open[access]
	return ok
}
