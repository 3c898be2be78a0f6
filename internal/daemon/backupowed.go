package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"holdfast/archive/backup"
	"holdfast/internal/api"
	"holdfast/retention"
)

// owedAgain is after how long a backup is tried again that an older copy of the
// keyring waits for.
const owedAgain = time.Hour

// wake says that something may be due, to a channel of capacity 1.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is about to
	}
}

// run keeps the keyring's own backup, and makes the backups that it waits for,
// until ctx ends.
func (b *backups) run(ctx context.Context) error {
	var wait sync.WaitGroup
	wait.Go(func() { b.pay(ctx) })
	defer wait.Wait()
	return b.keepKeys(ctx)
}

// pay makes a backup soon after a disposition: until then what survived it is
// in no backup but under the keys that were destroyed, and a copy of these has
// to stay.
func (b *backups) pay(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.owed:
		}
		b.disposed(ctx)
		if ctx.Err() != nil || !b.keeper.Owed() || b.p.salvage.waits() {
			continue // the nightly one came first, or a restored log waits for people
		}
		_, err := b.Backup(ctx, api.BackupRequest{}, nil)
		if err == nil || ctx.Err() != nil {
			continue
		}
		// Why is on record, and in the log; the keeper asks again.
		again := owedAgain
		if errors.Is(err, backup.ErrRunning) {
			again = keysEvery
		}
		pause(ctx, again)
	}
}

// disposed waits until no disposition goes on: a backup that is made meanwhile
// is begun anew.
func (b *backups) disposed(ctx context.Context) {
	complete := b.p.salvage.unlessWaiting(b.p.book.Complete)
	for ctx.Err() == nil && errors.Is(complete(ctx), retention.ErrRunning) {
		pause(ctx, keysAgain)
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, long time.Duration) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
