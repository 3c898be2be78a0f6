package archive

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"os"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/durable"
)

// Range is some entries of one class-month: its own leaves with From ≤ seq ≤ To.
type Range struct{ From, To uint64 }

// ResealOptions says what stays.
type ResealOptions struct {
	// Keep is asked once for each entry that still has its body, below Through, in order. Its error ends the resealing.
	Keep func(Record) (bool, error)
	// Shared reports whether something that stays refers to an attachment of an entry that is left behind: it is then not
	// unlinked. It answers for the log up to Through; entries that come later the archive watches itself. nil: nothing is shared.
	Shared func(bid string, ct [32]byte) bool
	// Progress is told how many of the month's leaves have been looked at. It may be nil.
	Progress func(done, total uint64)
}

// Resealed is a body file that is ready to be switched to.
type Resealed struct {
	ClassMonth
	From, To  uint32     // the generations
	Through   uint64     // size of the log when it began: Switch copies what came since
	Kept      uint64     // survivors
	Left      uint64     // entries left behind
	Ranges    []Range    // exactly those, in order
	Survivors proof.Hash // SHA-256("holdfast survivors v1\0" ‖ each survivor's seq, u64)
	Blobs     uint64     // attachments that go with them
	Bytes     int64      // what the old file takes on disk

	file   [seal.IDSize]byte // the new file's id
	gone   proof.Hash        // sum of its ranges of disposed entries, earlier ones included
	copied uint64            // what came since has been copied up to here
	late   []uint64          // seqs of the entries by which attachments of what is left behind came in later
	awaits bool              // one of them may still come
}

// Reseal writes what Keep says of a class-month into a body file of the next
// generation, under a key of its own that is durable in the keyring before.
// The new file is synced, opened again and compared with the leaves'
// commitments before it gets its name. Nothing counts before Switch; appending
// and reading go on meanwhile. A record that does not open ends it with a
// SeqError.
func (a *Archive) Reseal(ctx context.Context, cm ClassMonth, o ResealOptions) (*Resealed, error) {
	a.disposal.Lock()
	defer a.disposal.Unlock()
	r, err := a.newResealer(cm, o)
	if err != nil {
		return nil, err
	}
	if err := r.run(ctx); err != nil {
		// What is left of it counts for nothing; the next Reseal or start would remove it as well.
		return nil, errors.Join(fmt.Errorf("resealing %s: %w", cm, err), r.abort())
	}
	return r.out, nil
}

type resealer struct {
	a        *Archive
	o        ResealOptions
	out      *Resealed
	from, to uint64 // seqs of the month's leaves that are looked at
	name     string // of the new file
	db       *bbolt.DB
	key      *seal.FileKey

	survivors hash.Hash
	open      bool                  // the last of out.Ranges can go on
	gone      []Range               // disposed of now or before
	goneOpen  bool                  // the last of them can go on
	unlink    map[blobName]struct{} // attachments of what is left behind
	keep      map[blobName]struct{} // and of survivors
	awaited   *awaited              // attachments of what is left behind that came later, or never
}

