package retention

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"
	"time"

	"holdfast/archive"
	"holdfast/retention/schedule"
)

// judgement is what entries are judged by: the schedule and holds of one
// moment.
type judgement struct {
	book  *Book
	kind  PlanKind
	asOf  time.Time
	rules *schedule.Schedule // nil: none
	seq   uint64             // of its entry
	next  *time.Time         // the earliest time at which something not looked at becomes due
}

func (b *Book) judging(kind PlanKind, asOf time.Time) *judgement {
	j := &judgement{book: b, kind: kind, asOf: asOf}
	j.rules, j.seq, _ = b.Schedule()
	return j
}

// assess gathers the facts about one entry. The survey has settled.
func (j *judgement) assess(ctx context.Context, rec archive.Record) (*fact, error) {
	e, err := j.book.facts(ctx, rec)
	if err != nil {
		return nil, err
	}
	e.looked = true
	f := &fact{seq: rec.Leaf.Seq, class: e.class, kind: rec.Leaf.Kind, bytes: uint64(rec.Leaf.BodyLen), attached: len(e.atts) > 0}
	f.due, f.cut = j.book.dueOf(e), j.cutoff(f.class, e.due.Received)
	f.held = func() []HeldBy { return j.book.heldBy(e) }
	return f, nil
}

// cutoff returns when the period is over in which an entry of a class was
// received.
func (j *judgement) cutoff(class string, received time.Time) time.Time {
	return cutoff(received, j.rules != nil && j.rules.Yearly(class))
}

// How many entries, and bytes of their bodies, are judged at one go.
const (
	judgeBatch = 1024
	judgeBytes = 8 << 20
)

// errUnplanned comes with an entry of a class-month that is not asked about.
var errUnplanned = errors.New("the plan does not have this entry")

// tally has rule decide about entries of a class-month, which come in order,
// and adds its rulings up.
func (j *judgement) tally(ctx context.Context, cm archive.ClassMonth, recs iter.Seq2[archive.Record, error], rule func(*fact) ruling) (*tally, error) {
	t, bytes := newTally(cm), 0
	batch := make([]judged, 0, judgeBatch)
	for rec, err := range recs {
		batch = append(batch, judged{rec: rec, err: err})
		if bytes += len(rec.Body); len(batch) < judgeBatch && bytes < judgeBytes {
			continue
		}
		if err := j.addAll(ctx, t, batch, rule); err != nil {
			return nil, err
		}
		batch, bytes = batch[:0], 0
	}
	return t, j.addAll(ctx, t, batch, rule)
}

// judged is one entry on its way to a ruling.
type judged struct {
	rec    archive.Record
	fact   *fact
	ruling ruling
	err    error
}

func (j *judgement) addAll(ctx context.Context, t *tally, batch []judged, rule func(*fact) ruling) error {
	share := max(1, (len(batch)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for from := 0; from < len(batch); from += share {
		wg.Go(func() {
			for i := from; i < min(from+share, len(batch)); i++ {
				one := &batch[i]
				if one.err == nil {
					one.fact, one.err = j.assess(ctx, one.rec)
				}
				if one.err == nil {
					one.ruling = rule(one.fact)
				}
			}
		})
	}
	wg.Wait()
	for i := range batch {
		one := &batch[i]
		switch {
		case one.err == nil:
			t.add(one.fact, one.ruling)
		case errors.Is(one.err, errUnplanned):
			t.gap()
		case errors.Is(one.err, archive.ErrDisposed):
			t.gap()
			t.disposed++
		case ctx.Err() != nil:
			return ctx.Err()
		case !aboutOne(one.err):
			return one.err
		default:
			t.damage()
		}
	}
	return nil
}

// aboutOne reports whether an error is about one entry's body: then what it
// says is not known, and its class-month is kept. Any other error is the
// archive's.
func aboutOne(err error) bool {
	var e *archive.SeqError
	return errors.As(err, &e) && !errors.Is(err, archive.ErrFailed) && !errors.Is(err, archive.ErrClosed)
}
