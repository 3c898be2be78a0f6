package relay

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/durable"
)

// The buckets of queue.db. A place is the epoch's ordinal from 0 as u32 and the seq as u64, both big-endian.
var (
	bucketEpochs = []byte("epochs") // u32 ordinal -> epochRow as JSON
	bucketEvents = []byte("events") // place -> the event's line as a page carries it
	bucketHeads  = []byte("heads")  // place -> head after it, 32 bytes; kept when the event is deleted, so that an old ack can be checked
	bucketIDs    = []byte("ids")    // submission id -> place
	bucketAcks   = []byte("acks")   // place -> time of the ack that reached it, u64 milliseconds
	bucketKids   = []byte("kids")   // kid -> latest not_after published for it
	bucketKeyset = []byte("keyset") // "compact" -> the newest keyset's JWS, "version" -> u64
	bucketBlobs  = []byte("blobs")  // bid -> SHA-256 of the sealed bytes
	bucketUsers  = []byte("users")  // usr -> userRow as JSON
	bucketKeys   = []byte("keys")   // RFC 7638 thumbprint of a device's key -> keyRow as JSON
	bucketAsked  = []byte("asked")  // id of a provision request -> SHA-256 of what it asked for
	allBuckets   = [][]byte{bucketEpochs, bucketEvents, bucketHeads, bucketIDs, bucketAcks, bucketKids, bucketKeyset, bucketBlobs,
		bucketUsers, bucketKeys, bucketAsked}
)

// maxLine leaves room on a page for heartbeats and the end line beside one event.
const maxLine = wire.MaxPage - 64<<10

// ErrLocked says that another process has the relay's queue open.
var ErrLocked = errors.New("the relay's queue is in use by another process")

// epochRow is the state of one epoch.
type epochRow struct {
	Name     string    `json:"name"`
	Previous string    `json:"previous"`
	Genesis  wire.Head `json:"genesis"`
	Head     wire.Head `json:"head"`
	High     uint64    `json:"high"`
	Oldest   uint64    `json:"oldest"`
	Acked    uint64    `json:"acked"`
	BackedUp uint64    `json:"backed_up"`
}

// queue is the durable queue of one archive's events.
type queue struct {
	db     *bolt.DB
	arc    string
	faults *Faults

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, when events were queued or an epoch began
}

func queuePath(dir string) string { return filepath.Join(dir, "queue.db") }

func boltOptions() *bolt.Options {
	return &bolt.Options{PageSize: 16 << 10, FreelistType: bolt.FreelistMapType, Timeout: time.Second, InitialMmapSize: 64 << 20}
}

// createQueue makes an empty queue with its first epoch. A torn first write makes bbolt panic, so the file is finished under another name:
// a crash before Publish leaves no queue, after it the whole one.
func createQueue(dir, arc string) error {
	temp := queuePath(dir) + ".tmp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(temp, 0o600, boltOptions())
	if err != nil {
		return fmt.Errorf("create the queue: %w", err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range allBuckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return beginEpoch(tx, arc)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("create the queue: %w", err)
	}
	return durable.Publish(temp, queuePath(dir))
}

func openQueue(dir, arc string, faults *Faults) (*queue, error) {
	path := queuePath(dir)
	// bbolt would make an empty file where there is none.
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("the queue is missing; make the relay with holdfast-relay init: %w", err)
	}
	db, err := bolt.Open(path, 0o600, boltOptions())
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("%w (%s); stop that one first", ErrLocked, path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	q := &queue{db: db, arc: arc, faults: faults, changed: make(chan struct{})}
	if err := q.upgrade(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return q, nil
}

func (q *queue) close() error { return q.db.Close() }

// watch returns a channel that is closed at the next change. Take it before looking, so that no change falls between.
func (q *queue) watch() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.changed
}

func (q *queue) announce() {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(q.changed)
	q.changed = make(chan struct{})
}

func ordinalKey(ordinal uint32) []byte { return binary.BigEndian.AppendUint32(nil, ordinal) }

func placeKey(ordinal uint32, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(ordinalKey(ordinal), seq)
}

// currentEpoch returns the newest epoch.
func currentEpoch(tx *bolt.Tx) (uint32, epochRow, error) {
	var row epochRow
	k, v := tx.Bucket(bucketEpochs).Cursor().Last()
	if k == nil {
		return 0, row, errors.New("the queue has no epoch; its file is damaged")
	}
	if err := json.Unmarshal(v, &row); err != nil {
		return 0, row, fmt.Errorf("the queue's epoch cannot be read; its file is damaged: %w", err)
	}
	return binary.BigEndian.Uint32(k), row, nil
}

// findEpoch returns the epoch of that name, and whether it is the current one.
func findEpoch(tx *bolt.Tx, name string) (ordinal uint32, row epochRow, current bool, err error) {
	c := tx.Bucket(bucketEpochs).Cursor()
	current = true
	for k, v := c.Last(); k != nil; k, v = c.Prev() {
		if err := json.Unmarshal(v, &row); err != nil {
			return 0, row, false, fmt.Errorf("the queue's epoch cannot be read; its file is damaged: %w", err)
		}
		if row.Name == name {
			return binary.BigEndian.Uint32(k), row, current, nil
		}
		current = false
	}
	return 0, row, false, problem(409, wire.CodeEpochChanged, "ask for the status and go on with the current epoch")
}

func putEpoch(tx *bolt.Tx, ordinal uint32, row epochRow) error {
	v, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketEpochs).Put(ordinalKey(ordinal), v)
}

