package command

import (
	"context"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newDevicesWipes(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "wipes",
		Short: "List the wipes of departed people's devices",
		Long: `List the wipes that the relay is or was asked for because somebody departed, and those that a hold
stops: what a custodian's device alone may still have would be destroyed. The code says why; only
members of the matter, and approvers, see more than that something is held.`,
		Example: "  holdfast devices wipes\n  holdfast devices wipes --format json | jq '.wipes[] | select(.state == \"refused\")'",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDevicesWipes(cmd.Context(), g) },
	}
}

func runDevicesWipes(ctx context.Context, g *globals) error {
	list, err := ask(ctx, g, func(c *api.Client) (*api.WipesResponse, error) { return c.Wipes(ctx) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Wipes) == 0 {
		return g.say("no device of anybody who departed is to be wiped")
	}
	rows := make([][]string, 0, len(list.Wipes))
	for i := range list.Wipes {
		w := &list.Wipes[i]
		rows = append(rows, []string{w.ID, w.Name, w.Usr, w.Dev, w.State, w.Code, stamp(w.At), optional(w.Request)})
	}
	return g.writeTable([]string{"ID", "NAME", "RELAY USER", "DEVICE", "STATE", "CODE", "AT (UTC)", "REQUEST"}, rows)
}

func newDevicesOverride(g *globals) *cobra.Command {
	var req api.OverrideWipeRequest
	cmd := &cobra.Command{
		Use:   "override ID --reason TEXT",
		Short: "Ask that a device be wiped although a hold stops it",
		Long: `Ask a second person to let a wipe go ahead that a hold stops. What the device alone has is destroyed
then: secure it first, and say in the reason how. Members of the matter ask; once an approver has
approved the request, the relay is asked for the wipe by itself.`,
		Example: "  holdfast devices override 3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA --reason 'imaged on 2 March, exhibit 14'\n  holdfast requests list",
		Args:    exactly(1, "name one wipe by its ID, as `holdfast devices wipes` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.ID = args[0]
			return runDevicesOverride(cmd.Context(), g, req)
		},
	}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why it may be wiped all the same, kept in the log: `TEXT`")
	return cmd
}

func runDevicesOverride(ctx context.Context, g *globals, req api.OverrideWipeRequest) error {
	r, err := ask(ctx, g, func(c *api.Client) (*api.ApprovalRequest, error) { return c.OverrideWipe(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(r)
	}
	if err := g.writeFields(requestFields(r)); err != nil {
		return err
	}
	return g.next("another person approves it with: "+approve(r.Seq), "then the relay is asked for the wipe by itself: `holdfast devices wipes`")
}
