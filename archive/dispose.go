package archive

import (
	"errors"
	"fmt"

	"holdfast/archive/proof"
)

// Disposition destroys the bodies of entries for good, while their leaves and
// so the chain stay. Reseal writes what is to stay into another file under
// another key; Switch makes that file count, in the transaction that appends
// the intent; Destroy takes the former key out of the keyring and then unlinks
// the former file and the attachments. SwitchBack undoes a Switch as long as
// the key is there. A crash at any step leaves a disposition that has not
// begun, of which the next start removes what there is, or one that
// PendingDisposals names and that Destroy or SwitchBack finishes.

// ErrDisposed means that an entry's body was destroyed on purpose. It is not
// ErrNoBody, which is damage.
var ErrDisposed = errors.New("this entry was disposed of; its certificate says when and why")

// ErrChanged means that what was decided rests on something that is not so any
// more.
var ErrChanged = errors.New("what this rests on has changed since; look again")

// Guard makes a batch depend on what the log does not hold: the batch is
// refused with ErrChanged, alone, if at its commit there is an entry of one of
// Kinds with seq ≥ Since, those of the same commit before it included.
type Guard struct {
	Since uint64
	Kinds []proof.Kind
}

// unchanged looks whether a batch's guard still holds.
func (p *plan) unchanged(g *Guard) (refused, err error) {
	if g == nil {
		return nil, nil
	}
	var kinds [256]bool
	for _, k := range g.Kinds {
		kinds[k] = true
	}
	for i := range p.pending {
		if l := &p.pending[i].leaf; l.Seq >= g.Since && kinds[l.Kind] {
			return &SeqError{l.Seq, ErrChanged}, nil
		}
	}
	for seq := g.Since; seq < p.w.end.size; {
		leaves, err := p.st.leaves(seq, p.w.end.size, ownLeaves)
		if err != nil {
			return nil, err
		}
		for i := range leaves {
			if kinds[leaves[i].Kind] {
				return &SeqError{leaves[i].Seq, ErrChanged}, nil
			}
		}
		seq += uint64(len(leaves))
	}
	return nil, nil
}

// commitNext commits a group up to a request that is run alone, or runs that
// one.
func (a *Archive) commitNext(group []*request) (rest []*request, err error) {
	r := group[0]
	if r.alone == nil {
		return a.commitSome(group)
	}
	var out reply
	err = guard(func() (err error) {
		out, err = r.alone()
		return err
	})
	if err != nil {
		return nil, err
	}
	r.done <- out
	return group[1:], nil
}

// commitAlone commits one batch by itself, in the writer, together with the
// body files that count from it on: prepare makes them ready and names them.
// What prepare refuses concerns this batch alone; an error means that the
// outcome is unknown.
func (a *Archive) commitAlone(b Batch, prepare func(first uint64) (generations, error)) (reply, error) {
	if err := a.disk.refill(); err != nil {
		return reply{}, err
	}
	if err := a.admit(&b, 0); err != nil {
		return reply{err: err}, nil
	}
	r := &request{batch: b, done: make(chan reply, 1)}
	dedupe := a.keys.snapshot().Dedupe
	p := newPlan(&a.w, a.st, dedupe)
	if p.full(r, a.opts.LogFileLeaves) {
		if err := a.roll(); err != nil {
			return reply{}, err
		}
		p = newPlan(&a.w, a.st, dedupe)
	}
	refused, err := p.add(r)
	if err = errors.Join(err, p.close()); err != nil {
		return reply{}, err
	}
	if refused != nil {
		if len(p.pending) == 0 {
			return reply{err: refused}, nil
		}
		return reply{err: refused}, a.commit(p) // what the archive itself has to say of the clock
	}
	if p.gens, err = prepare(p.replies[0].placed[0].Seq); err == nil {
		err = p.apart()
	}
	if err != nil {
		return reply{err: err}, nil
	}
	if err := a.commit(p); err != nil {
		return reply{}, err
	}
	return <-r.done, nil
}

// apart refuses a batch that has an entry in a file that it switches.
func (p *plan) apart() error {
	for i := range p.pending {
		l := &p.pending[i].leaf
		if p.gens[ClassMonth{l.Class, l.Month()}] != nil {
			return fmt.Errorf("%w: an entry of the class and month that its batch switches", ErrInvalid)
		}
	}
	return nil
}

// generationRoom is what one class-month's value in the log takes, in bytes, and
// more.
const generationRoom = 1 << 10

// commitGenerations writes down, in the writer, what became of body files.
func (a *Archive) commitGenerations(gens generations, unless *Guard) (reply, error) {
	if err := a.disk.refill(); err != nil {
		return reply{}, err
	}
	// It frees more than it takes, and so may use the reserve as what it was decided by may.
	if err := a.disk.admit(claimControl, int64(len(gens))*generationRoom); err != nil {
		return reply{err: err}, nil
	}
	p := newPlan(&a.w, a.st, nil)
	if refused, err := p.unchanged(unless); refused != nil || err != nil {
		return reply{err: refused}, err
	}
	p.gens = gens
	return reply{}, a.commit(p)
}

// Discard removes what Reseal made of class-months, with its keys, where
// nothing was switched to it. A crash under way leaves what the next start
// removes.
func (a *Archive) Discard(cms []ClassMonth) error {
	if a.opts.ReadOnly {
		return fmt.Errorf("%w: it was opened to be read only", ErrClosed)
	}
	a.disposal.Lock()
	defer a.disposal.Unlock()
	var errs []error
	for _, cm := range cms {
		errs = append(errs, a.sweep(cm))
	}
	return errors.Join(errs...)
}

// sweep removes what earlier dispositions of a class-month left.
func (a *Archive) sweep(cm ClassMonth) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.st == nil {
		return ErrFailed
	}
	return a.st.sweepGenerations(&cm)
}
