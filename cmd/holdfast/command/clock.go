package command

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newClock(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clock",
		Short: "The archive's clock: whether it jumped, and going on after that",
		Long: `Received times never fall and follow the machine's clock. When that jumps beyond a limit, forwards or
backwards, the archive believes it no more: messages are taken on, by time that passed, but
disposition is frozen, and an alarm says so, until a person has put the clock right and says so.`,
		Example: "  holdfast clock show\n  holdfast clock release --today 2026-03-01 --reason 'NTP repaired, compared with the wall clock of ward 3'",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newClockShow(g), newClockRelease(g))
	return cmd
}

func newClockShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Say whether the clock jumped",
		Example: "  holdfast clock show\n  holdfast clock show --json | jq .frozen",
		Args:    nameless,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := clock(cmd.Context(), g)
			if err != nil {
				return err
			}
			return g.writeClock(st)
		},
	}
}

// releaseClock is what is to be done about a frozen clock.
const releaseClock = "put the machine's clock right, compare it with another one, and then: holdfast clock release --today DATE --reason TEXT"

func clock(ctx context.Context, g *globals) (*api.ClockResponse, error) {
	return ask(ctx, g, func(c *api.Client) (*api.ClockResponse, error) { return c.Clock(ctx) })
}

// writeClock writes how the clock stands, and what to do when it is frozen.
func (g *globals) writeClock(st *api.ClockResponse) error {
	if g.format == formatJSON {
		return g.writeJSON(st)
	}
	fields := []field{
		{"clock", "trusted"},
		{"archive's time", stamp(st.Received) + " UTC"},
		{"machine's clock", stamp(st.Wall) + " UTC"},
	}
	if !st.Frozen {
		return g.writeFields(fields)
	}
	fields[0].value = "FROZEN: it jumped, and nothing is disposed of"
	if st.Since > 0 {
		fields = append(fields, field{"since", "entry " + number(st.Since)})
	}
	return errors.Join(g.writeFields(fields), g.next(releaseClock))
}

func newClockRelease(g *globals) *cobra.Command {
	var req api.ReleaseClockRequest
	var today string
	cmd := &cobra.Command{
		Use:   "release --today DATE --reason TEXT",
		Short: "Say that the machine's clock is right, so that disposition goes on",
		Long: `Say that the machine's clock is right again. Received times then follow it, forward as far as it says, and never
back: released on a clock that is years ahead, everything that the schedule keeps until then is due.
So say with --today which day it is by another clock: the daemon's must say the same, give or take the
time zones.`,
		Example: "  holdfast clock release --today 2026-03-01 --reason 'NTP repaired, compared with the wall clock of ward 3'",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runClockRelease(cmd.Context(), g, req, today) },
	}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "how you made sure, kept in the log: `TEXT`")
	cmd.Flags().StringVar(&today, "today", "", "which `DATE` it is by another clock than the machine's: 2026-03-01")
	return cmd
}

func runClockRelease(ctx context.Context, g *globals, req api.ReleaseClockRequest, today string) error {
	day, err := time.Parse(time.DateOnly, today)
	if err != nil {
		return usage("say with --today which day it is by another clock than the machine's, such as 2026-03-01")
	}
	st, err := ask(ctx, g, func(c *api.Client) (*api.ClockResponse, error) {
		st, err := c.Clock(ctx)
		if err != nil {
			return nil, err
		}
		if !sameDay(day, st.Wall) {
			return nil, &api.Problem{Title: "nothing was done: the machine's clock says " + stamp(st.Wall) + " UTC, and that is not today", Code: api.CodeState, Exit: api.ExitUsage,
				Hint: "put the machine's clock right first (timedatectl, chronyc); `holdfast clock show` says what it says"}
		}
		return c.ReleaseClock(ctx, req)
	})
	if err != nil {
		return err
	}
	return g.writeClock(st)
}

// sameDay reports whether somewhere on earth it is that day at a time: zones go
// from twelve hours behind UTC to fourteen ahead.
func sameDay(day, at time.Time) bool {
	return at.After(day.Add(-14*time.Hour-time.Minute)) && at.Before(day.Add(36*time.Hour+time.Minute))
}
