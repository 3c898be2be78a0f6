package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/jws"
)

// Client pulls one relay's stream into one log.
type Client struct {
	o      Options
	arc    string
	relay  remote
	alarms *alarms
	acker  *acker
	blobs  *blobFetcher
	status *tracker
	over   string // the epoch that the relay last said it has no more of; owned by the goroutine of sessions
}

// New checks the options and reads the certificate files; it dials nothing.
func New(o Options) (*Client, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	arc := o.Keys.Identity().ArchiveID
	r, err := newHTTPRelay(&o, arc)
	if err != nil {
		return nil, err
	}
	return newClient(o, arc, r), nil
}

// newClient takes options whose defaults are filled in.
func newClient(o Options, arc string, r remote) *Client {
	c := &Client{o: o, arc: arc, relay: r, alarms: newAlarms(o.Log, o.Logger, o.Metrics), status: newTracker(o.Metrics)}
	c.acker = newAcker(c)
	c.blobs = newBlobFetcher(c)
	return c
}

// Run pulls until ctx ends, and then returns nil; everything it started has ended by then. It returns an error only when the log was closed
// under it.
func (c *Client) Run(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return c.sessions(running) })
	g.Go(func() error { return c.acker.run(running) })
	g.Go(func() error { return c.publishKeyset(running) })
	g.Go(func() error { return c.blobs.run(running) })
	g.Go(func() error { return c.watchLag(running) })
	err := g.Wait()
	if r, ok := c.relay.(*httpRelay); ok {
		r.close()
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// sessions runs one session after another. Each starts from what is durable, so that none depends on how the one before it ended.
func (c *Client) sessions(ctx context.Context) error {
	pause := c.newBackoff()
	for {
		waited, err := c.o.Gate.wait(ctx)
		if err != nil {
			return err
		}
		if waited {
			c.status.asked()
		}
		began := time.Now()
		err = c.o.Gate.through(ctx, c.session)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.Canceled): // the gate closed
			continue
		case errors.Is(err, archive.ErrClosed):
			return fmt.Errorf("ingest: %w", err)
		case err != nil:
			c.status.failed(classOf(err))
			c.logFailed(ctx, err)
			c.o.Logger.Warn("ingest starts again from the stored cursor", "class", classOf(err))
		}
		if errors.Is(err, archive.ErrFailed) {
			if err := c.reopen(ctx); err != nil {
				return err
			}
		}
		if time.Since(began) > 2*c.o.BackoffMax {
			pause.reset()
		}
		if err := sleep(ctx, pause.pause(err)); err != nil {
			return err
		}
	}
}

// reopen has the log brought back after a failed write. What that write left is not known until then, so nothing is acked or appended.
func (c *Client) reopen(ctx context.Context) error {
	if c.o.Reopen != nil {
		for pause := c.newBackoff(); ; {
			err := c.o.Reopen(ctx)
			if err == nil {
				break
			}
			c.o.Logger.Error("the log cannot be reopened yet", "class", classOf(err))
			if err := sleep(ctx, pause.pause(err)); err != nil {
				return err
			}
		}
	}
	c.alarms.raise(ctx, AlarmWriteFailed, "", nil)
	return ctx.Err()
}

// beginning is where a session starts.
type beginning struct {
	epoch   string
	ordinal uint32
	after   uint64
	head    wire.Head
	opening []archive.Entry // of an epoch's first page: the KindEpoch entry, and an alarm when the stream began anew
}

// session runs the pipeline from the stored cursor until the relay's epoch ends (nil) or something fails.
func (c *Client) session(ctx context.Context) error {
	c.alarms.flush(ctx)
	st, err := c.relay.status(ctx)
	if err != nil {
		if class := classOf(err); class == classRefused || class == classTLS {
			c.alarms.raise(ctx, AlarmRefused, "", map[string]string{"class": class})
		}
		return err
	}
	start, err := c.begin(ctx, st)
	if err != nil {
		return err
	}
	// Counted before the directory is taken: an approval between the two is taken in twice, which changes nothing.
	given := &approvals{c: c}
	if _, err := given.next(ctx); err != nil {
		return err
	}
	dir, err := c.o.State.Directory(ctx)
	if err != nil {
		return err
	}
	if err := c.blobs.resume(ctx); err != nil {
		return err
	}

	keys := newKeyRing(c.o.Keys)
	open := &opener{
		epoch: start.epoch, ordinal: start.ordinal, head: start.head, dir: dir, keys: keys, workers: c.o.Workers, classes: c.o.Classes,
		given:  func() []envelope.Approval { return given.since(ctx) },
		opener: envelope.Opener{Arc: c.arc, AllowX25519: c.o.AllowX25519, Key: keys.get},
	}
	fetch := &fetcher{c: c, epoch: start.epoch, after: start.after, head: start.head, limit: c.o.PageLimit, pause: c.newBackoff()}
	if start.after > 0 {
		fetch.heads.add(wire.End{Next: start.after, Head: start.head})
	}
	pages, batches := make(chan *wire.Page, 1), make(chan *readyPage, 1)
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return fetch.run(running, len(start.opening) > 0, pages) })
	g.Go(func() error { return c.openPages(running, open, start.opening, pages, batches) })
	g.Go(func() error { return c.commitPages(running, batches) })
	err = g.Wait()
	if err == nil {
		c.over = start.epoch
	}
	return err
}

