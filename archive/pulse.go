package archive

import (
	"context"
	"errors"
	"fmt"
)

// Pulse returns nil when the archive lives: its writer has answered, after
// whatever it had been given before, and the log's last leaf was read from
// disk, with its body where it has one still. It appends nothing.
//
// Whoever feeds a watchdog by it gives ctx a deadline: it ends the wait for a
// writer that hangs. A read that the kernel does not come back from holds the
// call up, whatever ctx says.
//
// ErrFailed means that the last write failed and the files could not be opened
// anew. Of an archive that is only read the reads alone are looked at.
func (a *Archive) Pulse(ctx context.Context) error {
	if !a.opts.ReadOnly {
		if err := a.askWriter(ctx); err != nil {
			return fmt.Errorf("the log's writer does not answer: %w", err)
		}
	}
	if err := a.faultAt("pulse read"); err != nil {
		return err
	}
	_, err := a.Record(ctx, a.Size()-1)
	if errors.Is(err, ErrDisposed) || a.opts.Keyless && errors.Is(err, ErrKeys) {
		err = nil
	}
	return errors.Join(err, ctx.Err()) // what came too late is no pulse
}

// askWriter returns nil once the writer goroutine has come to the question.
// Unlike a commit, whose outcome has to be known, it is given up when ctx ends.
func (a *Archive) askWriter(ctx context.Context) error {
	r := &request{done: make(chan reply, 1), alone: func() (reply, error) { return reply{}, nil }}
	select {
	case a.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-a.done:
		return ErrClosed
	}
	select {
	case out := <-r.done:
		return out.err
	case <-ctx.Done():
		return ctx.Err()
	case <-a.done:
		return ErrClosed
	}
}
