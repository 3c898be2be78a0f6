package command

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/archive/audit"
	"holdfast/internal/api"
)

type auditOptions struct {
	why
	action, principal, since string
	limit                    int
	before                   uint64
}

func newAudit(g *globals) *cobra.Command {
	o := &auditOptions{}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List who looked at what, newest first",
		Long:  "List who looked at what and why, newest first. Looking here is recorded as well.",
		Example: `  holdfast audit --since 7d
  holdfast audit --principal jdoe --action export
  holdfast audit --since 2026-01-01 --limit 1000 --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runAudit(cmd.Context(), g, o, time.Now()) },
	}
	o.why.addFlags(cmd)
	cmd.Flags().StringVar(&o.action, "action", "", "only this `ACTION`: search, show, export, audit or refused")
	cmd.Flags().StringVar(&o.principal, "principal", "", "only this user, by `NAME` or uid")
	cmd.Flags().StringVar(&o.since, "since", "", "only from this `TIME` on: 2026-01-01, 2026-01-01T08:00:00Z, or 90m, 24h, 7d ago")
	cmd.Flags().IntVar(&o.limit, "limit", api.DefaultLimit, "at most `N`")
	addCount(cmd, &o.before, "before", "only accesses before entry `SEQ`: the next page")
	choices(cmd, "action", string(audit.ActionSearch), string(audit.ActionShow), string(audit.ActionExport), string(audit.ActionAudit), string(audit.ActionRefused))
	return cmd
}

func runAudit(ctx context.Context, g *globals, o *auditOptions, now time.Time) error {
	req := api.AuditRequest{Action: o.action, Principal: o.principal, Before: o.before, Limit: o.limit, Reason: o.reason, Matter: o.matter}
	if o.since != "" {
		since, err := parseSince(o.since, now)
		if err != nil {
			return err
		}
		req.Since = &since
	}
	if o.limit < 1 || o.limit > api.MaxLimit {
		return usage("--limit is 1 to %d", api.MaxLimit)
	}
	list, err := ask(g, func(c *api.Client) (*api.AuditResponse, error) { return c.Audit(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	rows := make([][]string, 0, len(list.Accesses))
	for _, i := range list.Accesses {
		rows = append(rows, []string{
			number(i.Seq), stamp(i.Received), i.Access.Principal.String(), string(i.Access.Action),
			came(i.Outcome), i.Access.Matter, i.Access.Reason, subject(&i.Access),
		})
	}
	if len(rows) == 0 {
		return g.say("no access found")
	}
	if err := g.writeTable([]string{"SEQ", "TIME (UTC)", "PRINCIPAL", "ACTION", "OUTCOME", "MATTER", "REASON", "QUERY"}, rows); err != nil {
		return err
	}
	if len(rows) == o.limit {
		return g.say("the next page: --before %d", list.Accesses[len(rows)-1].Seq)
	}
	return nil
}

func came(o *audit.Outcome) string {
	switch {
	case o == nil:
		return "unfinished"
	case o.Result == audit.ResultFailed:
		return "failed: " + o.Code
	}
	return fmt.Sprintf("%d of %d", o.Shown, o.Total)
}

// maxSubject is how many entries of a show the table names.
const maxSubject = 10

// subject is what an access asked for.
func subject(a *audit.Access) string {
	if a.Query != "" {
		return a.Query
	}
	seqs := make([]string, 0, len(a.Seqs))
	for _, s := range a.Seqs[:min(len(a.Seqs), maxSubject)] {
		seqs = append(seqs, number(s))
	}
	if more := len(a.Seqs) - len(seqs); more > 0 {
		seqs = append(seqs, fmt.Sprintf("… and %d more", more))
	}
	return strings.Join(seqs, " ")
}

// parseSince reads a date, a time, or how long ago.
func parseSince(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, usage("--since takes a date (2026-01-01), a time (2026-01-01T08:00:00Z) or a length of time (90m, 24h, 7d)")
}
