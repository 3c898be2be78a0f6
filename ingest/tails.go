package ingest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/ingest/wire"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// Tail says how far a device's stream is archived.
type Tail struct {
	Newest      uint64 // highest n; 0 when there is no message of the device
	Gap         bool   // a number from 1 to Newest is missing, or stands for two messages
	Checkpoint  bool   // the message Newest is a checkpoint
	Quarantined bool   // an envelope that came later is in quarantine: whose it is cannot be told
	Unread      bool   // a message that came later cannot be read back: likewise
}

// Archived reports whether all that the device ever sent, as far as its counters tell, is in the log, closed by a checkpoint.
func (t Tail) Archived() bool { return t.refusal() == "" }

// refusal returns why it is not, as a plan's code.
func (t Tail) refusal() string {
	switch {
	case t.Newest == 0 || t.Unread:
		return CodeTailUnknown
	case t.Gap:
		return CodeTailGap
	case !t.Checkpoint:
		return CodeTailOpen
	case t.Quarantined:
		return CodeTailQuarantine
	}
	return ""
}

// TailLog gives the messages back. *archive.Archive is one.
type TailLog interface {
	Scan(ctx context.Context, from, to uint64) iter.Seq2[proof.Leaf, error]
	Record(ctx context.Context, seq uint64) (archive.Record, error)
	// Delivered returns the seq of a device's message by its number, also of one that was disposed of.
	Delivered(device string, n uint64) (seq uint64, ok bool, err error)
}

// Tails knows the tail of every device's stream. It is derived and in memory: the first CatchUp after a start reads each message once, the next
// ones what is new. It is safe for concurrent use.
//
// A message that cannot be read leaves a gap, and makes the tails before it unsure: whose it was cannot be told. One that was disposed of is
// known by its number still.
type Tails struct {
	log TailLog

	mu          sync.Mutex // held while catching up
	through     uint64
	senders     map[senderKey]*counters
	quarantined uint64 // seq of the newest quarantined envelope, 0 for none
	unread      uint64 // seq of the newest message that cannot be read back, 0 for none
}

type senderKey struct{ usr, dev string }

// counters are a device's numbers as seen so far.
type counters struct {
	dense      uint64              // 1 to dense are there
	beyond     map[uint64]struct{} // those above, at most maxBeyond
	newest     uint64
	seq        uint64 // of the entry of newest
	checkpoint bool
	broken     bool // a number stands for two messages, or more are missing than are kept track of
}

// maxBeyond bounds what one device can make Tails remember.
const maxBeyond = 1024

// NewTails returns the tails of an empty log.
func NewTails(log TailLog) *Tails { return &Tails{log: log, senders: map[senderKey]*counters{}} }

// CatchUp reads the entries below size that were not read yet. After an error the next call goes on where it ended.
func (t *Tails) CatchUp(ctx context.Context, size uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.through >= size {
		return nil
	}
	for leaf, err := range t.log.Scan(ctx, t.through, size) {
		if err != nil {
			return fmt.Errorf("read the devices' counters: %w", err)
		}
		if err := t.take(ctx, leaf); err != nil {
			return fmt.Errorf("read the devices' counters: entry %d: %w", leaf.Seq, err)
		}
		t.through = leaf.Seq + 1
	}
	return nil
}

func (t *Tails) take(ctx context.Context, leaf proof.Leaf) error {
	if leaf.Kind != proof.KindMessage && leaf.Kind != proof.KindQuarantine {
		return nil
	}
	rec, err := t.log.Record(ctx, leaf.Seq)
	switch {
	case errors.Is(err, archive.ErrDisposed):
		return nil
	case errors.Is(err, archive.ErrNoBody), errors.Is(err, archive.ErrDamaged):
		t.unread = leaf.Seq
		return nil
	case err != nil:
		return err
	}
	if leaf.Kind == proof.KindQuarantine {
		var note archive.QuarantineNote
		if ijson.Unmarshal(rec.Note, &note) != nil || note.Kind == wire.KindEnv {
			t.quarantined = leaf.Seq
		}
		return nil
	}
	c, err := jws.Parse(rec.Body, envelope.TypMessage)
	if err == nil {
		err = t.message(ctx, leaf.Seq, c.Payload)
	}
	if errors.Is(err, errLookUp) {
		return err
	}
	if err != nil {
		t.unread = leaf.Seq // what ingest took in and this cannot read is damaged, or of a version to come
	}
	return nil
}

