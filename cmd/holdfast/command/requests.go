package command

import (
	"context"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newRequests(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "requests",
		Short: "What takes two people: list, show, approve, deny",
		Long: `Some acts take two people: one asks, another approves or denies, and it is done once at most. Nobody
decides on what they asked for themselves.`,
		Example: `  holdfast requests list
  holdfast requests approve 4711 --reason 'matches the court order'`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRequestsList(g), newRequestsShow(g), newRequestsDecide(g, true), newRequestsDecide(g, false))
	return cmd
}

func newRequestsList(g *globals) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List what waits for a second person, newest first",
		Example: "  holdfast requests list\n  holdfast requests list --all --format json",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runRequestsList(cmd.Context(), g, all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those that were decided, done or have expired")
	return cmd
}

func runRequestsList(ctx context.Context, g *globals, all bool) error {
	list, err := ask(ctx, g, func(c *api.Client) (*api.RequestsResponse, error) {
		return c.Requests(ctx, api.RequestsRequest{All: all})
	})
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Requests) == 0 {
		return g.say("nothing waits for a second person")
	}
	rows := make([][]string, 0, len(list.Requests))
	for i := range list.Requests {
		r := &list.Requests[i]
		rows = append(rows, []string{number(r.Seq), stamp(r.At), r.Act, r.Status, r.By.String(), stamp(r.Expires), r.Reason, r.Summary})
	}
	return g.writeTable([]string{"SEQ", "ASKED (UTC)", "ACT", "STATUS", "BY", "EXPIRES (UTC)", "REASON", "SUMMARY"}, rows)
}

func newRequestsShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show SEQ",
		Short:   "Show one request",
		Example: "  holdfast requests show 4711",
		Args:    exactly(1, "name one request by its number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return g.request(ctx, args[0], func(c *api.Client, seq uint64) (*api.ApprovalRequest, error) { return c.Request(ctx, seq) })
		},
	}
}

func newRequestsDecide(g *globals, approve bool) *cobra.Command {
	name, short := "approve", "Approve what another person asked for"
	long := "Approve exactly what was asked for, as holdfast requests show prints it. Whoever asked then does it, once, before the request expires."
	if !approve {
		name, short, long = "deny", "Deny what another person asked for", "Deny what was asked for. It cannot be approved any more; it can be asked for again."
	}
	var reason string
	cmd := &cobra.Command{
		Use:     name + " SEQ --reason TEXT",
		Short:   short,
		Long:    long,
		Example: "  holdfast requests " + name + " 4711 --reason 'compared with the court order'",
		Args:    exactly(1, "name one request by its number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return g.request(ctx, args[0], func(c *api.Client, seq uint64) (*api.ApprovalRequest, error) {
				return c.Decide(ctx, api.DecideRequest{Seq: seq, Approve: approve, Reason: reason})
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, kept in the log: `TEXT`")
	return cmd
}

// request asks for the request of that number and writes it.
func (g *globals) request(ctx context.Context, arg string, get func(c *api.Client, seq uint64) (*api.ApprovalRequest, error)) error {
	seq, err := parseSeq(arg)
	if err != nil {
		return err
	}
	r, err := ask(ctx, g, func(c *api.Client) (*api.ApprovalRequest, error) { return get(c, seq) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(r)
	}
	if err := g.writeFields(requestFields(r)); err != nil {
		return err
	}
	if r.Decision == nil || !r.Decision.Approve || r.Executed != nil {
		return nil
	}
	return g.next(approvedNext(r)...)
}

// The acts of retention that take two people.
const (
	actHoldRelease = "hold-release"
	actSchedule    = "schedule-narrowing"
	actDisposition = "disposition"
)

// approvedNext says how what was approved is done.
func approvedNext(r *api.ApprovalRequest) []string {
	switch r.Act {
	case api.ActDirectoryDiff:
		return []string{"it is approved, and not applied yet: whichever approver does this applies it", approveDiff(r.Digest)}
	case api.ActWipeOverride:
		return []string{"it is approved; the relay is asked for the wipe by itself: `holdfast devices wipes`"}
	case actHoldRelease:
		return []string{"it is approved, and not released yet; whoever asked does it with: holdfast hold release HOLD --request " + number(r.Seq)}
	case actSchedule:
		return []string{"it is approved, and not applied yet; whoever asked does it, with exactly that file: holdfast schedule apply FILE --request " + number(r.Seq)}
	case actDisposition:
		return []string{"it is approved, and nothing is done yet; `holdfast disposition list` names its plan, and a records manager does it with: holdfast disposition run PLAN --yes"}
	}
	return nil
}

func requestFields(r *api.ApprovalRequest) []field {
	fields := []field{
		{"request", number(r.Seq) + " " + r.Act},
		{"status", r.Status},
		{"asked by", r.By.String()},
		{"asked", stamp(r.At) + " UTC"},
		{"reason", r.Reason},
		{"what", r.Summary},
		{"query", r.Query},
		{"digest", r.Digest},
		{"expires", stamp(r.Expires) + " UTC"},
	}
	if d := r.Decision; d != nil {
		verdict := "denied"
		if d.Approve {
			verdict = "approved"
		}
		fields = append(fields, field{verdict, stamp(d.At) + " UTC by " + d.By.String() + ": " + d.Reason})
	}
	if e := r.Executed; e != nil {
		fields = append(fields, field{"done", stamp(e.At) + " UTC by " + e.By.String()})
	}
	return fields
}
