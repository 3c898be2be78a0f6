package command

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

type clawbackOptions struct{ matter, bates, reason string }

func newClawback(g *globals) *cobra.Command {
	o := &clawbackOptions{}
	cmd := &cobra.Command{
		Use:   "clawback --matter ID --bates A..B --reason TEXT",
		Short: "Ask back what was produced by mistake, by its Bates numbers",
		Long: `Ask back what a matter produced under a range of Bates numbers (FRE 502, FRCP 26(b)(5)(B)). It is recorded,
every message under those numbers is tagged privileged at once, so that no later production has it,
and a notice for each recipient is printed. Sending the notices is for you: they name the numbers,
and nothing of the matter, of what the documents say, or of your reason.`,
		Example: `  holdfast clawback --matter M-7 --bates SMITH-0000017..SMITH-0000019 --reason 'memo of counsel, found 4 June'
  holdfast clawback --matter M-7 --bates SMITH-0000017 --reason 'memo of counsel' --json | jq -r '.notices[].text'
  holdfast clawback show 5207
  holdfast clawback list --matter M-7`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return runClawback(cmd.Context(), g, o) },
	}
	cmd.Flags().StringVar(&o.matter, "matter", "", "the matter that produced it: `ID`")
	cmd.Flags().StringVar(&o.bates, "bates", "", "the `NUMBERS`, as they are printed: A, or A..B")
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, kept in the log: `TEXT`")
	cmd.AddCommand(newClawbackShow(g), newClawbackList(g))
	return cmd
}

func runClawback(ctx context.Context, g *globals, o *clawbackOptions) error {
	if o.matter == "" || o.bates == "" {
		return usage("name with --matter and --bates what is asked back; `holdfast productions list` shows the numbers of each production")
	}
	req := api.ClawbackRequest{Matter: o.matter, Reason: o.reason}
	var isRange bool
	if req.From, req.To, isRange = strings.Cut(o.bates, ".."); !isRange {
		req.To = req.From
	}
	return g.clawback(ctx, func(c *api.Client) (*api.Clawback, error) { return c.MakeClawback(ctx, req) },
		"the messages are withheld from now on; send each recipient its notice, and keep what they answer")
}

// clawback asks for a clawback, writes it with its notices, and says what comes
// next.
func (g *globals) clawback(ctx context.Context, get func(c *api.Client) (*api.Clawback, error), next ...string) error {
	made, err := ask(ctx, g, get)
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(made)
	}
	err = g.writeFields([]field{
		{"clawback", number(made.Seq)},
		{"matter", made.Matter},
		{"Bates numbers", made.Bates},
		{"entries", number(made.Entries) + ", tagged privileged"},
		{"made", stamp(made.At) + " UTC"},
		{"by", made.By.String()},
		{"reason", made.Reason},
	})
	for i := range made.Notices {
		n := &made.Notices[i]
		err = errors.Join(err, g.writeFields([]field{
			{"notice to", n.Recipient.Name}, {"production", number(n.Production)}, {"numbers", n.Bates},
		}), g.writeText(n.Text))
	}
	return errors.Join(err, g.next(next...))
}

func newClawbackShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show CLAWBACK",
		Short:   "Show a clawback with its notices",
		Example: "  holdfast clawback show 5207\n  holdfast clawback show 5207 --json | jq -r '.notices[].text'",
		Args:    exactly(1, "name one clawback by its number, as `holdfast clawback list` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			seq, err := parseNumber(args[0], "a clawback")
			if err != nil {
				return err
			}
			return g.clawback(ctx, func(c *api.Client) (*api.Clawback, error) { return c.Clawback(ctx, seq) })
		},
	}
}

func newClawbackList(g *globals) *cobra.Command {
	var matter string
	cmd := &cobra.Command{
		Use:     "list --matter ID",
		Short:   "List what a matter asked back, newest first",
		Example: "  holdfast clawback list --matter M-7\n  holdfast clawback list --matter M-7 --json | jq .clawbacks",
		Args:    nameless,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if matter == "" {
				return usage("name the matter with --matter")
			}
			list, err := ask(ctx, g, func(c *api.Client) (*api.ClawbacksResponse, error) { return c.Clawbacks(ctx, matter) })
			if err != nil {
				return err
			}
			if g.format == formatJSON {
				return g.writeJSON(list)
			}
			if len(list.Clawbacks) == 0 {
				return g.say("the matter asked nothing back")
			}
			rows := make([][]string, 0, len(list.Clawbacks))
			for i := range list.Clawbacks {
				c := &list.Clawbacks[i]
				rows = append(rows, []string{number(c.Seq), c.Bates, number(c.Entries), stamp(c.At), c.By.String(), c.Reason})
			}
			return g.writeTable([]string{"CLAWBACK", "BATES", "ENTRIES", "MADE (UTC)", "BY", "REASON"}, rows)
		},
	}
	cmd.Flags().StringVar(&matter, "matter", "", "the matter: `ID`")
	return cmd
}
