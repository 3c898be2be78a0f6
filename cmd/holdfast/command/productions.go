package command

import (
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newProductions(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "productions",
		Short: "What was produced: for whom, why, and under which Bates numbers",
		Long: `Every export is on record as a production: who got it, what for, what was in it, and which Bates numbers it
used up. One that is unfinished or failed was never made: nobody has it whole, and its numbers are
never used again.`,
		Example: `  holdfast productions list --matter M-7
  holdfast productions show 5120`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newProductionsList(g), newProductionsShow(g))
	return cmd
}

func newProductionsList(g *globals) *cobra.Command {
	var req api.ProductionsRequest
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the productions that you may see, newest first",
		Example: "  holdfast productions list\n  holdfast productions list --matter M-7 --json | jq '.productions[] | select(.state == \"made\")'",
		Args:    nameless,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			list, err := ask(ctx, g, func(c *api.Client) (*api.ProductionsResponse, error) { return c.Productions(ctx, req) })
			if err != nil {
				return err
			}
			return g.writeProductions(list)
		},
	}
	cmd.Flags().StringVar(&req.Matter, "matter", "", "only those of this matter: `ID`")
	return cmd
}

func (g *globals) writeProductions(list *api.ProductionsResponse) error {
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Productions) == 0 {
		return g.say("nothing was produced, as far as you may see")
	}
	rows := make([][]string, 0, len(list.Productions))
	for i := range list.Productions {
		p := &list.Productions[i]
		entries := ""
		if p.Made != nil {
			entries = number(p.Made.Produced)
		}
		rows = append(rows, []string{number(p.Seq), p.Matter, standingOf(p), stamp(p.Began), p.Format, entries, bates(p), p.Purpose, p.Recipient.Name})
	}
	return g.writeTable([]string{"PRODUCTION", "MATTER", "STATE", "BEGAN (UTC)", "FORMAT", "ENTRIES", "BATES", "PURPOSE", "RECIPIENT"}, rows)
}

// standingOf is a production's state in a few words.
func standingOf(p *api.MadeProduction) string {
	switch {
	case len(p.ClawedBack) > 0:
		return p.State + ", clawed back"
	case p.Code != "":
		return p.State + ": " + p.Code
	}
	return p.State
}

// bates are the numbers of a production that was made, and those that another
// used up.
func bates(p *api.MadeProduction) string {
	switch {
	case p.Bates != "":
		return p.Bates
	case p.Reserved != "":
		return p.Reserved + " (burned)"
	}
	return ""
}

func newProductionsShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show PRODUCTION",
		Short:   "Show a production: its recipient, purpose, numbers and what became of it",
		Example: "  holdfast productions show 5120\n  holdfast productions show 5120 --json | jq .made.manifest",
		Args:    exactly(1, "name one production by its number, as `holdfast productions list` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			seq, err := parseNumber(args[0], "a production")
			if err != nil {
				return err
			}
			p, err := ask(ctx, g, func(c *api.Client) (*api.MadeProduction, error) { return c.Production(ctx, seq) })
			if err != nil {
				return err
			}
			if g.format == formatJSON {
				return g.writeJSON(p)
			}
			return g.writeFields(productionFields(p))
		},
	}
}

func productionFields(p *api.MadeProduction) []field {
	fields := []field{
		{"production", number(p.Seq) + " (" + standingOf(p) + ")"},
		{"matter", p.Matter},
		{"began", stamp(p.Began) + " UTC"},
		{"ended", sinceStamp(p.Ended, "")},
		{"by", p.By.String()},
		{"recipient", p.Recipient.Name},
		{"address", p.Recipient.Address},
		{"purpose", p.Purpose},
		{"statement", p.About},
		{"description", p.Description},
		{"query", p.Query},
		{"format", p.Format},
		{"as of", number(p.At) + " entries"},
		{"tags included", strings.Join(p.Include, ", ")},
		{"by authority", p.Authority},
		{"Bates numbers", bates(p)},
	}
	if m := p.Made; m != nil {
		fields = append(fields,
			field{"entries", number(m.Produced) + " produced, " + number(m.Withheld) + " withheld, " + number(m.Redacted) + " redacted, of " + number(m.Matched) + " that matched"},
			field{"files", number(m.Files) + ", " + number(m.Bytes) + " bytes"},
			field{"patients", number(m.Patients) + " medical record numbers"},
			field{"manifest", m.Manifest},
		)
	}
	for _, c := range p.ClawedBack {
		fields = append(fields, field{"clawed back", c.Bates + " on " + stamp(c.At) + " UTC: holdfast clawback show " + number(c.Clawback)})
	}
	return fields
}
