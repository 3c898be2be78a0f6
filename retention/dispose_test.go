package retention

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
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
	last, _ := s.send(letter{from: "anna", to: "bela", body: "three"}) // what was not planned lies in between
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
	s.want(last, true)
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

// An attachment goes only when everything that refers to it does.
// When something has to be switched back, so has all that shares attachments
// with it.
// An entry that breaks a rule gives nobody anything and is kept as a fault.
// What a period began with may have gone in the same run: a start that finishes
// the run needs it no more.
