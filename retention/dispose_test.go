package retention

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/retention/hold"
)

func TestDueAndUnheldGoes(t *testing.T) { synctest.Test(t, testDueAndUnheldGoes) }

func testDueAndUnheldGoes(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	old, _ := s.send(letter{from: "anna", to: "bela", body: "canary"})
	s.advance(4 * aMonth)
	young, _ := s.send(letter{from: "anna", to: "bela", body: "hello"})
	p := s.planned()
	if p.Total != 1 || len(p.Lines) != 1 || p.Lines[0].First != old || p.Lines[0].Class != "general" || p.Lines[0].Month != "2000-01" {
		t.Fatalf("plan %+v", p)
	}
	if p.State != PlanWaiting { // as it was when it was made
		t.Errorf("state %s", p.State)
	}
	r := s.run(p.Seq)
	s.want(old, true)
	s.want(young, false)
	if r.Gone != 1 || len(r.Certificates) != 1 || !l.gone[old] {
		t.Fatalf("ran %+v", r)
	}
	c := r.Certificates[0]
	if !c.Complete || c.Count != 1 || c.First != old || c.Plan != p.Seq || c.Planner.Name != rita.Name || c.Approver.Name != abel.Name {
		t.Errorf("certificate %+v", c)
	}
	if _, err := VerifyCertificate([]byte(c.JWS+"\n"), l.id); err != nil {
		t.Error(err)
	}
	leaf := l.recs[old].Leaf
	if got, ok := s.book.CertificateFor(old, leaf); !ok || got.Seq != c.Seq {
		t.Errorf("certificate for %d: %v %v", old, got, ok)
	}
	if _, ok := s.book.CertificateFor(young, l.recs[young].Leaf); ok {
		t.Error("a certificate for what is there")
	}
	done, _ := s.book.Plan(p.Seq)
	if done.State != PlanDone || len(done.Certificates) != 1 {
		t.Errorf("plan %+v", done)
	}
}

func TestHoldBeatsSchedule(t *testing.T) { synctest.Test(t, testHoldBeatsSchedule) }

func testHoldBeatsSchedule(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(stageSchedule)
	held, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	free, _ := s.send(letter{from: "cleo", to: "dora", body: "two"})
	h := s.place(custodian("anna"))
	s.advance(4 * aMonth)
	p := s.planned()
	if l := p.Lines[0]; l.Entries != 1 || l.Due != 2 || len(l.HeldBack) != 1 || l.HeldBack[0].Hold != h || l.HeldBack[0].Entries != 1 {
		t.Fatalf("line %+v", l)
	}
	s.run(p.Seq)
	s.want(held, false)
	s.want(free, true)
	if _, err := s.book.PlanErasure(t.Context(), rita, []uint64{held}, "a court's order"); !errors.Is(err, ErrIsHeld) || !strings.Contains(err.Error(), fmt.Sprint("hold ", h)) {
		t.Errorf("erasure of what is held: %v", err)
	}
}

func TestHoldBetweenApprovalAndRunStopsThatPart(t *testing.T) {
	synctest.Test(t, testHoldBetweenApprovalAndRunStopsThatPart)
}

func testHoldBetweenApprovalAndRunStopsThatPart(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	c, _ := s.send(letter{from: "cleo", to: "dora", body: "two"})
	s.advance(4 * aMonth)
	p := s.planned()
	if p.Total != 2 {
		t.Fatalf("plan %+v", p)
	}
	h := s.place(custodian("anna"))
	r := s.run(p.Seq)
	s.want(a, false)
	s.want(c, true)
	if len(r.TakenOut) != 1 || r.TakenOut[0].Hold != h || r.TakenOut[0].Entries != 1 {
		t.Errorf("taken out %+v", r.TakenOut)
	}
}

func TestPeriodWidenedSinceTakesOut(t *testing.T) { synctest.Test(t, testPeriodWidenedSinceTakesOut) }

func testPeriodWidenedSinceTakesOut(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	s.advance(4 * aMonth)
	p := s.planned()
	s.schedule(strings.Replace(stageSchedule, "2m", "7y", 1))
	r, err := s.book.Run(t.Context(), rita, p.Seq, nil)
	if !errors.Is(err, ErrNothing) || len(r.TakenOut) != 1 || r.TakenOut[0].Why != "not due any more" {
		t.Fatalf("ran %+v, %v", r, err)
	}
	s.want(a, false)
}

func TestNothingIsAddedByARun(t *testing.T) { synctest.Test(t, testNothingIsAddedByARun) }

