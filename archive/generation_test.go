package archive

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
)

func sampleGeneration() (key []byte, g *generation) {
	return ClassMonth{"general", "2026-01"}.key(), &generation{
		state: stateDestroying, live: 3, highest: 4, former: 1, intent: 77, through: 70, gone: proof.Hash{1}, formerGone: proof.Hash{2},
		index: []uint64{0, 5},
		done:  Destruction{Keys: []KeyID{newKeyID("bodies/2026-01.general.g1", []byte("k"))}, Files: 1, Blobs: 2, Bytes: 3, Keyring: 4},
	}
}

// Every bit of what says which body file counts is under its sum, and so is the
// key that it stands under.
func TestGenerationEveryBit(t *testing.T) {
	key, g := sampleGeneration()
	value, err := g.marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := parseGeneration(key, value); err != nil {
		t.Fatal(err)
	} else if again, err := back.marshal(key); err != nil || !bytes.Equal(again, value) {
		t.Fatalf("%x comes back as %x, %v", value, again, err)
	}
	for bit := range len(value) * 8 {
		if _, err := parseGeneration(key, flip(bit)(bytes.Clone(value))); !errors.Is(err, ErrDamaged) {
			t.Fatalf("bit %d does not count", bit)
		}
	}
	if _, err := parseGeneration(ClassMonth{"general", "2026-02"}.key(), value); !errors.Is(err, ErrDamaged) {
		t.Error("it was taken for another month's")
	}
	for n := range len(value) {
		if _, err := parseGeneration(key, value[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%d bytes of it were taken", n)
		}
	}
}

func FuzzGeneration(f *testing.F) {
	key, g := sampleGeneration()
	value, err := g.marshal(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key, value[:len(value)-32])
	f.Add([]byte("audit\x002026-12"), []byte{1, 3, 0, 0})
	f.Fuzz(func(t *testing.T, key, body []byte) {
		value := append(bytes.Clone(body), generationSum(key, body)...)
		g, err := parseGeneration(key, value)
		if err != nil {
			return
		}
		if back, err := g.marshal(key); err != nil || !bytes.Equal(back, value) {
			t.Fatalf("%x comes back as %x, %v", value, back, err)
		}
	})
}

func TestMonthRange(t *testing.T) {
	w := newWard(t)
	first := w.month()
	w.say(t, "general", 4)
	w.nextMonth(t)
	begins := w.Size() - 1
	if last, err := w.Leaf(begins - 1); err != nil || last.Month() != first {
		begins-- // the entry of class control after the first message
	}
	second := w.month()
	w.say(t, "general", 7)
	ends := w.Size()
	w.nextMonth(t)
	for month, want := range map[string][2]uint64{
		first: {0, begins}, second: {begins, ends}, w.month(): {ends, w.Size()}, "1990-01": {0, 0}, "2990-12": {w.Size(), w.Size()},
	} {
		from, to, err := w.MonthRange(month)
		if err != nil || from != want[0] || to != want[1] {
			t.Errorf("%s: %d to %d, %v; want %v", month, from, to, err, want)
		}
	}
	for _, bad := range []string{"", "2026", "2026-13", "2026-1", "2026-01-01", "../x-01"} {
		if _, _, err := w.MonthRange(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// disposedOf returns a closed ward of which a month was disposed of, but for
// one survivor.
func disposedOf(t *testing.T) (w *ward, cm ClassMonth, left []uint64, survivor uint64) {
	t.Helper()
	w, cm, seqs := threeMonths(t)
	r, left := w.reseal(t, cm, seqs[9])
	w.mustSwitch(t, r, left)
	w.mustDestroy(t, cm)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w, cm, left, seqs[9]
}

// Damage to what says which file counts, or to a resealed file, is damage: it
// is named, never taken for a disposition, and nothing is removed because of it.
func TestDisposedDamage(t *testing.T) {
	w, cm, left, survivor := disposedOf(t)
	live := bodyName(cm.Month, cm.Class, 2)
	logs := len(w.logFiles(t))
	newest := func(dir string) string { return logPath(dir, uint64(logs-1)) } // #nosec G115 -- a count
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		named  uint64
	}{
		"a survivor's record lost": {func(t *testing.T, dir string) {
			change(t, bodyPath(dir, live), bucketRecord, u64(survivor), deleted)
		}, survivor},
		"a survivor's record changed": {func(t *testing.T, dir string) {
			change(t, bodyPath(dir, live), bucketRecord, u64(survivor), flip(99))
		}, survivor},
		"a survivor among the disposed": {func(t *testing.T, dir string) {
			change(t, bodyPath(dir, live), bucketDisposed, u64(left[0]), func([]byte) []byte { return u64(left[len(left)-1]) })
		}, survivor},
		"a range lost": {func(t *testing.T, dir string) {
			change(t, bodyPath(dir, live), bucketDisposed, u64(left[0]), deleted)
		}, left[0]},
		"the bucket of ranges lost": {func(t *testing.T, dir string) {
			edit(t, bodyPath(dir, live), func(tx *bbolt.Tx) {
				if err := tx.DeleteBucket(bucketDisposed); err != nil {
					t.Fatal(err)
				}
			})
		}, left[0]},
		"the resealed file lost": {func(t *testing.T, dir string) { remove(t, bodyPath(dir, live)) }, left[0]},
		"which file counts, a bit": {func(t *testing.T, dir string) {
			change(t, newest(dir), bucketGeneration, cm.key(), flip(70))
		}, w.w.end.size - 1},
		"which file counts, lost": {func(t *testing.T, dir string) {
			change(t, newest(dir), bucketGeneration, cm.key(), deleted)
		}, left[0]},
	} {
		t.Run(name, func(t *testing.T) {
			dir := ramDir(t)
			if err := (&patient{dir: w.dir}).copyTo(dir); err != nil {
				t.Fatal(err)
			}
			c.damage(t, dir)
			before, err := os.ReadDir(dir + "/bodies")
			if err != nil {
				t.Fatal(err)
			}
			o := w.o
			o.ReadOnly = true
			r, err := (&patient{dir: dir, options: o}).check(t, dir, false)
			if err != nil || !slices.Contains(named(r), c.named) {
				t.Errorf("entry %d is not named: %+v, %v", c.named, r, err)
			}
			if _, err := Open(context.Background(), dir, w.o); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNoBody) {
				t.Errorf("opened to be written to: %v", err)
			}
			a, err := Open(context.Background(), dir, o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Record(t.Context(), survivor); err == nil && c.named == survivor && name != "a survivor among the disposed" || errors.Is(err, ErrDisposed) {
				t.Errorf("the survivor: %v", err)
			}
			if _, err := a.Record(t.Context(), left[0]); !errors.Is(err, ErrDisposed) && !errors.Is(err, ErrNoBody) && !errors.Is(err, ErrDamaged) {
				t.Errorf("the first that went: %v", err)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			after, err := os.ReadDir(dir + "/bodies")
			if err != nil || len(after) != len(before) {
				t.Errorf("%d body files, %d were there, %v", len(after), len(before), err)
			}
		})
	}
}

func (w *ward) logFiles(t *testing.T) []os.DirEntry {
	t.Helper()
	found, err := os.ReadDir(w.dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A record of the former file that cannot be opened ends the resealing with its
// entry, and nothing is left of it.
func TestResealDamaged(t *testing.T) {
	for name, f := range map[string]func([]byte) []byte{"changed": flip(321), "lost": deleted} {
		t.Run(name, func(t *testing.T) {
			w, cm, seqs := threeMonths(t)
			var many Batch // more than a start looks at
			for range tailCheck {
				many.Entries = append(many.Entries, control("later").Entries...)
			}
			mustAppend(t, w.Archive, many)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			change(t, bodyPath(w.dir, bodyName(cm.Month, cm.Class, 1)), bucketRecord, u64(seqs[13]), f)
			w.reopen(t)
			o, _ := w.keepOnly()
			var at *SeqError
			if _, err := w.Reseal(t.Context(), cm, o); !errors.Is(err, ErrDamaged) || !errors.As(err, &at) || at.Seq != seqs[13] {
				t.Fatalf("resealed: %v", err)
			}
			w.nothingBegun(t, cm)
		})
	}
}

// nothingBegun finds one file and one key of a class-month.
func (w *ward) nothingBegun(t *testing.T, cm ClassMonth) {
	t.Helper()
	for _, e := range w.files(t) {
		if strings.HasPrefix(e, cm.Month+"."+cm.Class+".") && e != bodyName(cm.Month, cm.Class, 1)+".db" {
			t.Errorf("%s is left", e)
		}
	}
	for name := range w.keys.ring.Bodies {
		if strings.HasPrefix(name, cm.Month+"."+cm.Class+".") && name != bodyName(cm.Month, cm.Class, 1) {
			t.Errorf("the key of %s is left", name)
		}
	}
}

func (w *ward) files(t *testing.T) (names []string) {
	t.Helper()
	found, err := os.ReadDir(w.dir + "/bodies")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		names = append(names, e.Name())
	}
	return names
}

// Whoever decides can end a resealing, and so can its context.
func TestResealEnded(t *testing.T) {
	w, cm, seqs := threeMonths(t)
	stop := errors.New("not now")
	asked := []uint64{}
	_, err := w.Reseal(t.Context(), cm, ResealOptions{Keep: func(r Record) (bool, error) {
		if asked = append(asked, r.Leaf.Seq); len(asked) == 5 {
			return false, stop
		}
		return false, nil
	}})
	if !errors.Is(err, stop) || !slices.Equal(asked, seqs[:5]) {
		t.Fatalf("asked for %v: %v", asked, err)
	}
	w.nothingBegun(t, cm)
	ctx, cancel := context.WithCancel(t.Context())
	o, _ := w.keepOnly()
	o.Progress = func(done, total uint64) { cancel() }
	if _, err := w.Reseal(ctx, cm, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("not cancelled: %v", err)
	}
	w.nothingBegun(t, cm)
	w.mustAudit(t)
}

// Appends, reads and checks go on beside dispositions of the same month and of
// others, and see each entry either whole or disposed of.
func TestDisposeBesideOthers(t *testing.T) {
	w := newWard(t)
	w.nextMonth(t)
	cm := ClassMonth{"general", w.month()}
	seqs := w.say(t, "general", 60)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	run := func(f func() error) {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := f(); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
					return
				}
			}
		})
	}
	bodies, relay := w.bodies, w.relay
	run(func() error {
		for r, err := range w.Records(ctx, 0, w.Size()) {
			if err != nil && !errors.Is(err, ErrDisposed) {
				return err
			}
			if want := bodies[r.Leaf.Seq]; err == nil && want != nil && !bytes.Equal(r.Body, want) {
				t.Errorf("entry %d reads %q", r.Leaf.Seq, r.Body)
			}
		}
		return nil
	})
	run(func() error {
		r, err := w.Check(ctx, CheckOptions{Bodies: true})
		if err == nil && !r.OK() {
			t.Errorf("check: %+v", r.Findings)
		}
		return err
	})
	run(func() error {
		relay++
		b := Batch{Cursor: &Cursor{Epoch: "e1", Seq: relay, Head: proof.LeafHash(u64(relay))}, Entries: []Entry{message(relay, "dev", relay)}}
		_, err := w.Append(ctx, b)
		return err
	})
	for i := range 4 {
		r, err := w.Reseal(t.Context(), cm, ResealOptions{Keep: func(r Record) (bool, error) { return r.Leaf.Seq > seqs[10*i], nil }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Switch(t.Context(), []*Resealed{r}, intent("an intent")); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			if _, err := w.SwitchBack(t.Context(), []ClassMonth{cm}, control("abandoned")); err != nil {
				t.Fatal(err)
			}
			continue
		}
		w.mustDestroy(t, cm)
	}
	cancel()
	wg.Wait()
	for _, seq := range seqs {
		if _, err := w.Record(t.Context(), seq); errors.Is(err, ErrDisposed) != (seq <= seqs[30]) {
			t.Errorf("entry %d: %v", seq, err)
		}
	}
	r, err := w.Check(t.Context(), CheckOptions{Bodies: true})
	if err != nil || !r.OK() || r.Disposed == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