// beginEpoch adds an epoch behind the current one, if there is one.
func beginEpoch(tx *bolt.Tx, arc string) error {
	var random [8]byte
	// crypto/rand's Read never fails.
	_, _ = rand.Read(random[:])
	next := epochRow{Name: "e-" + hex.EncodeToString(random[:]), Oldest: 1}
	ordinal := uint32(0)
	var prevHead wire.Head
	if k, _ := tx.Bucket(bucketEpochs).Cursor().Last(); k != nil {
		last, row, err := currentEpoch(tx)
		if err != nil {
			return err
		}
		ordinal, next.Previous, prevHead = last+1, row.Name, row.Head
	}
	next.Genesis = wire.Genesis(arc, next.Name, next.Previous, prevHead)
	next.Head = next.Genesis
	return putEpoch(tx, ordinal, next)
}

func (q *queue) newEpoch() error {
	if err := q.db.Update(func(tx *bolt.Tx) error { return beginEpoch(tx, q.arc) }); err != nil {
		return fmt.Errorf("begin an epoch: %w", err)
	}
	q.announce()
	return nil
}

func (q *queue) status() (wire.Status, error) {
	var s wire.Status
	err := q.db.View(func(tx *bolt.Tx) error {
		_, row, err := currentEpoch(tx)
		s = wire.Status{Epoch: row.Name, PreviousEpoch: row.Previous, Oldest: row.Oldest, High: row.High, Acked: row.Acked}
		return err
	})
	return s, err
}

// submit queues a batch in one transaction with one fsync. A crash before the commit leaves none of it, after the commit all of it; the
// sender, who has no answer, sends it again under the same ids either way.
func (q *queue) submit(batch []Submission, now time.Time) (Receipt, error) {
	var rec Receipt
	err := q.db.Update(func(tx *bolt.Tx) error {
		var err error
		rec, err = q.add(tx, batch, now)
		return err
	})
	if err != nil {
		return Receipt{}, fmt.Errorf("queue a batch: %w", err)
	}
	q.announce()
	return rec, nil
}

// add queues a batch within a transaction.
func (q *queue) add(tx *bolt.Tx, batch []Submission, now time.Time) (Receipt, error) {
	var rec Receipt
	for _, name := range [][]byte{bucketEvents, bucketHeads} {
		tx.Bucket(name).FillPercent = 1 // keys only ever grow
	}
	ordinal, row, err := currentEpoch(tx)
	if err != nil {
		return rec, err
	}
	ids := tx.Bucket(bucketIDs)
	for _, s := range batch {
		if ids.Get([]byte(s.ID)) != nil {
			rec.Duplicates++
			continue
		}
		barred, err := isBarred(tx, s)
		if err != nil {
			return rec, err
		}
		if barred {
			rec.Refused = append(rec.Refused, s.ID)
			continue
		}
		if err := q.enqueue(tx, ordinal, &row, s, now); err != nil {
			return rec, err
		}
		rec.Accepted++
		if q.faults.endsEpoch(row.High) {
			if err := putEpoch(tx, ordinal, row); err != nil {
				return rec, err
			}
			if err := beginEpoch(tx, q.arc); err != nil {
				return rec, err
			}
			if ordinal, row, err = currentEpoch(tx); err != nil {
				return rec, err
			}
		}
	}
	rec.High = row.High
	return rec, putEpoch(tx, ordinal, row)
}

// enqueue gives one submission its place and moves the chain on.
func (q *queue) enqueue(tx *bolt.Tx, ordinal uint32, row *epochRow, s Submission, now time.Time) error {
	if s.ID == "" || len(s.ID) > wire.MaxID {
		return problem(400, wire.CodeBadRequest, "an id is empty or longer than 64 bytes")
	}
	e := wire.Event{Seq: row.High + 1, ID: s.ID, Kind: s.Kind, Time: envelope.FormatTime(now), Data: s.Data}
	q.faults.onSubmit(&e)
	line, err := wire.AppendEvent(nil, e)
	if err != nil {
		return problem(400, wire.CodeBadRequest, err.Error())
	}
	if len(line) > maxLine {
		return problem(413, wire.CodeTooLarge, "an event does not fit a page")
	}
	row.High, row.Head = e.Seq, row.Head.Next(e)
	place := placeKey(ordinal, e.Seq)
	if err := tx.Bucket(bucketEvents).Put(place, line); err != nil {
		return err
	}
	// bbolt keeps the value itself until the commit, and row.Head moves on.
	if err := tx.Bucket(bucketHeads).Put(place, bytes.Clone(row.Head[:])); err != nil {
		return err
	}
	if s.Kind == wire.KindDir {
		if err := learn(tx, s.Data); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketIDs).Put([]byte(s.ID), place)
}

// problem is an error that the server answers as it is.
func problem(status int, code, detail string) error {
	return &wire.Problem{Status: status, Code: code, Detail: detail}
}
