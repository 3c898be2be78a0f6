package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"testing"

	"holdfast/archive/proof"
)

func TestDispose(t *testing.T) {
	w, cm, seqs := threeMonths(t)
	keep := []uint64{seqs[1], seqs[2], seqs[20], seqs[len(seqs)-1]}
	r, left := w.reseal(t, cm, keep...)
	if r.Kept != 4 || r.Left != uint64(len(seqs)-4) || r.From != 1 || r.To != 2 || r.Through != w.Size() || r.Bytes == 0 {
		t.Fatalf("%+v", r)
	}
	w.mustAudit(t) // nothing counts yet
	want := []Range{{seqs[0], seqs[0]}, {seqs[3], seqs[19]}, {seqs[21], seqs[len(seqs)-2]}}
	if !slices.Equal(r.Ranges, want) {
		t.Fatalf("ranges %v, want %v", r.Ranges, want)
	}
	h := sha256.New()
	h.Write([]byte("holdfast survivors v1\x00"))
	for _, seq := range keep {
		h.Write(u64(seq))
	}
	if r.Survivors != proof.Hash(h.Sum(nil)) {
		t.Fatal("another sum of the survivors")
	}
	w.mustSwitch(t, r, left)
	w.mustAudit(t)
	if got := w.PendingDisposals(); !slices.Equal(got, []ClassMonth{cm}) {
		t.Fatalf("pending: %v", got)
	}
	unkept := []uint64{}
	for rec, err := range w.Unkept(t.Context(), cm) {
		if err != nil || !bytes.Equal(rec.Body, w.bodies[rec.Leaf.Seq]) {
			t.Fatal(rec, err)
		}
		unkept = append(unkept, rec.Leaf.Seq)
	}
	if !slices.Equal(unkept, left) {
		t.Fatalf("unkept %v, left %v", unkept, left)
	}
	if _, err := w.Reseal(t.Context(), cm, ResealOptions{Keep: func(Record) (bool, error) { return true, nil }}); !errors.Is(err, ErrInvalid) {
		t.Fatalf("resealed while a switch is pending: %v", err)
	}
	first, err := w.IndexKey(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	old := w.keys.ring.Bodies[bodyName(cm.Month, cm.Class, 1)]
	oldID := newKeyID("bodies/"+bodyName(cm.Month, cm.Class, 1), old)
	d := w.mustDestroy(t, cm)
	w.mustAudit(t)
	if d.Keys[0] != oldID || d.Keys[1] != newKeyID("index/000000", first[:]) || len(d.Keys) != 2 || d.Files != 1 || d.Bytes != r.Bytes || d.Keyring != w.keys.ring.Generation {
		t.Fatalf("%+v", d)
	}
	if len(d.IndexFiles) < 2 || d.IndexFiles[0] != 0 {
		t.Fatalf("indexes %v of %d log files", d.IndexFiles, len(w.st.logs))
	}
	if again, err := w.IndexKey(t.Context(), 0); err != nil || again == first {
		t.Fatalf("the index has its old key, %v", err)
	}
	again := w.mustDestroy(t, cm)
	if fmt.Sprint(again) != fmt.Sprint(d) || len(w.PendingDisposals()) != 0 {
		t.Fatalf("%+v after %+v", again, d)
	}
	w.reopen(t)
	w.mustAudit(t)
	if again := w.mustDestroy(t, cm); fmt.Sprint(again) != fmt.Sprint(d) {
		t.Fatalf("after a start: %+v", again)
	}
	for range w.Unkept(t.Context(), ClassMonth{"late", cm.Month}) {
		continue
	}
	if _, err := w.Destroy(t.Context(), []ClassMonth{{"late", cm.Month}}, nil); !errors.Is(err, ErrInvalid) {
		t.Fatalf("destroyed what was not switched: %v", err)
	}
	// A second disposition of the same file, and then all of it.
	r, left = w.reseal(t, cm, seqs[20])
	if r.From != 2 || r.To != 3 || r.Left != 3 || len(r.Ranges) != 2 {
		t.Fatalf("%+v", r)
	}
	w.mustSwitch(t, r, left)
	w.mustDestroy(t, cm)
	w.mustAudit(t)
	r, left = w.reseal(t, cm)
	w.mustSwitch(t, r, left)
	w.mustDestroy(t, cm)
	w.reopen(t)
	w.mustAudit(t)
	gens, err := w.ClassMonths(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range gens {
		if g.ClassMonth == cm && (g.Live != 4 || g.Highest != 4 || g.Pending || g.Switched == 0 || g.Bytes == 0) {
			t.Fatalf("%+v", g)
		}
	}
	for _, readOnly := range []bool{false, true} {
		o := w.o
		o.ReadOnly, o.Keyless = true, readOnly
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		a, err := Open(t.Context(), w.dir, o)
		if err != nil {
			t.Fatal(err)
		}
		rep, err := a.Check(t.Context(), CheckOptions{Bodies: !o.Keyless})
		if err != nil || !rep.OK() || !o.Keyless && rep.Disposed != uint64(len(seqs)) {
			t.Fatalf("%+v, %v", rep, err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Attachments go with their messages, unless something that stays, or that
// came since, refers to them.
func TestDisposeAttachments(t *testing.T) {
	w := newWard(t)
	w.nextMonth(t)
	cm := ClassMonth{"general", w.month()}
	type at struct {
		seq uint64
		bid string
		sum [32]byte
	}
	var all []at
	for name := byte('a'); name <= 'f'; name++ {
		seq, bid, sum := w.attach(t, "general", name)
		all = append(all, at{seq, bid, sum})
	}
	survivor, _, _ := w.attach(t, "general", 'b') // the same attachment as another's
	keep := []uint64{all[0].seq, survivor}
	w.nextMonth(t)
	w.keepShared(t, cm, keep, func(bid string, _ [32]byte) bool { return bid == all[2].bid })
	w.attach(t, "general", 'd') // after the resealing
	fresh, err := w.HasBlob(all[4].bid, all[4].sum)
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	d := w.mustDestroy(t, cm)
	if d.Blobs != 2 {
		t.Fatalf("%+v", d)
	}
	w.mustAudit(t)
	for i, stays := range []bool{true, true, true, true, true, false} {
		f, err := w.OpenBlob(all[i].bid, all[i].sum)
		if stays != (err == nil) || !stays && !errors.Is(err, ErrNoBlob) {
			t.Errorf("attachment %d: %v", i, err)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil && stays {
			t.Error(err)
		}
	}
}

func (w *ward) keepShared(t *testing.T, cm ClassMonth, keep []uint64, shared func(string, [32]byte) bool) {
	t.Helper()
	w.claims.at = nil // an hour later
	o, left := w.keepOnly(keep...)
	o.Shared = shared
	r, err := w.Reseal(t.Context(), cm, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Blobs != 3 {
		t.Fatalf("%d attachments go", r.Blobs)
	}
	w.mustSwitch(t, r, *left)
}

// Guard refuses a batch whose ground has changed, alone and cleanly.
func TestGuard(t *testing.T) {
	w := newWard(t)
	w.say(t, "general", 3)
	since := w.Size()
	b := intent("guarded")
	b.Guard = &Guard{Since: since, Kinds: []proof.Kind{proof.KindHold, proof.KindAlarm}}
	w.knows(mustAppend(t, w.Archive, b), b)
	w.put(t, Entry{Kind: proof.KindHold, Class: proof.ClassControl, Body: []byte("a hold")})
	size := w.Size()
	if _, err := w.Append(t.Context(), b); !errors.Is(err, ErrChanged) {
		t.Fatalf("appended beside a hold: %v", err)
	}
	b.Guard.Since = w.Size()
	b.Guard.Kinds = []proof.Kind{proof.KindIntent}
	if w.Size() != size {
		t.Fatal("the refused batch is there")
	}
	// Of two batches of one group that exclude each other, one is appended.
	errs := make(chan error)
	const both = 24
	holding, held := make(chan struct{}), false
	w.fault = func(step string) error {
		if step != "before bodies" || held {
			return nil
		}
		held = true
		close(holding) // only now do they come: none is committed before the others wait
		for len(w.queue) < both {
			runtime.Gosched()
		}
		return nil
	}
	go func() {
		_, err := w.Append(context.Background(), control("first"))
		errs <- err
	}()
	<-holding
	for range both {
		go func() {
			_, err := w.Append(context.Background(), b)
			errs <- err
		}()
	}
	taken := -1 // the first
	for range both + 1 {
		if err := <-errs; err == nil {
			taken++
		} else if !errors.Is(err, ErrChanged) {
			t.Error(err)
		}
	}
	if taken != 1 {
		t.Errorf("%d batches were taken", taken)
	}
	if _, err := w.Append(t.Context(), Batch{Entries: b.Entries, Guard: &Guard{}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a guard of nothing: %v", err)
	}
}

// A switch whose guard does not hold does nothing, and the file that was
// resealed can be switched to later.
func TestSwitchGuarded(t *testing.T) {
	w, cm, seqs := threeMonths(t)
	since := w.Size()
	r, left := w.reseal(t, cm, seqs[0])
	w.put(t, Entry{Kind: proof.KindHold, Class: proof.ClassControl, Body: []byte("a hold")})
	b := intent("guarded")
	b.Guard = &Guard{Since: since, Kinds: []proof.Kind{proof.KindHold}}
	if _, err := w.Switch(t.Context(), []*Resealed{r}, b); !errors.Is(err, ErrChanged) {
		t.Fatalf("switched: %v", err)
	}
	w.mustAudit(t)
	if _, err := w.Switch(t.Context(), []*Resealed{r, r}, intent("twice")); !errors.Is(err, ErrInvalid) {
		t.Fatalf("twice: %v", err)
	}
	w.mustSwitch(t, r, left)
	if _, err := w.Switch(t.Context(), []*Resealed{r}, intent("again")); !errors.Is(err, ErrChanged) {
		t.Fatalf("switched to what is live: %v", err)
	}
	since = w.Size()
	w.put(t, Entry{Kind: proof.KindHold, Class: proof.ClassControl, Body: []byte("another hold")})
	if _, err := w.Destroy(t.Context(), []ClassMonth{cm}, &Guard{Since: since, Kinds: []proof.Kind{proof.KindHold}}); !errors.Is(err, ErrChanged) {
		t.Fatalf("destroyed: %v", err)
	}
	if err := w.certainKeys([]ClassMonth{cm}); err != nil {
		t.Fatalf("after a destruction that was refused it cannot be switched back: %v", err)
	}
	w.mustDestroy(t, cm)
	w.mustAudit(t)
	if r, err := w.Reseal(t.Context(), ClassMonth{proof.ClassControl, cm.Month}, ResealOptions{Keep: func(Record) (bool, error) { return true, nil }}); !errors.Is(err, ErrInvalid) {
		t.Fatalf("class control: %+v, %v", r, err)
	}
	for _, bad := range []ClassMonth{{"general", "1999-01"}, {"none", cm.Month}} {
		if _, err := w.Reseal(t.Context(), bad, ResealOptions{Keep: func(Record) (bool, error) { return true, nil }}); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// What was resealed for nothing leaves neither file nor key, and nothing that
// was switched to is discarded.
func TestDiscard(t *testing.T) {
	w, cm, seqs := threeMonths(t)
	r, _ := w.reseal(t, cm, seqs[0])
	name := bodyName(cm.Month, cm.Class, r.To)
	there := func() bool {
		_, err := os.Stat(bodyPath(w.dir, name))
		return err == nil || w.keys.snapshot().Bodies[name] != nil
	}
	if !there() {
		t.Fatal("nothing was resealed")
	}
	if err := w.Discard([]ClassMonth{cm}); err != nil || there() {
		t.Fatalf("discarded: %v, still there is %v", err, there())
	}
	if _, err := w.Switch(t.Context(), []*Resealed{r}, intent("late")); !errors.Is(err, ErrChanged) {
		t.Fatalf("switched to what is not there: %v", err)
	}
	r, left := w.reseal(t, cm, seqs[0])
	w.mustSwitch(t, r, left)
	if err := w.Discard([]ClassMonth{cm}); err != nil || !there() || len(w.PendingDisposals()) != 1 {
		t.Fatalf("after the switch: %v", err)
	}
	w.mustDestroy(t, cm)
	w.mustAudit(t)
}

// A resealed file that is not what was sealed is not published, and a batch may
// not have entries in the file that it switches.
func TestResealedIsChecked(t *testing.T) {
	w := newWard(t)
	w.nextMonth(t)
	cm := ClassMonth{"general", w.month()}
	seqs := w.say(t, "general", 20)
	o, _ := w.keepOnly(seqs[3], seqs[4])
	w.fault = func(step string) error {
		if step == "resealed" {
			change(t, bodyPath(w.dir, bodyName(cm.Month, cm.Class, 2))+newSuffix, bucketRecord, u64(seqs[3]), flip(200))
		}
		return nil
	}
	var at *SeqError
	if _, err := w.Reseal(t.Context(), cm, o); !errors.Is(err, ErrDamaged) || !errors.As(err, &at) || at.Seq != seqs[3] {
		t.Fatalf("resealed: %v", err)
	}
	w.fault = nil
	w.nothingBegun(t, cm)
	r, left := w.reseal(t, cm, seqs[3])
	b := intent("an intent")
	b.Entries[0].Class = cm.Class
	if _, err := w.Switch(t.Context(), []*Resealed{r}, b); !errors.Is(err, ErrInvalid) {
		t.Fatalf("switched: %v", err)
	}
	w.mustAudit(t)
	w.mustSwitch(t, r, left)
	w.mustAudit(t)
}

// What comes into the month while one entry of it is erased stays, and a switch
// back keeps what came after it.
func TestDisposeOpenMonth(t *testing.T) {
	w := newWard(t)
	w.nextMonth(t)
	cm := ClassMonth{"general", w.month()}
	seqs := w.say(t, "general", 30)
	everything := func(but uint64) []uint64 {
		return slices.DeleteFunc(slices.Collect(maps.Keys(w.bodies)), func(seq uint64) bool { return seq == but })
	}
	r, left := w.reseal(t, cm, everything(seqs[7])...)
	if !slices.Equal(left, []uint64{seqs[7]}) || !slices.Equal(r.Ranges, []Range{{seqs[7], seqs[7]}}) {
		t.Fatalf("%v, %+v", left, r)
	}
	w.say(t, "general", 25) // since
	w.mustSwitch(t, r, left)
	w.say(t, "general", 10)
	w.mustAudit(t)
	w.reopen(t)
	w.say(t, "general", 10)
	b := Batch{Entries: []Entry{{Kind: proof.KindAbandoned, Class: proof.ClassControl, Body: []byte("held now")}}}
	placed, err := w.SwitchBack(t.Context(), []ClassMonth{cm}, b)
	if err != nil {
		t.Fatal(err)
	}
	w.knows(placed, b)
	delete(w.gone, seqs[7])
	w.mustAudit(t)
	if _, err := os.Stat(bodyPath(w.dir, bodyName(cm.Month, cm.Class, 2))); err == nil || w.keys.ring.Bodies[bodyName(cm.Month, cm.Class, 2)] != nil {
		t.Fatal("the other file or its key is there")
	}
	if _, err := w.SwitchBack(t.Context(), []ClassMonth{cm}, b); !errors.Is(err, ErrInvalid) {
		t.Fatalf("back again: %v", err)
	}
	if _, err := w.Destroy(t.Context(), []ClassMonth{cm}, nil); !errors.Is(err, ErrInvalid) {
		t.Fatalf("destroyed what was switched back: %v", err)
	}
	w.reopen(t)
	w.say(t, "general", 5)
	w.mustAudit(t)
	r, left = w.reseal(t, cm, everything(seqs[9])...)
	if r.From != 1 || r.To != 3 {
		t.Fatalf("an abandoned generation was used again: %+v", r)
	}
	w.mustSwitch(t, r, left)
	w.mustDestroy(t, cm)
	w.say(t, "general", 5)
	w.reopen(t)
	w.mustAudit(t)
	if _, err := w.SwitchBack(t.Context(), []ClassMonth{cm}, b); !errors.Is(err, ErrInvalid) {
		t.Fatalf("switched back after the destruction: %v", err)
	}
}