func testNothingIsAddedByARun(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	h := s.place(custodian("cleo"))
	c, _ := s.send(letter{from: "cleo", to: "dora", body: "two"})
	s.advance(4 * aMonth)
	p := s.planned()
	s.release(h)
	s.advance(DefaultGrace + time.Hour - 2*24*time.Hour)
	// The approval lapses; another plan and a run of it before the grace ends.
	q := s.planned()
	s.advance(3 * 24 * time.Hour)
	s.send(letter{from: "anna", to: "bela", body: "the log's time goes on"})
	s.run(q.Seq)
	s.want(a, true)
	s.want(c, false) // free now, but not in the plan
	if _, err := s.book.Run(t.Context(), rita, p.Seq, nil); !errors.Is(err, ErrPlanUsed) && !errors.Is(err, ErrNothing) {
		t.Errorf("the first plan: %v", err)
	}
	s.run(s.planned().Seq)
	s.want(c, true)
}

func TestTwoPeople(t *testing.T) { synctest.Test(t, testTwoPeople) }

func testTwoPeople(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	s.advance(4 * aMonth)
	p := s.plan()
	if _, err := s.book.Run(t.Context(), rita, p.Seq, nil); err == nil {
		t.Error("it ran without approval")
	}
	if err := s.approvals.Decide(t.Context(), s.log, rita, p.Request, true, "I approve myself"); err == nil {
		t.Error("the planner approved it")
	}
	s.want(a, false)
	if err := s.approvals.Decide(t.Context(), s.log, abel, p.Request, false, "no"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.book.Run(t.Context(), rita, p.Seq, nil); !errors.Is(err, ErrPlanUsed) {
		t.Errorf("denied, and run: %v", err)
	}
	s.want(a, false)
	if got, _ := s.book.Plan(p.Seq); got.State != PlanDenied {
		t.Errorf("state %s", got.State)
	}
}

func TestDisposedTwice(t *testing.T) { synctest.Test(t, testDisposedTwice) }

func testDisposedTwice(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	b, _ := s.send(letter{from: "cleo", to: "bela", body: "two"})
	h := s.place(custodian("cleo"))
	c, _ := s.send(letter{from: "dora", to: "bela", body: "three"})
	s.advance(4 * aMonth)
	p := s.planned()
	first := s.run(p.Seq)
	if _, err := s.book.Run(t.Context(), rita, p.Seq, nil); !errors.Is(err, ErrPlanUsed) {
		t.Errorf("a second run: %v", err)
	}
	if _, err := s.book.PlanDisposition(t.Context(), rita, PlanOptions{Reason: "again"}); !errors.Is(err, ErrNothing) {
		t.Errorf("a second plan: %v", err)
	}
	s.release(h)
	s.advance(DefaultGrace + time.Hour)
	second := s.run(s.planned().Seq)
	for _, seq := range []uint64{a, b, c} {
		s.want(seq, true)
	}
	if first.Gone != 2 || second.Gone != 1 {
		t.Errorf("gone %d and %d", first.Gone, second.Gone)
	}
	for seq, want := range map[uint64]uint64{a: first.Certificates[0].Seq, b: second.Certificates[0].Seq, c: first.Certificates[0].Seq} {
		if got, ok := s.book.CertificateFor(seq, l.recs[seq].Leaf); !ok || got.Seq != want {
			t.Errorf("entry %d: %+v, want certificate %d", seq, got, want)
		}
	}
}

const minorsSchedule = `version = 1
otherwise = "general"

[[class]]
name = "general"
period = "2m"
trigger = "received"

[[class]]
name = "pediatric"
period = "3y"
trigger = "majority"

[[rule]]
name = "children"
class = "pediatric"
label = ["child"]
`

func TestMinors(t *testing.T) { synctest.Test(t, testMinors) }

func testMinors(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(minorsSchedule)
	child, _ := s.send(letter{from: "anna", to: "bela", body: "child", born: 1999, class: "pediatric"})
	teen, _ := s.send(letter{from: "anna", to: "bela", body: "teen", born: 1983, class: "pediatric"})
	unknown, _ := s.send(letter{from: "anna", to: "bela", body: "nobody knows", class: "pediatric"})
	ask := func() uint64 {
		p, err := s.book.PlanDisposition(t.Context(), rita, PlanOptions{Reason: "yearly"})
		if errors.Is(err, ErrNothing) {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		s.decide(p.Request, true)
		s.run(p.Seq)
		return p.Total
	}
	s.advance(4 * 366 * 24 * time.Hour) // 2004: of age since 2002, three years are not over
	if n := ask(); n != 0 {
		t.Errorf("%d went in 2004", n)
	}
	s.advance(366 * 24 * time.Hour) // 2005
	ask()
	s.want(teen, true)
	s.want(child, false)
	s.advance(15 * 366 * 24 * time.Hour) // 2020
	ask()
	s.want(child, false)
	s.advance(2 * 366 * 24 * time.Hour)
	ask()
	s.want(child, true)
	s.want(unknown, false)
}

func TestYearlyCutoff(t *testing.T) { synctest.Test(t, testYearlyCutoff) }

func testYearlyCutoff(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(strings.Replace(minorsSchedule, `trigger = "majority"`, `trigger = "closed"`, 1))
	talk, _ := s.send(letter{from: "anna", to: "bela", conv: "c1", body: "x", class: "pediatric"})
	end, _ := s.send(letter{typ: envelope.TypClose, from: "anna", conv: "c1", class: "pediatric"})
	open, _ := s.send(letter{from: "anna", to: "bela", conv: "c2", body: "x", class: "pediatric"})
	s.advance(3*366*24*time.Hour + aMonth)
	s.run(s.planned().Seq)
	s.want(talk, true)
	s.want(end, true)
	s.want(open, false)
	// What is received and due in a year that is not over waits for its end.
	s.schedule(strings.Replace(minorsSchedule, `"3y"`, `"1d"`, 1) + "\n")
	now := s.log.Now()
	next, _ := s.send(letter{from: "anna", to: "bela", body: "x", born: 1960, class: "pediatric"})
	s.advance(2 * aMonth)
	x, err := s.book.Explain(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	want := time.Date(now.Year()+1, 1, 1, 0, 0, 0, 0, time.UTC)
	if x.Due == nil || !x.Due.Equal(want) || x.State != EntryKept {
		t.Errorf("due %v, %s; want %v", x.Due, x.State, want)
	}
}

func TestErasureInTheCurrentMonth(t *testing.T) { synctest.Test(t, testErasureInTheCurrentMonth) }

func testErasureInTheCurrentMonth(t *testing.T) {
	s, _ := newStage(t)
	before, _ := s.send(letter{from: "anna", to: "bela", body: "stays"})
	wrong, _ := s.send(letter{from: "anna", to: "bela", body: "must go"})
	p, err := s.book.PlanErasure(t.Context(), rita, []uint64{wrong, wrong}, "order 12/40")
	if err != nil {
		t.Fatal(err)
	}
	if p.Kind != PlanErase || p.Total != 1 {
		t.Fatalf("plan %+v", p)
	}
	s.decide(p.Request, true)
	after, _ := s.send(letter{from: "anna", to: "bela", body: "stays, too"})
	r := s.run(p.Seq)
	s.want(before, false)
	s.want(wrong, true)
	s.want(after, false)
	if c := r.Certificates[0]; c.Kind != PlanErase || c.Count != 1 || c.First != wrong || c.Last != wrong {
		t.Errorf("certificate %+v", c)
	}
	for _, seqs := range [][]uint64{{0}, {wrong}, {before, 0}, nil, {1 << 40}} {
		if _, err := s.book.PlanErasure(t.Context(), rita, seqs, "order"); err == nil {
			t.Errorf("erasure of %v was planned", seqs)
		}
	}
}

func TestReclassify(t *testing.T) { synctest.Test(t, testReclassify) }

func testReclassify(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(minorsSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "x", born: 1990})
	b, _ := s.send(letter{from: "anna", to: "bela", body: "y"})
	if _, err := s.book.PlanReclass(t.Context(), rita, []uint64{a}, "nonesuch", "it is a record"); !errors.Is(err, ErrInvalid) {
		t.Errorf("an unknown class: %v", err)
	}
	p, err := s.book.PlanReclass(t.Context(), rita, []uint64{a}, "pediatric", "it is a record")
	if err != nil {
		t.Fatal(err)
	}
	s.decide(p.Request, true)
	if r := s.run(p.Seq); r.Gone != 1 || r.Kind != PlanReclass || r.Intent == 0 {
		t.Errorf("ran %+v", r)
	}
	if _, err := s.book.Run(t.Context(), rita, p.Seq, nil); !errors.Is(err, ErrPlanUsed) {
		t.Errorf("again: %v", err)
	}
	s.advance(4 * aMonth)
	s.run(s.planned().Seq)
	s.want(a, false)
	s.want(b, true)
	x, err := s.book.Explain(t.Context(), a)
	if err != nil || x.Class != "pediatric" || x.State != EntryKept {
		t.Errorf("%+v, %v", x, err)
	}
	s.advance(13 * 366 * 24 * time.Hour) // of age in 2008, and three years, and the end of the year
	s.reopen()
	s.run(s.planned().Seq)
	s.want(a, true)
}

func TestDamageHoldsAClassMonthBack(t *testing.T) { synctest.Test(t, testDamageHoldsAClassMonthBack) }

func testDamageHoldsAClassMonthBack(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "x"})
	bad, _ := s.send(letter{from: "anna", to: "bela", body: "y"})
	s.advance(2 * aMonth)
	c, _ := s.send(letter{from: "anna", to: "bela", body: "z"})
	s.advance(4 * aMonth)
	l.damaged[bad] = true
	p := s.planned()
	if len(p.Lines) != 2 || p.Lines[0].Entries != 0 || p.Lines[0].HeldBack[0].Why != whyDamage || p.Total != 1 {
		t.Fatalf("plan %+v", p)
	}
	s.run(p.Seq)
	s.want(a, false)
	s.want(c, true)
	// Damage that shows between the plan and the run keeps what was planned.
	delete(l.damaged, bad)
	p = s.planned()
	l.damaged[a] = true
	if r, err := s.book.Run(t.Context(), rita, p.Seq, nil); !errors.Is(err, ErrNothing) || len(r.TakenOut) != 1 || r.TakenOut[0].Why != whyDamage {
		t.Errorf("ran %+v, %v", r, err)
	}
	delete(l.damaged, a)
	l.damaged[bad] = true
	s.want(a, false)
}

