package daemon

import (
	"context"
	"slices"
	"time"

	"holdfast/archive"
	"holdfast/archive/people"
	"holdfast/ingest/envelope"
)

// matchEvery is how often the relay's directory is looked at: who is new there
// is found by name a moment later.
const matchEvery = time.Second

// followMatches finds the person of each relay user that is new or has other
// addresses, until ctx ends.
func (p *parts) followMatches(ctx context.Context) error {
	var size uint64
	var seen envelope.Position // the relay's directory through here was looked at
	changed := func(ctx context.Context) (bool, error) {
		now := p.archive.Size()
		if now == size {
			return false, nil
		}
		if err := p.state.CatchUp(ctx, now); err != nil {
			return false, err
		}
		size = now
		last, ok := p.state.Directory().Last()
		if !ok || last == seen {
			return false, nil
		}
		seen = last
		return true, nil
	}
	follow(ctx, p.matchNow, changed, p.match, func(err error) {
		p.logger.Warn("relay users cannot be matched to people now", "err", err)
	})
	return nil
}

// follow calls match when it is woken, and when changed says so, which is asked
// at every tick. What match could not do is tried again at the next tick, though
// nothing changes meanwhile: people may wait for it.
func follow(ctx context.Context, wake <-chan struct{}, changed func(context.Context) (bool, error), match func(context.Context) error, failed func(error)) {
	tick := time.NewTicker(matchEvery)
	defer tick.Stop()
	due := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
			due = true
		case <-tick.C:
		}
		var err error
		if !due {
			due, err = changed(ctx)
		}
		if due {
			err = match(ctx)
			due = err != nil
		}
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
}

// wakeMatch has relay users matched soon.
func (p *parts) wakeMatch() {
	select {
	case p.matchNow <- struct{}{}:
	default:
	}
}

// match appends the matches that are new.
func (p *parts) match(ctx context.Context) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	if err := p.caughtUp(ctx); err != nil {
		return err
	}
	found, _ := people.Match(slices.Collect(p.state.Directory().Users()), p.history)
	for part := range slices.Chunk(found, archive.MaxBatch) {
		var batch archive.Batch
		for _, m := range part {
			e, err := m.Entry()
			if err != nil {
				return err
			}
			batch.Entries = append(batch.Entries, e)
		}
		if _, err := p.archive.Append(ctx, batch); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return nil
	}
	if p.provisioner != nil {
		p.provisioner.Wake() // whose account is whose is known now
	}
	return p.caughtUp(context.WithoutCancel(ctx))
}

// unmatched returns the relay users that are nobody's, or somebody's under
// doubt, as of the state.
func (p *parts) unmatched() ([]people.Unmatched, error) {
	_, unmatched := people.Match(slices.Collect(p.state.Directory().Users()), p.history)
	return unmatched, nil
}

// relayUser returns what the relay says of a user now.
func (p *parts) relayUser(usr string) (envelope.User, bool) {
	d := p.state.Directory()
	at, ok := d.Last()
	if !ok {
		return envelope.User{}, false
	}
	return d.User(usr, at)
}
