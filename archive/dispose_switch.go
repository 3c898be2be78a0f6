package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
)

// Switch makes resealed files count, in the one transaction of the log that
// appends b, whose first entry is the switch's name: all of it or nothing.
// What came into the class-months since Reseal began is copied before. From
// then on an entry that was left behind is ErrDisposed. It returns ErrChanged,
// with nothing done, when b's Guard does not hold or a file is not the one that
// was resealed any more.
//
// After ErrFailed the outcome is unknown: PendingDisposals tells.
func (a *Archive) Switch(ctx context.Context, rs []*Resealed, b Batch) ([]Placed, error) {
	if err := b.validate(false, 0); err != nil {
		return nil, err
	}
	if len(rs) == 0 || b.Cursor != nil || len(b.Entries) == 0 {
		return nil, fmt.Errorf("%w: a switch without files or without an entry", ErrInvalid)
	}
	a.disposal.Lock()
	defer a.disposal.Unlock()
	seen := map[ClassMonth]bool{}
	for _, r := range rs {
		if seen[r.ClassMonth] {
			return nil, fmt.Errorf("%w: %s twice in one switch", ErrInvalid, r.ClassMonth)
		}
		seen[r.ClassMonth] = true
		// Most of what came since is copied while others append; the writer has little left to do.
		if err := a.catchUp(ctx, r); err != nil {
			return nil, err
		}
	}
	out, err := a.submit(ctx, &request{done: make(chan reply, 1), alone: func() (reply, error) {
		return a.commitAlone(b, func(first uint64) (generations, error) {
			gens := generations{}
			for _, r := range rs {
				g, err := a.switched(r, first)
				if err != nil {
					return nil, err
				}
				gens[r.ClassMonth] = g
			}
			return gens, a.faultAt("tail copied")
		})
	}})
	return out.placed, err
}

// catchUp copies what has come into a class-month since, up to now.
func (a *Archive) catchUp(ctx context.Context, r *Resealed) error {
	_, to, err := a.MonthRange(r.Month)
	if err != nil {
		return err
	}
	for r.copied < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.view(func(s *store) error { return s.copyTail(r, to) }); err != nil {
			return err
		}
	}
	return nil
}

// current says whether the file that was resealed is still the one to switch
// to.
func (s *store) current(r *Resealed) (from, to *bodyFile, err error) {
	g := s.gens[r.ClassMonth]
	if g.unfinished() || s.gens.live(r.ClassMonth) != r.From || g != nil && g.highest >= r.To {
		return nil, nil, fmt.Errorf("%w: %s was disposed of meanwhile", ErrChanged, r.ClassMonth)
	}
	if to, err = s.bodies.get(bodyName(r.Month, r.Class, r.To)); err == nil {
		err = to.is(r.file)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the resealed file of %s is gone: %w", ErrChanged, r.ClassMonth, err)
	}
	from, err = s.bodies.get(s.bodyName(r.ClassMonth))
	return from, to, err
}

// is compares the file's id.
func (f *bodyFile) is(id [16]byte) error {
	return guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			if !bytes.Equal(tx.Bucket(bucketMeta).Get(keyFileID), id[:]) {
				return fmt.Errorf("%w: it is another file", ErrInvalid)
			}
			return nil
		})
	})
}

// copyTail copies some of what came since into the resealed file, below to.
func (s *store) copyTail(r *Resealed, to uint64) error {
	src, dst, err := s.current(r)
	if err != nil {
		return err
	}
	next, err := s.copyOwn(r.ClassMonth, src, dst, r.copied, to)
	if err == nil {
		r.copied = next
	}
	return err
}

// copyOwn reseals some of a class-month's entries from seq on, below to, from
// one file into the other, durably. Those that are there are left as they are.
func (s *store) copyOwn(cm ClassMonth, src, dst *bodyFile, seq, to uint64) (next uint64, err error) {
	own, err := s.own(cm, src, seq, to)
	if err != nil || len(own.leaves) == 0 {
		return own.end(seq), err
	}
	bodies, err := own.open()
	if err != nil {
		return seq, err
	}
	which := make([]bool, len(bodies))
	for i := range which {
		which[i] = own.sealed[i] != nil
	}
	own.reseal(dst.key, bodies, which)
	err = guard(func() error {
		return dst.db.Update(func(tx *bbolt.Tx) error {
			records, unlink := tx.Bucket(bucketRecord), tx.Bucket(bucketUnlink)
			records.FillPercent = 1.0
			for i := range own.leaves {
				key := u64(own.leaves[i].Seq)
				if !which[i] || records.Get(key) != nil {
					continue
				}
				if err := records.Put(key, own.sealed[i]); err != nil {
					return err
				}
				for _, at := range attachments(&own.leaves[i], &bodies[i]) {
					name := at.name()
					if unlink == nil {
						break
					}
					if err := unlink.Delete(name[:]); err != nil {
						return err
					}
				}
			}
			return nil
		})
	})
	return own.next, err
}

func (o *ownRecords) end(seq uint64) uint64 {
	if o == nil {
		return seq
	}
	return o.next
}

// switched copies the rest, in the writer, and returns what the log is to say
// of the class-month.
func (a *Archive) switched(r *Resealed, first uint64) (*generation, error) {
	s := a.st
	_, to, err := a.MonthRange(r.Month)
	if err != nil {
		return nil, err
	}
	if _, _, err := s.current(r); err != nil {
		return nil, err
	}
	for r.copied < to {
		if err := s.copyTail(r, to); err != nil {
			return nil, errors.Join(err, a.closeBody(bodyName(r.Month, r.Class, r.To)))
		}
	}
	g := &generation{state: stateSwitched, live: r.To, highest: r.To, former: r.From, intent: first, through: r.Through, gone: r.gone}
	if was := s.gens[r.ClassMonth]; was != nil {
		g.formerGone = was.gone
	}
	// An index covers exactly so many seqs; the log's own files may be cut earlier.
	per := a.LogFileLeaves()
	for _, part := range r.Ranges {
		for n := part.From / per; n <= part.To/per; n++ {
			g.index = append(g.index, n)
		}
	}
	late, err := s.lateSince(r, first)
	if err != nil {
		return nil, err
	}
	for _, seq := range append(late, r.late...) {
		g.index = append(g.index, seq/per)
	}
	slices.Sort(g.index)
	g.index = slices.Compact(g.index)
	return g, nil
}