func TestAuditClass(t *testing.T) { synctest.Test(t, testAuditClass) }

func testAuditClass(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule + "\n[[class]]\nname = \"audit\"\nperiod = \"6y\"\ntrigger = \"received\"\n")
	look := l.put(archive.Entry{Kind: proof.KindAccess, Class: proof.ClassAudit, Body: []byte(`{"v":1,"action":"login","principal":{"name":"olga"},"at":"2000-01-05T00:00:00Z"}`)})
	about := l.put(archive.Entry{Kind: proof.KindAccess, Class: proof.ClassAudit, Body: []byte(`{"v":1,"action":"login","principal":{"name":"olga"},"matter":"M-1","at":"2000-01-05T00:00:00Z"}`)})
	s.place(custodian("anna"))
	s.advance(5 * 366 * 24 * time.Hour)
	if _, err := s.book.PlanDisposition(t.Context(), rita, PlanOptions{Reason: "x"}); !errors.Is(err, ErrNothing) {
		t.Errorf("audit after five years: %v", err)
	}
	s.advance(2 * 366 * 24 * time.Hour)
	s.run(s.planned().Seq)
	s.want(look, true)
	s.want(about, false)
	if _, err := s.book.PlanErasure(t.Context(), rita, []uint64{about}, "order"); !errors.Is(err, ErrNotPlain) {
		t.Errorf("erasing audit: %v", err)
	}
}