func (a *Archive) newResealer(cm ClassMonth, o ResealOptions) (*resealer, error) {
	if a.opts.ReadOnly {
		return nil, fmt.Errorf("%w: it was opened to be read only", ErrClosed)
	}
	if err := cm.check(); err != nil {
		return nil, err
	}
	if cm.Class == proof.ClassControl || o.Keep == nil {
		return nil, fmt.Errorf("%w: class %s is never disposed of", ErrInvalid, cm.Class)
	}
	r := &resealer{
		a: a, o: o, survivors: sha256.New(), unlink: map[blobName]struct{}{}, keep: map[blobName]struct{}{}, awaited: &awaited{},
		out: &Resealed{ClassMonth: cm, Through: a.Size()},
	}
	r.survivors.Write([]byte("holdfast survivors v1\x00"))
	highest := uint32(0)
	err := a.view(func(s *store) (err error) {
		g := s.gens[cm]
		if g.unfinished() {
			return fmt.Errorf("%w: the disposition of %s that entry %d began is not finished", ErrInvalid, cm, g.intent)
		}
		if r.out.From, highest = s.gens.live(cm), s.gens.live(cm); g != nil {
			highest = g.highest
		}
		r.out.Bytes, err = diskBytes(bodyPath(s.dir, s.bodyName(cm)))
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: there is no body file of %s", ErrNotFound, cm)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if r.from, r.to, err = a.MonthRange(cm.Month); err != nil {
		return nil, err
	}
	r.to = min(r.to, r.out.Through)
	r.out.To, r.out.copied = highest+1, r.out.Through
	r.name = bodyName(cm.Month, cm.Class, r.out.To)
	return r, a.sweep(cm)
}

func (r *resealer) path() string { return bodyPath(r.a.dir, r.name) }

func (r *resealer) abort() error {
	var err error
	if r.db != nil {
		err = r.db.Close()
		r.db = nil
	}
	if rm := durable.Remove(r.path() + newSuffix); rm != nil {
		err = errors.Join(err, rm)
	}
	return errors.Join(err, r.a.sweep(r.out.ClassMonth))
}

func (r *resealer) run(ctx context.Context) error {
	if err := r.a.faultAt("before key"); err != nil {
		return err
	}
	if err := r.a.keys.addBodyKey(r.name); err != nil {
		return err
	}
	// A crash here leaves a key that nothing uses; the next start removes it.
	if err := r.a.faultAt("after key"); err != nil {
		return err
	}
	if err := r.create(); err != nil {
		return err
	}
	for seq := r.from; seq < r.to; {
		next, err := r.step(ctx, seq)
		if err != nil {
			return err
		}
		if seq = next; r.o.Progress != nil {
			r.o.Progress(seq-r.from, r.to-r.from)
		}
	}
	var err error
	if r.out.late, err = r.awaited.late(ctx, r.a, r.out.Through); err != nil {
		return err
	}
	r.out.awaits = len(r.awaited.keys) > 0
	// A crash up to here leaves an unfinished file; the next start removes it and the key.
	if err := r.finish(); err != nil {
		return err
	}
	if err := r.a.faultAt("resealed"); err != nil {
		return err
	}
	if err := r.verify(ctx); err != nil {
		return err
	}
	if err := durable.Publish(r.path()+newSuffix, r.path()); err != nil {
		return err
	}
	// A crash here leaves a whole file that the log does not know; the next start removes it and its key.
	return r.a.faultAt("renamed")
}

// create makes the new file under its temporary name. It is not synced before
// it is complete.
func (r *resealer) create() error {
	temp := r.path() + newSuffix
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	options := boltOptions(false)
	options.NoSync, options.NoGrowSync = true, true
	var err error
	if r.db, err = bbolt.Open(temp, 0o600, options); err != nil {
		return err
	}
	id := seal.NewKey()
	r.out.file = [seal.IDSize]byte(id[:seal.IDSize])
	if r.key, err = r.a.keys.bodyKey(r.name, r.out.file); err != nil {
		return err
	}
	return r.db.Update(func(tx *bbolt.Tx) error {
		meta, err := putFormat(tx)
		if err != nil {
			return err
		}
		for _, name := range [][]byte{bucketRecord, bucketDisposed, bucketUnlink} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return meta.Put(keyFileID, r.out.file[:])
	})
}

// step reseals some of the month's entries from seq on.
func (r *resealer) step(ctx context.Context, seq uint64) (next uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if !r.a.Room() {
		return 0, ErrDiskFull
	}
	var own *ownRecords
	err = r.a.view(func(s *store) error {
		f, err := s.bodies.get(s.bodyName(r.out.ClassMonth))
		if err == nil {
			own, err = s.own(r.out.ClassMonth, f, seq, r.to)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	bodies, err := own.open()
	if err != nil {
		return 0, err
	}
	stays := make([]bool, len(bodies))
	for i := range own.leaves {
		if own.sealed[i] == nil {
			r.wasGone(own.leaves[i].Seq)
			continue
		}
		b := &bodies[i]
		if stays[i], err = r.o.Keep(Record{Leaf: own.leaves[i], Random: b.Random, Note: b.Note, Body: b.Bytes}); err != nil {
			return 0, &SeqError{own.leaves[i].Seq, err}
		}
		if stays[i] {
			r.keeps(&own.leaves[i], b)
		} else {
			r.leaves(&own.leaves[i], b)
		}
	}
	own.reseal(r.key, bodies, stays)
	return own.next, r.put(own, stays)
}

// wasGone takes an entry that an earlier disposition left behind.
func (r *resealer) wasGone(seq uint64) {
	r.open = false
	if r.goneOpen {
		r.gone[len(r.gone)-1].To = seq
		return
	}
	r.gone, r.goneOpen = append(r.gone, Range{seq, seq}), true
}

func (r *resealer) keeps(l *proof.Leaf, b *Body) {
	r.open, r.goneOpen = false, false
	r.out.Kept++
	r.survivors.Write(binary.BigEndian.AppendUint64(nil, l.Seq))
	for _, at := range attachments(l, b) {
		r.keep[at.name()] = struct{}{}
	}
}

func (r *resealer) leaves(l *proof.Leaf, b *Body) {
	open := r.open
	r.wasGone(l.Seq)
	r.open = true
	r.out.Left++
	if n := len(r.out.Ranges); open {
		r.out.Ranges[n-1].To = l.Seq
	} else {
		r.out.Ranges = append(r.out.Ranges, Range{l.Seq, l.Seq})
	}
	for _, at := range attachments(l, b) {
		if r.o.Shared == nil || !r.o.Shared(at.bid, at.sum) {
			r.unlink[at.name()] = struct{}{}
		}
		if !at.stored {
			r.awaited.add(l, at.bid)
		}
	}
}

// put writes the resealed records.
func (r *resealer) put(own *ownRecords, stays []bool) error {
	return r.db.Update(func(tx *bbolt.Tx) error {
		records := tx.Bucket(bucketRecord)
		records.FillPercent = 1.0
		for i := range own.leaves {
			if !stays[i] {
				continue
			}
			if err := records.Put(u64(own.leaves[i].Seq), own.sealed[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// finish writes what is known only at the end, and syncs the file.
func (r *resealer) finish() error {
	for name := range r.keep {
		delete(r.unlink, name)
	}
	r.out.Blobs = uint64(len(r.unlink))
	r.out.Survivors = proof.Hash(r.survivors.Sum(nil))
	err := r.db.Update(func(tx *bbolt.Tx) error {
		var sum rangesSum
		disposed, unlink := tx.Bucket(bucketDisposed), tx.Bucket(bucketUnlink)
		disposed.FillPercent = 1.0
		for _, g := range r.gone {
			sum.add(g.From, g.To)
			if err := disposed.Put(u64(g.From), u64(g.To)); err != nil {
				return err
			}
		}
		r.out.gone = sum.sum()
		for name := range r.unlink {
			if err := unlink.Put(name[:], []byte{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err = errors.Join(err, r.db.Sync(), r.db.Close()); err != nil {
		return err
	}
	r.db = nil
	// What is checked next shall come from the disk, not from the kernel's copy.
	return durable.Settle(r.path() + newSuffix)
}

// verify opens the finished file again and compares it with the leaves.
func (r *resealer) verify(ctx context.Context) error {
	db, err := openBolt(r.path()+newSuffix, forChecking)
	if err != nil {
		return err
	}
	err = r.compare(ctx, &bodyFile{name: r.name, shared: shared{db: db}, key: r.key})
	return errors.Join(err, db.Close())
}

func (r *resealer) compare(ctx context.Context, f *bodyFile) error {
	var kept uint64
	for seq := r.from; seq < r.to; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var own *ownRecords
		err := r.a.view(func(s *store) (err error) {
			own, err = s.own(r.out.ClassMonth, f, seq, r.to)
			return err
		})
		if err != nil {
			return err
		}
		if _, err := own.open(); err != nil {
			return err
		}
		for _, sealed := range own.sealed {
			if sealed != nil {
				kept++
			}
		}
		seq = own.next
	}
	have, err := f.countFrom(0)
	if err == nil && (have != kept || kept != r.out.Kept) {
		err = fmt.Errorf("%w: %d records where %d were resealed", ErrDamaged, have, r.out.Kept)
	}
	return err
}
