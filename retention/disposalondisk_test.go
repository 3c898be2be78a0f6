package retention

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/seal"
)

// cutLog is a real archive under which the power is cut: before or after one of
// the calls that change it. From then on nothing comes through, as from a
// process that is not there any more.
type cutLog struct {
	*archive.Archive
	step string // "before switch"
	nth  int    // how often the step comes before the cut
	cut  bool
}

var errCut = errors.New("power cut")

func (l *cutLog) at(step string) error {
	if l.step == step {
		if l.nth--; l.nth == 0 {
			l.cut = true
		}
	}
	if l.cut {
		return errCut
	}
	return nil
}

func cutAround[T any](l *cutLog, step string, do func() (T, error)) (T, error) {
	var none T
	if err := l.at("before " + step); err != nil {
		return none, err
	}
	out, err := do()
	if err == nil {
		err = l.at("after " + step)
	}
	return out, err
}

func (l *cutLog) Append(ctx context.Context, b archive.Batch) ([]archive.Placed, error) {
	return cutAround(l, "append", func() ([]archive.Placed, error) { return l.Archive.Append(ctx, b) })
}

func (l *cutLog) Reseal(ctx context.Context, cm archive.ClassMonth, o archive.ResealOptions) (*archive.Resealed, error) {
	return cutAround(l, "reseal", func() (*archive.Resealed, error) { return l.Archive.Reseal(ctx, cm, o) })
}

func (l *cutLog) Switch(ctx context.Context, rs []*archive.Resealed, b archive.Batch) ([]archive.Placed, error) {
	return cutAround(l, "switch", func() ([]archive.Placed, error) { return l.Archive.Switch(ctx, rs, b) })
}

func (l *cutLog) SwitchBack(ctx context.Context, cms []archive.ClassMonth, b archive.Batch) ([]archive.Placed, error) {
	return cutAround(l, "switch back", func() ([]archive.Placed, error) { return l.Archive.SwitchBack(ctx, cms, b) })
}

func (l *cutLog) Destroy(ctx context.Context, cms []archive.ClassMonth, g *archive.Guard) (*archive.Destruction, error) {
	return cutAround(l, "destroy", func() (*archive.Destruction, error) { return l.Archive.Destroy(ctx, cms, g) })
}

func (l *cutLog) Checkpoint(ctx context.Context) ([]byte, error) {
	return cutAround(l, "checkpoint", func() ([]byte, error) { return l.Archive.Checkpoint(ctx) })
}

// disk is where a real archive lies.
type disk struct {
	dir    string
	master [seal.MasterSize]byte
}

func newDisk(t *testing.T) disk { return disk{t.TempDir(), seal.NewKey()} }

// create makes the archive and a stage on it.
func (d disk) create(t *testing.T) (*stage, *cutLog) {
	t.Helper()
	recovery, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Create(t.Context(), d.dir, archive.CreateOptions{ArchiveID: "ward.test", Master: d.master, Recovery: recovery.Public()}); err != nil {
		t.Fatal(err)
	}
	return d.open(t, new(uint64))
}

// open opens the archive whose relay has come to a seq.
func (d disk) open(t *testing.T, relaySeq *uint64) (*stage, *cutLog) {
	t.Helper()
	l := &cutLog{}
	d.start(t, l)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &stage{t: t, log: l, people: newStagePeople(), id: l.Identity(), signer: l.IdentitySigner(), relaySeq: relaySeq}
	s.reopen()
	return s, l
}

func (d disk) start(t *testing.T, l *cutLog) {
	t.Helper()
	var err error
	if l.Archive, err = archive.Open(context.Background(), d.dir, archive.Options{Master: d.master}); err != nil {
		t.Fatal(err)
	}
}

// restart starts anew, as after a crash.
func (d disk) restart(t *testing.T, s *stage, l *cutLog) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.step, l.cut = "", false
	d.start(t, l)
	s.reopen()
}

// checkBodies checks the whole archive: chain, tree and every body there is.
func checkBodies(t *testing.T, a *archive.Archive, disposed uint64) {
	t.Helper()
	r, err := a.Check(context.Background(), archive.CheckOptions{Bodies: true})
	if err != nil || !r.OK() {
		t.Fatalf("check: %+v, %v", r, err)
	}
	if r.Disposed != disposed {
		t.Errorf("check found %d disposed entries, want %d", r.Disposed, disposed)
	}
}

// Crash at each step, on disk: finished or not begun at the next start.
func TestCrashAtEachStepOnDisk(t *testing.T) {
	for _, step := range []string{"reseal", "checkpoint", "switch", "destroy", "append"} {
		for _, when := range []string{"before ", "after "} {
			t.Run(when+step, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { crashOnDisk(t, when+step) })
			})
		}
	}
}