func TestNoScheduleKeepsEverything(t *testing.T) { synctest.Test(t, testNoScheduleKeepsEverything) }

func testNoScheduleKeepsEverything(t *testing.T) {
	s, _ := newStage(t)
	s.send(letter{from: "anna", to: "bela", body: "x"})
	s.advance(100 * 366 * 24 * time.Hour)
	if _, err := s.book.PlanDisposition(t.Context(), rita, PlanOptions{Reason: "x"}); !errors.Is(err, ErrNothing) {
		t.Errorf("without a schedule: %v", err)
	}
}

func TestFrozenClock(t *testing.T) { synctest.Test(t, testFrozenClock) }

func testFrozenClock(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "x"})
	s.advance(4 * aMonth)
	p := s.planned()
	l.suspect = true
	_, err := s.book.Run(t.Context(), rita, p.Seq, nil)
	wantErr(t, "run", err, ErrFrozen)
	_, err = s.book.PlanDisposition(t.Context(), rita, PlanOptions{Reason: "x"})
	wantErr(t, "plan", err, ErrFrozen)
	_, err = s.book.PlanErasure(t.Context(), rita, []uint64{a}, "x")
	wantErr(t, "erasure", err, ErrFrozen)
	s.want(a, false)
	if !s.book.Clock().Frozen || !s.book.Gauges().Frozen {
		t.Error("nobody says so")
	}
	if err := s.book.ReleaseClock(t.Context(), olga, ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("without a reason: %v", err)
	}
	if err := s.book.ReleaseClock(t.Context(), olga, "the clock is right"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "again", s.book.ReleaseClock(t.Context(), olga, "twice"), archive.ErrClockSound)
	s.run(p.Seq)
	s.want(a, true)
}

