package search

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ErrUnindexed says that entries were not examined because the index lags too
// far behind to scan the difference.
var ErrUnindexed = errors.New("the index lags too far behind to know everything that hangs at these messages; wait until it has caught up")

// Followers returns, for each of the digests, the seqs of the entries that refer
// to it, ascending: the receipts, edits and their like that hang at a message. A
// digest that nothing refers to is not in the map. Late attachments are not
// among them. Only entries with a lower seq than asOf exist; 0: all that are
// committed now. With ErrUnindexed comes what was found in what was examined.
// Errors: also those of Search.
func (x *Index) Followers(ctx context.Context, digests [][32]byte, asOf uint64) (map[[32]byte][]uint64, error) {
	size := x.src.Size()
	if asOf > size {
		return nil, fmt.Errorf("followers: %w", ErrAsOf)
	}
	if asOf != 0 {
		size = asOf
	}
	wanted := map[[32]byte]bool{}
	for _, d := range digests {
		wanted[d] = d != [32]byte{}
	}
	maps.DeleteFunc(wanted, func(_ [32]byte, ok bool) bool { return !ok })
	if len(wanted) == 0 {
		return map[[32]byte][]uint64{}, nil
	}
	f := &followers{wanted: wanted, size: size, scan: x.opts.ScanLimit, found: map[[32]byte][]uint64{}}
	for file := x.files(size); file > 0; file-- {
		if err := f.part(ctx, x, file-1); err != nil {
			return nil, fmt.Errorf("followers: %w", err)
		}
	}
	for _, seqs := range f.found {
		slices.Sort(seqs)
	}
	if f.unindexed {
		return f.found, fmt.Errorf("followers: %w", ErrUnindexed)
	}
	return f.found, nil
}

type followers struct {
	wanted    map[[32]byte]bool
	size      uint64
	scan      uint64 // entries that may still be scanned
	found     map[[32]byte][]uint64
	unindexed bool
}

func (f *followers) part(ctx context.Context, x *Index, file uint64) error {
	p, err := x.part(ctx, file)
	if err != nil {
		return err
	}
	through, err := p.having(ctx, fieldRef, slices.Collect(maps.Keys(f.wanted)), func(digest [32]byte, seq uint64) {
		if seq < f.size {
			f.found[digest] = append(f.found[digest], seq)
		}
	})
	if err != nil {
		return err
	}
	start, to := x.span(file, f.size)
	from := max(through, start)
	if from >= to {
		return nil
	}
	if n := to - from; n > f.scan {
		f.unindexed = true
		from = to - f.scan
	}
	f.scan -= to - from
	for doc, err := range x.src.Docs(ctx, from, to) {
		if err != nil {
			return err
		}
		if f.wanted[doc.Ref] && !doc.Late && !doc.Quarantined {
			f.found[doc.Ref] = append(f.found[doc.Ref], doc.Seq)
		}
	}
	return ctx.Err()
}
