package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

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
	d, err := w.Destroy(t.Context(), cms)
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
	if _, err := w.Destroy(t.Context(), []ClassMonth{{"late", cm.Month}}); !errors.Is(err, ErrInvalid) {
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

// A record that goes must open with nothing that is left, and an old copy with
// no keyring of afterwards.
func TestDisposedOpensNowhere(t *testing.T) {
	w, cm, seqs := threeMonths(t)
	old := t.TempDir()
	if err := (&patient{dir: w.dir}).copyTo(old); err != nil {
		t.Fatal(err)
	}
	r, left := w.reseal(t, cm, seqs[5])
	w.mustSwitch(t, r, left)
	// While the switch is pending the old key still opens them: what is sought below can be found.
	if n := w.opened(t, old, left, w.keys.ring); n != len(left) {
		t.Fatalf("before: %d of %d open", n, len(left))
	}
	w.mustDestroy(t, cm)
	for _, path := range []string{keyringPath(w.dir), recoveryPath(w.dir)} {
		for _, suffix := range []string{".old", ".tmp"} {
			if _, err := os.Stat(path + suffix); err == nil {
				t.Errorf("%s%s is there", path, suffix)
			}
		}
	}
	fromKit, err := recovered(w)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(keyringPath(w.dir))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := seal.Unwrap(b, w.o.Master, w.Identity().Origin)
	if err != nil {
		t.Fatal(err)
	}
	for _, ring := range []*seal.Keyring{fromKit, kept, w.keys.ring} {
		if n := w.opened(t, old, left, ring); n != 0 {
			t.Errorf("%d records of the old copy open", n)
		}
		if n := w.opened(t, w.dir, left, ring); n != 0 {
			t.Errorf("%d records open", n)
		}
		if n := w.opened(t, w.dir, []uint64{seqs[5]}, ring); n != 1 {
			t.Errorf("of one survivor %d open", n)
		}
	}
	// The old copy with the new keyring, opened as an archive.
	for _, path := range []func(string) string{keyringPath, recoveryPath} {
		if err := copyFile(path(w.dir), path(old)); err != nil {
			t.Fatal(err)
		}
	}
	o := w.o
	o.ReadOnly = true
	a, err := Open(t.Context(), old, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range left {
		if r, err := a.Record(t.Context(), seq); err == nil {
			t.Errorf("entry %d of the old copy reads %q", seq, r.Body)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	// Nor does it open to be written to, and nothing of it is removed.
	if a, err := Open(t.Context(), old, w.o); err == nil {
		err = a.Close()
		t.Errorf("the old copy opened, %v", err)
	}
}

// recovered reads the keyring as somebody does who has the recovery kit.
func recovered(w *ward) (*seal.Keyring, error) {
	b, err := os.ReadFile(recoveryPath(w.dir))
	if err != nil {
		return nil, err
	}
	return seal.Recover(b, w.recovery, w.Identity().Origin)
}

// opened returns how many of the entries open in any way: each page of each
// body file, those that are free included, is searched for records of theirs,
// which are tried with every key of the keyring.
func (w *ward) opened(t *testing.T, dir string, seqs []uint64, ring *seal.Keyring) int {
	t.Helper()
	found := map[uint64]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "bodies", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		id, records := everyRecord(t, path)
		for _, key := range ring.Bodies {
			k, err := seal.NewFileKey([seal.KeySize]byte(key), id)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				for _, seq := range seqs {
					if r.seq != seq {
						continue
					}
					if _, err := k.Open(nil, seq, r.sealed); err == nil {
						found[seq] = true
					}
				}
			}
		}
	}
	return len(found)
}

type rawRecord struct {
	seq    uint64
	sealed []byte
}

// everyRecord reads the records of every leaf page that a file has, whether it
// is in use or not.
func everyRecord(t *testing.T, path string) (id [seal.IDSize]byte, out []rawRecord) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Millisecond})
	if err == nil {
		err = db.View(func(tx *bbolt.Tx) error {
			copy(id[:], tx.Bucket(bucketMeta).Get(keyFileID))
			return nil
		})
		err = errors.Join(err, db.Close())
	} else { // the archive has it open
		name := filepath.Base(path)
		copyOf := filepath.Join(t.TempDir(), name)
		if err := copyFile(path, copyOf); err != nil {
			t.Fatal(err)
		}
		return everyRecord(t, copyOf)
	}
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	empty := make([]byte, pageSize)
	// A small bucket's page lies anywhere within another.
	for at := 0; at+pageHeader+elementSize <= len(whole); at++ {
		if at%pageSize == 0 && bytes.Equal(whole[at:min(len(whole), at+pageSize)], empty[:min(len(whole)-at, pageSize)]) {
			at += pageSize - 1
			continue
		}
		p := whole[at:min(len(whole), at+4*pageSize)]
		if p[8] != leafPage || p[9] != 0 || p[10] == 0 && p[11] == 0 {
			continue
		}
		for e := range elements(p[:min(len(p), pageSize)]) {
			from, to := leafSpan(p, e)
			if from >= 8 && to <= uint64(len(p)) && from <= to && to-from > seal.Overhead {
				out = append(out, rawRecord{uint64of(p[from-8 : from]), p[from:to]})
			}
		}
	}
	return id, out
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
	for range both {
		go func() {
			_, err := w.Append(context.Background(), b)
			errs <- err
		}()
	}
	taken := 0
	for range both {
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
	if _, err := w.Destroy(t.Context(), []ClassMonth{cm}); !errors.Is(err, ErrInvalid) {
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
