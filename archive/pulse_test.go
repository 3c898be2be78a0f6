package archive

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
)

// within asks for a pulse as a watchdog does.
func within(a *Archive, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return a.Pulse(ctx)
}

// An archive that lives says so, after an append, in a new log file, and after a
// failed write; it appends nothing for it.
func TestPulse(t *testing.T) {
	a, _ := makeArchive(t, Options{LogFileLeaves: 64})
	for i := range uint64(3) {
		mustAppend(t, a, page(60*i+1, 60*i+60))
		size := a.Size()
		if err := within(a, time.Minute); err != nil {
			t.Fatal(err)
		}
		if a.Size() != size {
			t.Fatal("a pulse appends")
		}
	}
	failing := errors.New("the disk failed")
	a.fault = func(step string) error {
		if step == "after bodies" {
			return failing
		}
		return nil
	}
	if _, err := a.Append(t.Context(), page(181, 182)); !errors.Is(err, failing) {
		t.Fatal(err)
	}
	a.fault = nil
	if err := within(a, time.Minute); err != nil {
		t.Errorf("the writer reopens by itself, and the pulse says %v", err)
	}
}

// A writer that hangs, in whatever step, is no live archive, though every read
// works.
func TestPulseOfHungWriter(t *testing.T) {
	for _, step := range []string{"before bodies", "after bodies", "after log"} {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _ := makeArchive(t, Options{})
				hang := make(chan struct{})
				a.fault = func(at string) error {
					if at == step {
						<-hang
					}
					return nil
				}
				appended := make(chan error, 1)
				go func() {
					_, err := a.Append(context.Background(), control("x"))
					appended <- err
				}()
				synctest.Wait()
				for range 3 {
					if err := within(a, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("the writer hangs, and the pulse says %v", err)
					}
				}
				if _, err := a.Record(t.Context(), 0); err != nil {
					t.Error(err)
				}
				close(hang)
				if err := <-appended; err != nil {
					t.Error(err)
				}
				if err := within(a, time.Minute); err != nil {
					t.Errorf("the writer goes on, and the pulse says %v", err)
				}
			})
		})
	}
}

// A read that hangs gives no pulse, though the writer is there: the call does
// not come back before the read does.
func TestPulseOfHungRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := makeArchive(t, Options{})
		hang := make(chan struct{})
		a.fault = func(at string) error {
			if at == "pulse read" {
				<-hang
			}
			return nil
		}
		beat := make(chan error, 1)
		go func() { beat <- within(a, time.Minute) }()
		time.Sleep(time.Hour)
		select {
		case err := <-beat:
			t.Errorf("the read hangs, and the pulse says %v", err)
		default:
		}
		close(hang)
		if err := <-beat; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a read that took an hour gives a pulse: %v", err)
		}
	})
}

// The last entry's body is really read: without its file there is no pulse.
func TestPulseReadsTheBody(t *testing.T) {
	a, _ := makeArchive(t, Options{})
	mustAppend(t, a, page(1, 3))
	last, err := a.Leaf(a.Size() - 1)
	if err != nil {
		t.Fatal(err)
	}
	name := bodyName(last.Month(), last.Class, 1)
	text := overwriteRecord(t, a, name, last.Seq, []byte("not what was sealed"))
	if err := within(a, time.Minute); !errors.Is(err, ErrDamaged) {
		t.Errorf("the last body is damaged, and the pulse says %v", err)
	}
	overwriteRecord(t, a, name, last.Seq, text)
	if err := within(a, time.Minute); err != nil {
		t.Error(err)
	}
}

// An archive that is closed has no pulse, and the question ends.
func TestPulseOfClosed(t *testing.T) {
	a, _ := makeArchive(t, Options{})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := within(a, time.Minute); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed archive says %v", err)
	}
}

// overwriteRecord puts another record in place of an entry's and returns what
// was there.
func overwriteRecord(t *testing.T, a *Archive, name string, seq uint64, text []byte) (before []byte) {
	t.Helper()
	err := a.view(func(s *store) error {
		f, err := s.bodies.get(name)
		if err != nil {
			return err
		}
		return f.db.Update(func(tx *bbolt.Tx) error {
			before = bytes.Clone(tx.Bucket(bucketRecord).Get(u64(seq)))
			return tx.Bucket(bucketRecord).Put(u64(seq), text)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return before
}

// A check that rests finds what the other finds, and takes its time.
func TestCheckRests(t *testing.T) {
	a, _ := makeArchive(t, Options{})
	mustAppend(t, a, page(1, 500))
	r, err := a.Check(t.Context(), CheckOptions{Bodies: true, Rest: 3})
	if err != nil || !r.OK() || r.Size != a.Size() || r.Bodies != r.Size {
		t.Errorf("%+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o := CheckOptions{Rest: 1 << 20, Progress: func(uint64, uint64) { cancel() }}
	if _, err := a.Check(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("a check that rests does not end when it is told to: %v", err)
	}
	if o.workers() != 1 {
		t.Error("a check that rests takes more than one core")
	}
}
