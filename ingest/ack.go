package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/wire"
)

// mark is a durable place in the relay's stream.
type mark struct {
	epoch       string
	seq         uint64
	head        wire.Head
	quarantined []wire.Quarantined // since the mark before
}

// maxQuarantined bounds what one ack names, so that it stays far below the protocol's limit of 1 MiB. It is more than a page can hold.
const maxQuarantined = 8 * wire.MaxPageEvents

// scanBlock is how many leaves unacked reads at a time, from the log's end backwards.
const scanBlock = 4096

// acker sends acks, one at a time. They are cumulative: while one is under way, those that follow become one.
type acker struct {
	c    *Client
	wake chan struct{} // capacity 1

	mu    sync.Mutex
	epoch string // the newest
	marks []mark // ascending, each with at most maxQuarantined
	last  mark   // that the relay has heard of; seq 0 before
	reads int    // how often marks were replaced by what the log holds
}

func newAcker(c *Client) *acker { return &acker{c: c, wake: make(chan struct{}, 1)} }

// restart replaces an epoch's marks by one that was read back from the log.
func (a *acker) restart(m mark) {
	if over := len(m.quarantined) - maxQuarantined; over > 0 {
		m.quarantined = m.quarantined[over:]
	}
	a.mu.Lock()
	a.epoch = m.epoch
	a.marks = append(slices.DeleteFunc(a.marks, func(old mark) bool { return old.epoch == m.epoch }), m)
	a.reads++
	a.mu.Unlock()
	a.signal()
}

// add takes a mark that is durable. An epoch's beginning, seq 0, is nothing to ack; it only says which epoch is the newest.
func (a *acker) add(m mark) {
	a.mu.Lock()
	a.epoch = m.epoch
	if m.seq > 0 {
		a.marks = merge(a.marks, m)
	}
	a.mu.Unlock()
	a.signal()
}

func (a *acker) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// merge appends m to marks, as one with the last where that one has room.
func merge(marks []mark, m mark) []mark {
	if n := len(marks); n > 0 && marks[n-1].epoch == m.epoch && len(marks[n-1].quarantined)+len(m.quarantined) <= maxQuarantined {
		last := &marks[n-1]
		if m.seq > last.seq {
			last.seq, last.head = m.seq, m.head
		}
		last.quarantined = append(last.quarantined, m.quarantined...)
		return marks
	}
	return append(marks, m)
}

func (a *acker) take() (m mark, reads int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.marks) == 0 {
		return mark{}, 0, false
	}
	m = a.marks[0]
	a.marks = a.marks[1:]
	return m, a.reads, true
}

// putBack returns a mark whose ack failed, unless the relay is done with its epoch or a mark from the log stands for it meanwhile.
func (a *acker) putBack(m mark, reads int, class string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.epoch != a.epoch && class == classEpochChanged || m.epoch == a.epoch && reads != a.reads {
		return
	}
	rest := a.marks
	a.marks = []mark{m}
	for _, next := range rest {
		a.marks = merge(a.marks, next)
	}
}

