package export

import (
	"context"
	"errors"
	"fmt"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// known answers, for the rows of one production, what the log said about
// people, devices and attachments. It reads that from the entries themselves,
// so that the same entries can be shown as evidence, and remembers them. It
// serves one goroutine.
type known struct {
	ctx  context.Context // of the production
	src  Source
	at   uint64
	arc  string
	seen map[uint64]*evidence // nil: the entry is no evidence, now and for ever
	err  error                // why the row being made cannot be made
}

func newKnown(ctx context.Context, src Source, at uint64, arc string) *known {
	return &known{ctx: ctx, src: src, at: at, arc: arc, seen: map[uint64]*evidence{}}
}

// errNoEvidence is returned for an entry whose evidence is damaged or gone.
var errNoEvidence = errors.New("an entry that it rests on cannot be shown")

// evidence reads the entry seq, on which the entry at rests. It returns nil
// and sets k.err when it cannot.
func (k *known) evidence(seq, at uint64) *evidence {
	e, ok := k.seen[seq]
	if !ok {
		rec, err := k.src.Log.Record(k.ctx, seq)
		if err == nil {
			e, err = readEvidence(rec, k.arc)
		}
		if err != nil && !errors.Is(err, errEvidence) && !lost(err) {
			k.fail(fmt.Errorf("read entry %d, on which entry %d rests: %w", seq, at, err))
			return nil
		}
		k.seen[seq] = e
	}
	if e == nil {
		k.fail(fmt.Errorf("entry %d: %w", at, errNoEvidence))
	}
	return e
}

// lost reports whether err means that an entry's body cannot be had.
func lost(err error) bool {
	return errors.Is(err, archive.ErrNoBody) || errors.Is(err, archive.ErrDisposed) || errors.Is(err, archive.ErrDamaged)
}

func (k *known) fail(err error) {
	if k.err == nil {
		k.err = err
	}
}

// User implements AsOf.
func (k *known) User(usr string, at proof.Leaf) (Person, bool) {
	seq, ok := k.src.Places.UserEntry(usr, at)
	if !ok {
		return Person{}, false
	}
	p, ok := k.evidence(seq, at.Seq).asUser(usr, at)
	if !ok {
		k.fail(fmt.Errorf("entry %d: %w", at.Seq, errNoEvidence))
	}
	return p, ok
}

// Blob implements AsOf.
func (k *known) Blob(at proof.Leaf, bid string) (string, uint64, bool) {
	seq, ok := k.src.Places.BlobEntry(at, bid, k.at)
	if !ok {
		return "", 0, false
	}
	status, ok := k.evidence(seq, at.Seq).asBlob(at, bid)
	if !ok {
		k.fail(fmt.Errorf("entry %d: %w", at.Seq, errNoEvidence))
	}
	return status, seq, ok
}

// Approval implements AsOf.
func (k *known) Approval(kid string, at proof.Leaf) (uint64, bool) {
	seq, ok := k.src.Places.DeviceEntry(kid, at)
	if !ok {
		return 0, false
	}
	return seq, k.evidence(seq, at.Seq).asApproval(kid, at) != nil
}

// device returns the seq of the entry that added the key which signed the
// message at; a person's approval of the device names it.
func (k *known) device(kid string, at proof.Leaf) uint64 {
	seq, ok := k.src.Places.DeviceEntry(kid, at)
	if ok {
		if given := k.evidence(seq, at.Seq).asApproval(kid, at); given != nil {
			seq = given.Added
		}
	}
	if !ok || k.evidence(seq, at.Seq).asDevice(kid, at) == nil {
		k.fail(fmt.Errorf("entry %d: %w", at.Seq, errNoEvidence))
		return 0
	}
	return seq
}
