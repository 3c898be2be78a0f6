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
	tick := time.NewTicker(matchEvery)
	defer tick.Stop()
	var size uint64
	var matched envelope.Position // the relay's directory through here was looked at
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-p.matchNow:
			err = p.match(ctx)
		case <-tick.C:
			now := p.archive.Size()
			if now == size {
				continue
			}
			if err = p.state.CatchUp(ctx, now); err != nil {
				break
			}
			size = now
			if last, ok := p.state.Directory().Last(); ok && last != matched {
				if err = p.match(ctx); err == nil {
					matched = last
				}
			}
		}
		if err != nil && ctx.Err() == nil {
			size = 0
			p.logger.Warn("relay users cannot be matched to people now", "err", err)
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