// run sends acks until ctx ends.
func (a *acker) run(ctx context.Context) error {
	pause, refused := a.c.newBackoff(), 0
	for {
		m, reads, ok := a.take()
		if !ok {
			select {
			case <-a.wake:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := a.send(ctx, m)
		if err == nil {
			a.c.o.Metrics.acks.WithLabelValues("accepted").Inc()
			a.c.status.acked(m.epoch, m.seq)
			a.heard(m)
			a.c.alarms.clear(AlarmAckRefused, "")
			pause.reset()
			refused = 0
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.c.logFailed(ctx, err)
		class := classOf(err)
		a.putBack(m, reads, class)
		a.c.o.Metrics.acks.WithLabelValues(class).Inc()
		a.c.o.Logger.Warn("an ack was not taken", "class", class, "seq", m.seq)
		switch class {
		case classRefused, classHeadMismatch, classAckAhead, classConflict, classAnswer, classNotFound:
			if refused++; refused >= 2 {
				a.c.alarms.raise(ctx, AlarmAckRefused, "", map[string]string{"epoch": m.epoch, "seq": decimal(m.seq), "class": class})
			}
		}
		if err := sleep(ctx, pause.pause(err)); err != nil {
			return err
		}
	}
}

// heard remembers what the relay has heard of, so that it can be told again.
func (a *acker) heard(m mark) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.epoch == "" {
		a.epoch = m.epoch
	}
	if m.epoch != a.last.epoch || m.seq >= a.last.seq {
		a.last = mark{epoch: m.epoch, seq: m.seq, head: m.head}
	}
}

// again sends the last ack once more, for what else it says has changed.
func (a *acker) again() {
	a.mu.Lock()
	m := a.last
	current := m.seq > 0 && m.epoch == a.epoch
	if current && len(a.marks) == 0 {
		a.marks = append(a.marks, m)
	}
	a.mu.Unlock()
	if current {
		a.signal()
	}
}

// TellBackedUp tells the relay now, and not with the next message, how far the stream is backed up.
func (c *Client) TellBackedUp() { c.acker.again() }

// backedUp returns up to which seq of a mark's epoch a backup holds the relay's events too: the relay then need not keep them.
func (c *Client) backedUp(m mark) uint64 {
	if c.o.BackedUp == nil {
		return 0
	}
	epoch, seq := c.o.BackedUp()
	if epoch != m.epoch {
		return 0
	}
	return min(seq, m.seq)
}

func (a *acker) send(ctx context.Context, m mark) error {
	// A log that cannot sign does not know what it holds: nothing is acked until it does.
	note, err := a.c.o.Log.Checkpoint(ctx)
	if err != nil {
		return fmt.Errorf("checkpoint for an ack: %w", err)
	}
	ack := wire.Ack{
		Arc: a.c.arc, Epoch: m.epoch, Seq: m.seq, Head: m.head, BackedUp: a.c.backedUp(m), Quarantined: m.quarantined, Checkpoint: string(note),
	}
	compact, err := ack.Sign(a.c.o.Keys.IdentitySigner())
	if err != nil {
		return err
	}
	return a.c.relay.ack(ctx, compact)
}

// unacked reads back which of the relay's events after acked are quarantined. The cursor's epoch is the log's newest, so the log is read
// from its end.
func (c *Client) unacked(ctx context.Context, cur archive.Cursor, acked uint64) ([]wire.Quarantined, error) {
	var out []wire.Quarantined
	unread := unreadable{what: "acks"}
	for to := c.o.Log.Size(); to > 0; {
		from := to - min(to, scanBlock)
		var block []wire.Quarantined
		older := false
		for leaf, err := range c.o.Log.Scan(ctx, from, to) {
			if err != nil {
				return nil, err
			}
			if leaf.Epoch == "" {
				continue
			}
			if leaf.Epoch != cur.Epoch || leaf.RelaySeq <= acked {
				older = true
				continue
			}
			if leaf.Kind != proof.KindQuarantine {
				continue
			}
			code, err := c.quarantineCode(ctx, leaf.Seq)
			if fatal(ctx, err) {
				return nil, err
			}
			if err != nil {
				// The entry is there and its place in the stream is acked; only the code cannot be told any more.
				unread.add(leaf.Seq, err)
				continue
			}
			block = append(block, wire.Quarantined{Seq: leaf.RelaySeq, Code: code})
		}
		out = append(block, out...)
		if older {
			break
		}
		to = from
	}
	c.tell(ctx, &unread)
	return out, nil
}

func (c *Client) quarantineCode(ctx context.Context, seq uint64) (string, error) {
	rec, err := c.o.Log.Record(ctx, seq)
	if err != nil {
		return "", err
	}
	var note archive.QuarantineNote
	if err := json.Unmarshal(rec.Note, &note); err != nil {
		return "", fmt.Errorf("note of entry %d: %w", seq, err)
	}
	return note.Code, nil
}
