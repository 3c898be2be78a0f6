package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newSchedule(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "The retention schedule: which class an entry gets, and how long a class is kept",
		Long: `The retention schedule is one file. Its rules give every message exactly one record class when it is
appended; each class has a period and what the period counts from. Holds always win over it.`,
		Example: `  holdfast schedule show
  holdfast schedule default > schedule.toml
  holdfast schedule check schedule.toml
  holdfast schedule apply schedule.toml --dry-run
  holdfast schedule apply schedule.toml --reason 'retention policy of 1 March 2026'`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newScheduleShow(g), newScheduleApply(g), newScheduleDefault(g), newScheduleCheck(g))
	return cmd
}

func newScheduleShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print the schedule in force, as it was applied",
		Long: `Print the schedule in force: the file as it was applied, which schedule apply takes. In JSON it comes with the
number of its entry and the groups that it names.`,
		Example: "  holdfast schedule show\n  holdfast schedule show > schedule.toml\n  holdfast schedule show --json | jq .groups",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runScheduleShow(cmd.Context(), g) },
	}
}

func runScheduleShow(ctx context.Context, g *globals) error {
	s, err := ask(ctx, g, func(c *api.Client) (*api.ScheduleResponse, error) { return c.Schedule(ctx) })
	switch {
	case err != nil:
		return err
	case g.format == formatJSON:
		return g.writeJSON(s)
	case s.Seq == 0:
		return g.next("no schedule was applied yet: everything is in class general, and nothing is ever due",
			"begin with: holdfast schedule default > schedule.toml, make it your own, then: holdfast schedule apply schedule.toml --dry-run")
	}
	return errors.Join(g.writeFile(s.Text), g.say("in force since entry %d", s.Seq))
}

// writeFile writes a file's text: byte for byte, unless it goes to a terminal,
// which nothing in it may steer.
func (t *Terminal) writeFile(s string) error {
	if t.Width > 0 {
		var b strings.Builder
		for line := range strings.Lines(s) {
			b.WriteString(visible(strings.TrimRight(line, "\r\n")) + "\n")
		}
		s = b.String()
	}
	_, err := io.WriteString(t.Out, s)
	return err
}

type scheduleApplyOptions struct {
	reason  string
	request uint64
	dry     bool
}

func newScheduleApply(g *globals) *cobra.Command {
	o := &scheduleApplyOptions{}
	cmd := &cobra.Command{
		Use:   "apply FILE --reason TEXT | FILE --dry-run | FILE --request SEQ",
		Short: "Have another schedule count from now on",
		Long: `Apply a schedule, from FILE or stdin (-), and show what it changes. What only keeps longer counts at once. If
anything would go sooner, nothing is changed: another person has to approve it (exit code 75), and
then it is applied, with --request and the same file. --dry-run shows what would change, and asks
for nothing.`,
		Example: `  holdfast schedule apply schedule.toml --dry-run
  holdfast schedule apply schedule.toml --reason 'retention policy of 1 March 2026'
  holdfast schedule apply schedule.toml --request 412`,
		Args: exactly(1, "name one schedule file, or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error { return runScheduleApply(cmd.Context(), g, o, args[0]) },
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, kept in the log: `TEXT`")
	cmd.Flags().BoolVar(&o.dry, "dry-run", false, "only show what would change")
	addCount(cmd, &o.request, "request", "apply it as was approved in this request `SEQ`")
	return cmd
}

func runScheduleApply(ctx context.Context, g *globals, o *scheduleApplyOptions, file string) error {
	if o.request > 0 && (o.dry || o.reason != "") {
		return usage("--request applies exactly what was approved: leave --reason and --dry-run away")
	}
	text, err := g.readInput(ctx, file, "the schedule", api.MaxSchedule)
	if err != nil {
		return err
	}
	done, err := ask(ctx, g, func(c *api.Client) (*api.ScheduleApplied, error) {
		if o.request > 0 {
			return c.ApplyApproved(ctx, api.ApplyApprovedRequest{Text: text, Request: o.request})
		}
		return c.ApplySchedule(ctx, api.ApplyScheduleRequest{Text: text, Reason: o.reason, Dry: o.dry})
	})
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		err = g.writeJSON(done)
	} else {
		err = errors.Join(g.writeApplied(done), g.next(appliedNext(done, o.dry, file)...))
	}
	if err == nil && done.Request > 0 {
		err = &verdictError{api.ExitTemporary}
	}
	return err
}

// writeApplied writes what a schedule changes.
func (g *globals) writeApplied(a *api.ScheduleApplied) error {
	rows := make([][]string, 0, len(a.Changes))
	for _, ch := range a.Changes {
		effect := "keeps"
		if ch.Narrows {
			effect = "NARROWS"
		}
		rows = append(rows, []string{ch.What, ch.Name, effect, ch.Text})
	}
	if len(rows) > 0 {
		if err := g.writeTable([]string{"WHAT", "NAME", "EFFECT", "CHANGE"}, rows); err != nil {
			return err
		}
	}
	fields := make([]field, 0, len(a.Groups))
	for _, name := range slices.Sorted(maps.Keys(a.Groups)) {
		fields = append(fields, field{"group", name + " (" + a.Groups[name] + ")"})
	}
	return g.writeFields(fields)
}

// appliedNext says what came of a schedule, and what is to be done next.
func appliedNext(a *api.ScheduleApplied, dry bool, file string) []string {
	switch {
	case a.Request > 0:
		return []string{
			"NOT APPLIED: something would go sooner, which takes two people; another person approves with: " + approve(a.Request),
			fmt.Sprintf("then, with exactly this file: holdfast schedule apply %s --request %d", shellWord(file), a.Request),
		}
	case a.Seq > 0:
		return []string{"in force since entry " + number(a.Seq)}
	case len(a.Changes) == 0:
		return []string{"it changes nothing: nothing was logged or asked for"}
	case dry && a.Narrows:
		return []string{"a dry run: nothing was changed; something would go sooner, so that another person will have to approve it"}
	case dry:
		return []string{"a dry run: nothing was changed; it would be in force at once"}
	}
	return nil
}