func TestGuardMakesARunLookAgain(t *testing.T) { synctest.Test(t, testGuardMakesARunLookAgain) }

func testGuardMakesARunLookAgain(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	c, _ := s.send(letter{from: "cleo", to: "dora", body: "two"})
	s.advance(4 * aMonth)
	p := s.planned()
	placed := false
	l.fault = func(step string) error {
		if step == "before switch" && !placed {
			placed = true
			s.place(custodian("anna")) // after everything was judged and resealed
		}
		return nil
	}
	r := s.run(p.Seq)
	s.want(a, false)
	s.want(c, true)
	if r.Gone != 1 {
		t.Errorf("ran %+v", r)
	}
}

func TestHoldAfterTheSwitchSwitchesBack(t *testing.T) {
	synctest.Test(t, testHoldAfterTheSwitchSwitchesBack)
}

func testHoldAfterTheSwitchSwitchesBack(t *testing.T) {
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
		}
		return nil
	}
	r := s.run(p.Seq)
	s.want(a, false)
	s.want(c, true)
	if len(r.Abandoned) != 1 || r.Abandoned[0].Month != "2000-01" || r.Gone != 1 || len(r.TakenOut) != 1 {
		t.Errorf("ran %+v", r)
	}
	s.reopen()
	s.want(a, false)
	if got, _ := s.book.Plan(p.Seq); got.State != PlanDone {
		t.Errorf("state %s", got.State)
	}
}

func TestFamilyOfALaterVersionThatIsHeld(t *testing.T) {
	synctest.Test(t, testFamilyOfALaterVersionThatIsHeld)
}

func testFamilyOfALaterVersionThatIsHeld(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	a, digest := s.send(letter{from: "anna", to: "bela", body: "one"})
	s.place(hold.Scope{Query: "secret"})
	s.advance(4 * aMonth)
	p := s.planned()
	// An edit that a hold covers comes in after everything was judged: no guard notices, the second look does.
	l.fault = func(step string) error {
		if step == "after switch" {
			l.fault = nil
			s.send(letter{typ: envelope.TypEdit, from: "anna", to: "bela", body: "a secret", ref: &digest})
			return errors.New("power cut")
		}
		return nil
	}
	if _, err := s.book.Run(t.Context(), rita, p.Seq, nil); err == nil {
		t.Fatal("the fault did not strike")
	}
	s.want(a, true)
	s.reopen() // the survey sees the log anew, without the body of the original
	if err := s.book.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(a, false)
	if got, _ := s.book.Plan(p.Seq); got.State != PlanAbandoned {
		t.Errorf("state %s", got.State)
	}
}

func TestCrashAtEachStep(t *testing.T) {
	steps := []string{"reseal", "checkpoint", "append certificate", "switch", "destroy", "forget"}
	for _, step := range steps {
		for _, when := range []string{"before ", "after "} {
			for nth := 1; nth <= 2; nth++ {
				t.Run(fmt.Sprintf("%s%s %d", when, step, nth), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { crashAt(t, when+step, nth) })
				})
			}
		}
	}
}

func crashAt(t *testing.T, step string, nth int) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	held, _ := s.send(letter{from: "cleo", to: "bela", body: "two"})
	s.advance(2 * aMonth)
	b, _ := s.send(letter{from: "anna", to: "bela", body: "three"})
	s.place(custodian("cleo"))
	s.advance(4 * aMonth)
	p := s.planned()
	crash, struck := errors.New("power cut"), false
	fault := func(at string) error {
		if at != step {
			return nil
		}
		if nth--; nth == 0 {
			struck = true
			return crash
		}
		return nil
	}
	l.fault = fault
	s.forget = func([]uint64) error {
		if err := fault("before forget"); err != nil {
			return err
		}
		return fault("after forget")
	}
	_, err := s.book.Run(t.Context(), rita, p.Seq, nil)
	if struck != (err != nil) {
		t.Fatalf("struck %v, %v", struck, err)
	}
	l.fault, s.forget = nil, nil
	s.reopen()
	if err := s.book.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := s.disposed(a)
	s.want(b, begun)
	s.want(held, false)
	got, _ := s.book.Plan(p.Seq)
	switch {
	case begun && (got.State != PlanDone || len(got.Certificates) != 2 || len(l.PendingDisposals()) != 0 || !l.gone[a] || !l.gone[b]):
		t.Errorf("begun and not finished: %+v", got)
	case !begun && got.State != PlanApproved:
		t.Errorf("not begun and the plan is %s", got.State)
	}
	if begun {
		_, err := s.book.Run(t.Context(), rita, p.Seq, nil)
		wantErr(t, "a second run", err, ErrPlanUsed)
		return
	}
	s.run(p.Seq)
	s.want(a, true)
	s.want(b, true)
	s.want(held, false)
}

