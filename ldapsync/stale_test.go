package ldapsync

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"holdfast/archive"
	"holdfast/archive/people"
	"holdfast/archive/proof"
)

// stale is a log that does what the archive does when a commit fails at its very
// end: the batch is in the log, Append says ErrFailed, and Size knows of it only
// once the next request has had the files reopened.
type stale struct {
	*memory
	known  uint64 // what Size tells
	failed bool
	next   error // of the next Append, after its effect
	closed error // of every request until it is nil
}

func (s *stale) Size() uint64 { return s.known }

func (s *stale) reopen() error {
	if s.closed != nil {
		return s.closed
	}
	s.failed, s.known = false, s.memory.Size()
	return nil
}

func (s *stale) Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	if err := s.reopen(); err != nil {
		return nil, err
	}
	placed, err := s.memory.Append(ctx, b)
	if s.next != nil {
		err, s.next, s.failed = s.next, nil, true
		return nil, err
	}
	s.known = s.memory.Size()
	return placed, err
}

func (s *stale) Checkpoint(context.Context) ([]byte, error) { return nil, s.reopen() }

// TestStaleSize: a batch that is in the log although its append failed is not
// appended again. Its changes cannot follow themselves, and nothing that follows
// the log could ever pass the second ones.
func TestStaleSize(t *testing.T) {
	var log *stale
	w := newWorld(t, func(o *Options) {
		log = &stale{memory: o.Log.(*memory)}
		o.Log = log
	}, staff(60)...)
	log.next = archive.ErrFailed
	if _, err := w.s.Sync(t.Context()); !errors.Is(err, archive.ErrFailed) {
		t.Fatal(err)
	}
	log.closed = archive.ErrFailed // the disk is not back yet
	if _, err := w.s.Sync(t.Context()); !errors.Is(err, archive.ErrFailed) || classOf(err) != ClassLog {
		t.Fatal(err)
	}
	log.closed = nil
	if got := w.sync(); got != "" || len(w.passed) != 60 {
		t.Errorf("%q, told of %d", got, len(w.passed))
	}
	// The same when what was approved is appended.
	for i := range 25 {
		w.do(w.fake.Disable(fmt.Sprintf("p%d", i)))
	}
	if _, err := w.s.Sync(t.Context()); !errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}
	p := w.s.PendingDiff()
	log.next = archive.ErrFailed
	if _, err := w.s.Apply(t.Context(), p.Digest, execution); !errors.Is(err, archive.ErrFailed) {
		t.Fatal(err)
	}
	if got := w.sync(); got != "" || w.s.PendingDiff() != nil {
		t.Errorf("%q", got)
	}
	w.do(w.log.CatchUp(t.Context(), w.log.Size()))
	again := people.NewHistory()
	for _, rec := range w.log.records {
		switch rec.Leaf.Kind {
		case proof.KindPerson, proof.KindGroup, proof.KindSync:
			w.do(again.Apply(rec))
		}
	}
}
