package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newRestore(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "A log that was restored from a backup: what is missing, and going on from it",
		Long: `After holdfastd restore the archive may lack what came in since the backup. If an anchor or the relay says
that it does, nothing is pulled and nothing disposed of until one person asks for going on, another
approves, and it is done. Then what the relay still has is pulled again, and checkpoints say by their
name (/r1, /r2, ...) that this is not the log that was lost.`,
		Example: `  holdfast restore show
  holdfast restore ask --reason 'server room fire; the backup of 02:00 is the newest'
  holdfast requests approve 4711 --reason 'compared with the backup list'
  holdfast restore go-on 4711`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRestoreShow(g), newRestoreAsk(g), newRestoreGoOn(g))
	return cmd
}

func newRestoreShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Show from which older log the archive was restored, and what is missing",
		Example: "  holdfast restore show\n  holdfast restore show --json | jq .state",
		Args:    nameless,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := ask(cmd.Context(), g, func(c *api.Client) (*api.RestoreResponse, error) { return c.Restored(cmd.Context()) })
			if err != nil {
				return err
			}
			return g.writeRestore(r)
		},
	}
}

func newRestoreAsk(g *globals) *cobra.Command {
	var req api.AskRestoreRequest
	cmd := &cobra.Command{
		Use:     "ask --reason TEXT",
		Short:   "Ask that the archive go on from the restored log",
		Example: "  holdfast restore ask --reason 'server room fire; the backup of 02:00 is the newest'",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runRestoreAsk(cmd.Context(), g, req) },
	}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, kept in the log: `TEXT`")
	return cmd
}

func runRestoreAsk(ctx context.Context, g *globals, req api.AskRestoreRequest) error {
	r, err := ask(ctx, g, func(c *api.Client) (*api.AskRestoreResponse, error) { return c.AskRestore(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(r)
	}
	n := number(r.Request)
	return errors.Join(g.writeFields(restoreFields(&r.Restore)), g.next(
		"another person approves exactly this with: holdfast requests approve "+n+" --reason TEXT",
		"then: holdfast restore go-on "+n))
}

func newRestoreGoOn(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "go-on REQUEST",
		Short:   "Go on from the restored log, once another person approved it",
		Example: "  holdfast restore go-on 4711",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return usage("say which request: the number that `holdfast restore ask` gave")
			}
			ctx := cmd.Context()
			r, err := ask(ctx, g, func(c *api.Client) (*api.RestoreResponse, error) { return c.GoOn(ctx, api.GoOnRequest{Request: n}) })
			if err != nil {
				return err
			}
			return g.writeRestore(r)
		},
	}
}

func (g *globals) writeRestore(r *api.RestoreResponse) error {
	if g.format == formatJSON {
		return g.writeJSON(r)
	}
	err := g.writeFields(restoreFields(r))
	switch r.State {
	case api.RestoreWaiting:
		err = errors.Join(err, g.next(
			"if there is a newer backup, stop the daemon and restore that one instead",
			"else ask for going on: holdfast restore ask --reason TEXT"))
	case api.RestoreAsking:
		err = errors.Join(err, g.next("the relay is asked how far the lost archive had come; see that it is reached: holdfast status"))
	}
	return err
}

// restoreStates says the states in words.
var restoreStates = map[string]string{
	api.RestoreNone: "never restored", api.RestoreAsking: "RESTORED: the relay has not yet said whether anything is missing",
	api.RestoreWaiting: "RESTORED: something is missing; nothing is pulled or disposed of", api.RestoreSettled: "restored, and went on",
}

func restoreFields(r *api.RestoreResponse) []field {
	fields := []field{{"state", restoreStates[r.State]}}
	if r.Times == 0 {
		return fields
	}
	fields = append(fields, field{"restored", fmt.Sprintf("%d entries, root hash %s", r.Size, visible(r.Root))}, field{"signs as", fmt.Sprintf("/r%d", r.Times)})
	if l := r.Lost; l != nil {
		fields = append(fields, field{"lost", fmt.Sprintf("entries %d to %d, as the last anchor states them", l.From, l.To-1)})
	}
	if t := r.Relay; t != nil {
		text := "was told of nothing more than is here"
		switch {
		case t.Pulled && t.Told > t.Had:
			text = fmt.Sprintf("events %d to %d were pulled again", t.Had+1, t.Told)
		case t.Told > t.Had && t.Oldest > t.Had+1:
			text = fmt.Sprintf("was told of events up to %d; it has those from %d on, and %d to %d are gone", t.Told, t.Oldest, t.Had+1, t.Oldest-1)
		case t.Told > t.Had:
			text = fmt.Sprintf("was told of events up to %d, and has those from %d on to be pulled again", t.Told, t.Had+1)
		}
		fields = append(fields, field{"relay", text})
	}
	for _, e := range r.History {
		fields = append(fields, field{"went on", fmt.Sprintf("entry %d, %s UTC, as /r%d from %d entries, by %s", e.Seq, stamp(e.At), e.Times, e.Size, e.By.String())})
	}
	return fields
}