// closeBody closes a body file whose last transaction's outcome is unknown; it
// is opened again when it is needed.
func (a *Archive) closeBody(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.st.bodies.drop(name)
}

// SwitchBack makes the former files of class-months count again, in the one
// transaction that appends b. It is possible while the former key is there:
// Generation.Pending. What came since the switch is copied back before; the
// other files and their keys are removed afterwards, and their generation
// numbers are never used again.
func (a *Archive) SwitchBack(ctx context.Context, cms []ClassMonth, b Batch) ([]Placed, error) {
	if err := b.validate(false, 0); err != nil {
		return nil, err
	}
	if len(cms) == 0 || b.Cursor != nil || len(b.Entries) == 0 {
		return nil, fmt.Errorf("%w: a switch without files or without an entry", ErrInvalid)
	}
	a.disposal.Lock()
	defer a.disposal.Unlock()
	if err := a.certainKeys(cms); err != nil {
		return nil, err
	}
	out, err := a.submit(ctx, &request{done: make(chan reply, 1), alone: func() (reply, error) {
		return a.commitAlone(b, func(first uint64) (generations, error) {
			gens := generations{}
			for _, cm := range cms {
				g, err := a.switchedBack(cm, first)
				if err != nil {
					return nil, err
				}
				gens[cm] = g
			}
			return gens, a.faultAt("copied back")
		})
	}})
	if err != nil {
		return nil, err
	}
	for _, cm := range cms {
		// A crash here leaves files that count for nothing; the next start removes them.
		if err := errors.Join(a.faultAt("switched back"), a.sweep(cm)); err != nil {
			return out.placed, fmt.Errorf("the former file of %s counts again; removing the other: %w", cm, err)
		}
	}
	return out.placed, nil
}

// certainKeys refuses class-months whose former file does not open any more.
// Where the keys' destruction was begun and failed, the files on disk may have
// lost keys that the memory has: they are written again before the log says
// that they count.
func (a *Archive) certainKeys(cms []ClassMonth) error {
	begun := false
	err := a.view(func(s *store) error {
		for _, cm := range cms {
			g := s.gens[cm]
			if !g.unfinished() || !a.reversible(cm, g) {
				return fmt.Errorf("%w: %s was not switched, or its former key is destroyed: it cannot be switched back", ErrInvalid, cm)
			}
			begun = begun || g.state == stateDestroying
		}
		return nil
	})
	if err != nil || !begun {
		return err
	}
	return a.keys.rewrite()
}

func (a *Archive) switchedBack(cm ClassMonth, first uint64) (*generation, error) {
	s := a.st
	g := s.gens[cm]
	src, err := s.bodies.get(s.bodyName(cm))
	if err != nil {
		return nil, err
	}
	former := bodyName(cm.Month, cm.Class, g.former)
	dst, err := s.bodies.get(former)
	if err != nil {
		return nil, err
	}
	_, to, err := a.MonthRange(cm.Month)
	for seq := g.through; seq < to && err == nil; {
		seq, err = s.copyOwn(cm, src, dst, seq, to)
	}
	if err != nil {
		return nil, errors.Join(err, a.closeBody(former))
	}
	return &generation{state: stateUndone, live: g.former, highest: g.highest, intent: first, gone: g.formerGone}, nil
}

// Unkept yields what the former file of a switched class-month has and the
// live one has not, so that it can be asked once more whether all of it may go.
// It yields nothing when the former key is destroyed already. An entry whose
// body cannot be had is yielded with its leaf and the error.
func (a *Archive) Unkept(ctx context.Context, cm ClassMonth) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		var g *generation
		err := a.view(func(s *store) error {
			if g = s.gens[cm]; !g.unfinished() {
				return fmt.Errorf("%w: no disposition of %s is pending", ErrInvalid, cm)
			}
			return nil
		})
		if err == nil && !a.reversible(cm, g) {
			return
		}
		var from, to uint64
		if err == nil {
			from, to, err = a.MonthRange(cm.Month)
		}
		if err != nil {
			yield(Record{}, err)
			return
		}
		for l, err := range a.Scan(ctx, from, min(to, g.through)) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			if l.Class != cm.Class {
				continue
			}
			if r, due, err := a.unkept(cm, &l); (due || err != nil) && !yield(r, err) {
				return
			}
		}
	}
}

// unkept returns an entry that only the former file has.
func (a *Archive) unkept(cm ClassMonth, l *proof.Leaf) (r Record, due bool, err error) {
	r.Leaf = *l
	err = a.view(func(s *store) error {
		g := s.gens[cm]
		if !g.unfinished() {
			return fmt.Errorf("%w: the disposition of %s was finished meanwhile", ErrChanged, cm)
		}
		b, err := s.bodyIn(s.bodyName(cm), l, false)
		if err == nil || !errors.Is(err, ErrDisposed) {
			return err
		}
		if b, err = s.bodyIn(bodyName(cm.Month, cm.Class, g.former), l, true); errors.Is(err, ErrDisposed) {
			return nil
		}
		r.Random, r.Note, r.Body, due = b.Random, b.Note, b.Bytes, err == nil
		return err
	})
	return r, due, err
}
