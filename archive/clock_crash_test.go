package archive

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"holdfast/archive/proof"
)

// The commit that meets the jump fails at each of its steps, and the machine
// stops there: the jump is an entry once or not yet, and suspicion and entry
// are always there together.
func TestCrashAroundJump(t *testing.T) {
	for _, step := range []string{"after bodies", "after log"} {
		t.Run(step, func(t *testing.T) {
			a, dir, c := clocked(t, Options{})
			mustAppend(t, a, page(1, 3))
			c.jump(years)
			crashed := failAt(t, a, dir, step)
			if _, err := a.Append(t.Context(), page(4, 6)); !errors.Is(err, ErrFailed) {
				t.Fatal(err)
			}
			mustAppend(t, a, page(4, 6))
			wantJump(t, a, JumpRunning, 6, received(t, a, 4), c.wall)

			b := openCopy(t, a, *crashed)
			if got, want := len(ofKind(t, b, proof.KindClock)), 0; step != "after log" && got != want {
				t.Errorf("%d entries about the clock after the crash", got)
			}
			mustAppend(t, b, page(4, 6))
			where := JumpStart
			if step == "after log" {
				where = JumpRunning
			}
			wantJump(t, b, where, 6, received(t, b, 4), c.wall)
			if n := len(ofKind(t, b, proof.KindMessage)); n != 6 {
				t.Errorf("%d messages of 6", n)
			}
			mustCheck(t, b)
		})
	}
}

func TestCrashAroundRelease(t *testing.T) {
	for _, step := range []string{"after bodies", "after log"} {
		t.Run(step, func(t *testing.T) {
			a, dir, c := clocked(t, Options{})
			mustAppend(t, a, page(1, 3))
			c.jump(-years)
			mustAppend(t, a, page(4, 6))
			c.jump(years + 40*time.Hour)
			crashed := failAt(t, a, dir, step)
			if err := release(t, a); !errors.Is(err, ErrFailed) {
				t.Fatal(err)
			}
			done := step == "after log"
			for _, x := range []*Archive{a, openCopy(t, a, *crashed)} {
				if err := release(t, x); done != errors.Is(err, ErrClockSound) || !done && err != nil {
					t.Fatalf("releasing again: %v", err)
				}
				mustAppend(t, x, page(7, 9))
				if n := len(ofKind(t, x, proof.KindClock)); n != 2 || x.Clock().Suspect {
					t.Errorf("%d entries about the clock, %+v", n, x.Clock())
				}
				mustCheck(t, x)
			}
		})
	}
}

// failAt makes the next commit fail at a step, and keeps a copy of the
// directory as it was then.
func failAt(t *testing.T, a *Archive, dir, step string) *string {
	t.Helper()
	copied := new(string)
	a.fault = func(s string) error {
		if s != step || *copied != "" {
			return nil
		}
		*copied = t.TempDir()
		if err := (&patient{dir: dir}).copyTo(*copied); err != nil {
			return err
		}
		return errors.New("injected")
	}
	return copied
}

