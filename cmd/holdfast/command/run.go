package command

import (
	"context"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newDispositionRun(g *globals) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "run PLAN --yes",
		Short: "Run an approved plan, once: what it names is destroyed for good",
		Long: `Run an approved plan: what it names and nothing holds is destroyed for good and certified. Without --yes the
plan is shown, nothing is done, and the exit code is 64. What was placed under hold since, or is no
longer due, is left out. The daemon goes on with it even when this command is interrupted.`,
		Example: "  holdfast disposition run 500\n  holdfast disposition run 500 --yes",
		Args:    exactly(1, onePlan),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDispositionRun(cmd.Context(), g, args[0], yes)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it: this cannot be undone")
	return cmd
}

func runDispositionRun(ctx context.Context, g *globals, arg string, yes bool) error {
	seq, err := parseNumber(arg, "a plan")
	if err != nil {
		return err
	}
	if !yes {
		p, err := ask(ctx, g, func(c *api.Client) (*api.Plan, error) { return c.Plan(ctx, seq) })
		if err != nil {
			return err
		}
		if err := g.planAnswer(p); err != nil {
			return err
		}
		return unconfirmed("holdfast disposition run " + number(seq) + " --yes")
	}
	b := g.startBar("running", 0, progress.UnitsDefault)
	ran, err := ask(ctx, g, func(c *api.Client) (*api.Ran, error) {
		return c.RunDisposition(ctx, api.RunRequest{Plan: seq}, func(p api.Progress) {
			b.step(p.Step)
			b.set(p.Done, p.Total)
		})
	})
	b.stop(err == nil)
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(ran)
	}
	return g.writeRan(ran)
}

// unconfirmed ends a command that showed what it would do for good.
func unconfirmed(again string) error {
	return &api.Problem{Title: "nothing was done: it cannot be undone, and you did not say --yes", Code: api.CodeBadRequest, Exit: api.ExitUsage,
		Hint: "when that is what you want: " + again}
}

func (g *globals) writeRan(r *api.Ran) error {
	certificates := make([]uint64, 0, len(r.Certificates))
	for i := range r.Certificates {
		certificates = append(certificates, r.Certificates[i].Seq)
	}
	did := "destroyed"
	if r.Kind == planReclass {
		did = "reclassified"
	}
	fields := []field{{"plan", number(r.Plan)}, {did, number(r.Gone) + " entries"}, {"by entry", optional(r.Intent)}, {"certificates", numbers(certificates)}}
	if err := g.writeFields(fields); err != nil {
		return err
	}
	var rows [][]string
	for _, t := range r.TakenOut {
		rows = append(rows, []string{t.Class, t.Month, number(t.Entries), keeper(t.Hold, t.Matter, t.Why)})
	}
	for _, l := range r.Abandoned {
		rows = append(rows, []string{l.Class, l.Month, number(l.Entries), "abandoned: " + heldBack(l.HeldBack)})
	}
	if len(rows) > 0 {
		if err := g.writeTable([]string{"CLASS", "MONTH", "LEFT OUT", "BECAUSE OF"}, rows); err != nil {
			return err
		}
	}
	if len(certificates) > 0 {
		return g.next("what was destroyed, and which copies could still open it: holdfast certificate show " + number(certificates[0]))
	}
	if r.Gone == 0 {
		return g.next("nothing was done, and the approval is used up; what is due later takes another plan: holdfast disposition plan --reason TEXT")
	}
	return nil
}
