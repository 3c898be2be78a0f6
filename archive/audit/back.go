package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
)

// The audit entries are read backwards in windows of seqs, smaller where they
// are dense and larger where they are rare: memory stays bounded, and a few
// accesses among millions of messages are still found quickly.
const (
	firstWindow = 1024
	maxWindow   = 1 << 16
	dense       = 512     // audit entries in a window above which the next one is halved
	maxHeld     = 2048    // audit entries held at a time
	maxHeldSize = 8 << 20 // their bodies in bytes, unless it is one entry
)

// reader meets the audit entries newest first, each outcome before its access.
type reader struct {
	src      Source
	outcomes map[uint64]*Outcome // by access, of accesses not met yet
}

// back gives visit each access below to with its outcome, newest first, until
// visit returns false or an error.
func (r *reader) back(ctx context.Context, to uint64, visit func(*Item) (bool, error)) error {
	window := uint64(firstWindow)
	for to > 0 {
		from := to - min(to, window)
		recs, fits, err := r.collect(ctx, from, to)
		if err != nil {
			return err
		}
		if !fits {
			window = max(1, (to-from)/2)
			continue
		}
		for _, rec := range slices.Backward(recs) {
			item, err := r.take(rec)
			if err != nil {
				return err
			}
			if item == nil {
				continue
			}
			if more, err := visit(item); !more || err != nil {
				return err
			}
		}
		// An outcome whose access was not there, because that was disposed of, is not waited for.
		maps.DeleteFunc(r.outcomes, func(of uint64, _ *Outcome) bool { return of >= from })
		if len(recs) > dense {
			window = max(window/2, 1)
		} else {
			window = min(window*2, maxWindow)
		}
		to = from
	}
	return nil
}

// collect reads the audit entries with from <= seq < to, or finds that they are
// more than may be held.
func (r *reader) collect(ctx context.Context, from, to uint64) (recs []archive.Record, fits bool, err error) {
	size := 0
	for rec, err := range r.src.ClassRecords(ctx, proof.ClassAudit, from, to) {
		if errors.Is(err, archive.ErrDisposed) || errors.Is(err, archive.ErrNoBody) {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("read the audit entries from %d: %w", from, err)
		}
		recs = append(recs, rec)
		size += len(rec.Body)
		if to-from > 1 && (len(recs) > maxHeld || size > maxHeldSize) {
			return nil, false, nil
		}
	}
	return recs, true, nil
}

// take reads one entry: nil unless it is an access.
func (r *reader) take(rec archive.Record) (*Item, error) {
	switch rec.Leaf.Kind {
	case proof.KindOutcome:
		var o Outcome
		if err := ijson.Unmarshal(rec.Body, &o); err != nil {
			return nil, fmt.Errorf("outcome entry %d: %w", rec.Leaf.Seq, err)
		}
		r.outcomes[o.Of] = &o // of several, which nobody writes, the first counts
	case proof.KindAccess:
		var a Access
		if err := ijson.Unmarshal(rec.Body, &a); err != nil {
			return nil, fmt.Errorf("access entry %d: %w", rec.Leaf.Seq, err)
		}
		item := &Item{Seq: rec.Leaf.Seq, Received: rec.Leaf.ReceivedTime(), Access: a, Outcome: r.outcomes[rec.Leaf.Seq]}
		delete(r.outcomes, rec.Leaf.Seq)
		return item, nil
	}
	return nil, nil
}

// daySums keeps, of the day that a backward reader is in, how many entries
// each principal was shown. What the reader has met is added up on the way;
// the rest of the day is read ahead, once, when the day's first access is asked
// for. So nothing but sums is held.
type daySums struct {
	watch *Watch
	src   Source
	day   string
	whole bool              // the sums cover the whole day
	shown map[string]uint64 // by principal's ID
}

// met notes an access that the reader has come to.
func (d *daySums) met(i *Item) {
	if day := d.watch.day(i.Received); day != d.day || d.shown == nil {
		d.day, d.whole, d.shown = day, false, map[string]uint64{}
	}
	if !d.whole {
		d.add(i)
	}
}

func (d *daySums) add(i *Item) {
	if o := i.Outcome; o != nil && i.Access.Action.Reads() && o.Shown > 0 {
		d.shown[i.Access.Principal.ID()] += o.Shown
	}
}

// fill sets the volume of the access that was met last. outcomes are those of
// accesses not met yet.
func (d *daySums) fill(ctx context.Context, i *Item, outcomes map[uint64]*Outcome) error {
	if !d.whole {
		ahead := reader{src: d.src, outcomes: maps.Clone(outcomes)}
		err := ahead.back(ctx, i.Seq, func(older *Item) (bool, error) {
			if d.watch.day(older.Received) != d.day {
				return false, nil
			}
			d.add(older)
			return true, nil
		})
		if err != nil {
			return err
		}
		d.whole = true
	}
	i.DayShown = d.shown[i.Access.Principal.ID()]
	return nil
}