func TestCompleteOnlyWhenNoCopyIsLeft(t *testing.T) {
	synctest.Test(t, testCompleteOnlyWhenNoCopyIsLeft)
}

func testCompleteOnlyWhenNoCopyIsLeft(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	l.keys = []archive.RecipientKey{{KID: "k1", Made: l.Now().Add(-aMonth), NotAfter: l.Now().Add(11 * aMonth)}, {KID: "old", Made: l.Now().Add(-30 * aMonth), NotAfter: l.Now().Add(-18 * aMonth)}}
	if err := s.book.NoteCopy(t.Context(), olga, Copy{ID: "tape-1", What: CopyBackup, Where: "vault", Keyring: 1}); err != nil {
		t.Fatal(err)
	}
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	s.advance(4 * aMonth)
	c := s.run(s.planned().Seq).Certificates[0]
	if c.Complete || len(c.Copies) != 2 || c.Copies[0].ID != "tape-1" || c.Copies[1].ID != "k1" || !c.Copies[1].Until.Equal(l.keys[0].NotAfter.Add(archive.RelayBuffering)) {
		t.Fatalf("certificate %+v", c)
	}
	// A copy made afterwards cannot open it.
	if err := s.book.NoteCopy(t.Context(), olga, Copy{ID: "tape-2", What: CopyBackup, Where: "vault", Keyring: 2}); err != nil {
		t.Fatal(err)
	}
	complete := func() *Certificate {
		t.Helper()
		if err := s.book.Complete(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, ok := s.book.CertificateFor(a, l.recs[a].Leaf)
		if !ok {
			t.Fatal("no certificate")
		}
		return got
	}
	if err := s.book.CopyGone(t.Context(), olga, "tape-1", "shredded"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "gone twice", s.book.CopyGone(t.Context(), olga, "tape-1", "shredded"), ErrCopy)
	wantErr(t, "an id used again", s.book.NoteCopy(t.Context(), olga, Copy{ID: "tape-1", What: CopyBackup, Where: "x"}), ErrCopy)
	if got := complete(); got.Seq != c.Seq || got.Complete {
		t.Errorf("a key is left: %+v", got)
	}
	l.keys = nil
	full := complete()
	if !full.Complete || full.Of != c.Seq || len(full.Copies) != 0 || full.Ranges != c.Ranges {
		t.Errorf("complete: %+v", full)
	}
	if _, err := VerifyCertificate([]byte(full.JWS), l.id); err != nil {
		t.Error(err)
	}
	if first, _ := s.book.Certificate(c.Seq); first.Continued != full.Seq {
		t.Errorf("continued by %d, want %d", first.Continued, full.Seq)
	}
	if again := complete(); again.Seq != full.Seq {
		t.Error("a further certificate without anything new")
	}
	// An old copy comes up: what was said is not true any more.
	if err := s.book.NoteCopy(t.Context(), olga, Copy{ID: "found", What: CopySnapshot, Where: "an old disk"}); err != nil {
		t.Fatal(err)
	}
	if got := complete(); got.Complete || got.Copies[0].ID != "found" {
		t.Errorf("a copy came up: %+v", got)
	}
}

func TestRebuiltTheSame(t *testing.T) { synctest.Test(t, testRebuiltTheSame) }

func testRebuiltTheSame(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	s.place(custodian("cleo"))
	s.advance(4 * aMonth)
	s.run(s.planned().Seq)
	if err := s.book.NoteCopy(t.Context(), olga, Copy{ID: "tape-1", What: CopyBackup, Where: "vault", Keyring: 9}); err != nil {
		t.Fatal(err)
	}
	view := func() string {
		return fmt.Sprintf("%+v %+v %+v %+v %+v", s.book.Plans(), s.book.Certificates(), s.book.Copies(), s.book.Matters(), s.book.Holds()[0].Scopes)
	}
	before := view()
	// Every file of class audit is gone, and so is the state.
	for seq, r := range l.recs {
		if r.Leaf.Class == proof.ClassAudit {
			l.damaged[uint64(seq)] = true
		}
	}
	s.reopen()
	if after := view(); after != before {
		t.Errorf("rebuilt\n%s\nwas\n%s", after, before)
	}
	s.want(a, true)
}

func TestExplain(t *testing.T) { synctest.Test(t, testExplain) }

func testExplain(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(stageSchedule)
	a, digest := s.send(letter{from: "anna", to: "bela", body: "one"})
	r, _ := s.send(letter{typ: envelope.TypReceipt, from: "bela", to: "anna", ref: &digest})
	h := s.place(custodian("bela"))
	explain := func(seq uint64) *Explanation {
		t.Helper()
		x, err := s.book.Explain(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := explain(a)
	if x.State != EntryHeld || len(x.HeldBy) != 1 || x.HeldBy[0].Hold != h || x.Class != "general" || x.Trigger != "received" || x.Period == "" || len(x.Family) != 1 || x.Family[0] != r {
		t.Errorf("held: %+v", x)
	}
	if len(x.Text) != 3 || !strings.Contains(x.Text[0], "released") || x.Due == nil {
		t.Errorf("text %q", x.Text)
	}
	s.release(h)
	s.advance(DefaultGrace + time.Hour)
	if x := explain(a); x.State != EntryKept {
		t.Errorf("kept: %+v", x)
	}
	s.advance(4 * aMonth)
	if x := explain(a); x.State != EntryDue {
		t.Errorf("due: %+v", x)
	}
	p := s.planned()
	if x := explain(a); x.State != EntryPlanned || x.Plans[0] != p.Seq {
		t.Errorf("planned: %+v", x)
	}
	ran := s.run(p.Seq)
	if x := explain(a); x.State != EntryDisposed || x.Certificate != ran.Certificates[0].Seq {
		t.Errorf("disposed: %+v", x)
	}
	if x := explain(h); x.State != EntryKept || !strings.Contains(x.Text[0], "control") {
		t.Errorf("control: %+v", x)
	}
	if _, err := s.book.Explain(t.Context(), 1<<40); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("no such entry: %v", err)
	}
}

func TestGauges(t *testing.T) { synctest.Test(t, testGauges) }

func testGauges(t *testing.T) {
	s, _ := newStage(t)
	s.schedule(stageSchedule)
	s.send(letter{from: "anna", to: "bela", body: "one"})
	reckon := func() Gauges {
		t.Helper()
		if err := s.book.Reckon(context.Background()); err != nil {
			t.Fatal(err)
		}
		return s.book.Gauges()
	}
	sent := s.log.Now()
	if g := reckon(); g.DueMessages != 0 || g.NextCutoff == nil || !g.NextCutoff.Equal(sent.AddDate(0, 2, 0)) {
		t.Errorf("before: %+v", g)
	}
	s.place(custodian("cleo"))
	s.advance(4 * aMonth)
	if g := reckon(); g.DueMessages != 1 || g.DueBytes == 0 || g.HoldsActive != 1 || g.OldestHold == nil || g.PlansWaiting != 0 {
		t.Errorf("due: %+v", g)
	}
	s.plan()
	if g := s.book.Gauges(); g.PlansWaiting != 1 {
		t.Errorf("waiting: %+v", g)
	}
}

// An attachment goes only when everything that refers to it does.
func TestSharedAttachments(t *testing.T) { synctest.Test(t, testSharedAttachments) }

func testSharedAttachments(t *testing.T) {
	s, l := newStage(t)
	l.shared, l.attachment = map[uint64]bool{}, func(rec archive.Record) (string, [32]byte) {
		f, err := s.book.facts(context.Background(), rec)
		if err != nil || len(f.atts) == 0 {
			return "", [32]byte{}
		}
		return f.atts[0].bid, f.atts[0].sum
	}
	s.schedule(stageSchedule)
	both, _ := s.send(letter{from: "anna", to: "bela", body: "x", bid: 1})
	alone, _ := s.send(letter{from: "anna", to: "bela", body: "x", bid: 2})
	s.advance(2 * aMonth)
	held, _ := s.send(letter{from: "cleo", to: "bela", body: "x", bid: 1})
	bad, _ := s.send(letter{from: "anna", to: "bela", body: "x", bid: 2})
	s.place(custodian("cleo"))
	s.advance(4 * aMonth)
	p := s.planned()
	// A survivor turns out to be damaged only when its month is resealed: with it stays what shares an attachment.
	l.damaged[held] = true
	s.run(p.Seq)
	delete(l.damaged, held)
	for seq, gone := range map[uint64]bool{both: true, alone: true, held: false, bad: false} {
		s.want(seq, gone)
	}
	if !l.shared[both] || !l.shared[alone] {
		t.Errorf("shared %v: attachments of what stays would go", l.shared)
	}
}

// When something has to be switched back, so has all that shares attachments
// with it.
func TestAttachmentsAfterTheSwitch(t *testing.T) { synctest.Test(t, testAttachmentsAfterTheSwitch) }

func testAttachmentsAfterTheSwitch(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	with, _ := s.send(letter{from: "dora", to: "bela", body: "x", bid: 1})
	s.advance(2 * aMonth)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "x", bid: 1})
	s.advance(2 * aMonth)
	without, _ := s.send(letter{from: "dora", to: "bela", body: "x"})
	s.advance(4 * aMonth)
	p := s.planned()
	l.fault = func(step string) error {
		if step == "after switch" {
			l.fault = nil
			s.place(custodian("anna"))
		}
		return nil
	}
	r := s.run(p.Seq)
	s.want(with, false)
	s.want(a, false)
	s.want(without, true)
	if len(r.Abandoned) != 2 || r.Gone != 1 {
		t.Errorf("ran %+v", r)
	}
}

