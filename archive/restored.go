package archive

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"go.etcd.io/bbolt"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/mod/sumdb/note"

	"holdfast/archive/proof"
)

// Errors of a log that was restored, or is not the one that was anchored.
var (
	// ErrNotRestored is the answer to going on from a log that nobody restored.
	ErrNotRestored = errors.New("this log was not restored from a backup; there is nothing to go on from")

	// ErrAnchor means that a checkpoint kept outside the machine states another
	// log than the one that is here.
	ErrAnchor = errors.New("this is not the log that was anchored outside this machine")
)

// Restored says where the log goes on from a restored, older one. A checkpoint
// of more entries than Sizes[N-1] has the suffix /rN.
type Restored struct {
	Sizes   []uint64 // never falling: the entries that each restored log had
	Pending bool     // nobody has yet said that it goes on from the last of them
	Anchor  []byte   // the newest signed checkpoint known of what was lost, as acknowledged unless Pending; nil if none is known
}

// Times returns how often the log was restored: N of its newest checkpoints'
// suffix /rN, 0 for a log that never was. r may be nil.
func (r *Restored) Times() uint32 {
	if r == nil {
		return 0
	}
	return uint32(len(r.Sizes)) // #nosec G115 -- at most proof.MaxRestored
}

// At returns N of the suffix of a checkpoint of so many entries.
func (r *Restored) At(size uint64) uint32 {
	var n uint32
	if r != nil {
		for _, s := range r.Sizes {
			if s < size {
				n++
			}
		}
	}
	return n
}

// keyRestored is the place in bucket meta of the record of restores. The record
// of the log's end covers it, and each new log file takes it over.
var keyRestored = []byte("restored")

// marshal returns version (1) ‖ pending ‖ n (u16) ‖ n sizes (u64) ‖ length of
// the anchor (u16) ‖ anchor.
func (r *Restored) marshal() []byte {
	w := cryptobyte.NewBuilder(nil)
	w.AddUint8(1)
	if r.Pending {
		w.AddUint8(1)
	} else {
		w.AddUint8(0)
	}
	w.AddUint16(uint16(len(r.Sizes))) // #nosec G115 -- at most proof.MaxRestored
	for _, s := range r.Sizes {
		w.AddUint64(s)
	}
	w.AddUint16LengthPrefixed(func(w *cryptobyte.Builder) { w.AddBytes(r.Anchor) })
	return w.BytesOrPanic()
}

// parseRestored reads the bytes that marshal writes, and no others.
func parseRestored(b []byte) (*Restored, error) {
	bad := fmt.Errorf("%w: the record of restores", ErrDamaged)
	var version, pending uint8
	var n uint16
	var anchor cryptobyte.String
	s := cryptobyte.String(b)
	if !s.ReadUint8(&version) || version != 1 || !s.ReadUint8(&pending) || pending > 1 || !s.ReadUint16(&n) || n == 0 || n > proof.MaxRestored {
		return nil, bad
	}
	r := &Restored{Pending: pending == 1}
	var before uint64
	for range n {
		var size uint64
		if !s.ReadUint64(&size) || size == 0 || size < before {
			return nil, bad
		}
		r.Sizes, before = append(r.Sizes, size), size
	}
	if !s.ReadUint16LengthPrefixed(&anchor) || !s.Empty() || len(anchor) > proof.MaxCheckpoint {
		return nil, bad
	}
	if len(anchor) > 0 {
		r.Anchor = slices.Clone(anchor)
	}
	return r, nil
}

// putRestored writes the record in a transaction that states the log's end.
func (t *tip) putRestored(tx *bbolt.Tx) error {
	if t.restored == nil {
		return nil
	}
	return tx.Bucket(bucketMeta).Put(keyRestored, t.restored.marshal())
}

// restored reads the record; nil for a log that never was restored.
func (f *logFile) restored() (r *Restored, err error) {
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketMeta).Get(keyRestored)
			if b == nil {
				return nil
			}
			r, err = parseRestored(b)
			return err
		})
	})
	return r, err
}

// Restored says where the log goes on from a restored one; nil if it never was
// restored. The caller changes nothing of it.
func (a *Archive) Restored() *Restored { return a.restored.Load() }

// MarkRestored notes in an archive that was put back from a backup, before
// anybody opens it, that its log may be older than the one that was lost: from
// here on its checkpoints are those of another log, and it is Pending. anchor
// is the newest signed checkpoint known of what was lost; nil if none is. No
// process may hold the archive: ErrLocked.
//
// A crash leaves the mark or none; it is made again then.
func MarkRestored(dir string, anchor []byte) (r *Restored, err error) {
	_, id, err := readIdentity(dir)
	if err != nil {
		return nil, err
	}
	held, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	logs, err := openLogs(dir, id.Origin, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeLogs(logs)) }()
	f := logs[len(logs)-1]
	t, _, err := f.tip()
	if err != nil || t.size == 0 {
		return nil, fmt.Errorf("%s: %w", filepath.Base(logPath(dir, f.number)), errors.Join(ErrDamaged, err))
	}
	was, err := f.restored()
	if err != nil {
		return nil, err
	}
	key, err := id.LogVerifier()
	if err != nil {
		return nil, err
	}
	if r, err = was.again(t.size, anchor, key); err != nil {
		return nil, err
	}
	return r, guard(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			end := tip{restored: r}
			return errors.Join(end.putRestored(tx), putTip(tx, t))
		})
	})
}

