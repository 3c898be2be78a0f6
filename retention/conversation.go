package retention

import (
	"slices"
	"time"

	"holdfast/ingest/envelope"
)

// conversation is what the schedule asks about one.
type conversation struct {
	closed  time.Time // received time of the newest close
	end     uint64    // its seq; 0: there is none
	last    uint64    // seq of the newest entry that goes on with it
	anchors []uint64  // the entries that say when it closed and who came and went
}

// hear takes in what an entry says of its conversation, which it returns; nil
// if it belongs to none. Entries may come in any order.
func (s *survey) hear(f *entryFacts) *conversation {
	if f.hold.Conversation == "" {
		return nil
	}
	seq, talk := f.leaf.Seq, s.talks[f.hold.Conversation]
	if talk == nil {
		talk = &conversation{}
		s.talks[f.hold.Conversation] = talk
	}
	if n := len(talk.anchors); f.anchors() && (n == 0 || talk.anchors[n-1] < seq || !slices.Contains(talk.anchors, seq)) {
		talk.anchors = append(talk.anchors, seq)
	}
	switch f.typ {
	case envelope.TypClose:
		if seq > talk.end {
			talk.end, talk.closed = seq, f.due.Received
		}
	case envelope.TypMsg, envelope.TypCall, envelope.TypMember:
		talk.last = max(talk.last, seq)
	}
	return talk
}

// anchors reports whether the entry says when its conversation closed or who
// came and went.
func (f *entryFacts) anchors() bool { return f.typ == envelope.TypClose || f.typ == envelope.TypMember }
