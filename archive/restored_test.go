package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/note"

	"holdfast/archive/proof"
)

// duplicate copies a closed archive's folder.
func duplicate(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func mustOpen(t *testing.T, dir string, o Options) *Archive {
	t.Helper()
	a, err := Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func mustClose(t *testing.T, a *Archive) {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// point returns a checkpoint of the log as it is, with its note.
func point(t *testing.T, a *Archive) (proof.Checkpoint, []byte) {
	t.Helper()
	signed, err := a.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := proof.OpenCheckpoint(signed, a.log)
	if err != nil {
		t.Fatal(err)
	}
	return c, signed
}

// putTx puts one value into an open database.
func putTx(t *testing.T, bucket, key, value []byte) func(tx *bbolt.Tx) {
	return func(tx *bbolt.Tx) {
		if err := tx.Bucket(bucket).Put(key, value); err != nil {
			t.Fatal(err)
		}
	}
}

func restoreEntry() Batch {
	return Batch{Entries: []Entry{{Kind: proof.KindRestore, Class: proof.ClassControl, Body: []byte("{}")}}}
}

// older is an archive as it was before it went on, and what it signed after.
type older struct {
	dir              string
	o                Options
	before           proof.Checkpoint // of what is there
	lost, again      proof.Checkpoint // of the log that is lost, and of the one after
	lostNote, againN []byte
}

func newOlder(t *testing.T) *older {
	t.Helper()
	a, dir := makeArchive(t, Options{LogFileLeaves: 16})
	o := a.opts
	mustAppend(t, a, page(1, 10))
	r := &older{o: o}
	r.before, _ = point(t, a)
	mustClose(t, a)
	r.dir = duplicate(t, dir)
	a = mustOpen(t, dir, o)
	mustAppend(t, a, page(11, 30))
	r.lost, r.lostNote = point(t, a)
	mustClose(t, a)
	return r
}

func TestMarkRestored(t *testing.T) {
	r := newOlder(t)
	back := duplicate(t, r.dir)
	mark, err := MarkRestored(r.dir, r.lostNote)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(mark.Sizes, []uint64{11}) || !mark.Pending || !bytes.Equal(mark.Anchor, r.lostNote) {
		t.Fatalf("sizes %v, pending %v", mark.Sizes, mark.Pending)
	}
	a := mustOpen(t, r.dir, r.o)
	if got := a.Restored(); got.Times() != 1 || !got.Pending || !bytes.Equal(got.Anchor, r.lostNote) {
		t.Fatalf("opened: restored %d times", got.Times())
	}
	if c, _ := point(t, a); c != r.before {
		t.Errorf("of what the backup held the checkpoint is %+v", c)
	}
	if lost, err := a.Compare(r.before); lost != nil || err != nil {
		t.Errorf("a checkpoint of what is here: %v, %v", lost, err)
	}
	lost, err := a.Compare(r.lost)
	if err != nil || lost == nil || *lost != (Lost{11, r.lost.Size}) {
		t.Fatalf("lost: %+v, %v", lost, err)
	}
	// The ordinary way into the log is none for such an entry.
	if _, err := a.Append(t.Context(), restoreEntry()); !errors.Is(err, ErrInvalid) {
		t.Errorf("appended: %v", err)
	}
	mustAppend(t, a, page(11, 20))
	c, _ := point(t, a)
	if c.Restored != 1 || c.Origin != a.id.Origin {
		t.Fatalf("beyond the backup: %+v", c)
	}
	if _, err := a.GoOn(t.Context(), restoreEntry(), r.lostNote); err != nil {
		t.Fatal(err)
	}
	if got := a.Restored(); got.Pending || got.Times() != 1 || !bytes.Equal(got.Anchor, r.lostNote) {
		t.Fatalf("went on: restored %d times, pending %v", got.Times(), got.Pending)
	}
	mustAppend(t, a, page(21, 60)) // over the end of a log file, which takes the record over
	r.again, r.againN = point(t, a)
	mustCheck(t, a)
	mustClose(t, a)
	a = mustOpen(t, r.dir, r.o)
	if got := a.Restored(); got == nil || got.Pending || r.again.Restored != 1 {
		t.Fatalf("after a start: restored %d times", got.Times())
	}
	mustCheck(t, a)
	if _, err := a.GoOn(t.Context(), Batch{Entries: append(restoreEntry().Entries, restoreEntry().Entries...)}, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("two entries: %v", err)
	}

	// The same backup is put back a second time: what the second log signed is not signed again.
	mark, err = MarkRestored(back, r.againN)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(mark.Sizes, []uint64{11, 11}) || mark.At(11) != 0 || mark.At(12) != 2 {
		t.Fatalf("the second restore: %v", mark.Sizes)
	}
	b := mustOpen(t, back, r.o)
	mustAppend(t, b, page(11, 12))
	if c, _ := point(t, b); c.Restored != 2 {
		t.Errorf("the second restore signs %+v", c)
	}
	for name, of := range map[string]proof.Checkpoint{"the first": r.lost, "the second": r.again} {
		if lost, err := b.Compare(of); err != nil || lost == nil || lost.From != 11 || lost.To != of.Size {
			t.Errorf("of %s log is lost: %+v, %v", name, lost, err)
		}
	}
	mustCheck(t, b)
}

// An anchor of another log, or of more than there is, is found out.
func TestCompare(t *testing.T) {
	r := newOlder(t)
	a := mustOpen(t, r.dir, r.o)
	if _, err := a.Compare(r.lost); !errors.Is(err, ErrAnchor) {
		t.Errorf("a log that lost its end: %v", err)
	}
	other := r.before
	other.Root[0] ^= 1
	if _, err := a.Compare(other); !errors.Is(err, ErrAnchor) {
		t.Errorf("another root: %v", err)
	}
	other = r.before
	other.Size--
	if _, err := a.Compare(other); !errors.Is(err, ErrAnchor) {
		t.Errorf("another length under one root: %v", err)
	}
	other = r.before
	other.Restored = 1
	if _, err := a.Compare(other); !errors.Is(err, ErrAnchor) {
		t.Errorf("a restore that this log does not know: %v", err)
	}
	other = r.before
	other.Origin = "holdfast.invalid/other/0123456789abcdef"
	if _, err := a.Compare(other); !errors.Is(err, ErrAnchor) {
		t.Errorf("another archive's: %v", err)
	}
	if _, err := a.GoOn(t.Context(), restoreEntry(), nil); !errors.Is(err, ErrNotRestored) {
		t.Errorf("a log that nobody restored goes on: %v", err)
	}
	mustClose(t, a)
	if _, err := MarkRestored(r.dir, nil); err != nil {
		t.Fatal(err)
	}
	a = mustOpen(t, r.dir, r.o)
	mustAppend(t, a, page(11, 15))
	// A checkpoint under the lost log's name of what came after the restore is a forgery.
	c, _ := point(t, a)
	c.Restored = 0
	if lost, err := a.Compare(c); err != nil || lost == nil {
		t.Errorf("beyond the restore under the former name: %v, %v", lost, err)
	}
	other = r.before
	other.Restored = 1
	if _, err := a.Compare(other); !errors.Is(err, ErrAnchor) {
		t.Errorf("of what the backup held, under the new name: %v", err)
	}
}

// A log that is restored does not sign under the name of the lost one, and what
// did is damage to Check.
func TestCheckFindsFormerName(t *testing.T) {
	r := newOlder(t)
	if _, err := MarkRestored(r.dir, nil); err != nil {
		t.Fatal(err)
	}
	a := mustOpen(t, r.dir, r.o)
	mustAppend(t, a, page(11, 12))
	c, _ := point(t, a)
	c.Restored = 0
	signed, err := proof.SignCheckpoint(c, a.signer)
	if err != nil {
		t.Fatal(err)
	}
	size := a.Size()
	mustClose(t, a)
	edit(t, logPath(r.dir, 0), putTx(t, bucketCheckpoint, u64(size), signed))
	a = mustOpen(t, r.dir, Options{Master: r.o.Master, ReadOnly: true})
	report, err := a.Check(t.Context(), CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Damage != 1 || report.Findings[0].Seq != size-1 {
		t.Errorf("%+v", report)
	}
}

// Every bit of the record counts: the log's end covers it.
func TestRestoredRecordEveryBit(t *testing.T) {
	r := newOlder(t)
	if _, err := MarkRestored(r.dir, r.lostNote[:0:0]); err == nil {
		t.Fatal("an empty anchor was taken")
	}
	mark, err := MarkRestored(r.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := mark.marshal()
	for bit := range len(b) * 8 {
		flipped := slices.Clone(b)
		flipped[bit/8] ^= 1 << (bit % 8)
		edit(t, logPath(r.dir, 0), putTx(t, bucketMeta, keyRestored, flipped))
		if _, err := Open(t.Context(), r.dir, r.o); !errors.Is(err, ErrDamaged) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
	edit(t, logPath(r.dir, 0), putTx(t, bucketMeta, keyRestored, b))
	mustOpen(t, r.dir, r.o)
	if _, err := MarkRestored(r.dir, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("an open archive was marked: %v", err)
	}
	if _, err := MarkRestored(t.TempDir(), nil); !errors.Is(err, ErrNoStore) {
		t.Errorf("no archive: %v", err)
	}
}

// A crash right after a new log file was made leaves the record in it.
func TestRestoredRecordIsCarriedOver(t *testing.T) {
	r := newOlder(t)
	if _, err := MarkRestored(r.dir, nil); err != nil {
		t.Fatal(err)
	}
	a := mustOpen(t, r.dir, r.o)
	a.fault = func(step string) error {
		if step == "before bodies" && len(a.st.logs) == 2 {
			return errors.New("crash")
		}
		return nil
	}
	if _, err := a.Append(t.Context(), page(11, 26)); !errors.Is(err, ErrFailed) {
		t.Fatalf("%v", err)
	}
	mustClose(t, a)
	a = mustOpen(t, r.dir, r.o)
	if got := a.Restored(); got.Times() != 1 || a.Size() != 11 {
		t.Errorf("%d entries, restored %d times", a.Size(), got.Times())
	}
}

// Another archive's checkpoint is no anchor.
func TestMarkRestoredForeignAnchor(t *testing.T) {
	r := newOlder(t)
	skey, _, err := note.GenerateKey(nil, "holdfast.invalid/ward.test/0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := proof.SignCheckpoint(proof.Checkpoint{Origin: signer.Name(), Size: 99}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := MarkRestored(r.dir, signed); !errors.Is(err, proof.ErrCheckpoint) {
		t.Errorf("%v", err)
	}
	a := mustOpen(t, r.dir, r.o)
	if a.Restored() != nil {
		t.Error("it was marked")
	}
}

func FuzzParseRestored(f *testing.F) {
	f.Add((&Restored{Sizes: []uint64{1}}).marshal())
	f.Add((&Restored{Sizes: []uint64{7, 7, 9}, Pending: true, Anchor: []byte("note")}).marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseRestored(b); err == nil && !bytes.Equal(r.marshal(), b) {
			t.Fatalf("%x comes back as %x", b, r.marshal())
		}
	})
}
