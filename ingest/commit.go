package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/wire"
)

// readyPage is a page, or a part of one that would be too much for one batch, whose entries are complete.
type readyPage struct {
	batch   archive.Batch
	mark    mark
	time    string    // of its last event
	pending []blobJob // attachments that the background goes on fetching
	kinds   map[string]int
	lost    []uint64  // relay seqs of relay.lost events
	gone    []blobJob // attachments that the relay has no more
	told    bool      // the batch says so by an alarm
}

// maxEntries leaves room in a batch for an epoch's opening and alarms.
const maxEntries = archive.MaxBatch - 8

// openPages makes each page into a batch, in order.
func (c *Client) openPages(ctx context.Context, o *opener, opening []archive.Entry, pages <-chan *wire.Page, batches chan<- *readyPage) error {
	defer close(batches)
	for page := range pages {
		outcomes, err := o.open(ctx, page.Events)
		if err != nil {
			return err
		}
		states := c.blobs.inline(ctx, outcomes)
		for _, ready := range c.assemble(o, page, outcomes, states) {
			if opening != nil {
				ready.batch.Entries = append(opening, ready.batch.Entries...)
				opening = nil
			}
			select {
			case batches <- ready:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return ctx.Err()
}

// assemble puts a page's entries in the relay's order into one batch; into several, each with a cursor of its own, only where pending
// attachments make the page too many entries.
func (c *Client) assemble(o *opener, page *wire.Page, outcomes []outcome, states map[blobKey]string) []*readyPage {
	var done []*readyPage
	ready := &readyPage{kinds: map[string]int{}}
	ready.batch.Entries = make([]archive.Entry, 0, len(outcomes)+8)
	for i := range outcomes {
		event := &page.Events[i]
		if len(ready.batch.Entries)+1+len(outcomes[i].blobs) > maxEntries {
			before := page.Events[i-1].Seq
			c.finish(o, ready, before, chain(o, page.Events[:i]))
			done = append(done, ready)
			ready = &readyPage{kinds: map[string]int{}}
		}
		outcomes[i].appendTo(ready, states)
		ready.kinds[kindLabel(event.Kind)]++
		ready.time = event.Time
		if code := outcomes[i].code; code != "" {
			ready.mark.quarantined = append(ready.mark.quarantined, wire.Quarantined{Seq: event.Seq, Code: string(code)})
		}
		// Whatever its data: a loss that is told in a form that cannot be read is a loss.
		if event.Kind == wire.KindLost {
			ready.lost = append(ready.lost, event.Seq)
		}
	}
	c.finish(o, ready, page.End.Next, page.End.Head)
	o.head = page.End.Head
	return append(done, ready)
}

// appendTo appends an event's entry, and one for each attachment that is still pending, which is known after a restart because it stands
// in the same batch.
func (out *outcome) appendTo(ready *readyPage, states map[blobKey]string) {
	entries := &ready.batch.Entries
	out.writeNote(states)
	*entries = append(*entries, out.entry)
	for _, job := range out.blobs {
		switch states[job.key] {
		case archive.BlobPending:
			*entries = append(*entries, control(proof.KindBlob, job.body(archive.BlobPending)))
			ready.pending = append(ready.pending, job)
		case archive.BlobMissing:
			ready.gone = append(ready.gone, job)
		}
	}
}

// writeNote writes the entry's note, for which class and attachments' states are known by now.
func (out *outcome) writeNote(states map[blobKey]string) {
	switch note := out.note.(type) {
	case *archive.MessageNote:
		note.Class = out.class
		for _, job := range out.blobs {
			note.Blobs = append(note.Blobs, archive.BlobNote{BID: job.key.bid, Status: states[job.key]})
		}
	case *archive.QuarantineNote:
		note.Class = out.class
	case *archive.RelayNote:
		note.Class = out.class
	}
	out.entry.Note = marshal(out.note)
}

// finish gives a batch its cursor, and the alarms that must be there if and only if its events are.
func (c *Client) finish(o *opener, ready *readyPage, seq uint64, head wire.Head) {
	ready.batch.Cursor = &archive.Cursor{Epoch: o.epoch, Ordinal: o.ordinal, Seq: seq, Head: head}
	ready.mark.epoch, ready.mark.seq, ready.mark.head = o.epoch, seq, head
	if len(ready.lost) > 0 {
		ready.batch.Entries = append(ready.batch.Entries, c.alarms.inBatch(AlarmLost, map[string]string{
			"epoch": o.epoch, "events": decimal(uint64(len(ready.lost))), "first_relay_seq": decimal(ready.lost[0])}))
	}
	if len(ready.gone) > 0 {
		var alarm archive.Entry
		if alarm, ready.told = c.alarms.onceInBatch(AlarmBlobLost, "", ready.gone[0].facts(archive.BlobMissing)); ready.told {
			ready.batch.Entries = append(ready.batch.Entries, alarm)
		}
	}
}

// chain returns the head after the first events of a page. The page's signed head covers it.
func chain(o *opener, events []wire.Event) wire.Head {
	head := o.head
	for _, e := range events {
		head = head.Next(e)
	}
	return head
}

// commitPages appends each batch and, only when it is durable, lets it be acked.
func (c *Client) commitPages(ctx context.Context, batches <-chan *readyPage) error {
	for ready := range batches {
		placed, err := c.appendPage(ctx, ready.batch)
		if err != nil {
			return fmt.Errorf("append up to relay seq %d: %w", ready.mark.seq, err)
		}
		// A crash from here on leaves the page durable and not acked: the next start acks it from the stored cursor.
		c.committed(ready, placed)
	}
	return ctx.Err()
}

// keysRetry is the pause while a new body file's key is on its way into the keyring's backup, which takes some milliseconds where all is
// well, and keysPatience how long it may take before somebody hears of it.
const (
	keysRetry    = 100 * time.Millisecond
	keysPatience = 10 * time.Second
)

// appendPage appends one page's batch, waiting for room while the disk is full, and for the keyring's backup at the first entry of a body
// file. Every other failure ends the session.
func (c *Client) appendPage(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	begun := time.Now()
	for {
		placed, err := c.o.Log.Append(ctx, b)
		if err == nil {
			c.alarms.clear(AlarmDiskFull, "")
			c.alarms.clear(AlarmKeysBehind, "")
			c.alarms.clear(AlarmWriteFailed, "")
			c.alarms.clear(AlarmLogFailing, "")
			c.alarms.flush(ctx)
			return placed, nil
		}
		pause := c.o.DiskRetry
		switch {
		case errors.Is(err, archive.ErrDiskFull):
			c.status.failed(classDiskFull)
			c.alarms.raise(ctx, AlarmDiskFull, "", nil)
		case errors.Is(err, archive.ErrKeysBehind):
			pause = keysRetry
			if time.Since(begun) >= keysPatience {
				c.status.failed(classKeysBehind)
				c.alarms.raise(ctx, AlarmKeysBehind, "", nil)
			}
		default:
			return nil, err
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// committed tells everybody who waits for a page to be durable.
func (c *Client) committed(ready *readyPage, placed []archive.Placed) {
	m := c.o.Metrics
	for kind, n := range ready.kinds {
		m.events.WithLabelValues(kind).Add(float64(n))
	}
	for _, q := range ready.mark.quarantined {
		m.quarantined.WithLabelValues(q.Code).Inc()
	}
	for _, p := range placed {
		switch {
		case p.Skipped:
		case p.Kind == proof.KindMessage:
			m.messages.Inc()
		case p.Kind == proof.KindRedelivery:
			m.redelivered.Inc()
		}
	}
	if ready.told {
		c.alarms.told(AlarmBlobLost, "")
	}
	c.status.committed(*ready.batch.Cursor, ready.time)
	c.blobs.add(ready.pending...)
	c.acker.add(ready.mark)
}
