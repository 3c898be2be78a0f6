package notice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/durable"
	"holdfast/internal/ijson"
)

// AuditLog gives the audit entries back. *archive.Archive is one.
type AuditLog interface {
	Size() uint64
	// ClassRecords gives the records of one class with from <= seq < to, in order;
	// one whose body cannot be had comes with its leaf and an error.
	ClassRecords(ctx context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error]
	// Wait returns nil when the log holds more than size entries.
	Wait(ctx context.Context, size uint64) error
}

// MirrorOptions says what is copied, and where.
type MirrorOptions struct {
	Log       AuditLog
	To        *Syslog
	Path      string // of the file that remembers how far it came
	ArchiveID string
	Logger    *slog.Logger
}

// The pace of a Mirror.
const (
	gather      = time.Second // between two batches: the log is not read for each entry
	batchLeaves = 8192        // entries of the log that one batch covers at most
	saveEvery   = 5 * time.Second
	maxPlace    = 4 << 10 // bytes of the file that remembers
)

// ErrPlace is returned for a file that remembers nothing that can be read.
var ErrPlace = errors.New("not the mirror's place in the log")

// Mirror copies the audit to a collector, each entry at least once and in
// order: an entry that comes twice bears the same seq. It reads from the log,
// so a slow collector stalls nothing and fills no memory. It begins with what is
// appended after it was switched on.
type Mirror struct {
	o       MirrorOptions
	failing atomic.Pointer[string]
	through atomic.Uint64 // entries before it have been taken by the collector
}

// NewMirror returns one.
func NewMirror(o MirrorOptions) *Mirror { return &Mirror{o: o} }

// place is the file's content.
type place struct {
	Version int    `json:"v"`    // 1
	Next    uint64 `json:"next"` // seq of the first entry that was not copied yet
}

// Failing returns the class of the newest failure since the last success.
func (m *Mirror) Failing() string {
	if f := m.failing.Load(); f != nil {
		return *f
	}
	return ""
}

// Through returns how far the log has been copied.
func (m *Mirror) Through() uint64 { return m.through.Load() }

// Run copies until ctx ends.
func (m *Mirror) Run(ctx context.Context) error {
	next, err := m.begin()
	if err != nil {
		// The archive does not stand still for its copy: this shows as failing until somebody looks.
		m.failed(err)
		m.o.Logger.Error("the audit is not mirrored: remove the file and start again, and it goes on with what comes then", "file", m.o.Path, "error", err)
		<-ctx.Done()
		return nil
	}
	r := &mirroring{Mirror: m, next: next, saved: next}
	m.through.Store(next)
	wait := firstWait
	for ctx.Err() == nil {
		err := r.step(ctx)
		pause := gather
		switch {
		case ctx.Err() != nil:
		case err != nil:
			m.failed(err)
			m.o.Logger.Warn("the audit's copy waits for its collector", "class", Class(err), "next", r.next, "error", err)
			pause, wait = wait, min(2*wait, maxWait)
		default:
			wait = firstWait
			if r.next < m.o.Log.Size() {
				pause = 0
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	r.drop()
	return r.save()
}

func (m *Mirror) failed(err error) {
	class := Class(err)
	m.failing.Store(&class)
}

// begin reads how far the copy came; a copy that begins starts at the log's
// end.
func (m *Mirror) begin() (uint64, error) {
	f, err := os.Open(m.o.Path)
	if errors.Is(err, fs.ErrNotExist) {
		next := m.o.Log.Size()
		return next, m.write(next)
	}
	if err != nil {
		return 0, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxPlace+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	var p place
	if err := ijson.UnmarshalStrict(b, &p); err != nil || len(b) > maxPlace || p.Version != 1 {
		return 0, fmt.Errorf("%s: %w", m.o.Path, ErrPlace)
	}
	return min(p.Next, m.o.Log.Size()), nil // the log may be a restored, shorter one
}

func (m *Mirror) write(next uint64) error {
	b, err := json.Marshal(place{Version: 1, Next: next})
	if err != nil {
		return err
	}
	return durable.Replace(m.o.Path, append(b, '\n'), 0o600)
}

// mirroring is a Mirror that runs.
type mirroring struct {
	*Mirror
	next, saved uint64
	at          time.Time // when it was saved
	link        *link     // nil: none is open
}

// step copies what is there, or waits for more.
func (r *mirroring) step(ctx context.Context) error {
	if err := r.o.Log.Wait(ctx, r.next); err != nil {
		return err
	}
	to := min(r.o.Log.Size(), r.next+batchLeaves)
	sent, err := r.copy(ctx, to)
	if err == nil && sent {
		err = r.link.settle(ctx)
	}
	if err != nil {
		r.drop()
		return err
	}
	r.next = to
	r.through.Store(to)
	r.failing.Store(nil)
	// A crash here, or before the place is saved, sends these lines again.
	if sent && time.Since(r.at) >= saveEvery {
		return r.save()
	}
	return nil
}

// copy sends the audit entries before to.
func (r *mirroring) copy(ctx context.Context, to uint64) (sent bool, err error) {
	for rec, err := range r.o.Log.ClassRecords(ctx, proof.ClassAudit, r.next, to) {
		if ctx.Err() != nil {
			return sent, ctx.Err()
		}
		if err != nil && rec.Leaf.Kind == 0 {
			return sent, err // the log itself cannot be read
		}
		look := lookOf(rec)
		if err != nil {
			look = Look{Kind: rec.Leaf.Kind.String(), Lost: true}
		}
		line, err := r.line(rec.Leaf, look)
		if err != nil {
			return sent, err
		}
		if r.link != nil && r.link.gone() {
			if sent {
				return sent, ErrGone // what this batch gave it may be lost
			}
			r.drop() // all that it was given before had settled
		}
		if r.link == nil {
			if r.link, err = r.o.To.connect(ctx); err != nil {
				return sent, err
			}
		}
		if err := r.link.write(line); err != nil {
			return sent, err
		}
		sent = true
	}
	return sent, nil
}

func (r *mirroring) line(leaf proof.Leaf, l Look) (string, error) {
	pairs := append([][2]string{{"archive", r.o.ArchiveID}, {"seq", strconv.FormatUint(leaf.Seq, 10)}}, l.pairs()...)
	return r.o.To.line(facilityAudit*8+l.severity(), leaf.ReceivedTime(), "audit", pairs, "")
}

// drop ends the connection.
func (r *mirroring) drop() {
	if r.link != nil {
		r.link.close()
		r.link = nil
	}
}

func (r *mirroring) save() error {
	if r.saved == r.next {
		return nil
	}
	if err := r.write(r.next); err != nil {
		return err
	}
	r.saved, r.at = r.next, time.Now()
	return nil
}

// Way returns the mirror's collector as a way, to be tested like the others.
func (m *Mirror) Way() Way { return collector{m.o.To} }

type collector struct{ *Syslog }

func (collector) Name() string { return WayMirror }
