package command

import (
	"context"
	"strings"

	"holdfast/internal/api"
)

// runCount shows a hit report.
func runCount(ctx context.Context, g *globals, o *searchOptions, q string) error {
	if o.cursor != "" || o.before != 0 || o.after != 0 {
		return usage("--count-by counts everything that is found: it takes no --cursor, --before or --after")
	}
	req := api.CountRequest{Query: q, Saved: o.saved, Reason: o.reason, Matter: o.matter, By: o.countBy, AsOf: o.asOf, Explain: o.explain}
	counted, err := ask(ctx, g, func(c *api.Client) (*api.CountResponse, error) { return c.Count(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(counted)
	}
	if counted.Explain != nil {
		if err := g.sayExplained(counted.Explain); err != nil {
			return err
		}
	}
	if len(counted.Buckets) > 0 {
		if err := g.writeBuckets(counted); err != nil {
			return err
		}
	}
	lines := []string{number(counted.Total) + " found through entry " + number(counted.Through)}
	if n := uint64(len(counted.Buckets)); n < counted.Several {
		lines = append(lines, "of "+number(counted.Several)+" lines the first "+number(n)+" are shown")
	}
	return g.say("%s", strings.Join(append(lines, extent(&counted.Extent)...), "\n"))
}

// writeBuckets writes a count as a table.
func (g *globals) writeBuckets(c *api.CountResponse) error {
	header := map[string][]string{
		api.ByCustodian: {"MESSAGES", "CUSTODIAN", "ID"}, api.ByMonth: {"MESSAGES", "RECEIVED IN"},
		api.ByConversation: {"MESSAGES", "CONVERSATION", "ID"}, api.ByTerm: {"MESSAGES", "ALONE", "TERM"},
	}[c.By]
	rows := make([][]string, 0, len(c.Buckets))
	for _, b := range c.Buckets {
		row := []string{number(b.Count)}
		switch {
		case b.Alone != nil:
			row = append(row, number(*b.Alone), b.Key)
		case len(header) == 3:
			row = append(row, b.Name, b.Key)
		default:
			row = append(row, b.Key)
		}
		rows = append(rows, row)
	}
	return g.writeTable(header, rows)
}
