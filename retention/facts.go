package retention

import (
	"context"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/retention/hold"
	"holdfast/retention/schedule"
)

// entryFacts is what holds and the schedule ask about one entry.
type entryFacts struct {
	leaf  proof.Leaf
	class string         // that counts
	rule  string         // by which the leaf's class was given, as its note says
	typ   string         // of a message, as AMX/1 calls it
	hold  hold.Entry     // what holds ask
	due   schedule.Facts // what the schedule asks
	atts  []attachment   // of a message

	digest, ref [32]byte // of a message, and of the one that it is about
	known, refs bool     // that digest, and ref, are set
	of          uint64   // redelivery and outcome: the entry that it belongs to
}

// attachment names one sealed attachment in the archive.
type attachment struct {
	bid string
	sum [32]byte // SHA-256 of the sealed bytes
}

// facts gathers what is known of an entry.
func (b *Book) facts(ctx context.Context, rec archive.Record) (*entryFacts, error) {
	return &entryFacts{leaf: rec.Leaf}, nil
}

// unreadable is what is known of an entry whose body cannot be had: nothing,
// and so it is held.
func (b *Book) unreadable(leaf proof.Leaf) *entryFacts {
	return &entryFacts{leaf: leaf, hold: hold.Entry{Unknown: true}}
}
