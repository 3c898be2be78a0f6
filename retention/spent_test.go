package retention

import (
	"strings"
	"testing"
	"testing/synctest"
)

// A plan is run once, also when nothing of it could go: nobody waits with an
// approval for a hold to end.
func TestAnApprovalIsUsedUpByARunThatDestroysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newStage(t)
		s.schedule(stageSchedule)
		a, _ := s.send(letter{from: "anna", to: "bela", body: "one"})
		s.advance(4 * aMonth)
		p, again := s.planned(), s.planned()
		h := s.place(custodian("anna"))
		ran, err := s.book.Run(t.Context(), rita, p.Seq, nil)
		wantErr(t, "run", err, ErrNothing)
		if ran == nil || ran.Gone != 0 || ran.Intent != 0 || len(ran.TakenOut) != 1 || ran.TakenOut[0].Hold != h {
			t.Errorf("ran %+v", ran)
		}
		if got, _ := s.book.Plan(p.Seq); got.State != PlanEmpty {
			t.Errorf("the plan is %s", got.State)
		}
		s.release(h)
		if e, err := s.book.Explain(t.Context(), a); err != nil || !strings.Contains(e.Text[0], "has to take effect on 2000-06-") {
			t.Errorf("in the grace period: %+v, %v", e, err)
		}
		s.advance(2 * DefaultGrace)
		_, err = s.book.Run(t.Context(), rita, p.Seq, nil)
		wantErr(t, "run again", err, ErrPlanUsed)
		s.want(a, false)
		if got, _ := s.book.Plan(again.Seq); got.State == PlanEmpty {
			t.Errorf("another plan is %s", got.State)
		}
		s.reopen()
		if got, _ := s.book.Plan(p.Seq); got.State != PlanEmpty {
			t.Errorf("after a start the plan is %s", got.State)
		}
	})
}
