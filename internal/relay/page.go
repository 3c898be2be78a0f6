package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
)

// pageReserve is the room that a page keeps for its end line and for heartbeats.
const pageReserve = 4 << 10

// draft is a page before it is signed.
type draft struct {
	epoch string
	lines [][]byte  // as they will be sent, newline included
	after uint64    // the cursor asked with
	head  wire.Head // head after it
	end   wire.End  // without time and signature
}

// first and last are the seqs of the draft's events; last is after where there are none.
func (d *draft) first() uint64 { return d.after + 1 }
func (d *draft) last() uint64  { return d.after + uint64(len(d.lines)) }

// event decodes the i-th line.
func (d *draft) event(i int) (wire.Event, error) {
	var e wire.Event
	if err := json.Unmarshal(d.lines[i], &e); err != nil {
		return e, fmt.Errorf("a queued event cannot be read; the queue is damaged: %w", err)
	}
	return e, nil
}

// page reads the events after a cursor, as many as limit and the page's size allow.
func (q *queue) page(epoch string, after uint64, limit int) (*draft, error) {
	var d *draft
	err := q.db.View(func(tx *bolt.Tx) error {
		ordinal, row, current, err := findEpoch(tx, epoch)
		if err != nil {
			return err
		}
		switch {
		case after > row.High:
			return problem(409, wire.CodeCursorAhead, "after is past the last event of the epoch")
		case after == row.High && !current:
			return problem(409, wire.CodeEpochChanged, "this epoch has ended and is wholly read; ask for the status")
		case after+1 < row.Oldest:
			return problem(410, wire.CodeCursorExpired, "events after this cursor have been deleted")
		}
		d = &draft{epoch: epoch, after: after, end: wire.End{High: row.High, Oldest: row.Oldest}}
		size := pageReserve
		c := tx.Bucket(bucketEvents).Cursor()
		prefix := ordinalKey(ordinal)
		for k, v := c.Seek(placeKey(ordinal, after+1)); bytes.HasPrefix(k, prefix) && len(d.lines) < limit; k, v = c.Next() {
			if size += len(v); size > wire.MaxPage {
				break
			}
			d.lines = append(d.lines, bytes.Clone(v))
		}
		d.end.Next = d.last()
		if d.head, err = headAt(tx, ordinal, row, after); err != nil {
			return err
		}
		d.end.Head, err = headAt(tx, ordinal, row, d.end.Next)
		return err
	})
	return d, err
}

// headAt returns the head after seq.
func headAt(tx *bolt.Tx, ordinal uint32, row epochRow, seq uint64) (wire.Head, error) {
	if seq == 0 {
		return row.Genesis, nil
	}
	v := tx.Bucket(bucketHeads).Get(placeKey(ordinal, seq))
	if len(v) != len(wire.Head{}) {
		return wire.Head{}, fmt.Errorf("the head after seq %d is missing; the queue is damaged", seq)
	}
	return wire.Head(v), nil
}

// render signs a draft and returns the lines to send, the end line last. A fault may change anything on the way.
func (r *Relay) render(d *draft) ([][]byte, error) {
	now := time.Now()
	if err := r.faults.beforeSigning(d, &now); err != nil {
		return nil, err
	}
	d.end.Time = envelope.FormatTime(now)
	wire.SignEnd(r.head, r.cfg.ArchiveID, d.epoch, &d.end)
	r.faults.afterSigning(d)
	end, err := wire.AppendEnd(nil, d.end)
	if err != nil {
		return nil, err
	}
	return r.faults.onLines(d, append(d.lines, end))
}
