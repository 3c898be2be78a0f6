package retention

import (
	"context"
	"errors"
	"slices"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// ErrSurveying is returned for what rests on the survey while it is far behind
// the log, as after a start.
var ErrSurveying = errors.New("what holds keep is still being surveyed; `holdfast status` says how far it is: search again when it is through")

// surveyLimit is how many entries a search surveys itself rather than say that
// it is too early.
const surveyLimit = 100_000

// HeldSet returns the seqs of the entries that holds keep now, families
// included, and the size of the log as of which that is known. A hold that is
// not in force any more keeps nothing; a seq that is no hold's is
// ErrUnknownHold. ErrSurveying while the survey is far behind the log.
func (b *Book) HeldSet(ctx context.Context, holds []uint64) (set *roaring64.Bitmap, size uint64, err error) {
	if err := b.surveyed(ctx); err != nil {
		return nil, 0, err
	}
	now := b.options.Log.Now()
	var covers []*coverage
	b.mu.RLock()
	for _, seq := range holds {
		h, found := b.findHold(seq)
		if err = errors.Join(err, found); found == nil {
			covers = append(covers, h.live(now)...)
		}
	}
	b.mu.RUnlock()
	if err != nil {
		return nil, 0, err
	}
	set, size = b.survey.set(covers)
	return set, size, nil
}

// surveyed brings the survey to the log's end, unless that is far away.
func (b *Book) surveyed(ctx context.Context) error {
	if s := b.Survey(); s.Size-min(s.Size, s.Through) > surveyLimit {
		return ErrSurveying
	}
	return b.settled(ctx)
}

// set returns the entries whose families the scopes cover, and through where
// that is known.
func (s *survey) set(covers []*coverage) (*roaring64.Bitmap, uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out, through := roaring64.New(), s.reached(covers)
	if len(covers) == 0 {
		return out, through
	}
	for seq := range min(through, uint64(len(s.kin.parent))) {
		if s.heldIn(s.kin.root(seq), covers) {
			out.Add(seq)
		}
	}
	return out, through
}

// Anchors returns the entries that say who came and went in a conversation and
// when it was closed, ascending. ErrSurveying while the survey is far behind the
// log.
func (b *Book) Anchors(ctx context.Context, conversation string) ([]uint64, error) {
	if err := b.surveyed(ctx); err != nil {
		return nil, err
	}
	s := b.survey
	s.mu.RLock()
	defer s.mu.RUnlock()
	talk := s.talks[conversation]
	if talk == nil {
		return nil, nil
	}
	out := slices.Clone(talk.anchors)
	slices.Sort(out)
	return out, nil
}

// Gone are the entries of one class-month that one disposition destroyed, or
// is about to: its files have been switched.
type Gone struct {
	archive.ClassMonth
	Intent      uint64 // seq of the disposition's intent
	Certified   bool   // for good: nothing undoes it
	First, Last uint64 // seqs
	spans       spans
}

// Has reports whether an entry is one of them.
func (g *Gone) Has(leaf proof.Leaf) bool {
	return leaf.Class == g.Class && g.spans.has(leaf.Seq) && leaf.Month() == g.Month
}

// Gone returns what was disposed of, as far as the log was applied.
func (b *Book) Gone() []Gone {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []Gone
	for _, i := range b.disposal.intents {
		for _, l := range i.lines {
			if n := len(l.spans); n > 0 && l.abandoned == 0 {
				out = append(out, Gone{
					ClassMonth: archive.ClassMonth{Class: l.Class, Month: l.Month}, Intent: i.seq, Certified: l.certified != 0,
					First: l.spans[0].from, Last: l.spans[n-1].to, spans: l.spans,
				})
			}
		}
	}
	return out
}
