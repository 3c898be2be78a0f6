package command

import (
	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newDispose(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "dispose",
		Short:   "Erase single entries, as a court ordered",
		Long:    "What is due is destroyed by holdfast disposition. This is for single entries that must go although they are not due.",
		Example: "  holdfast dispose erase 4711 --reason 'order 26-118 of 4 June'",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDisposeErase(g))
	return cmd
}

func newDisposeErase(g *globals) *cobra.Command {
	var req api.EraseRequest
	cmd := &cobra.Command{
		Use:   "erase SEQ... --reason TEXT",
		Short: "Plan the erasure of single entries, due or not, as a court ordered",
		Long: `Plan the erasure of single entries, by their numbers in the log, whether they are due or not. What is held is
never erased: the answer names the entry, and holdfast hold explain what holds it. As with every plan,
another person approves exactly this one, and then it is run: nothing is erased by this command.`,
		Example: "  holdfast dispose erase 4711 --reason 'order 26-118 of 4 June'\n  holdfast dispose erase 4711 4712 --reason 'order 26-118 of 4 June' --json | jq .seq",
		Args:    some,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if req.Seqs, err = parseNumbers(args); err != nil {
				return err
			}
			ctx := cmd.Context()
			return g.planWith(ctx, func(c *api.Client, p func(api.Progress)) (*api.Plan, error) { return c.PlanErasure(ctx, req, p) })
		},
	}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "by which order, kept in the log: `TEXT`")
	return cmd
}

func newReclassify(g *globals) *cobra.Command {
	var req api.ReclassifyRequest
	cmd := &cobra.Command{
		Use:   "reclassify SEQ... --class CLASS --reason TEXT",
		Short: "Plan another record class for single entries",
		Long: `Plan another record class for single entries, by their numbers in the log: from then on they are kept as that
class says. As with every plan, another person approves exactly this one, and then it is run. It
destroys nothing by itself; what is due in its new class goes with the next disposition.`,
		Example: "  holdfast reclassify 4711 --class clinical --reason 'part of the record of patient 88, memo of 1 March'",
		Args:    some,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if req.Class == "" {
				return usage("name with --class the class that they get; `holdfast schedule show` lists the classes")
			}
			if req.Seqs, err = parseNumbers(args); err != nil {
				return err
			}
			ctx := cmd.Context()
			return g.planWith(ctx, func(c *api.Client, p func(api.Progress)) (*api.Plan, error) { return c.PlanReclass(ctx, req, p) })
		},
	}
	cmd.Flags().StringVar(&req.Class, "class", "", "the `CLASS` that they get")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, kept in the log: `TEXT`")
	return cmd
}
