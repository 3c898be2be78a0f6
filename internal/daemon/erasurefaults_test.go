//go:build faults

package daemon

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"holdfast/archive"
	"holdfast/retention"
)

// The same as TestErasure with some hundred canaries. What it prints is the
// proof.
func TestFaultErasure(t *testing.T) {
	r := newErasureRun(t, 4, 40)
	p := r.prove(r.before, r.dir, r.gone, r.kept)
	fmt.Println(p)
	if !p.ok() || p.sought < 400 {
		t.Fatalf("%+v", p)
	}
}

// A disposition that was interrupted at any of its steps is finished after the
// next start, by itself or by another run, and has left nothing either.
func TestFaultErasureInterrupted(t *testing.T) {
	for _, step := range []string{retention.StepJudge, retention.StepReseal, retention.StepSwitch, retention.StepRecheck, retention.StepDestroy, retention.StepCertify} {
		t.Run(step, func(t *testing.T) {
			w := newErasureWard(t, 16)
			w.past(2, 12)
			r := w.around(w.stays(), func(s *serving) {
				plan := s.interrupted(step)
				s.stop()
				*s = *w.serve()
				if _, err := s.book.Run(t.Context(), planner, plan, nil); err != nil && !errors.Is(err, retention.ErrPlanUsed) {
					t.Fatal(err)
				}
			})
			p := r.prove(r.before, r.dir, r.gone, r.kept)
			fmt.Printf("interrupted at %s: %v\n", step, p)
			if !p.ok() {
				t.Fatalf("%+v", p)
			}
		})
	}
}

// interrupted begins to dispose of everything that is due and has the rug
// pulled when it comes to a step.
func (s *serving) interrupted(step string) (plan uint64) {
	s.w.t.Helper()
	p, err := s.book.PlanDisposition(s.w.t.Context(), planner, retention.PlanOptions{Reason: "due"})
	s.w.must(err)
	s.w.must(s.requests.Decide(s.w.t.Context(), s.archive, approver, p.Request, true, "as it should be"))
	ctx, cut := context.WithCancel(s.w.t.Context())
	defer cut()
	met := false
	_, err = s.book.Run(ctx, planner, p.Seq, func(at string, _, _ uint64) {
		if at == step {
			met = true
			cut()
		}
	})
	if !met || err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, archive.ErrClosed) {
		s.w.t.Fatalf("the run was not interrupted at %s: %v", step, err)
	}
	return p.Seq
}
