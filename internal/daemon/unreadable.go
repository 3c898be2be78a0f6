package daemon

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"holdfast/archive"
	"holdfast/archive/state"
)

// AlarmUnreadable is the name of the alarm for a message that could not be
// read when it was to be indexed. It is also the record by which every later
// search and production knows of the message, whatever is restarted between.
const AlarmUnreadable = "entry-unreadable"

// unreadable holds the messages that no search sees, as the log's alarms name
// them.
type unreadable struct {
	mu   sync.Mutex
	seqs map[uint64]bool
}

// load takes the entries that alarms before this start have named.
func (u *unreadable) load(alarms []state.Alarm) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seqs = map[uint64]bool{}
	for _, a := range alarms {
		if seq, err := strconv.ParseUint(a.Facts["entry"], 10, 64); err == nil && a.Name == AlarmUnreadable {
			u.seqs[seq] = true
		}
	}
}

// below returns the messages below seq size, ascending.
func (u *unreadable) below(size uint64) []uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []uint64
	for seq := range u.seqs {
		if seq < size {
			out = append(out, seq)
		}
	}
	slices.Sort(out)
	return out
}

// noteUnreadable puts on record that a message cannot be read, once, durable
// before it returns.
func (p *parts) noteUnreadable(ctx context.Context, seq uint64) error {
	p.damage.mu.Lock()
	defer p.damage.mu.Unlock()
	if p.damage.seqs[seq] {
		return nil
	}
	err := p.raise(ctx, archive.AlarmBody{
		Name: AlarmUnreadable, Severity: "critical",
		Text:  "a message's body is missing or damaged; no search finds it, and each search and export says so",
		Fix:   "Run `holdfast verify` to see every entry at fault, keep the disk as it is, and put a copy of the store back that verifies.",
		Facts: map[string]string{"entry": strconv.FormatUint(seq, 10)},
	})
	if err == nil {
		p.damage.seqs[seq] = true
	}
	return err
}
