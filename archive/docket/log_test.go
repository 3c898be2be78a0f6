package docket

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// memLog is a log in memory with its state: matters M-1 and M-2, which is
// closed. Its time goes on by a second with each entry.
type memLog struct {
	mu      sync.Mutex
	recs    []archive.Record
	through int
	catch   sync.Mutex
	book    *Book
	closed  map[string]bool
	now     time.Time
	lost    map[uint64]error // why a record cannot be read

	// fail, if set, says whether an append fails, and if it does, whether it took effect.
	fail func() (err error, landed bool)
}

var began = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func newLog() *memLog {
	l := &memLog{now: began, closed: map[string]bool{"M-2": true}}
	l.reopen()
	l.put(proof.KindGenesis, proof.ClassControl, nil)
	for range 100 {
		l.put(proof.KindMessage, proof.ClassGeneral, nil)
	}
	return l
}

// reopen makes the book anew from the log, as a start does.
func (l *memLog) reopen() *Book {
	l.book, l.through = New(Options{Log: l, CatchUp: l.catchUp, Matters: l}), 0
	return l.book
}

func (l *memLog) Matter(id string) (string, bool, bool) {
	for _, m := range []string{"M-1", "M-2", "M-3"} {
		if matterKey(id) == matterKey(m) {
			return m, !l.closed[m], true
		}
	}
	return "", false, false
}

func (l *memLog) put(kind proof.Kind, class string, body []byte) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.place(kind, class, body)
}

func (l *memLog) place(kind proof.Kind, class string, body []byte) uint64 {
	seq := uint64(len(l.recs))
	l.now = l.now.Add(time.Second)
	l.recs = append(l.recs, archive.Record{Leaf: proof.Leaf{Seq: seq, Kind: kind, Class: class, Received: l.now.UnixMilli()}, Body: body})
	return seq
}

// forge puts a body into the log that nobody judged, and applies it.
func (l *memLog) forge(t testing.TB, kind proof.Kind, body string) {
	t.Helper()
	l.put(kind, proof.ClassControl, []byte(body))
	if err := l.catchUp(t.Context(), l.Size()); err != nil {
		t.Fatal(err)
	}
}

func (l *memLog) Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	landed := true
	if l.fail != nil {
		err, landed = l.fail()
	}
	var out []archive.Placed
	if landed {
		for _, e := range b.Entries {
			out = append(out, archive.Placed{Seq: l.place(e.Kind, e.Class, e.Body), Kind: e.Kind})
		}
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (l *memLog) Size() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.recs))
}

func (l *memLog) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func (l *memLog) Record(_ context.Context, seq uint64) (archive.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq >= uint64(len(l.recs)) {
		return archive.Record{}, archive.ErrNotFound
	}
	return l.recs[seq], l.lost[seq]
}

func (l *memLog) Leaf(seq uint64) (proof.Leaf, error) {
	rec, err := l.Record(context.Background(), seq)
	return rec.Leaf, err
}

func (l *memLog) catchUp(_ context.Context, size uint64) error {
	l.catch.Lock()
	defer l.catch.Unlock()
	for uint64(l.through) < size {
		rec, err := l.Record(context.Background(), uint64(l.through))
		if err != nil {
			return err
		}
		if a, ok := l.book.Appliers()[rec.Leaf.Kind]; ok {
			if err := a.Apply(rec); err != nil {
				return fmt.Errorf("entry %d: %w", rec.Leaf.Seq, err)
			}
		}
		l.through++
	}
	return nil
}

func officer(n uint32) role.Principal {
	return role.Principal{UID: &n, Name: "officer", Via: role.ViaSocket}
}

func want(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

func newProduction(matter string) NewProduction {
	return NewProduction{
		Matter: matter, Query: "potassium", Language: 2, Format: "dat", At: 101,
		Recipient: Recipient{Name: "Smith & Roe", Address: "1 Main St"}, Purpose: Purpose{Category: Litigation, Text: "first request"},
	}
}

const manifest = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// produce makes a production of seqs from to to, one number each.
func (l *memLog) produce(t testing.TB, matter, prefix string, from, to uint64, mrns ...string) uint64 {
	t.Helper()
	r, err := l.book.Reserve(t.Context(), officer(1), Numbering{Matter: matter, Prefix: prefix, Count: to - from + 1})
	want(t, "Reserve", err, nil)
	n := newProduction(matter)
	n.Bates = r.Seq
	seq, err := l.book.Begin(t.Context(), officer(1), n)
	want(t, "Begin", err, nil)
	rows := func(yield func(Row) bool) {
		for i := from; i <= to; i++ {
			if !yield(Row{First: r.First + i - from, Last: r.First + i - from, Seqs: []uint64{i}}) {
				return
			}
		}
	}
	want(t, "Complete", l.book.Complete(t.Context(), seq, Made{Manifest: manifest, Files: 3}, rows, mrns), nil)
	return seq
}
