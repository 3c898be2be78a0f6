package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newHoldExplain(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "explain SEQ",
		Short: "Say why an entry is kept, until when, and what would have to happen for it to go",
		Long: `Say of one entry, by its number in the log, why it is kept: its class and the rule that gave it, until when
the schedule keeps it, which holds hold it and why, and what would have to happen for it to go. Of an
entry that is gone: the certificate of its destruction.`,
		Example: "  holdfast hold explain 4711\n  holdfast hold explain 4711 --json | jq .held_by",
		Args:    exactly(1, "name one entry by its number in the log, as `holdfast search` prints it"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runHoldExplain(cmd.Context(), g, args[0]) },
	}
}

func runHoldExplain(ctx context.Context, g *globals, arg string) error {
	seq, err := parseNumber(arg, "an entry")
	if err != nil {
		return err
	}
	e, err := ask(ctx, g, func(c *api.Client) (*api.Explanation, error) { return c.Explain(ctx, seq) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(e)
	}
	return g.writeExplanation(e)
}

// states says in words how an entry stands.
var states = map[string]string{
	"held":     "HELD: it stays, whatever the schedule says",
	"kept":     "kept: nothing holds it, and it is not due",
	"due":      "due: nothing holds it, and the next disposition plan names it",
	"planned":  "planned: a disposition plan names it",
	"disposed": "DISPOSED OF: its content is gone",
}

func (g *globals) writeExplanation(e *api.Explanation) error {
	state := states[e.State]
	if state == "" {
		state = e.State
	}
	kept := e.Period
	if e.Trigger != "" && kept != "" {
		kept += " from: " + e.Trigger
	}
	fields := []field{
		{"entry", number(e.Seq)},
		{"state", state},
		{"class", e.Class},
		{"by rule", e.Rule},
		{"kept for", kept},
		{"due", sinceStamp(e.Due, "not known yet, or never")},
	}
	if e.State == "disposed" {
		fields = append(fields[:len(fields)-1], field{"certificate", optional(e.Certificate)})
	}
	if e.Schedule > 0 {
		fields = append(fields, field{"schedule", "of entry " + number(e.Schedule)})
	}
	if len(e.Family) > 0 {
		fields = append(fields, field{"with it", "entries " + numbers(e.Family) + " are kept, or go, together with it"})
	}
	if len(e.Plans) > 0 {
		fields = append(fields, field{"plans", numbers(e.Plans)})
	}
	err := g.writeFields(fields)
	if len(e.HeldBy) > 0 {
		rows := make([][]string, 0, len(e.HeldBy))
		for _, h := range e.HeldBy {
			rows = append(rows, []string{optional(h.Hold), h.Matter, h.Why})
		}
		err = errors.Join(err, g.writeTable([]string{"HOLD", "MATTER", "WHY"}, rows))
	}
	if len(e.Text) > 0 {
		if e.State != "disposed" {
			_, failed := fmt.Fprintln(g.Out, "for it to go:")
			err = errors.Join(err, failed)
		}
		err = errors.Join(err, g.writeText(strings.Join(e.Text, "\n")))
	}
	if e.Certificate > 0 {
		err = errors.Join(err, g.next("its certificate: holdfast certificate show "+number(e.Certificate)))
	}
	return err
}