func openCopy(t *testing.T, a *Archive, dir string) *Archive {
	t.Helper()
	b, err := Open(t.Context(), dir, a.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// A request that is refused has met the jump all the same.
func TestRefusedRequestMeetsJump(t *testing.T) {
	a, _, c := clocked(t, Options{})
	mustAppend(t, a, page(1, 3))
	c.jump(-years)
	if _, err := a.Append(t.Context(), page(9, 9)); !errors.Is(err, ErrStaleCursor) {
		t.Fatal(err)
	}
	if err := a.Wait(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	wantJump(t, a, JumpRunning, a.Size(), received(t, a, 4), c.wall)
}

// Nobody but the archive writes entries about the clock, but for a release.
func TestReleaseIsChecked(t *testing.T) {
	a, _, c := clocked(t, Options{})
	if err := release(t, a); !errors.Is(err, ErrClockSound) {
		t.Errorf("a sound clock: %v", err)
	}
	if _, err := a.Append(t.Context(), releaseBatch()); !errors.Is(err, ErrInvalid) {
		t.Errorf("appended by itself: %v", err)
	}
	mustAppend(t, a, page(1, 1))
	c.jump(years)
	mustAppend(t, a, page(2, 2))
	size := a.Size()
	for name, spoil := range map[string]func(b *Batch){
		"none":     func(b *Batch) { b.Entries = b.Entries[:1] },
		"two":      func(b *Batch) { b.Entries = append(b.Entries, b.Entries[1]) },
		"class":    func(b *Batch) { b.Entries[1].Class = proof.ClassAudit },
		"no JSON":  func(b *Batch) { b.Entries[1].Body = []byte("{") },
		"a cursor": func(b *Batch) { b.Cursor = page(3, 3).Cursor },
	} {
		b := releaseBatch()
		spoil(&b)
		if _, err := a.ReleaseClock(t.Context(), b); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a.Size() != size || !a.Clock().Suspect {
		t.Errorf("size %d, before %d; %+v", a.Size(), size, a.Clock())
	}
	b := releaseBatch()
	body := slices.Clone(b.Entries[1].Body)
	if _, err := a.ReleaseClock(t.Context(), b); err != nil || string(b.Entries[1].Body) != string(body) {
		t.Errorf("%v; the caller's batch was changed: %s", err, b.Entries[1].Body)
	}
}

// The record of a suspicion is covered by the sum of the log's end: it neither
// vanishes nor appears unnoticed.
func TestSuspicionDoesNotDecay(t *testing.T) {
	a, dir, c := clocked(t, Options{})
	mustAppend(t, a, page(1, 1))
	c.jump(years)
	mustAppend(t, a, page(2, 2))
	since := a.Clock().Since
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string][]byte{"gone": nil, "elsewhere": u64(since + 1), "short": {1}} {
		copied := t.TempDir()
		if err := (&patient{dir: dir}).copyTo(copied); err != nil {
			t.Fatal(err)
		}
		db, err := bbolt.Open(filepath.Join(copied, "log", "000000.db"), 0o600, boltOptions(false))
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			if value == nil {
				return tx.Bucket(bucketMeta).Delete(keyClock)
			}
			return tx.Bucket(bucketMeta).Put(keyClock, value)
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if b, err := Open(t.Context(), copied, a.opts); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				_ = b.Close()
			}
		}
	}
}

// A failed commit does not make the archive forget how much time has passed.
func TestTimelineAfterFailure(t *testing.T) {
	a, _ := makeArchive(t, Options{})
	mustAppend(t, a, page(1, 1))
	anchored := a.w.end.anchored
	failed := false
	a.fault = func(string) error {
		if failed {
			return nil
		}
		failed = true
		return errors.New("injected")
	}
	if _, err := a.Append(t.Context(), page(2, 2)); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	mustAppend(t, a, page(2, 2))
	if anchored.IsZero() || a.w.end.anchored != anchored {
		t.Errorf("anchored at %v, before at %v", a.w.end.anchored, anchored)
	}
}

// The machine stops when a new log file is there and nothing is in it yet: the
// suspicion has gone over with the log's end.
func TestCrashAfterRollingUnderSuspicion(t *testing.T) {
	a, dir, c := clocked(t, Options{LogFileLeaves: 10})
	mustAppend(t, a, page(1, 3))
	c.jump(years)
	mustAppend(t, a, page(4, 6))
	since := a.Clock().Since
	crashed := failAt(t, a, dir, "before bodies")
	if _, err := a.Append(t.Context(), page(7, 12)); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	b := openCopy(t, a, *crashed)
	if s := b.Clock(); len(b.st.logs) != 2 || !s.Suspect || s.Since != since {
		t.Errorf("%d log files, %+v; the jump's entry is %d", len(b.st.logs), s, since)
	}
}
