// Package load plays the senders' side of AMX/1: it turns lines of text into people, devices, conversations and sealed envelopes, and hands
// them to the reference relay as a vendor's clients would. It is for the demo, tests and benchmarks, and is imported by cmd/holdfast-relay and
// by tests alone; package internal/relay never imports it. What it makes is specified in ingest/AMX.md §1, §2 and §4; the lines that it reads,
// in line.go.
//
// A device's counter and the digest of its last message are durable before the relay hears of the message (state.go), so that loading goes on
// without a gap after a crash, and a second file continues where the first ended.
package load

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/relay"
)

// Options are the settings of a run. Dir, Client, Identity and Enrol are required.
type Options struct {
	Dir      string             // the relay's folder, where the clients' state is kept
	Client   *relay.Client      // of the running relay
	Identity ed25519.PublicKey  // the archive's, pinned: the keyset is verified by it
	Enrol    ed25519.PrivateKey // the hospital's enrolment key
	KEM      envelope.KEM       // suite to seal under; 0 stands for X-Wing
	Wait     time.Duration      // how long to wait for the archive's first keyset
	Waiting  func()             // called once if it has to be waited for; may be nil
	Progress func(done, total int64)
}

// Summary counts what a run handed in.
type Summary struct {
	Envelopes   int `json:"envelopes"`   // messages and checkpoints
	Messages    int `json:"messages"`    // one for every line that is a message
	Checkpoints int `json:"checkpoints"` // one for every device that sent something
	Attachments int `json:"attachments"`
	Devices     int `json:"devices"` // added by this run
	People      int `json:"people"`  // added or renamed by this run
	Events      int `json:"events"`  // envelopes and directory events
	Refused     int `json:"refused"` // envelopes that the relay did not take: the archive had their sender or device shut out
}

// ErrKeyset says that the archive's keyset cannot be used.
var ErrKeyset = errors.New("the archive's keyset cannot be used")

// batchEvents and batchBytes bound a submission: below the relay's limits even when every envelope is padded and in base64url.
const (
	batchEvents = 500
	batchBytes  = 4 << 20 // of messages before sealing
)

// Run loads the files in order. On an error some batches may have been handed in: a second run with the remaining lines goes on after them.
func Run(ctx context.Context, opts Options, paths ...string) (Summary, error) {
	if opts.KEM == 0 {
		opts.KEM = envelope.XWing
	}
	cfg, err := relay.ReadConfig(opts.Dir)
	if err != nil {
		return Summary{}, err
	}
	st, err := openState(opts.Dir)
	if err != nil {
		return Summary{}, err
	}
	l := &loader{opts: opts, arc: cfg.ArchiveID, state: st}
	sum, err := l.run(ctx, paths)
	return sum, errors.Join(err, st.close())
}

// loader is one run.
type loader struct {
	opts  Options
	arc   string
	state *state
	key   envelope.PublicKey // owned by the goroutine that seals and submits, as is refused
	// refused counts what the relay did not take. Their device's counters have moved on: like a phone that was shut out, it keeps them unsent.
	refused int
}

func (l *loader) run(ctx context.Context, paths []string) (Summary, error) {
	if err := l.fetchKey(ctx, l.opts.Wait); err != nil {
		return Summary{}, err
	}
	// A run that was cut short left a batch of which nobody knows whether the relay has it: its ids tell.
	unsent, err := l.state.outbox()
	if err != nil {
		return Summary{}, err
	}
	if err := l.submit(ctx, unsent); err != nil {
		return Summary{}, err
	}
	c := newComposer(l)
	batches := make(chan *batch, 2)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(batches)
		return c.compose(ctx, paths, batches)
	})
	g.Go(func() error {
		for b := range batches {
			if err := l.deliver(ctx, b); err != nil {
				return err
			}
		}
		return nil
	})
	err = g.Wait()
	c.sum.Refused = l.refused
	if err != nil {
		return c.sum, err
	}
	return c.sum, l.state.clearOutbox()
}

// deliver makes a batch durable among the clients and then hands it in. A crash between the two leaves the batch in the outbox, from where
// the next run hands it in; after the submission the relay knows its ids and takes none of it twice.
func (l *loader) deliver(ctx context.Context, b *batch) error {
	for _, blob := range b.blobs {
		if err := l.opts.Client.PutBlob(ctx, blob.bid, blob.sealed); err != nil {
			return fmt.Errorf("hand in an attachment: %w", err)
		}
	}
	if err := l.state.commit(b); err != nil {
		return err
	}
	return l.submit(ctx, b.out)
}

// submit seals and hands in. Where the key has come to its end meanwhile, the keyset is fetched again and the same messages are sealed anew.
func (l *loader) submit(ctx context.Context, out []outgoing) error {
	if len(out) == 0 {
		return nil
	}
	for attempt := 0; ; attempt++ {
		sealed, err := l.seal(ctx, out)
		if err != nil {
			return err
		}
		rec, err := l.opts.Client.Submit(ctx, sealed)
		var p *wire.Problem
		if errors.As(err, &p) && p.Code == wire.CodeKeyExpired && attempt == 0 {
			if err := l.fetchKey(ctx, 0); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("hand in a batch: %w", err)
		}
		l.refused += len(rec.Refused)
		return nil
	}
}
