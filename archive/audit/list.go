package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
)

// Source gives the audit entries back. *archive.Archive is one.
type Source interface {
	Size() uint64
	// ClassRecords gives the records of one class with from <= seq < to, in order.
	ClassRecords(ctx context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error]
}

// MaxListed bounds what one List returns.
const MaxListed = 1000

// Filter chooses among the accesses. Its zero value chooses all.
type Filter struct {
	Action    Action    // "" for all
	Principal string    // a principal's name, or a uid in decimal; "" for all
	Person    string    // a principal's ID ("person:GUID", "uid:N"), objectGUID or name, without regard to case; "" for all
	Matter    string    // exactly this matter; "" for all
	Since     time.Time // received at or after this; zero for all
	Until     time.Time // received before this; zero for all
	Before    uint64    // only seqs below this; 0 for all: the seq of the last line of a list begins the next
	Limit     int       // at most this many, 1..MaxListed; 0 means MaxListed

	// Custodians are relay users: only reads whose outcome names one of them, or
	// of which it is not known whom they showed. Empty for all.
	Custodians []string
	// Watch fills in each item's flags and volume; nil leaves them out.
	Watch *Watch
	// Flagged fills them in and chooses only what has a flag; nil for all.
	Flagged *Watch
}

// Item is one access with what it came to.
type Item struct {
	Seq      uint64    `json:"seq"`
	Received time.Time `json:"received"`
	Access   Access    `json:"access"`
	Outcome  *Outcome  `json:"outcome"` // null while the look goes on, or when the daemon did not live to finish it

	Flags []string `json:"flags,omitempty"` // with a Watch
	// DayShown is how many entries the principal was shown on the access's
	// local day, as far as the log goes; with a Watch, of reads that showed something.
	DayShown uint64 `json:"day_shown,omitempty"`
}

// The list is read backwards in windows of seqs, smaller where audit entries
// are dense and larger where they are rare, so that its memory stays bounded
// and a few accesses among millions of messages are still found quickly.
const (
	minWindow  = 256
	maxWindow  = 1 << 16
	denseAudit = 512 // audit entries in a window above which the next one is halved
)

// List returns the accesses that f chooses, newest first. Outcomes that came
// after the newest access of the log's present size are seen as well.
func List(ctx context.Context, src Source, f Filter) ([]Item, error) {
	if f.Limit <= 0 || f.Limit > MaxListed {
		f.Limit = MaxListed
	}
	l := lister{filter: f, outcomes: map[uint64]*Outcome{}}
	window := uint64(4 * minWindow)
	// An outcome follows its access, so reading starts at the log's end even
	// when only older accesses are asked for.
	for to := src.Size(); to > 0 && !l.done; {
		from := to - min(to, window)
		recs, err := collect(ctx, src, from, to)
		if err != nil {
			return nil, err
		}
		for _, rec := range slices.Backward(recs) {
			if err := l.take(rec); err != nil {
				return nil, err
			}
			if l.done {
				break
			}
		}
		if len(recs) > denseAudit {
			window = max(window/2, minWindow)
		} else {
			window = min(window*2, maxWindow)
		}
		to = from
	}
	return l.items, nil
}

func collect(ctx context.Context, src Source, from, to uint64) ([]archive.Record, error) {
	var recs []archive.Record
	for rec, err := range src.ClassRecords(ctx, proof.ClassAudit, from, to) {
		if errors.Is(err, archive.ErrNoBody) {
			continue // disposed of, long after
		}
		if err != nil {
			return nil, fmt.Errorf("read the audit entries from %d: %w", from, err)
		}
		recs = append(recs, rec)
	}
	return recs, nil
}

// lister meets the audit entries newest first, each outcome before its access.
type lister struct {
	filter   Filter
	outcomes map[uint64]*Outcome // by access, of accesses not met yet
	items    []Item
	done     bool
}

func (l *lister) take(rec archive.Record) error {
	switch rec.Leaf.Kind {
	case proof.KindOutcome:
		var o Outcome
		if err := ijson.Unmarshal(rec.Body, &o); err != nil {
			return fmt.Errorf("outcome entry %d: %w", rec.Leaf.Seq, err)
		}
		l.outcomes[o.Of] = &o
	case proof.KindAccess:
		var a Access
		if err := ijson.Unmarshal(rec.Body, &a); err != nil {
			return fmt.Errorf("access entry %d: %w", rec.Leaf.Seq, err)
		}
		item := Item{Seq: rec.Leaf.Seq, Received: rec.Leaf.ReceivedTime(), Access: a, Outcome: l.outcomes[rec.Leaf.Seq]}
		delete(l.outcomes, rec.Leaf.Seq)
		if item.Received.Before(l.filter.Since) {
			l.done = true // received times never fall, so all the rest is older still
			return nil
		}
		if l.filter.chooses(&item) {
			l.items = append(l.items, item)
			l.done = len(l.items) == l.filter.Limit
		}
	}
	return nil
}

func (f *Filter) chooses(i *Item) bool {
	switch {
	case f.Before != 0 && i.Seq >= f.Before:
		return false
	case f.Action != "" && i.Access.Action != f.Action:
		return false
	case f.Principal != "" && i.Access.Principal.Name != f.Principal &&
		i.Access.Principal.ID() != "uid:"+f.Principal:
		return false
	}
	return true
}
