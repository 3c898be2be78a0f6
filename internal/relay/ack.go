package relay

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"holdfast/ingest/wire"
)

// sweepBatch bounds the events that one transaction deletes.
const sweepBatch = 5000

// ack records what the archive holds durably and returns the seq that counts from now on. It is cumulative and idempotent: a lower seq than
// before changes nothing. A crash before the commit makes the archive ack again; nothing depends on it having been heard.
func (q *queue) ack(a *wire.Ack, now time.Time) (uint64, error) {
	if a.Arc != q.arc {
		return 0, problem(403, wire.CodeWrongArchive, "the ack is of another archive")
	}
	if a.BackedUp > a.Seq {
		return 0, problem(400, wire.CodeBadRequest, "backed_up is past seq")
	}
	var acked uint64
	err := q.db.Update(func(tx *bolt.Tx) error {
		ordinal, row, _, err := findEpoch(tx, a.Epoch)
		if err != nil {
			return err
		}
		if a.Seq > row.High {
			return problem(409, wire.CodeAckAhead, "seq is past the last event of the epoch")
		}
		head, err := headAt(tx, ordinal, row, a.Seq)
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(head[:], a.Head[:]) != 1 {
			return problem(409, wire.CodeHeadMismatch, "the head after seq is another one here")
		}
		if a.Seq > row.Acked {
			row.Acked = a.Seq
			at := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
			if err := tx.Bucket(bucketAcks).Put(placeKey(ordinal, a.Seq), at); err != nil {
				return err
			}
		}
		row.BackedUp = max(row.BackedUp, a.BackedUp)
		acked = row.Acked
		return putEpoch(tx, ordinal, row)
	})
	if err != nil {
		return 0, fmt.Errorf("ack: %w", err)
	}
	return acked, q.sweep(now)
}

// sweep deletes the events that nobody may ask for again: those a backup holds, and those acked 30 days ago. With them their submission
// ids go: a sender that repeats itself after that is the archive's to notice, by the message's own counter.
func (q *queue) sweep(now time.Time) error {
	for {
		due := false
		err := q.db.View(func(tx *bolt.Tx) error {
			return eachEpoch(tx, func(ordinal uint32, row epochRow) error {
				through, err := deletable(tx, ordinal, row, now)
				due = due || through >= row.Oldest
				return err
			})
		})
		if err == nil && !due {
			return nil
		}
		if err == nil {
			err = q.db.Update(func(tx *bolt.Tx) error { return sweepSome(tx, now) })
		}
		if err != nil {
			return fmt.Errorf("delete old events: %w", err)
		}
	}
}

// sweepSome deletes up to sweepBatch events of each epoch. A crash after any such step leaves a queue that begins later, and no hole.
func sweepSome(tx *bolt.Tx, now time.Time) error {
	return eachEpoch(tx, func(ordinal uint32, row epochRow) error {
		through, err := deletable(tx, ordinal, row, now)
		if err != nil || through < row.Oldest {
			return err
		}
		through = min(through, row.Oldest+sweepBatch-1)
		if err := deleteEvents(tx, ordinal, through); err != nil {
			return err
		}
		row.Oldest = through + 1
		return putEpoch(tx, ordinal, row)
	})
}

// eachEpoch calls f on the epochs as they were before the first call, oldest first.
func eachEpoch(tx *bolt.Tx, f func(ordinal uint32, row epochRow) error) error {
	type entry struct {
		ordinal uint32
		row     epochRow
	}
	var all []entry
	err := tx.Bucket(bucketEpochs).ForEach(func(k, v []byte) error {
		e := entry{ordinal: binary.BigEndian.Uint32(k)}
		all = append(all, e)
		return json.Unmarshal(v, &all[len(all)-1].row)
	})
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := f(e.ordinal, e.row); err != nil {
			return err
		}
	}
	return nil
}

// deletable returns the last seq that may go.
func deletable(tx *bolt.Tx, ordinal uint32, row epochRow, now time.Time) (uint64, error) {
	through := min(row.BackedUp, row.Acked)
	c := tx.Bucket(bucketAcks).Cursor()
	prefix := ordinalKey(ordinal)
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if len(k) != 12 || len(v) != 8 {
			return 0, fmt.Errorf("the time of an ack cannot be read; the queue is damaged")
		}
		at := time.UnixMilli(int64(binary.BigEndian.Uint64(v)))
		if now.Sub(at) < keepAfterAck {
			break
		}
		through = max(through, binary.BigEndian.Uint64(k[4:]))
	}
	return through, nil
}

// deleteEvents deletes an epoch's events and ack times through a seq; the heads stay.
func deleteEvents(tx *bolt.Tx, ordinal uint32, through uint64) error {
	prefix, last := ordinalKey(ordinal), placeKey(ordinal, through)
	events, ids := tx.Bucket(bucketEvents), tx.Bucket(bucketIDs)
	var gone [][]byte
	c := events.Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix) && bytes.Compare(k, last) <= 0; k, v = c.Next() {
		var e wire.Event
		if err := json.Unmarshal(v, &e); err != nil {
			return err
		}
		if err := ids.Delete([]byte(e.ID)); err != nil {
			return err
		}
		gone = append(gone, bytes.Clone(k))
	}
	for _, k := range gone {
		if err := events.Delete(k); err != nil {
			return err
		}
	}
	acks := tx.Bucket(bucketAcks)
	c = acks.Cursor()
	var times [][]byte
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix) && bytes.Compare(k, last) <= 0; k, _ = c.Next() {
		times = append(times, bytes.Clone(k))
	}
	for _, k := range times {
		if err := acks.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
