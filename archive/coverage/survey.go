package coverage

import (
	"context"
	"errors"
	"fmt"
	"math"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
)

// survey is one pass over the log, which reads every message up to the period's
// end: a device's numbers before it tell what is missing at its beginning.
type survey struct {
	log         Log
	r           *Request
	size        uint64
	first, next uint64

	streams  map[string]*stream
	order    []string // epochs, as they came
	devices  map[deviceKey]*device
	gone     uint64 // messages that were disposed of, up to the period's end
	inPeriod Statement
	by       map[uint64]bool // certificates
}

type deviceKey struct{ usr, dev string }

// device is what was read of one device.
type device struct {
	said   []said
	sealed *Checkpointed
}

// said is one message of a device.
type said struct {
	n, seq       uint64
	digest, prev uint64 // the first eight bytes
}

// stream is what was read of one epoch.
type stream struct {
	Stream
	newest uint64 // relay seq, in the period or before
}

func newSurvey(log Log, r *Request, size uint64) *survey {
	return &survey{log: log, r: r, size: size, first: math.MaxUint64, streams: map[string]*stream{}, devices: map[deviceKey]*device{}, by: map[uint64]bool{}}
}

// read reads the log up to the period's end.
func (v *survey) read(ctx context.Context) error {
	for leaf, err := range v.log.Scan(ctx, 0, v.size) {
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		at := leaf.ReceivedTime()
		if !at.Before(v.r.To) {
			break // received times never fall
		}
		v.next = leaf.Seq + 1
		in := !at.Before(v.r.From)
		if in {
			v.first = min(v.first, leaf.Seq)
		}
		if err := v.take(ctx, leaf, in); err != nil {
			return fmt.Errorf("entry %d: %w", leaf.Seq, err)
		}
		if v.r.Progress != nil {
			v.r.Progress(leaf.Seq+1, v.size)
		}
	}
	v.first = min(v.first, v.next)
	return ctx.Err()
}

func (v *survey) take(ctx context.Context, leaf proof.Leaf, in bool) error {
	if leaf.Kind.FromRelay() {
		v.follow(leaf, in)
	}
	switch leaf.Kind {
	case proof.KindMessage, proof.KindQuarantine, proof.KindRelay, proof.KindEpoch:
	default:
		return nil
	}
	if !in && leaf.Kind != proof.KindMessage && leaf.Kind != proof.KindEpoch {
		return nil
	}
	rec, err := v.log.RecordOf(ctx, leaf)
	switch {
	case errors.Is(err, archive.ErrDisposed):
		v.disposed(leaf, in)
		return nil
	case errors.Is(err, archive.ErrNoBody), errors.Is(err, archive.ErrDamaged):
		if in {
			v.inPeriod.Unreadable = append(v.inPeriod.Unreadable, leaf.Seq)
		}
		return nil
	case err != nil:
		return err
	}
	switch leaf.Kind {
	case proof.KindMessage:
		v.message(rec)
	case proof.KindQuarantine:
		var note archive.QuarantineNote
		if ijson.Unmarshal(rec.Note, &note) != nil {
			note.Code = "unreadable"
		}
		v.inPeriod.Quarantined = append(v.inPeriod.Quarantined, Quarantine{leaf.Seq, leaf.Epoch, leaf.RelaySeq, note.Code})
	case proof.KindRelay:
		v.lost(rec)
	case proof.KindEpoch:
		v.ended(rec)
	}
	return nil
}
