package retention

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/ingest/envelope"
)

// closedSchedule keeps what is said in a conversation from its end on.
var closedSchedule = strings.Replace(minorsSchedule, `trigger = "majority"`, `trigger = "closed"`, 1)

// talk is a conversation that was closed, with an edit, and the receipt of a
// message that the log never had.
func (s *stage) talk() (all []uint64) {
	s.t.Helper()
	said, digest := s.send(letter{from: "anna", to: "bela", conv: "c1", body: "x", class: "pediatric"})
	edit, _ := s.send(letter{typ: envelope.TypEdit, from: "anna", to: "bela", conv: "c1", body: "y", ref: &digest, class: "pediatric"})
	never := [32]byte{1}
	receipt, _ := s.send(letter{typ: envelope.TypReceipt, from: "bela", ref: &never, class: "pediatric"})
	end, _ := s.send(letter{typ: envelope.TypClose, from: "anna", conv: "c1", class: "pediatric"})
	s.advance(5 * 366 * 24 * time.Hour)
	return []uint64{said, edit, receipt, end}
}

// What comes in while everything is judged takes nothing out that it has
// nothing to do with.
func TestMessagesThatComeInMeanwhileKeepNothing(t *testing.T) {
	synctest.Test(t, testMessagesThatComeInMeanwhileKeepNothing)
}

func testMessagesThatComeInMeanwhileKeepNothing(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(closedSchedule)
	all := s.talk()
	p := s.planned()
	r, err := s.book.Run(t.Context(), rita, p.Seq, func(step string, _, _ uint64) {
		if step == StepRecheck {
			s.send(letter{from: "cleo", to: "dora", body: "something else"})
		}
	})
	if err != nil || r.Gone != uint64(len(all)) {
		t.Fatalf("ran %+v, %v", r, err)
	}
	for _, seq := range all {
		s.want(seq, true)
	}
}

// A crash behind the switch gives nobody the right to destroy what was widened,
// or reopened, before the next start.
func TestWhatIsNotDueAnyMoreAtTheNextStartStays(t *testing.T) {
	for name, since := range map[string]func(s *stage){
		"kept for ever": func(s *stage) {
			s.schedule(strings.Replace(closedSchedule, `period = "3y"`, `period = "forever"`, 1))
		},
		"reopened": func(s *stage) {
			s.send(letter{from: "bela", to: "anna", conv: "c1", body: "one more thing", class: "pediatric"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, l := newStage(t)
				s.schedule(closedSchedule)
				all := s.talk()
				p := s.planned()
				l.fault = func(step string) error {
					if step == "after switch" {
						l.fault = nil
						since(s)
						return errors.New("power cut")
					}
					return nil
				}
				if _, err := s.book.Run(t.Context(), rita, p.Seq, nil); err == nil {
					t.Fatal("the fault did not strike")
				}
				s.reopen()
				if err := s.book.Resume(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, seq := range all {
					s.want(seq, false)
				}
			})
		})
	}
}

// What gives a held message its meaning is held as well, although the survey of
// the next start does not find it in the log.
func TestTheEndOfAConversationHeldSinceTheSwitchStays(t *testing.T) {
	synctest.Test(t, testTheEndOfAConversationHeldSinceTheSwitchStays)
}

func testTheEndOfAConversationHeldSinceTheSwitchStays(t *testing.T) {
	s, l := newStage(t)
	s.schedule(strings.Replace(closedSchedule, `period = "2m"`, `period = "20y"`, 1))
	s.send(letter{from: "anna", to: "bela", conv: "c1", body: "x"})
	end, _ := s.send(letter{typ: envelope.TypClose, from: "bela", conv: "c1", class: "pediatric"})
	s.advance(5 * 366 * 24 * time.Hour)
	p := s.planned()
	l.fault = func(step string) error {
		if step == "after switch" {
			l.fault = nil
			s.place(custodian("anna"))
			return errors.New("power cut")
		}
		return nil
	}
	if _, err := s.book.Run(t.Context(), rita, p.Seq, nil); err == nil {
		t.Fatal("the fault did not strike")
	}
	s.want(end, true)
	s.reopen()
	if err := s.book.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(end, false)
}

// A hold that is placed before the keys' destruction has begun is in time, even
// behind the second look.
func TestHoldBetweenTheSecondLookAndTheDestruction(t *testing.T) {
	synctest.Test(t, testHoldBetweenTheSecondLookAndTheDestruction)
}

