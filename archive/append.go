package archive

import (
	"context"
	"fmt"

	"holdfast/archive/proof"
)

// Entry is what a caller asks to append.
type Entry struct {
	Kind     proof.Kind
	Class    string
	Epoch    string     // relay epoch and seq, for the kinds that come from the relay
	RelaySeq uint64     //
	Envelope proof.Hash // SHA-256 of the envelope if HPKE opened it, else zero
	Note     []byte
	Body     []byte
	Dedupe   *Dedupe // messages only
}

// Dedupe names a message in its device's own stream. The archive remembers it
// for ever, as a MAC of the digest, so that it survives the message's erasure
// and tells nothing.
type Dedupe struct {
	Device string // AMX/1 dev
	N      uint64
	Digest [32]byte
}

// Batch is what is appended in one transaction: all of it or nothing.
type Batch struct {
	Entries []Entry
	Cursor  *Cursor // after these entries; nil unless they are a relay page
	Guard   *Guard  // nil: appended whatever the log holds
}

// Placed says what became of one entry of a batch.
type Placed struct {
	Seq      uint64
	Kind     proof.Kind // KindRedelivery when a message was one
	Of       uint64     // redelivery or conflict: seq of the first delivery
	Conflict bool       // the log holds another message of the same device and n; both are kept
	Skipped  bool       // the cursor had passed it already; nothing was appended
}

// MaxBatch bounds a batch: a relay page's events and what ingest adds to them.
const MaxBatch = 4096

// Append appends the batch and returns once it is durable: bodies synced, then
// leaves, tree and cursor in one synced transaction. Concurrent callers are
// committed together. It is idempotent for relay entries: those at or below
// the stored cursor are skipped, so that a page may be appended again after a
// failure whose outcome is unknown.
//
// After an error that is ErrFailed the batch may or may not be in the log; ask
// Cursor, or append it again.
func (a *Archive) Append(ctx context.Context, b Batch) ([]Placed, error) {
	if err := b.validate(a.Size() == 0, 0); err != nil {
		return nil, err
	}
	r, err := a.submit(ctx, &request{batch: b, done: make(chan reply, 1)})
	return r.placed, err
}

// Checkpoint returns the signed checkpoint of the log's present size, which is
// stored in the log before it is returned.
func (a *Archive) Checkpoint(ctx context.Context) ([]byte, error) {
	r, err := a.submit(ctx, &request{checkpoint: true, done: make(chan reply, 1)})
	return r.checkpoint, err
}

// submit hands a request to the writer. Once the writer has it, its outcome is
// waited for whatever becomes of ctx: it may be committed.
func (a *Archive) submit(ctx context.Context, r *request) (reply, error) {
	if a.opts.ReadOnly {
		return reply{}, fmt.Errorf("%w: it was opened to be read only", ErrClosed)
	}
	select {
	case a.queue <- r:
	case <-ctx.Done():
		return reply{}, ctx.Err()
	case <-a.done:
		return reply{}, ErrClosed
	}
	select {
	case out := <-r.done:
		return out, out.err
	case <-a.done:
	}
	select {
	case out := <-r.done:
		return out, out.err
	default:
		return reply{}, ErrClosed
	}
}

// validate refuses what no batch has. own is the kind of the two that have a
// way of their own into the log and that this batch may have, 0 for none.
func (b *Batch) validate(empty bool, own proof.Kind) error {
	if b.Guard != nil && len(b.Guard.Kinds) == 0 {
		return fmt.Errorf("%w: a guard without a kind", ErrInvalid)
	}
	if len(b.Entries) == 0 && b.Cursor == nil {
		return fmt.Errorf("%w: an empty batch", ErrInvalid)
	}
	if len(b.Entries) > MaxBatch {
		return fmt.Errorf("%w: a batch of more than %d", ErrInvalid, MaxBatch)
	}
	for i := range b.Entries {
		switch kind := b.Entries[i].Kind; {
		case kind == proof.KindClock && own != kind:
			return fmt.Errorf("%w: only ReleaseClock appends an entry about the clock", ErrInvalid)
		case kind == proof.KindRestore && own != kind:
			return fmt.Errorf("%w: only GoOn appends an entry about a restored log", ErrInvalid)
		}
		if err := b.Entries[i].validate(b.Cursor, empty); err != nil {
			return err
		}
	}
	return nil
}

func (e *Entry) validate(cursor *Cursor, empty bool) error {
	switch {
	case !e.Kind.Valid() || (e.Kind == proof.KindGenesis) != empty:
		return fmt.Errorf("%w: kind %v", ErrInvalid, e.Kind)
	case !proof.ValidClass(e.Class):
		return fmt.Errorf("%w: class", ErrInvalid)
	case e.Kind.FromRelay() != (e.RelaySeq != 0) || (e.RelaySeq == 0) != (e.Epoch == ""):
		return fmt.Errorf("%w: a relay epoch and seq go with the kinds that come from the relay", ErrInvalid)
	case e.RelaySeq != 0 && (cursor == nil || e.Epoch != cursor.Epoch || e.RelaySeq > cursor.Seq):
		return fmt.Errorf("%w: a relay entry lies outside its batch's cursor", ErrInvalid)
	case len(e.Epoch) > proof.MaxEpoch:
		return fmt.Errorf("%w: epoch longer than %d bytes", ErrInvalid, proof.MaxEpoch)
	case len(e.Note)+len(e.Body) > MaxBody:
		return fmt.Errorf("%w: note and body longer than %d bytes", ErrInvalid, MaxBody)
	case e.Dedupe != nil && e.Kind != proof.KindMessage:
		return fmt.Errorf("%w: only messages are deduplicated", ErrInvalid)
	}
	return nil
}

// bytes returns roughly what the batch takes on disk.
func (b *Batch) bytes() (n int64) {
	for i := range b.Entries {
		n += int64(len(b.Entries[i].Note)+len(b.Entries[i].Body)) + 512
	}
	return n
}