// begin holds the relay's status against the stored cursor and says where to go on.
//
// A relay that has begun another epoch still serves the old one to its end; only when it says that the end is reached does the next begin
// here, so that nothing of the old one is left behind.
func (c *Client) begin(ctx context.Context, st wire.Status) (*beginning, error) {
	cur, known := c.o.Log.Cursor()
	c.status.resumed(cur, st)
	if !known {
		if st.PreviousEpoch != "" {
			return nil, c.foreignEpoch(ctx, cur, st)
		}
		return &beginning{
			epoch: st.Epoch, head: wire.Genesis(c.arc, st.Epoch, "", wire.Head{}),
			opening: []archive.Entry{control(proof.KindEpoch, archive.EpochBody{Epoch: st.Epoch})},
		}, nil
	}
	if err := c.resumeAcks(ctx, st, cur); err != nil {
		return nil, err
	}
	if c.over != cur.Epoch || st.Epoch == cur.Epoch {
		return &beginning{epoch: cur.Epoch, ordinal: cur.Ordinal, after: cur.Seq, head: cur.Head}, nil
	}
	_, used, err := c.o.State.Ordinal(ctx, st.Epoch)
	if err != nil {
		return nil, err
	}
	if used || st.PreviousEpoch != cur.Epoch {
		return nil, c.foreignEpoch(ctx, cur, st)
	}
	body := archive.EpochBody{
		Epoch: st.Epoch, Ordinal: cur.Ordinal + 1, Previous: cur.Epoch, LastSeq: cur.Seq, LastHead: jws.EncodeB64(cur.Head[:]),
	}
	return &beginning{
		epoch: st.Epoch, ordinal: cur.Ordinal + 1, head: wire.Genesis(c.arc, st.Epoch, cur.Epoch, cur.Head),
		opening: []archive.Entry{control(proof.KindEpoch, body), c.alarms.inBatch(AlarmEpochChanged, epochFacts(cur, st))},
	}, nil
}

func epochFacts(cur archive.Cursor, st wire.Status) map[string]string {
	return map[string]string{
		"known_epoch": cur.Epoch, "known_seq": decimal(cur.Seq), "known_head": jws.EncodeB64(cur.Head[:]),
		"epoch": st.Epoch, "previous_epoch": st.PreviousEpoch,
	}
}

func (c *Client) foreignEpoch(ctx context.Context, cur archive.Cursor, st wire.Status) error {
	c.alarms.raise(ctx, AlarmEpochUnknown, "", epochFacts(cur, st))
	return errEpochUnknown
}

// resumeAcks acks what an earlier run made durable and did not come to ack. A relay that was told more than this log holds has dealt with
// a newer copy of it. What the relay was told in an epoch that has ended it does not say; there the seq alone is acked again.
func (c *Client) resumeAcks(ctx context.Context, st wire.Status, cur archive.Cursor) error {
	m := mark{epoch: cur.Epoch, seq: cur.Seq, head: cur.Head}
	if st.Epoch == cur.Epoch {
		if st.Acked > cur.Seq {
			c.alarms.raise(ctx, AlarmAckedBeyond, "", map[string]string{
				"epoch": cur.Epoch, "log_holds": decimal(cur.Seq), "relay_was_told": decimal(st.Acked)})
		}
		if st.Acked == cur.Seq {
			c.acker.heard(m) // it can be told how far that is backed up
		}
		if st.Acked >= cur.Seq {
			return nil
		}
		var err error
		if m.quarantined, err = c.unacked(ctx, cur, st.Acked); err != nil {
			return err
		}
	}
	if cur.Seq > 0 {
		c.acker.restart(m)
	}
	return nil
}