func testHoldBetweenTheSecondLookAndTheDestruction(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	s.advance(2 * aMonth)
	c, _ := s.send(letter{from: "cleo", to: "dora", body: "two"})
	s.advance(4 * aMonth)
	p := s.planned()
	l.once("before destroy", func() { s.place(custodian("anna")) })
	r := s.run(p.Seq)
	s.want(a, false)
	s.want(c, true)
	if r.Gone != 1 || len(r.Abandoned) != 1 {
		t.Errorf("ran %+v", r)
	}
	if _, err := s.book.PlanDisposition(t.Context(), rita, PlanOptions{Reason: "again"}); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
}

// A certificate states what went of its own class-month, whatever went with it.
func TestACertificateIsAboutOneClassMonth(t *testing.T) {
	synctest.Test(t, testACertificateIsAboutOneClassMonth)
}

func testACertificateIsAboutOneClassMonth(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(stageSchedule)
	s.send(letter{from: "anna", to: "bela", body: "one"})
	s.advance(2 * aMonth)
	s.send(letter{from: "cleo", to: "dora", body: "two"})
	s.advance(4 * aMonth)
	p := s.planned()
	for _, c := range s.run(p.Seq).Certificates {
		if c.Files != 1 || len(c.Keys) != 1 {
			t.Errorf("certificate of %s %s: %d files, keys %+v", c.Class, c.Month, c.Files, c.Keys)
		}
	}
}

// A run that ends before its switch leaves no resealed files: they would take
// room that may have been what it lacked.
func TestARunThatFailsLeavesNoFiles(t *testing.T) {
	synctest.Test(t, testARunThatFailsLeavesNoFiles)
}

func testARunThatFailsLeavesNoFiles(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	s.advance(2 * aMonth)
	s.send(letter{from: "cleo", to: "dora", body: "two"})
	s.advance(4 * aMonth)
	p := s.planned()
	n := 0
	l.fault = func(step string) error {
		if step == "before reseal" {
			if n++; n == 2 {
				return archive.ErrDiskFull
			}
		}
		return nil
	}
	if _, err := s.book.Run(t.Context(), rita, p.Seq, nil); !errors.Is(err, archive.ErrDiskFull) {
		t.Fatal(err)
	}
	if len(l.left) != 0 {
		t.Errorf("%d resealed files are left", len(l.left))
	}
	s.run(p.Seq) // the approval is good as before
	s.want(a, true)
}

// Entries of a class that the schedule lost are kept, and a plan says so.
func TestAClassThatTheScheduleLacksIsTold(t *testing.T) {
	synctest.Test(t, testAClassThatTheScheduleLacksIsTold)
}

func testAClassThatTheScheduleLacksIsTold(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(stageSchedule)
	lost, _ := s.send(letter{from: "anna", to: "bela", body: "one", class: "lost"}) // classified by the schedule before, and late
	s.advance(4 * aMonth)
	p, err := s.book.PlanDisposition(t.Context(), rita, PlanOptions{Dry: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Lines) != 1 || p.Lines[0].Class != "lost" || p.Lines[0].NotDue != 1 || p.Lines[0].Entries != 0 || !strings.Contains(p.Lines[0].Why, "class") {
		t.Errorf("plan %+v", p)
	}
	s.want(lost, false)
}

// While the clock is doubted no key is destroyed, not even for a run that had
// begun; what is held since is given back all the same.
func TestABegunRunWaitsForTheClock(t *testing.T) { synctest.Test(t, testABegunRunWaitsForTheClock) }

func testABegunRunWaitsForTheClock(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	s.advance(2 * aMonth)
	c, _ := s.send(letter{from: "cleo", to: "dora", body: "two"})
	s.advance(4 * aMonth)
	p := s.planned()
	l.fault = func(step string) error {
		if step == "after switch" {
			l.fault = nil
			s.place(custodian("anna"))
			return errors.New("power cut")
		}
		return nil
	}
	if _, err := s.book.Run(t.Context(), rita, p.Seq, nil); err == nil {
		t.Fatal("the fault did not strike")
	}
	s.reopen()
	l.suspect = true
	if err := s.book.Resume(t.Context()); !errors.Is(err, ErrFrozen) {
		t.Fatalf("resumed: %v", err)
	}
	s.want(a, false)
	if l.gone[c] {
		t.Error("its key is destroyed")
	}
	l.suspect = false
	if err := s.book.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(a, false)
	s.want(c, true)
}
