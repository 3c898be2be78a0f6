// Package state holds what the archive knows now, in memory: the relay's
// device directory with its history and with the devices that people approved,
// the order of the relay's epochs, alarms, and attachments that are still
// awaited. Everything in it is derived: it is
// rebuilt at every start from the entries of class control alone, and follows
// the log from there.
//
// Floors 3 and up may import it; the packages of floor 2 meet it through
// interfaces of their own. The bodies and notes that it reads are specified
// in archive/FORMAT.md section 6 and in ingest/AMX.md §4.
package state

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/ijson"
)

// Source gives the control entries back. *archive.Archive is one.
type Source interface {
	Identity() *proof.Identity
	// ClassRecords gives the records of one class with from <= seq < to, in order.
	ClassRecords(ctx context.Context, class string, from, to uint64) iter.Seq2[archive.Record, error]
}

// Applier takes in the entries of some kinds, in the log's order, each once. An
// error stops the state at that entry; the entry is given again by the next
// CatchUp, so an Applier changes nothing when it fails.
type Applier interface {
	Apply(rec archive.Record) error
}

// State is what the control entries add up to. It is safe for concurrent use.
//
// A reader first calls CatchUp with the size of the log that its answer must
// cover; without that it sees the state as of some earlier size.
type State struct {
	src    Source
	dir    *envelope.Directory // one writer: the holder of catch
	others map[proof.Kind]Applier

	catch   chan struct{} // capacity 1: held by the one CatchUp that applies entries
	through atomic.Uint64 // log size up to which entries are applied; written by the holder of catch

	mu      sync.RWMutex // guards what follows; held for writing one entry at a time
	epochs  map[string]uint32
	devices map[string][]placedEntry // by the device key's thumbprint, in order
	users   map[string][]placedEntry // by usr, in order
	granted []envelope.Approval      // of devices, in order of seq
	idle    map[string]*Approval     // by the device key's thumbprint: approvals that changed nothing
	alarms  []Alarm                  // in order of seq
	blobs   map[blobKey][]Blob       // in order of seq
	pending []blobKey                // in the order in which they began to be awaited
}

// New returns the state of an empty log; CatchUp fills it. Entries of kinds that
// other packages keep, such as people and approvals, go to others.
func New(src Source, pins envelope.Pins, others map[proof.Kind]Applier) *State {
	return &State{
		src:     src,
		others:  others,
		dir:     envelope.NewDirectory(src.Identity().ArchiveID, pins),
		catch:   make(chan struct{}, 1),
		epochs:  map[string]uint32{},
		devices: map[string][]placedEntry{},
		users:   map[string][]placedEntry{},
		idle:    map[string]*Approval{},
		blobs:   map[blobKey][]Blob{},
	}
}

// CatchUp applies the control entries with a seq below size that have not been
// applied yet; it returns at once when there are none. Concurrent callers wait
// for one another. After an error what came before the entry at fault stays
// applied, and the next call tries that entry again.
func (s *State) CatchUp(ctx context.Context, size uint64) error {
	if s.through.Load() >= size {
		return nil
	}
	select {
	case s.catch <- struct{}{}:
		defer func() { <-s.catch }()
	case <-ctx.Done():
		return ctx.Err()
	}
	through := s.through.Load()
	if through >= size {
		return nil
	}
	for rec, err := range s.src.ClassRecords(ctx, proof.ClassControl, through, size) {
		if err != nil {
			return fmt.Errorf("read the control entries from %d: %w", s.through.Load(), err)
		}
		if err := s.apply(rec); err != nil {
			return fmt.Errorf("control entry %d (%s): %w", rec.Leaf.Seq, rec.Leaf.Kind, err)
		}
		s.through.Store(rec.Leaf.Seq + 1)
	}
	s.through.Store(size)
	return nil
}

// Through returns the size of the log up to which entries are applied.
func (s *State) Through() uint64 { return s.through.Load() }

// Directory returns the relay's device directory as committed to the log. Only
// CatchUp changes it; whoever must run ahead of the log works on a Clone.
func (s *State) Directory() *envelope.Directory { return s.dir }

// Ordinal returns an epoch's place in the order in which the relay's epochs
// came, from 0.
func (s *State) Ordinal(epoch string) (uint32, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n, ok := s.epochs[epoch]
	return n, ok
}

// Position returns an entry's place in the relay's stream; false when the
// entry is not the relay's or its epoch is not known (yet).
func (s *State) Position(l proof.Leaf) (envelope.Position, bool) {
	if l.Epoch == "" {
		return envelope.Position{}, false
	}
	n, ok := s.Ordinal(l.Epoch)
	return envelope.Position{Epoch: n, Seq: l.RelaySeq}, ok
}

func (s *State) apply(rec archive.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch rec.Leaf.Kind {
	case proof.KindEpoch:
		return s.applyEpoch(rec)
	case proof.KindDirectory:
		return s.applyDirectory(rec)
	case proof.KindDevice:
		return s.applyApproval(rec)
	case proof.KindAlarm:
		return s.applyAlarm(rec)
	case proof.KindAlarmAck:
		return s.applyAck(rec)
	case proof.KindBlob:
		return s.applyBlob(rec)
	default:
		if other := s.others[rec.Leaf.Kind]; other != nil {
			return other.Apply(rec)
		}
		return nil // genesis, starts and what the relay says of deliveries change nothing here
	}
}

func (s *State) applyEpoch(rec archive.Record) error {
	var body archive.EpochBody
	if err := ijson.Unmarshal(rec.Body, &body); err != nil {
		return err
	}
	if _, known := s.epochs[body.Epoch]; known || body.Epoch == "" || int(body.Ordinal) != len(s.epochs) {
		return fmt.Errorf("the epoch is not a new one after the %d before", len(s.epochs))
	}
	s.epochs[body.Epoch] = body.Ordinal
	return nil
}
