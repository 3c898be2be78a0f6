package approval

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// Ask records who's request and returns its seq, by which it is known from
// then on. Somebody who asks again for what they have open gets the request
// that is there.
func (b *Book) Ask(ctx context.Context, log Appender, who role.Principal, a Ask) (uint64, error) {
	daemon := who.ID() == role.ViaDaemon
	if err := a.check(daemon); err != nil {
		return 0, err
	}
	if b.options.Persons && !daemon && !isPerson(who) {
		return 0, ErrNotPerson
	}
	if a.TTL == 0 {
		a.TTL = DefaultTTL
	}
	release, err := b.hold(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	var body requestBody
	var known uint64
	err = b.judged(ctx, log, func(now time.Time) (err error) {
		if known, err = b.asked(who, a, now); err != nil || known != 0 {
			return err
		}
		body = requestBody{Version: 1, Act: a.Act, Digest: a.Digest, Summary: a.Summary, By: who, Reason: a.Reason,
			At: now, Expires: now.Add(a.TTL).Truncate(time.Millisecond)}
		return nil
	})
	if err != nil || known != 0 {
		return known, err
	}
	// A crash before this append leaves nothing; after it, a request that is there when its owner asks again.
	return b.write(ctx, log, proof.KindRequest, body)
}

func (a *Ask) check(daemon bool) error {
	switch {
	case !a.Act.Valid():
		return fmt.Errorf("%w: there is no such act; acts are %v", ErrInvalid, Acts())
	case !isDigest(a.Digest):
		return fmt.Errorf("%w: the digest is not a SHA-256 in lower-case hex", ErrInvalid)
	case a.TTL < 0 || a.TTL > MaxTTL:
		return fmt.Errorf("%w: it is good for at most %v", ErrInvalid, MaxTTL)
	}
	if err := words("summary", a.Summary); err != nil {
		return err
	}
	if daemon && a.Reason == "" {
		return nil
	}
	return words("reason", a.Reason)
}

// asked returns the seq of the open request for the same if it is who's own.
// The genesis entry has seq 0, so 0 is none. mu is held.
func (b *Book) asked(who role.Principal, a Ask, now time.Time) (uint64, error) {
	own := 0
	for _, r := range b.requests {
		if !r.openAt(now) {
			continue
		}
		mine := same(r.By, who)
		switch {
		case r.Act == a.Act && r.Digest == a.Digest && mine:
			return r.Seq, nil
		case r.Act == a.Act && r.Digest == a.Digest:
			return 0, fmt.Errorf("request %d: %w", r.Seq, ErrOpen)
		case mine:
			own++
		}
	}
	if own >= MaxOpen {
		return 0, fmt.Errorf("%w: %d requests of yours are open; have them decided first", ErrInvalid, own)
	}
	return 0, nil
}

// Decide records who's decision on the request at seq: one, by somebody else,
// in time.
func (b *Book) Decide(ctx context.Context, log Appender, who role.Principal, seq uint64, approve bool, reason string) error {
	if err := words("reason", reason); err != nil {
		return err
	}
	release, err := b.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	var body decisionBody
	err = b.judged(ctx, log, func(now time.Time) error {
		r, err := b.find(seq)
		if err != nil {
			return err
		}
		if err := r.decidable(who, now); err != nil {
			return err
		}
		if b.options.Persons && (!isPerson(who) || !b.mayAsk(r.By)) {
			return ErrNotPerson
		}
		body = decisionBody{Version: 1, Of: seq, Digest: r.Digest, By: who, Approve: approve, Reason: reason, At: now}
		return nil
	})
	if err != nil {
		return err
	}
	// A crash before this append leaves the request pending; after it, decided.
	placed, err := b.write(ctx, log, proof.KindDecision, body)
	if err != nil {
		return err
	}
	return b.landed(seq, placed)
}

// mayAsk reports whether a request by p may be decided and executed where a
// directory is configured; p may have asked before it was.
func (b *Book) mayAsk(p role.Principal) bool { return isPerson(p) || p.ID() == role.ViaDaemon }

// Executing judges whether the request at seq may be executed now, as act on
// what has the given digest, and returns the execution entry for the caller's
// own batch: the entries of the act and this one are durable together or not
// at all. Until done is called nobody else gets it. done takes the error of
// the Append, nil when the batch is durable; any other error that kept the
// caller from appending will do. It is called exactly once when err is nil.
func (b *Book) Executing(ctx context.Context, log Appender, who role.Principal, seq uint64, act Act, digest string) (e archive.Entry, done func(error), err error) {
	err = b.judged(ctx, log, func(now time.Time) error {
		r, err := b.find(seq)
		if err != nil {
			return err
		}
		if err := r.executable(act, digest, now); err != nil {
			return err
		}
		if b.options.Persons && !(b.mayAsk(r.By) && isPerson(r.Decision.By)) {
			return ErrNotPerson
		}
		if b.taken[seq] {
			return ErrBusy
		}
		e, err = entry(proof.KindExecution, executionBody{Version: 1, Of: seq, Act: act, Digest: digest, By: who, At: now})
		if err == nil {
			b.taken[seq] = true
		}
		return err
	})
	if err != nil {
		return archive.Entry{}, nil, err
	}
	var once sync.Once
	return e, func(err error) {
		once.Do(func() {
			b.given(log, err)
			b.mu.Lock()
			defer b.mu.Unlock()
			delete(b.taken, seq)
		})
	}, nil
}

// Execute uses the approval of the request at seq up, durable once it returns.
// The caller does the act after it and only when it returns nil: a crash
// between the two leaves an approval that is used and an act that was not
// done, and never an act that is done twice.
func (b *Book) Execute(ctx context.Context, log Appender, who role.Principal, seq uint64, act Act, digest string) error {
	e, done, err := b.Executing(ctx, log, who, seq, act, digest)
	if err != nil {
		return err
	}
	// A crash before this append leaves the approval good for one use; after it, used.
	placed, err := appendOne(ctx, log, e)
	done(err)
	if err != nil {
		return err
	}
	if err := b.options.CatchUp(context.WithoutCancel(ctx), placed+1); err != nil {
		return err
	}
	return b.landed(seq, placed)
}

// landed returns the rule that the entry placed for the request turned out to
// break when the log took it: time passes between judging and appending.
func (b *Book) landed(seq, placed uint64) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	r, err := b.find(seq)
	if err != nil {
		return err
	}
	return r.broken(placed)
}

