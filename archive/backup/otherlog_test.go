package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/archive"
)

// An older backup is put back, and its log goes on otherwise than the one that
// is lost. The backups in the folder have finished files of that one, under the
// names of this one's.
func TestBackupAfterAnOlderOneWasPutBack(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(2)
	older, relay := w.make().Manifest, w.relay
	w.fill(8)
	lost := w.make().Manifest
	check(t, w.Close())
	check(t, os.RemoveAll(w.dir))

	o := w.again()
	o.Backup = older.ID
	_, err := Restore(t.Context(), o)
	check(t, err)
	w.options.Master, w.dir, w.relay = o.Master, o.To, relay
	w.open()
	for range 9 {
		w.append(control("of the log that goes on"))
		w.append(w.page(10))
	}
	r := w.make()
	now, then := r.Manifest.Finished(), lost.Finished()
	const rolled = "log/000000.db"
	if now[rolled].SHA256 == "" || now[rolled].SHA256 == then[rolled].SHA256 {
		t.Errorf("%s: %+v, that of the lost log is %+v", rolled, now[rolled], then[rolled])
	}
	_, err = Restore(t.Context(), w.again())
	check(t, err)
}

// target opens the folder of the backups as a backup does, for the test's time.
func (w *ward) target() *target {
	w.t.Helper()
	tg, err := openTarget(w.to, w.Identity(), true)
	check(w.t, err)
	w.t.Cleanup(func() { check(w.t, tg.close()) })
	tg.giveWay = w.GiveWay
	return tg
}

// An object that other backups name stays as it is when the same content is
// written once more and does not arrive.
func TestGoodObjectOutlivesABadCopy(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.make()
	tg := w.target()
	content := bytes.Repeat([]byte("content "), 1<<10)
	sum, _, err := tg.put(t.Context(), bytes.NewReader(content), func(int64) {})
	check(t, err)
	spoilt := false
	_, _, err = tg.put(t.Context(), bytes.NewReader(content), func(int64) {
		temp, err := filepath.Glob(filepath.Join(w.to, tempName, "*"))
		check(t, err)
		for _, path := range temp {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			check(t, err)
			_, err = f.WriteAt([]byte{'?'}, 100)
			check(t, errors.Join(err, f.Close()))
			spoilt = true
		}
	})
	if !spoilt || err != nil && !errors.Is(err, ErrDamaged) {
		t.Errorf("a copy that did not arrive: %v", err)
	}
	have, err := os.ReadFile(ObjectPath(w.to, sum))
	if err != nil || sha256.Sum256(have) != sha256.Sum256(content) {
		t.Errorf("what was there is lost: %v", err)
	}
	// One that has decayed is mended.
	decayed := bytes.Clone(content)
	decayed[7] ^= 1
	check(t, os.WriteFile(ObjectPath(w.to, sum), decayed, 0o600))
	_, _, err = tg.put(t.Context(), bytes.NewReader(content), func(int64) {})
	check(t, err)
	if have, err := os.ReadFile(ObjectPath(w.to, sum)); err != nil || !bytes.Equal(have, content) {
		t.Errorf("one that had decayed: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(w.to, tempName, "*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// What has decayed in the folder since it was copied once is in every later
// backup, until one reads it back.
func TestRereadMendsWhatDecayed(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(8)
	first := w.make().Manifest
	list := first.Lists[0]
	blobs, err := list.read(t.Context(), w.to)
	check(t, err)
	finished := func(m *Manifest) File { return m.Finished()["log/000000.db"] }
	for name, sum := range map[string]string{"a log file": finished(first).SHA256, "an attachment": blobs[0].SHA256} {
		path := ObjectPath(w.to, sum)
		whole, err := os.ReadFile(path)
		check(t, err)
		whole[len(whole)/2] ^= 1
		check(t, os.WriteFile(path, whole, 0o600))
		w.fill(1)
		w.make()
		if _, err := Drill(t.Context(), w.drill()); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: a drill: %v", name, err)
		}
		o := w.backup()
		o.Reread = true
		r, err := Make(t.Context(), o)
		check(t, err)
		if finished(r.Manifest) != finished(first) {
			t.Errorf("%s: it is another object", name)
		}
		_, err = Drill(t.Context(), w.drill())
		check(t, err)
	}
	w.spoil(w.Size() - 3)
	w.make()
	if r := w.make(); len(r.Damaged) > 0 {
		t.Errorf("opened twice: damaged %d", r.Damaged)
	}
	o := w.backup()
	o.Reread = true
	if r, err := Make(t.Context(), o); err != nil || len(r.Damaged) != 1 {
		t.Errorf("not opened again: %v", err)
	}
}

// A list of attachments that has decayed is written anew by the next backup.
func TestDecayedListIsMended(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.fill(2)
	list := w.make().Manifest.Lists[0]
	path := ObjectPath(w.to, list.SHA256)
	whole, err := os.ReadFile(path)
	check(t, err)
	whole[0] ^= 1
	check(t, os.WriteFile(path, whole, 0o600))
	w.putBack(w.make().Manifest.ID)
}

// A backup that was killed right after a rename leaves an object whose name a loss
// of power takes away: the next one, which finds it there, has the folder synced.
func TestNameOfAnObjectThatIsThereIsDurable(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.make()
	tg := w.target()
	put := func() string {
		sum, _, err := tg.put(t.Context(), bytes.NewReader([]byte("content")), func(int64) {})
		check(t, err)
		return sum
	}
	folder := filepath.Dir(ObjectPath(w.to, put()))
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	check(t, err)
	defer func() { check(t, unix.Close(watch)) }()
	_, err = unix.InotifyAddWatch(watch, folder, unix.IN_OPEN|unix.IN_ONLYDIR)
	check(t, err)
	put()
	events, opened := make([]byte, 1<<16), false
	n, err := unix.Read(watch, events)
	check(t, err)
	for events = events[:n]; len(events) >= unix.SizeofInotifyEvent; {
		mask, name := binary.NativeEndian.Uint32(events[4:]), binary.NativeEndian.Uint32(events[12:])
		opened = opened || mask&(unix.IN_OPEN|unix.IN_ISDIR) == unix.IN_OPEN|unix.IN_ISDIR
		events = events[unix.SizeofInotifyEvent+int(name):]
	}
	if !opened {
		t.Error("the object's folder was not opened, and so not synced")
	}
}

// Where something comes in between each time, a backup says when to try again.
func TestBackupGivesUp(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	o, tries := w.backup(), 0
	o.fault = func(step string) error {
		if step != "signed" {
			return nil
		}
		tries++
		return archive.ErrChanged
	}
	_, err := Make(t.Context(), o)
	if !errors.Is(err, archive.ErrChanged) || !strings.Contains(err.Error(), "run it again") || tries != makeTries {
		t.Errorf("after %d tries: %v", tries, err)
	}
}
