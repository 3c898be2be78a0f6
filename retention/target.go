package retention

import (
	"context"
	"errors"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// maxChain bounds how far a version's target is followed to the first.
const maxChain = 1000

// dueFacts adds what the triggers other than reception ask. What is about a
// message, such as an edit or a receipt, goes by that message's: it has its
// class, and is of no use without it.
func (b *Book) dueFacts(ctx context.Context, f *entryFacts) error {
	first, err := b.target(ctx, f)
	if err != nil {
		return err
	}
	if first == nil {
		f.bereft = true
		return nil
	}
	f.due.Born = first.due.Born
	if first.hold.Doc == nil {
		return nil
	}
	f.due.Departed = b.departed(first.parties())
	f.due.Closed = b.survey.closed(first.hold.Conversation)
	return nil
}

// target returns the facts of the message that an entry is about in the end,
// itself when it is about none; nil when that one is not there.
func (b *Book) target(ctx context.Context, f *entryFacts) (*entryFacts, error) {
	at := f
	for range maxChain {
		var seq uint64
		switch {
		case at.leaf.Kind == proof.KindRedelivery && at.of != 0:
			seq = at.of
		case at.refs:
			var ok bool
			if seq, ok = b.survey.messageWith(at.ref); !ok {
				return nil, nil
			}
		default:
			return at, nil
		}
		rec, err := b.options.Log.Record(ctx, seq)
		switch {
		case gone(err):
			return nil, nil
		case errors.Is(err, archive.ErrDamaged), errors.Is(err, archive.ErrNoBody):
			return newFacts(f.leaf), nil // nothing is known of it, so no trigger comes
		case err != nil:
			return nil, err
		}
		next, err := b.gather(ctx, rec, func(string) []string { return nil })
		if err != nil {
			return nil, err
		}
		if at.refs && next.digest != at.ref {
			return nil, nil // two digests with one hash
		}
		at = next
	}
	return newFacts(f.leaf), nil // in a circle, or as good as that: no trigger comes
}
