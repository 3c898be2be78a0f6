package command

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

type searchOptions struct {
	why
	asked
	limit        int
	before, asOf uint64
}

func newSearch(g *globals) *cobra.Command {
	o := &searchOptions{}
	cmd := &cobra.Command{
		Use:   "search [QUERY]",
		Short: "Find messages, newest first",
		Long: `Find messages, newest first. A query has words, "phrases in quotes", AND OR NOT ( ),
from:WHO to:WHO conversation:NAME, sent>=2026-01-01 and received<2026-02-01.
The search is recorded with its query and reason before its result is shown. KEPT says what holds a
message (held, where the matter is none of yours), or until when the schedule keeps it.`,
		Example: `  holdfast search 'potassium NOT "no potassium"' --reason 'complaint 2026-014'
  holdfast search 'from:berg sent>=2026-01-01' --matter M-7 --limit 200
  holdfast search --query-file - --matter M-7 --format json < query.txt`,
		RunE: func(cmd *cobra.Command, args []string) error { return runSearch(cmd.Context(), g, o, args) },
	}
	o.why.addFlags(cmd)
	o.asked.addFlags(cmd)
	cmd.Flags().IntVar(&o.limit, "limit", api.DefaultLimit, "show at most `N` messages")
	addCount(cmd, &o.before, "before", "only messages before entry `SEQ`: the next page")
	addCount(cmd, &o.asOf, "as-of", "search the first `N` entries only, so that all pages count the same")
	return cmd
}

func runSearch(ctx context.Context, g *globals, o *searchOptions, args []string) error {
	q, err := o.asked.read(ctx, g, args)
	if err != nil {
		return err
	}
	if o.limit < 1 || o.limit > api.MaxLimit {
		return usage("--limit is 1 to %d", api.MaxLimit)
	}
	req := api.SearchRequest{Query: q, Reason: o.reason, Matter: o.matter, Limit: o.limit, Before: o.before, AsOf: o.asOf}
	found, err := ask(ctx, g, func(c *api.Client) (*api.SearchResponse, error) { return c.Search(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(found)
	}
	if len(found.Hits) > 0 {
		if err := g.writeHits(found.Hits); err != nil {
			return err
		}
	}
	return g.saySearched(found)
}

// writeHits writes a table of hits, with how long each is kept where that is
// known of any.
func (g *globals) writeHits(hits []api.Hit) error {
	header := []string{"SEQ", "SENT (UTC)", "FROM", "TO", "CONVERSATION", "ASSURANCE", "KEPT", "TEXT"}
	rows := make([][]string, 0, len(hits))
	known := false
	for i := range hits {
		h := &hits[i]
		kept := keptFor(&h.Kept)
		known = known || kept != ""
		rows = append(rows, []string{number(h.Seq), sentStamp(h.Sent), h.From, strings.Join(h.To, ", "), h.Conversation, standing(h), kept, summary(h)})
	}
	if !known {
		at := slices.Index(header, "KEPT")
		header = slices.Delete(header, at, at+1)
		for i := range rows {
			rows[i] = slices.Delete(rows[i], at, at+1)
		}
	}
	return g.writeTable(header, rows)
}

// standing is how far a hit can be relied on.
func standing(h *api.Hit) string {
	return strings.Join(append([]string{h.Assurance}, h.Flags...), ", ")
}

// summary is a hit's text on one line, with its type where that is not a plain
// message, and its attachments.
func summary(h *api.Hit) string {
	var parts []string
	if h.Typ != "msg" && h.Missing == "" {
		parts = append(parts, "["+h.Typ+"]")
	}
	if h.Missing != "" {
		parts = append(parts, "["+h.Missing+"]")
	}
	if h.Text != "" {
		parts = append(parts, h.Text)
	}
	for _, a := range h.Attachments {
		parts = append(parts, "[attachment "+a.Name+"]")
	}
	return strings.Join(parts, " ")
}

// whom says whom a name in the query was taken for.
func whom(n *api.Named) string {
	people := make([]string, 0, len(n.People))
	for _, p := range n.People {
		people = append(people, p.Name+" ("+p.GUID+")")
	}
	s := visible(n.Value) + " is taken for " + visible(strings.Join(people, ", "))
	if len(n.Usrs) == 0 {
		return s + ", of whom no relay user is known"
	}
	return s + ": relay users " + visible(strings.Join(n.Usrs, ", "))
}

// saySearched tells how much was found, and what the search could not see.
func (g *globals) saySearched(found *api.SearchResponse) error {
	lines := []string{number(found.Total) + " found through entry " + number(found.Through) + ", " + number(uint64(len(found.Hits))) + " shown"}
	if n := len(found.Hits); n > 0 && uint64(n) < found.Total {
		lines = append(lines, "the next page: --before "+number(found.Hits[n-1].Seq)+" --as-of "+number(found.Through))
	}
	for i := range found.People {
		lines = append(lines, whom(&found.People[i]))
	}
	if found.Unindexed > 0 {
		lines = append(lines, "warning: "+number(found.Unindexed)+" entries could not be searched; there may be more")
	}
	if found.Quarantined > 0 {
		lines = append(lines, number(found.Quarantined)+" quarantined entries cannot be searched"+named(found.Quarantine))
	}
	return g.say("%s", strings.Join(lines, "\n"))
}

// named lists quarantined entries with their codes, and says when there are
// more than are named.
func named(list []api.Quarantined) string {
	var parts []string
	for _, q := range list {
		parts = append(parts, number(q.Seq)+" ("+q.Code+")")
	}
	if len(list) == api.MaxQuarantine {
		parts = append(parts, "…")
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ") + "; `holdfast show` tells more of one"
}