func crashOnDisk(t *testing.T, step string) {
	d := newDisk(t)
	s, l := d.create(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	kept, _ := s.send(letter{from: "cleo", to: "bela", body: "two"})
	s.advance(2 * aMonth)
	b, _ := s.send(letter{from: "anna", to: "bela", body: "three"})
	s.place(custodian("cleo"))
	s.advance(4 * aMonth)
	p := s.planned()
	l.step, l.nth = step, 1
	_, err := s.book.Run(t.Context(), rita, p.Seq, nil)
	if !errors.Is(err, errCut) {
		t.Fatalf("the run met no cut: %v", err)
	}
	d.restart(t, s, l)
	if err := s.book.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := s.disposed(a)
	s.want(b, begun)
	s.want(kept, false)
	if begun != slices.Contains([]string{"after switch", "before destroy", "after destroy", "before append", "after append"}, step) {
		t.Errorf("begun is %v", begun)
	}
	if !begun {
		checkBodies(t, l.Archive, 0)
		s.run(p.Seq)
	}
	s.want(a, true)
	s.want(kept, false)
	checkBodies(t, l.Archive, 2)
	got, _ := s.book.Plan(p.Seq)
	if got.State != PlanDone || len(got.Certificates) != 2 {
		t.Errorf("plan %+v", got)
	}
	for _, seq := range got.Certificates {
		c, _ := s.book.Certificate(seq)
		if _, err := VerifyCertificate([]byte(c.JWS), s.id); err != nil {
			t.Error(err)
		}
		if len(c.Keys) == 0 || c.Keyring == 0 {
			t.Errorf("keys %+v of generation %d", c.Keys, c.Keyring)
		}
	}
	d.restart(t, s, l)
	s.want(a, true)
	s.want(kept, false)
}

// A hold that comes in between the switch and the next start wins, on disk.
func TestHoldInTheGapOnDisk(t *testing.T) { synctest.Test(t, testHoldInTheGapOnDisk) }

func testHoldInTheGapOnDisk(t *testing.T) {
	d := newDisk(t)
	s, l := d.create(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	s.advance(4 * aMonth)
	p := s.planned()
	l.step, l.nth = "after switch", 1
	if _, err := s.book.Run(t.Context(), rita, p.Seq, nil); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	d.restart(t, s, l)
	s.want(a, true)
	s.place(custodian("anna"))
	l.step, l.nth = "before switch back", 1
	if err := s.book.Resume(t.Context()); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	d.restart(t, s, l)
	if err := s.book.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(a, false)
	checkBodies(t, l.Archive, 0)
	if got, _ := s.book.Plan(p.Seq); got.State != PlanAbandoned {
		t.Errorf("state %s", got.State)
	}
}

// The clock is twenty years off at a start, either way: nothing goes early, no
// hold ends, and after a person released it what is due is what was due.
func TestClockTwentyYears(t *testing.T) {
	const twenty = 20 * 365 * 24 * time.Hour
	for name, c := range map[string]struct{ before, after time.Duration }{
		"ahead":  {0, twenty},
		"behind": {twenty, 0}, // a bubble begins in the year 2000
	} {
		t.Run(name, func(t *testing.T) {
			d, relaySeq := newDisk(t), uint64(0)
			var a, h uint64
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(c.before)
				s, _ := d.create(t)
				s.schedule(stageSchedule)
				a, _ = s.send(letter{from: "anna", to: "bela", body: "one"})
				s.send(letter{from: "cleo", to: "bela", body: "two"})
				h = s.place(custodian("anna"))
				s.release(h)
				relaySeq = *s.relaySeq
			})
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(c.after)
				clockIsOff(t, d, &relaySeq, a, h)
			})
		})
	}
}

func clockIsOff(t *testing.T, d disk, relaySeq *uint64, a, h uint64) {
	s, l := d.open(t, relaySeq)
	frozen := func() {
		t.Helper()
		_, err := s.book.PlanDisposition(t.Context(), rita, PlanOptions{Reason: "x"})
		wantErr(t, "plan", err, ErrFrozen)
		_, err = s.book.PlanErasure(t.Context(), rita, []uint64{a}, "x")
		wantErr(t, "erasure", err, ErrFrozen)
		if !s.book.Clock().Frozen {
			t.Error("the clock is believed")
		}
		if held, _ := s.book.Hold(h); held.State != StateReleasing {
			t.Errorf("the hold is %s by a clock that jumped", held.State)
		}
		s.want(a, false)
	}
	frozen()
	s.send(letter{from: "dora", to: "bela", body: "ingest goes on"})
	frozen()
	d.restart(t, s, l)
	frozen() // a restart releases nothing
	if err := s.book.ReleaseClock(t.Context(), olga, "compared with another clock"); err != nil {
		t.Fatal(err)
	}
	_, err := s.book.PlanDisposition(t.Context(), rita, PlanOptions{Reason: "x"})
	if s.book.Clock().Wall.Year() > 2015 {
		wantErr(t, "plan, twenty years later and released", err, nil)
		return
	}
	// The clock is still behind what the log says: received time stands still.
	if err == nil {
		t.Error("something is due by a clock that stands still")
	}
	s.want(a, false)
}
