package retention

import (
	"context"
	"slices"
)

// sharers returns the messages that refer to an attachment and are in the
// archive, as far as the survey has come.
func (b *Book) sharers(bid string, sum [32]byte) []uint64 {
	all := b.survey.referrers(attachment{bid, sum})
	if len(all) < 2 {
		return all
	}
	// Few attachments have several, so the log is asked which of them are still there.
	there := all[:0]
	for _, seq := range all {
		if _, err := b.options.Log.Record(context.Background(), seq); !gone(err) {
			there = append(there, seq)
		}
	}
	return there
}

// referrers returns the messages that ever referred to an attachment.
func (s *survey) referrers(a attachment) []uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	key := s.kin.keyOf(a)
	first, ok := s.first[key]
	if !ok {
		return nil
	}
	return append([]uint64{uint64(first)}, s.others[key]...)
}

// shared reports whether an attachment of something that goes belongs to
// something that stays as well.
func (r *run) shared(bid string, sum [32]byte) bool {
	for _, seq := range r.book.sharers(bid, sum) {
		if !r.goes(seq) {
			return true
		}
	}
	return false
}

// goes reports whether the entry at seq is among those that go.
func (r *run) goes(seq uint64) bool {
	return slices.ContainsFunc(r.parts, func(p part) bool { return p.leaves.has(seq) })
}
