package coverage

import (
	"slices"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
)

// follow counts one of the relay's numbers, and notes those that it leaves out.
func (v *survey) follow(leaf proof.Leaf, in bool) {
	s := v.streams[leaf.Epoch]
	if s == nil {
		s = &stream{Stream: Stream{Epoch: leaf.Epoch, Missing: []Gap{}, Lost: []Gap{}}}
		v.streams[leaf.Epoch] = s
		v.order = append(v.order, leaf.Epoch)
	}
	last := s.newest
	s.newest = max(s.newest, leaf.RelaySeq)
	if !in {
		return
	}
	if leaf.RelaySeq > last+1 {
		s.Missing = append(s.Missing, Gap{last + 1, leaf.RelaySeq - 1})
	}
	if s.Entries == 0 {
		s.First = leaf.RelaySeq
	}
	s.Entries++
	s.Last = leaf.RelaySeq
}

// lost notes what the relay says that it lost.
func (v *survey) lost(rec archive.Record) {
	var note struct {
		Kind string `json:"kind"`
	}
	if ijson.Unmarshal(rec.Note, &note) != nil || note.Kind != wire.KindLost {
		return
	}
	s := v.streams[rec.Leaf.Epoch]
	var gap Gap
	// What it lost may be told in a form that this program does not know: then the
	// event itself is what is known.
	if ijson.Unmarshal(rec.Body, &gap) != nil || gap.From == 0 || gap.To < gap.From {
		gap = Gap{rec.Leaf.RelaySeq, rec.Leaf.RelaySeq}
	}
	s.Lost = append(s.Lost, gap)
}

// ended notes that the relay began another epoch.
func (v *survey) ended(rec archive.Record) {
	var body archive.EpochBody
	if ijson.Unmarshal(rec.Body, &body) != nil {
		return
	}
	if s := v.streams[body.Previous]; s != nil {
		s.Ended = true
	}
}

// streamed returns the streams that had anything in the period, as they came.
func (v *survey) streamed() []Stream {
	out := []Stream{}
	for _, epoch := range v.order {
		if s := v.streams[epoch]; s.Entries > 0 {
			s.Missing = slices.Clip(s.Missing)
			out = append(out, s.Stream)
		}
	}
	return out
}
