package search

import (
	"context"
	"fmt"
	"slices"

	"holdfast/archive/query"
)

// MRNs returns those of the archive's medical record numbers for which near
// reports true, folded as query.FoldKey does, ascending and each once. It reads
// the dictionaries of the index, not the messages, and what is not indexed yet
// entry by entry; near is asked of a number maybe more than once. It tells of
// the whole archive: what the caller may see of it a search says.
// With ErrUnindexed comes what was found in what was examined. Errors: also
// those of Search.
func (x *Index) MRNs(ctx context.Context, near func(key string) bool) ([]string, error) {
	size := x.src.Size()
	found, scan, behind := map[string]struct{}{}, x.opts.ScanLimit, false
	take := func(key string) {
		if near(key) {
			found[key] = struct{}{}
		}
	}
	for file := x.files(size); file > 0; file-- {
		p, err := x.part(ctx, file-1)
		if err != nil {
			return nil, fmt.Errorf("medical record numbers: %w", err)
		}
		through, err := p.mrns(ctx, take)
		if err != nil {
			return nil, fmt.Errorf("medical record numbers: %w", err)
		}
		start, to := x.span(file-1, size)
		from := max(through, start)
		if from >= to {
			continue
		}
		if to-from > scan {
			behind, from = true, to-scan
		}
		scan -= to - from
		for doc, err := range x.src.Docs(ctx, from, to) {
			if err != nil {
				return nil, fmt.Errorf("medical record numbers: %w", err)
			}
			if doc.MRN != "" && !doc.Hangs && !doc.Quarantined {
				take(query.FoldKey(doc.MRN))
			}
		}
	}
	keys := make([]string, 0, len(found))
	for key := range found {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("medical record numbers: %w", ctx.Err())
	case behind:
		return keys, fmt.Errorf("medical record numbers: %w", ErrUnindexed)
	}
	return keys, nil
}

// mrns gives take every medical record number that the part's index has, and
// returns the seq through which the part is indexed.
func (p *part) mrns(ctx context.Context, take func(key string)) (through uint64, err error) {
	st, err := p.snapshot()
	if err != nil || st.snap == nil {
		return p.start, err
	}
	defer p.done(st.snap)
	err = guard(func() error {
		m, err := p.checkMark(st.snap)
		if err != nil {
			return err
		}
		through = m.through
		for _, s := range st.snap.Segments() {
			dict, err := s.Segment().Dictionary(fieldProperty)
			if err != nil {
				return err
			}
			err = eachTerm(dict, []byte(propMRN), []byte{propMRN[0] + 1}, func(term string) error {
				take(term[len(propMRN):])
				return ctx.Err()
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		p.damaged(st.opened, ErrDamaged)
		return 0, ErrDamaged
	}
	return through, err
}