// again returns the record of one more restore, to a log of so many entries.
// Restores that only the anchor tells of are counted: no two logs shall sign
// under one suffix.
func (r *Restored) again(size uint64, anchor []byte, key note.Verifier) (*Restored, error) {
	next := &Restored{Pending: true, Anchor: anchor}
	times := r.Times()
	if anchor != nil {
		c, err := proof.OpenCheckpoint(anchor, key)
		if err != nil {
			return nil, fmt.Errorf("the anchor: %w", err)
		}
		times = max(times, c.Restored)
		next.Anchor = newest(r, anchor, c, key)
	} else if r != nil {
		next.Anchor = r.Anchor
	}
	if times >= proof.MaxRestored {
		return nil, fmt.Errorf("%w: a log is restored at most %d times", ErrInvalid, proof.MaxRestored)
	}
	if r != nil {
		next.Sizes = slices.Clone(r.Sizes)
	}
	for next.Times() <= times {
		next.Sizes = append(next.Sizes, size)
	}
	return next, nil
}

// newest returns which of the anchor of r and another one, c, states more.
func newest(r *Restored, anchor []byte, c proof.Checkpoint, key note.Verifier) []byte {
	if r == nil || r.Anchor == nil {
		return anchor
	}
	was, err := proof.OpenCheckpoint(r.Anchor, key)
	if err == nil && Beyond(was, c) {
		return r.Anchor
	}
	return anchor
}

// Beyond reports whether checkpoint a is of a later log than b, or of the same
// one and states more of it.
func Beyond(a, b proof.Checkpoint) bool {
	return a.Restored > b.Restored || a.Restored == b.Restored && a.Size > b.Size
}

// Lost is what a restored log lacks of the one before it: entries From <= seq <
// To, as far as its last anchor tells.
type Lost struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Compare holds the log against a checkpoint that was kept outside the machine,
// whose signature the caller has checked. A log that is shorter than it states,
// or another one, is ErrAnchor. Of one that states what was lost by a restore it
// returns which entries those are.
func (a *Archive) Compare(c proof.Checkpoint) (*Lost, error) {
	r, size := a.Restored(), a.Size()
	switch {
	case c.Origin != a.id.Origin:
		return nil, fmt.Errorf("%w: the anchor is another archive's", ErrAnchor)
	case c.Restored > r.Times():
		return nil, fmt.Errorf("%w: the anchor is of the log after restore %d, and this log was restored %d times", ErrAnchor, c.Restored, r.Times())
	case c.Restored < r.Times() && c.Size > r.Sizes[c.Restored]:
		return &Lost{From: r.Sizes[c.Restored], To: c.Size}, nil
	case c.Restored != r.At(c.Size):
		return nil, fmt.Errorf("%w: the log of that length is of restore %d, the anchor of %d", ErrAnchor, r.At(c.Size), c.Restored)
	case c.Size > size:
		return nil, fmt.Errorf("%w: it has %d entries, the anchor states %d", ErrAnchor, size, c.Size)
	}
	root, err := a.Root(c.Size)
	if err != nil {
		return nil, err
	}
	if root != c.Root {
		return nil, fmt.Errorf("%w: its first %d entries are other ones", ErrAnchor, c.Size)
	}
	return nil, nil
}

// GoOn appends b, one of whose entries is of KindRestore: the log goes on from
// the restored one, and what anchor states beyond it is given up. In the same
// transaction the record of restores says so. ErrNotRestored: it never was
// restored.
func (a *Archive) GoOn(ctx context.Context, b Batch, anchor []byte) ([]Placed, error) {
	restores := 0
	for i := range b.Entries {
		if b.Entries[i].Kind == proof.KindRestore {
			restores++
		}
	}
	if restores != 1 || b.Cursor != nil || len(anchor) > proof.MaxCheckpoint {
		return nil, fmt.Errorf("%w: a log goes on by a batch with one entry that says so, and no cursor", ErrInvalid)
	}
	if err := b.validate(false, proof.KindRestore); err != nil {
		return nil, err
	}
	r, err := a.submit(ctx, &request{batch: b, goesOn: true, anchor: anchor, done: make(chan reply, 1)})
	return r.placed, err
}

// goOn plans that the log goes on, if the request says so and nothing refused
// it.
func (p *plan) goOn(r *request) (refused error) {
	if !r.goesOn {
		return nil
	}
	if p.end.restored == nil {
		return ErrNotRestored
	}
	p.end.restored = &Restored{Sizes: p.end.restored.Sizes, Anchor: slices.Clone(r.anchor)}
	return nil
}
