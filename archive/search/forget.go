package search

import (
	"context"
	"errors"
	"fmt"
	"os"

	"holdfast/internal/durable"
)

// errGone says that a part was discarded while a batch for it was collected.
var errGone = errors.New("the part was discarded meanwhile")

// Forget removes the indexes of the given log files, so that nothing of them
// stays on disk, and has Follow build them again: under the keys that Keys
// gives then, from what Source still yields. It waits for searches and batches
// that are using one, and is durable once it returns. Searches meanwhile scan
// those log files, or say what they could not look at.
//
// The caller has let the keyring lose the keys before. If we were to crash
// between the two, the next start would find folders that do not open under the
// keys of then, and discard them. Errors: ErrClosed, those of the file system
// and of ctx; what failed can be asked for again.
func (x *Index) Forget(ctx context.Context, files []uint64) error {
	var errs []error
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if err := x.forget(file); err != nil {
			errs = append(errs, fmt.Errorf("remove search index %06d: %w; make its directory writable for the daemon", file, err))
		}
	}
	if err := durable.SyncDir(x.dir); err != nil {
		errs = append(errs, err)
	}
	select {
	case x.wake <- struct{}{}:
	default: // Follow has not heard the last call yet, and looks at everything when it does
	}
	return errors.Join(errs...)
}

func (x *Index) forget(file uint64) error {
	p, err := x.opened(file)
	if p == nil {
		return err
	}
	return p.forget()
}

// opened returns the part of a log file. There is none when nobody has asked
// for it; then its folder is removed, which nobody can open meanwhile.
func (x *Index) opened(file uint64) (*part, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, ErrClosed
	}
	if p := x.parts[file]; p != nil {
		return p, nil
	}
	return nil, os.RemoveAll(x.folder(file))
}

// forget discards the part's store and folder once nobody uses them any more: a
// search would keep the files of a removed folder alive, and a batch would
// write to them.
func (p *part) forget() error {
	p.use.Lock()
	defer p.use.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.discard()
	dropVaultKey(p.dir) // what may still run in the background of a store that died can write no more
	return err
}

// waitGrown waits until the log holds more than size entries, or Forget has
// left something to build.
func (x *Index) waitGrown(ctx context.Context, size uint64) error {
	waiting, grown := context.WithCancel(ctx)
	defer grown()
	go func() {
		select {
		case <-x.wake:
			grown()
		case <-waiting.Done():
		}
	}()
	if err := x.src.Wait(waiting, size); err != nil && ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil && waiting.Err() == nil {
		return err
	}
	return nil
}