// hold waits for the right to judge and write.
func (b *Book) hold(ctx context.Context) (release func(), err error) {
	select {
	case b.judge <- struct{}{}:
		return func() { <-b.judge }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// judged brings the book up to the log's newest state and runs rules on it,
// under mu.
func (b *Book) judged(ctx context.Context, log Appender, rules func(now time.Time) error) error {
	for {
		size := log.Size()
		if err := b.options.CatchUp(ctx, size); err != nil {
			return fmt.Errorf("read the requests: %w", err)
		}
		judged, err := b.judgedAt(size, rules)
		if judged {
			return err
		}
		if log.Size() == size {
			return ErrBusy // the fate of an entry is unknown, and shows with the next
		}
	}
}

// judgedAt runs the rules if a book that is brought up to size may judge.
func (b *Book) judgedAt(size uint64, rules func(now time.Time) error) (judged bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if size < b.need {
		return false, nil
	}
	return true, rules(b.now())
}

// write appends one entry and applies it.
func (b *Book) write(ctx context.Context, log Appender, kind proof.Kind, body any) (uint64, error) {
	e, err := entry(kind, body)
	if err != nil {
		return 0, err
	}
	seq, err := appendOne(ctx, log, e)
	b.given(log, err)
	if err != nil {
		return 0, err
	}
	return seq, b.options.CatchUp(context.WithoutCancel(ctx), seq+1)
}

func appendOne(ctx context.Context, log Appender, e archive.Entry) (uint64, error) {
	placed, err := log.Append(ctx, archive.Batch{Entries: []archive.Entry{e}})
	if err != nil {
		return 0, fmt.Errorf("record the %s: %w", e.Kind, err)
	}
	if len(placed) != 1 {
		return 0, fmt.Errorf("record the %s: the log placed %d entries for one", e.Kind, len(placed))
	}
	return placed[0].Seq, nil
}

// given notes that an entry was given to the log and what came of it, so that
// nothing is judged on a state that might lack it.
func (b *Book) given(log Appender, err error) {
	need := log.Size()
	if err != nil && unknown(err) {
		need++
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.need = max(b.need, need)
}

// unknown reports whether an entry may be in the log in spite of the error, as
// any error leaves it that does not say otherwise.
func unknown(err error) bool {
	refused := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, archive.ErrInvalid) || errors.Is(err, archive.ErrDiskFull)
	return errors.Is(err, archive.ErrFailed) || !refused
}
