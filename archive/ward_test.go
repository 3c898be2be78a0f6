package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/jws"
)

// ward is an archive of some months, with what was put into it.
type ward struct {
	*Archive
	dir      string
	o        Options
	recovery *seal.RecoveryKey
	passed   atomic.Int64 // of the test's clock, since it began
	bodies   map[uint64][]byte
	gone     map[uint64]bool // disposed of
	relay    uint64
	control  int
}

const dayLong = 24 * time.Hour

func newWard(t testing.TB) *ward {
	t.Helper()
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	w := &ward{dir: ramDir(t), recovery: recovery, bodies: map[uint64][]byte{}, gone: map[uint64]bool{}}
	w.o = Options{Master: seal.NewKey(), LogFileLeaves: 40, Reserve: 64 << 10, LowWater: 64 << 10}
	w.o.reading = func() reading {
		now := begin.Add(time.Duration(w.passed.Load()))
		return reading{now.UnixMilli(), now}
	}
	if _, err := Create(t.Context(), w.dir, CreateOptions{ArchiveID: "ward.test", Master: w.o.Master, Recovery: recovery.Public()}); err != nil {
		t.Fatal(err)
	}
	if w.Archive, err = Open(t.Context(), w.dir, w.o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.Archive == nil {
			return
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// nextMonth lets the clock go to the next month, day by day.
func (w *ward) nextMonth(t testing.TB) {
	t.Helper()
	was := time.UnixMilli(w.o.reading().wall).UTC().Month()
	for time.UnixMilli(w.o.reading().wall).UTC().Month() == was {
		w.passed.Add(int64(dayLong))
	}
	w.say(t, "general", 1)
}

func (w *ward) month() string { return time.UnixMilli(w.o.reading().wall).UTC().Format("2006-01") }

// say appends messages and, after each third, an entry of class control.
func (w *ward) say(t testing.TB, class string, n int) (seqs []uint64) {
	t.Helper()
	for range n {
		w.relay++
		e := message(w.relay, "dev", w.relay)
		e.Class = class
		seqs = append(seqs, w.put(t, e))
		if w.relay%3 == 0 {
			p := mustAppend(t, w.Archive, control(fmt.Sprintf("after %d", w.relay)))
			w.bodies[p[0].Seq] = fmt.Appendf(nil, "after %d", w.relay)
			w.control++
		}
	}
	return seqs
}

func (w *ward) put(t testing.TB, e Entry) uint64 {
	t.Helper()
	if !e.Kind.FromRelay() {
		p := mustAppend(t, w.Archive, Batch{Entries: []Entry{e}})
		w.bodies[p[0].Seq] = e.Body
		return p[0].Seq
	}
	e.RelaySeq = w.relay
	p := mustAppend(t, w.Archive, Batch{Cursor: &Cursor{Epoch: "e1", Seq: w.relay, Head: proof.LeafHash(u64(w.relay))}, Entries: []Entry{e}})
	w.bodies[p[0].Seq] = e.Body
	return p[0].Seq
}

// attach appends a message with an attachment that the archive holds.
func (w *ward) attach(t *testing.T, class string, name byte) (seq uint64, bid string, sum [32]byte) {
	t.Helper()
	content := bytes.Repeat([]byte{name}, 100)
	bid, sum = jws.EncodeB64(bytes.Repeat([]byte{name}, 16)), sha256.Sum256(content)
	if err := w.PutBlob(t.Context(), bid, sum, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	w.relay++
	e := withAttachment(t, w.relay, bid, content, BlobStored)
	e.Class = class
	return w.put(t, e), bid, sum
}

func (w *ward) reopen(t testing.TB) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.Archive, err = Open(context.Background(), w.dir, w.o); err != nil {
		t.Fatal(err)
	}
}

// intent is a batch as disposition appends it.
func intent(text string) Batch {
	return Batch{Entries: []Entry{
		{Kind: proof.KindExecution, Class: proof.ClassControl, Body: []byte("execution")},
		{Kind: proof.KindIntent, Class: proof.ClassControl, Body: []byte(text)},
	}}
}

func (w *ward) knows(placed []Placed, b Batch) {
	for i, p := range placed {
		w.bodies[p.Seq] = b.Entries[i].Body
	}
}

// keepOnly keeps the given entries, and says which are left.
func (w *ward) keepOnly(keep ...uint64) (ResealOptions, *[]uint64) {
	left := &[]uint64{}
	return ResealOptions{Keep: func(r Record) (bool, error) {
		if !bytes.Equal(r.Body, w.bodies[r.Leaf.Seq]) {
			return false, fmt.Errorf("another body: %q", r.Body)
		}
		if slices.Contains(keep, r.Leaf.Seq) {
			return true, nil
		}
		*left = append(*left, r.Leaf.Seq)
		return false, nil
	}}, left
}

func (w *ward) reseal(t testing.TB, cm ClassMonth, keep ...uint64) (*Resealed, []uint64) {
	t.Helper()
	o, left := w.keepOnly(keep...)
	r, err := w.Reseal(t.Context(), cm, o)
	if err != nil {
		t.Fatal(err)
	}
	return r, *left
}

func (w *ward) mustSwitch(t testing.TB, r *Resealed, left []uint64) {
	t.Helper()
	b := intent("an intent")
	placed, err := w.Switch(t.Context(), []*Resealed{r}, b)
	if err != nil {
		t.Fatal(err)
	}
	w.knows(placed, b)
	for _, seq := range left {
		w.gone[seq] = true
	}
}

func (w *ward) mustDestroy(t testing.TB, cms ...ClassMonth) *Destruction {
	t.Helper()
	d, err := w.Destroy(t.Context(), cms, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// audit compares an archive with what was put into it and disposed of, in every
// way of reading.
func (w *ward) audit(a *Archive) error {
	ctx := context.Background()
	for seq, body := range w.bodies {
		r, err := a.Record(ctx, seq)
		switch {
		case w.gone[seq] && (!errors.Is(err, ErrDisposed) || errors.Is(err, ErrNoBody) || r.Body != nil):
			return fmt.Errorf("entry %d was disposed of, and is read: %q, %w", seq, r.Body, err)
		case !w.gone[seq] && (err != nil || !bytes.Equal(r.Body, body)):
			return fmt.Errorf("entry %d reads %q, %w", seq, r.Body, err)
		}
	}
	n := 0
	for r, err := range a.Records(ctx, 0, a.Size()) {
		if n++; errors.Is(err, ErrDisposed) != w.gone[r.Leaf.Seq] {
			return fmt.Errorf("entry %d among all: %w", r.Leaf.Seq, err)
		}
	}
	if uint64(n) != a.Size() {
		return fmt.Errorf("%d entries of %d", n, a.Size())
	}
	r, err := a.Check(ctx, CheckOptions{Bodies: true})
	if err != nil {
		return err
	}
	if !r.OK() || r.Bodies+r.Disposed != r.Size || r.Disposed != uint64(len(w.gone)) || r.Orphans != 0 {
		return fmt.Errorf("check: %+v", r)
	}
	return nil
}

func (w *ward) mustAudit(t testing.TB) {
	t.Helper()
	if err := w.audit(w.Archive); err != nil {
		t.Fatal(err)
	}
}

// threeMonths fills a ward and returns the entries of class general of its
// first whole month.
func threeMonths(t *testing.T) (w *ward, cm ClassMonth, seqs []uint64) {
	t.Helper()
	w = newWard(t)
	w.say(t, "general", 4)
	w.nextMonth(t)
	cm = ClassMonth{Class: "general", Month: w.month()}
	seqs = append(seqs, w.Size()-1)
	for range 20 {
		w.passed.Add(int64(dayLong))
		seqs = append(seqs, w.say(t, "general", 2)...)
		w.say(t, "late", 1)
		if w.month() != cm.Month {
			t.Fatal("the month is over")
		}
	}
	w.nextMonth(t)
	w.say(t, "general", 5)
	return w, cm, seqs
}