// errLookUp marks a failure of the log, where others are a message's own.
var errLookUp = errors.New("a number cannot be looked up")

func (t *Tails) message(ctx context.Context, seq uint64, payload []byte) error {
	var p struct {
		Typ string `json:"typ"`
		Usr string `json:"usr"`
		Dev string `json:"dev"`
		N   uint64 `json:"n"`
	}
	if err := ijson.Unmarshal(payload, &p); err != nil {
		return err
	}
	key := senderKey{p.Usr, p.Dev}
	c := t.senders[key]
	if c == nil {
		c = &counters{}
		t.senders[key] = c
	}
	if err := t.fill(ctx, p.Dev, c, p.N); err != nil {
		return fmt.Errorf("%w: %w", errLookUp, err)
	}
	c.add(p.N)
	if p.N >= c.newest {
		c.newest, c.seq, c.checkpoint = p.N, seq, p.Typ == envelope.TypCheckpoint
	}
	if err := t.fill(ctx, p.Dev, c, c.newest); err != nil {
		return fmt.Errorf("%w: %w", errLookUp, err)
	}
	return nil
}

// fill counts the messages before the device's nth that were disposed of.
func (t *Tails) fill(ctx context.Context, dev string, c *counters, n uint64) error {
	for !c.broken && c.dense+1 < n {
		gone, err := t.disposed(ctx, dev, c.dense+1)
		if err != nil || !gone {
			return err
		}
		c.dense++
		for _, ok := c.beyond[c.dense+1]; ok; _, ok = c.beyond[c.dense+1] {
			c.dense++
			delete(c.beyond, c.dense)
		}
	}
	return nil
}

// disposed reports whether a device's message was in the log and was disposed of.
func (t *Tails) disposed(ctx context.Context, dev string, n uint64) (bool, error) {
	seq, ok, err := t.log.Delivered(dev, n)
	if err != nil || !ok {
		return false, err
	}
	_, err = t.log.Record(ctx, seq)
	switch {
	case errors.Is(err, archive.ErrDisposed):
		return true, nil
	case errors.Is(err, archive.ErrNoBody), errors.Is(err, archive.ErrDamaged):
		return false, nil
	}
	return false, err
}

func (c *counters) add(n uint64) {
	_, again := c.beyond[n]
	switch {
	case c.broken:
		return
	case n <= c.dense || again, n != c.dense+1 && len(c.beyond) >= maxBeyond:
		c.broken, c.beyond = true, nil
		return
	case n != c.dense+1:
		if c.beyond == nil {
			c.beyond = map[uint64]struct{}{}
		}
		c.beyond[n] = struct{}{}
		return
	}
	for c.dense = n; len(c.beyond) > 0; c.dense++ {
		if _, ok := c.beyond[c.dense+1]; !ok {
			return
		}
		delete(c.beyond, c.dense+1)
	}
}

// Tail returns the tail of a device's stream, as of the last CatchUp.
func (t *Tails) Tail(usr, dev string) Tail {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.senders[senderKey{usr, dev}]
	if c == nil {
		return Tail{Unread: t.unread > 0}
	}
	// The device's newest may have been disposed of: then nobody can tell whether it was a checkpoint.
	_, later, err := t.log.Delivered(dev, c.newest+1)
	return Tail{
		Newest: c.newest, Gap: c.broken || c.dense != c.newest, Checkpoint: c.checkpoint,
		Quarantined: t.quarantined > c.seq, Unread: t.unread > c.seq || later || err != nil,
	}
}
