package retention

import (
	"slices"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
)

// doubt is a span of received time in which the archive did not believe the
// machine's clock: the log's time stood back, for how long nobody knew. What
// bears such a time may be as late as the clock was when a person released it.
// The log's times never fall, so that none from outside lies within, but at its edges.
type doubt struct {
	jump, release uint64 // seqs of their entries
	begin, end    time.Time
	until         time.Time // zero: nobody has released the clock yet
}

// latest returns the latest moment that a received time can stand for; known is
// false while nobody can tell.
func (b *Book) latest(t time.Time) (latest time.Time, known bool) {
	return b.within(t, func(d *doubt) bool { return !t.Before(d.begin) && (d.until.IsZero() || !t.After(d.end)) })
}

// latestOf is latest for the time of one entry: several may bear one time.
func (b *Book) latestOf(leaf proof.Leaf) (latest time.Time, known bool) {
	return b.within(leaf.ReceivedTime(), func(d *doubt) bool {
		return leaf.Seq >= d.jump && (d.until.IsZero() || leaf.Seq < d.release)
	})
}

func (b *Book) within(t time.Time, in func(*doubt) bool) (latest time.Time, known bool) {
	all := b.doubts.Load()
	if all == nil {
		return t, true
	}
	for i := range *all {
		switch d := &(*all)[i]; {
		case !in(d):
		case d.until.IsZero():
			return t, false
		case t.Before(d.until):
			return d.until, true
		}
	}
	return t, true
}

// distant is later than any hold's range ends: hold.Scope ends in the year 9999.
var distant = time.Date(10000, time.January, 1, 0, 0, 0, 0, time.UTC)

// receivedBy returns when an entry was received at the latest; zero when its
// leaf says when.
func (b *Book) receivedBy(leaf proof.Leaf) time.Time {
	latest, known := b.latestOf(leaf)
	switch {
	case !known:
		return distant
	case latest.Equal(leaf.ReceivedTime()):
		return time.Time{}
	}
	return latest
}

// dated puts the times on which an entry's due date rests where they may be at
// the latest: nothing goes early because the log's time had stood still.
func (b *Book) dated(f *entryFacts) {
	var known bool
	f.due.Received, known = b.latestOf(f.leaf)
	f.doubted = !known
	for _, t := range []**time.Time{&f.due.Closed, &f.due.Departed} {
		if *t == nil {
			continue
		}
		at, known := b.latest(**t)
		*t, f.doubted = &at, f.doubted || !known
	}
}

// applyClock takes in that the clock jumped, or that a person released it. The
// archive itself knows where its clock stands.
func (b *Book) applyClock(rec archive.Record) error {
	var body archive.ClockBody
	if err := readDisposal(rec, &body, &body.Version); err != nil {
		return err
	}
	var all []doubt
	if had := b.doubts.Load(); had != nil {
		all = slices.Clone(*had)
	}
	open := len(all) > 0 && all[len(all)-1].until.IsZero()
	switch {
	case body.Op == archive.ClockJump && !open:
		all = append(all, doubt{jump: rec.Leaf.Seq, begin: rec.Leaf.ReceivedTime()})
	case body.Op == archive.ClockRelease && open:
		end, err := envelope.ParseTime(body.Received)
		if err != nil {
			return err
		}
		last := &all[len(all)-1]
		last.release, last.end, last.until = rec.Leaf.Seq, end, rec.Leaf.ReceivedTime()
	}
	b.doubts.Store(&all)
	return nil
}
