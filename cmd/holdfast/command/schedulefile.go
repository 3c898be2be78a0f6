package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
	"holdfast/retention/schedule"
)

func newScheduleDefault(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "default",
		Short: "Print a schedule for hospitals in the United States, to begin with",
		Long: `Print the schedule that comes with Holdfast, for hospitals in the United States, with its sources in comments.
No federal rule sets the periods of medical records: those are your state's, and yours to fill in.`,
		Example: "  holdfast schedule default > schedule.toml",
		Args:    nameless,
		RunE: func(*cobra.Command, []string) error {
			text := string(schedule.Default())
			if g.format == formatJSON {
				return g.writeJSON(map[string]string{"text": text})
			}
			return g.writeFile(text)
		},
	}
}

func newScheduleCheck(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a schedule file, without the archive",
		Long: `Check a schedule file here, with no daemon, and say what is wrong with it, line by line, or which class is kept
for how long. Whether its groups exist, and what it changes, says schedule apply --dry-run.`,
		Example: "  holdfast schedule check schedule.toml",
		Args:    exactly(1, "name one schedule file, or - for stdin"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runScheduleCheck(cmd.Context(), g, args[0]) },
	}
}

// scheduleFault is one fault of a schedule file, for scripts.
type scheduleFault struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

func runScheduleCheck(ctx context.Context, g *globals, file string) error {
	text, err := g.readInput(ctx, file, "the schedule", schedule.Max)
	if err != nil {
		return err
	}
	s, err := schedule.Parse([]byte(text))
	var faults schedule.Faults
	if err != nil && !errors.As(err, &faults) {
		return err
	}
	switch {
	case g.format == formatJSON:
		list := make([]scheduleFault, 0, len(faults))
		for _, f := range faults {
			list = append(list, scheduleFault{f.Line, f.Text})
		}
		err = g.writeJSON(map[string]any{"ok": len(faults) == 0, "faults": list})
	case len(faults) > 0:
		rows := make([][]string, 0, len(faults))
		for _, f := range faults {
			rows = append(rows, []string{fmt.Sprint(f.Line), f.Text})
		}
		err = errors.Join(g.writeTable([]string{"LINE", "FAULT"}, rows), g.next("put that right; retention/SCHEDULE.md says what each key means"))
	default:
		err = errors.Join(g.writeClasses(s), g.next("it is a schedule; what it would change here says: holdfast schedule apply "+shellWord(file)+" --dry-run"))
	}
	if err == nil && len(faults) > 0 {
		err = &verdictError{api.ExitUsage}
	}
	return err
}

// writeClasses writes a schedule's classes and rules.
func (g *globals) writeClasses(s *schedule.Schedule) error {
	rows := make([][]string, 0, len(s.Classes))
	for _, c := range s.Classes {
		var rules []string
		for _, r := range s.Rules {
			if r.Class == c.Name {
				rules = append(rules, r.Name)
			}
		}
		if s.Otherwise == c.Name {
			rules = append(rules, "(whatever no rule takes)")
		}
		trigger := string(c.Trigger)
		if c.Trigger == schedule.Majority {
			trigger += fmt.Sprintf(" (%d)", c.Adult)
		}
		rows = append(rows, []string{c.Name, c.Period.String(), trigger, strings.Join(rules, ", "), c.Text})
	}
	return g.writeTable([]string{"CLASS", "KEPT", "FROM", "BY RULES", "WHAT"}, rows)
}
