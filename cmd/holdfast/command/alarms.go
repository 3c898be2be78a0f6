package command

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newAlarms(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "alarms",
		Short:   "List, show and acknowledge alarms",
		Example: "  holdfast alarms list\n  holdfast alarms show 4711\n  holdfast alarms ack 4711 --reason 'vendor fixed it, ticket 88'",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAlarmsList(g), newAlarmsShow(g), newAlarmsAck(g))
	return cmd
}

func newAlarmsList(g *globals) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the open alarms, newest first",
		Example: "  holdfast alarms list\n  holdfast alarms list --all --format json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAlarmsList(cmd.Context(), g, all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "the acknowledged ones as well")
	return cmd
}

func runAlarmsList(ctx context.Context, g *globals, all bool) error {
	list, err := ask(ctx, g, func(c *api.Client) (*api.AlarmsResponse, error) { return c.Alarms(ctx, api.AlarmsRequest{All: all}) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Alarms) == 0 {
		return g.say("no open alarm")
	}
	rows := make([][]string, 0, len(list.Alarms))
	for _, a := range list.Alarms {
		state := "open"
		if a.Ack != nil {
			state = "acknowledged"
		}
		rows = append(rows, []string{number(a.Seq), stamp(a.Raised), a.Severity, state, a.Name, a.Text})
	}
	return g.writeTable([]string{"SEQ", "RAISED (UTC)", "SEVERITY", "STATE", "NAME", "TEXT"}, rows)
}

func newAlarmsShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show SEQ",
		Short:   "Show one alarm with its fix",
		Example: "  holdfast alarms show 4711",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			seq, err := parseSeq(args[0])
			if err != nil {
				return err
			}
			return g.alarm(cmd.Context(), func(c *api.Client) (*api.Alarm, error) { return c.Alarm(cmd.Context(), seq) })
		},
	}
}

func newAlarmsAck(g *globals) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "ack SEQ --reason TEXT",
		Short:   "Acknowledge an alarm, so that it is not repeated",
		Example: "  holdfast alarms ack 4711 --reason 'vendor fixed it, ticket 88'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			seq, err := parseSeq(args[0])
			if err != nil {
				return err
			}
			return g.alarm(cmd.Context(), func(c *api.Client) (*api.Alarm, error) {
				return c.AckAlarm(cmd.Context(), api.AckRequest{Seq: seq, Reason: reason})
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "what was done about it, kept in the log: `TEXT`")
	return cmd
}

// alarm asks for an alarm and writes it.
func (g *globals) alarm(ctx context.Context, get func(c *api.Client) (*api.Alarm, error)) error {
	a, err := ask(ctx, g, get)
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(a)
	}
	fields := []field{
		{"alarm", number(a.Seq) + " " + a.Name},
		{"severity", a.Severity},
		{"raised", stamp(a.Raised) + " UTC"},
		{"what", a.Text},
		{"fix", a.Fix},
	}
	for _, k := range slices.Sorted(maps.Keys(a.Facts)) {
		fields = append(fields, field{k, a.Facts[k]})
	}
	if a.Ack != nil {
		fields = append(fields, field{"acknowledged", stamp(a.Ack.At) + " UTC by " + a.Ack.Principal + ": " + a.Ack.Reason})
	}
	return g.writeFields(fields)
}
