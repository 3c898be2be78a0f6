package search

import (
	"context"
	"fmt"
	"math"

	"github.com/blevesearch/bleve/v2/index/scorch"
)

// digestLen is how many bytes of a digest the index keeps: enough that no two
// messages of an archive share them.
const digestLen = 16

func digestTerm(digest [32]byte) string { return string(digest[:digestLen]) }

// Target returns the oldest searchable entry whose message has the given
// digest, as receipts and later versions name it. It looks at what is indexed
// alone and scans nothing: false may also mean that the entry is too new.
// Errors are those of Search.
func (x *Index) Target(ctx context.Context, digest [32]byte) (seq uint64, ok bool, err error) {
	for file := range x.files(x.src.Size()) {
		p, err := x.part(ctx, file)
		if err != nil {
			return 0, false, fmt.Errorf("search: %w", err)
		}
		place, found, err := p.target(ctx, digest)
		if err != nil {
			return 0, false, fmt.Errorf("search: %w", err)
		}
		if found {
			return p.start + place, true, nil
		}
	}
	return 0, false, nil
}

// target returns the lowest place in the part of a document with the digest.
func (p *part) target(ctx context.Context, digest [32]byte) (place uint64, found bool, err error) {
	snap, opened, err := p.snapshot()
	if err != nil || snap == nil {
		return 0, false, err
	}
	defer p.done(snap)
	err = guard(func() (err error) {
		place, found, err = p.targetIn(ctx, snap, digest)
		return err
	})
	if err != nil && ctx.Err() == nil {
		p.damaged(opened, ErrDamaged)
		return 0, false, ErrDamaged
	}
	return place, found, err
}

func (p *part) targetIn(ctx context.Context, snap *scorch.IndexSnapshot, digest [32]byte) (place uint64, found bool, err error) {
	if _, err := p.checkMark(snap); err != nil {
		return 0, false, err
	}
	place = math.MaxUint64
	for _, seg := range snap.Segments() {
		if err := ctx.Err(); err != nil {
			return 0, false, err
		}
		set, err := newEvaluator(seg.Segment()).term(fieldDigest, digestTerm(digest))
		if err != nil {
			return 0, false, err
		}
		if set.IsEmpty() {
			continue
		}
		c, err := p.column(snap, seg)
		if err != nil {
			return 0, false, err
		}
		for it := set.Iterator(); it.HasNext(); {
			place, found = min(place, uint64(c.places[it.Next()])), true
		}
	}
	return place, found, nil
}