// An entry that breaks a rule gives nobody anything and is kept as a fault.
func TestDisposalFaults(t *testing.T) { synctest.Test(t, testDisposalFaults) }

func testDisposalFaults(t *testing.T) {
	s, l := newStage(t)
	s.schedule(stageSchedule)
	a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
	s.advance(4 * aMonth)
	p := s.planned()
	c := s.run(p.Seq).Certificates[0]
	before := fmt.Sprintf("%+v %+v %+v", s.book.Plans(), s.book.Certificates(), s.book.Copies())
	for _, e := range []struct {
		kind proof.Kind
		body string
	}{
		{proof.KindIntent, fmt.Sprintf(`{"v":1,"plan":%d,"lines":[]}`, p.Seq)},
		{proof.KindIntent, `{"v":1,"plan":1,"lines":[]}`},
		{proof.KindAbandoned, `{"v":1,"intent":1,"months":[]}`},
		{proof.KindAbandoned, fmt.Sprintf(`{"v":1,"intent":%d,"months":[{"class":"general","month":"2000-01"}]}`, c.Intent)},
		{proof.KindCertificate, fmt.Sprintf(`{"v":1,"intent":%d,"jws":%q}`, c.Intent, c.JWS)},
		{proof.KindCopy, `{"v":1,"op":"gone","id":"x"}`},
		{proof.KindReclass, fmt.Sprintf(`{"v":1,"plan":%d,"class":"general","seqs":""}`, p.Seq)},
	} {
		n := len(s.book.Faults())
		seq := l.put(archive.Entry{Kind: e.kind, Class: proof.ClassControl, Body: []byte(e.body)})
		if err := s.catchUp(t.Context(), l.Size()); err != nil {
			t.Fatalf("%s: %v", e.kind, err)
		}
		if f := s.book.Faults(); len(f) != n+1 || f[n].Seq != seq || f[n].Kind != e.kind || f[n].Code == "" {
			t.Errorf("%s %s: faults %+v", e.kind, e.body, f)
		}
	}
	if after := fmt.Sprintf("%+v %+v %+v", s.book.Plans(), s.book.Certificates(), s.book.Copies()); after != before {
		t.Errorf("it changed\n%s\nto\n%s", before, after)
	}
	s.want(a, true)
	for _, kind := range []proof.Kind{proof.KindPlan, proof.KindIntent, proof.KindAbandoned, proof.KindCertificate, proof.KindCopy, proof.KindReclass} {
		for _, body := range []string{``, `{}`, `{"v":2}`, `[]`, `{"v":1,"plan":{"kind":"nonesuch"},"op":"x","jws":"x","seqs":"!","lines":[{"ranges":"!"}],"intent":"x"}`} {
			rec := archive.Record{Leaf: proof.Leaf{Seq: l.Size(), Kind: kind}, Body: []byte(body)}
			if err := s.book.Apply(rec); err == nil {
				t.Errorf("%s %q was taken in", kind, body)
			}
		}
	}
}
