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
	l.once("after switch", func() { s.place(custodian("anna")) })
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
	l.once("after switch", func() { s.place(custodian("anna")) })
	r := s.run(p.Seq)
	s.want(with, false)
	s.want(a, false)
	s.want(without, true)
	if len(r.Abandoned) != 2 || r.Gone != 1 {
		t.Errorf("ran %+v", r)
	}
}

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

func TestResumeWithoutTheTrigger(t *testing.T) { synctest.Test(t, testResumeWithoutTheTrigger) }

func testResumeWithoutTheTrigger(t *testing.T) {
	s, l := newStage(t)
	s.schedule(strings.Replace(minorsSchedule, `trigger = "majority"`, `trigger = "closed"`, 1))
	talk, _ := s.send(letter{from: "anna", to: "bela", conv: "c1", body: "x", class: "pediatric"})
	end, _ := s.send(letter{typ: envelope.TypClose, from: "anna", conv: "c1", class: "pediatric"})
	s.advance(5 * 366 * 24 * time.Hour)
	p := s.planned()
	l.fault = func(step string) error {
		if step == "after switch" {
			return errors.New("power cut")
		}
		return nil
	}
	if _, err := s.book.Run(t.Context(), rita, p.Seq, nil); err == nil {
		t.Fatal("the fault did not strike")
	}
	l.fault = nil
	s.reopen()
	if err := s.book.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(talk, true)
	s.want(end, true)
	if got, _ := s.book.Plan(p.Seq); got.State != PlanDone {
		t.Errorf("state %s", got.State)
	}
}
