package command

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

type conversationOptions struct {
	why
	limit  int
	asOf   string
	cursor string
	all    bool
}

func newConversation(g *globals) *cobra.Command {
	o := &conversationOptions{}
	cmd := &cobra.Command{
		Use:   "conversation ID",
		Short: "Read a conversation, as it was known at a time",
		Long: `Read a conversation from its beginning, in the order in which the archive got its messages. With
--as-of it is read as it was known then: edits, recalls and receipts that came later do not show. The
look is recorded before anything is shown. Of messages outside your scope it says how many there are.`,
		Example: `  holdfast conversation 4w-bed12 --matter M-7
  holdfast conversation 4w-bed12 --as-of 2026-03-02T09:00:00Z --reason 'complaint 2026-014'
  holdfast conversation 4w-bed12 --matter M-7 --all --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runConversation(cmd.Context(), g, o, args[0]) },
	}
	o.addFlags(cmd)
	cmd.Flags().IntVar(&o.limit, "limit", api.DefaultLimit, "show at most `N` messages")
	cmd.Flags().StringVar(&o.asOf, "as-of", "", "as it was known at a `TIME` (2026-01-01 in UTC, 2026-01-01T08:00:00Z, or 7d for so long ago), or when the log ended with entry SEQ")
	cmd.Flags().StringVar(&o.cursor, "cursor", "", "the next page: the `CURSOR` that the page before gave")
	cmd.Flags().BoolVar(&o.all, "all", false, "all pages, one after the other")
	return cmd
}

func runConversation(ctx context.Context, g *globals, o *conversationOptions, id string) error {
	if o.limit < 1 || o.limit > api.MaxLimit {
		return usage("--limit is 1 to %d", api.MaxLimit)
	}
	if o.cursor != "" && o.asOf != "" {
		return usage("give --cursor or --as-of, and not both: a cursor is as of when its first page was")
	}
	req := api.ConversationRequest{ID: id, Reason: o.reason, Matter: o.matter, Limit: o.limit, Cursor: o.cursor}
	if o.asOf != "" {
		if seq, err := strconv.ParseUint(o.asOf, 10, 53); err == nil && seq > 0 {
			req.AsOf = seq
		} else {
			at, err := parseTime("--as-of", o.asOf, time.Now())
			if err != nil {
				return err
			}
			req.At = &at
		}
	}
	for shown := 0; ; {
		c, err := ask(ctx, g, func(c *api.Client) (*api.ConversationResponse, error) { return c.Conversation(ctx, req) })
		if err != nil {
			return err
		}
		first := shown == 0
		shown += len(c.Messages)
		if err := g.writeConversation(c, first, o.all, shown); err != nil {
			return err
		}
		if !o.all || c.Cursor == "" {
			return nil
		}
		req.Cursor, req.AsOf, req.At = c.Cursor, 0, nil
	}
}

// writeConversation writes one page of a conversation, with which so many
// messages have been shown.
func (g *globals) writeConversation(c *api.ConversationResponse, first, all bool, shown int) error {
	if g.format == formatJSON {
		return g.writeJSON(c)
	}
	if first {
		members := make([]string, 0, len(c.Members))
		for _, m := range c.Members {
			members = append(members, m.Name)
		}
		if err := g.writeFields([]field{{"conversation", c.ID}, {"name", c.Name}, {"members", strings.Join(members, ", ")}}); err != nil {
			return err
		}
	}
	if err := g.writeSaid(c.Messages); err != nil {
		return err
	}
	if all && c.Cursor != "" {
		return nil
	}
	lines := []string{number(c.Total) + " messages through entry " + number(c.Through) + ", " + number(uint64(shown)) + " shown"} // #nosec G115 -- a count
	if c.NotInScope > 0 {
		lines = append(lines, number(c.NotInScope)+" messages of it are not in your scope")
	}
	if c.Cursor != "" {
		lines = append(lines, "the next page: --cursor "+c.Cursor)
	}
	return g.say("%s", strings.Join(append(lines, extent(&c.Extent)...), "\n"))
}

// writeSaid writes messages of one conversation, in their order.
func (g *globals) writeSaid(hits []api.Hit) error {
	rows := make([][]string, 0, len(hits))
	for i := range hits {
		h := &hits[i]
		rows = append(rows, []string{number(h.Seq), sentStamp(h.Sent), h.From, summary(h)})
	}
	return g.writeTable([]string{"SEQ", "SENT (UTC)", "FROM", "TEXT"}, rows)
}
