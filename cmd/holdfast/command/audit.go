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
	"holdfast/internal/role"
)

type auditOptions struct {
	span
	reason                            string
	action, principal, person, matter string
	flagged                           bool
	limit                             int
	before                            uint64
}

func newAudit(g *globals) *cobra.Command {
	o := &auditOptions{}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List who looked at what, newest first",
		Long: `List who looked at what and why, newest first: searches, shown entries, exports, and also logins,
refusals, decisions and changes. Looking here is recorded as well.`,
		Example: `  holdfast audit --since 7d
  holdfast audit --person jdoe --action export
  holdfast audit --matter M-7 --since 2026-01-01 --until 2026-02-01 --limit 1000 --format json
  holdfast audit --flagged --since 24h
  holdfast audit report --custodian 'Anna Berg' --reason 'request of the works council'`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return runAudit(cmd.Context(), g, o, time.Now()) },
	}
	actions := make([]string, 0, len(audit.Actions()))
	for _, a := range audit.Actions() {
		actions = append(actions, string(a))
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "why you read the audit, kept in the log: `TEXT`")
	cmd.Flags().StringVar(&o.action, "action", "", "only this `ACTION`: "+strings.Join(actions, ", "))
	cmd.Flags().StringVar(&o.person, "person", "", "only what this person of the directory did, by any `NAME` that they ever had")
	cmd.Flags().StringVar(&o.principal, "principal", "", "only this account of the appliance, by `NAME` or uid")
	cmd.Flags().StringVar(&o.matter, "matter", "", "only what was done for this matter: `ID`")
	cmd.Flags().BoolVar(&o.flagged, "flagged", false, "only what is unusual: out of hours, volume, colleagues, own messages, unfinished")
	o.span.addFlags(cmd)
	cmd.Flags().IntVar(&o.limit, "limit", api.DefaultLimit, "at most `N`")
	addCount(cmd, &o.before, "before", "only accesses before entry `SEQ`: the next page")
	choices(cmd, "action", actions...)
	cmd.AddCommand(newAuditReport(g))
	return cmd
}

func runAudit(ctx context.Context, g *globals, o *auditOptions, now time.Time) error {
	req := api.AuditRequest{Action: o.action, Principal: o.principal, Person: o.person, Flagged: o.flagged,
		Before: o.before, Limit: o.limit, Reason: o.reason, Matter: o.matter}
	var err error
	if req.Since, req.Until, err = o.times(now); err != nil {
		return err
	}
	if o.limit < 1 || o.limit > api.MaxLimit {
		return usage("--limit is 1 to %d", api.MaxLimit)
	}
	list, err := ask(ctx, g, func(c *api.Client) (*api.AuditResponse, error) { return c.Audit(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Accesses) == 0 {
		return g.say("no access found")
	}
	if err := g.writeAccesses(list.Accesses); err != nil {
		return err
	}
	if len(list.Accesses) == o.limit {
		return g.say("the next page: --before %d", list.Accesses[o.limit-1].Seq)
	}
	return nil
}

// writeAccesses writes a table of accesses.
func (g *globals) writeAccesses(list []audit.Item) error {
	rows := make([][]string, 0, len(list))
	for i := range list {
		item := &list[i]
		rows = append(rows, []string{
			number(item.Seq), stamp(item.Received), item.Access.Principal.String(), from(&item.Access.Principal), string(item.Access.Action),
			came(item), strings.Join(item.Flags, " "), item.Access.Matter, item.Access.Reason, subject(&item.Access),
		})
	}
	return g.writeTable([]string{"SEQ", "TIME (UTC)", "PRINCIPAL", "FROM", "ACTION", "OUTCOME", "FLAGS", "MATTER", "REASON", "QUERY"}, rows)
}

// from is where a principal came from: an address, or the way within the
// appliance.
func from(p *role.Principal) string {
	switch {
	case p.Address != "":
		return p.Address
	case p.Via != "":
		return p.Via
	}
	return role.ViaSocket // entries of the first version
}

// came is what an access came to. Of what is no look there is no outcome: its
// entry says all.
func came(item *audit.Item) string {
	a, o := &item.Access, item.Outcome
	switch {
	case o == nil && !a.Action.Looks():
		s := a.Code
		if a.Count > 1 {
			s = strings.TrimSpace(s + fmt.Sprintf(" × %d", a.Count))
		}
		return s
	case o == nil:
		return "unfinished"
	case o.Result == audit.ResultFailed:
		return "failed: " + o.Code
	}
	return fmt.Sprintf("%d of %d", o.Shown, o.Total)
}

// maxSubject is how many entries of a show the table names.
const maxSubject = 10

// subject is what an access asked for, or what an act was about.
func subject(a *audit.Access) string {
	if a.Query != "" {
		return a.Query
	}
	if len(a.Seqs) == 0 {
		return a.Target
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

// span are the options of a command that looks at a span of time.
type span struct{ since, until string }

func (s *span) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.since, "since", "", "only from this `TIME` on: 2026-01-01, 2026-01-01T08:00:00Z, or 90m, 24h, 7d ago")
	cmd.Flags().StringVar(&s.until, "until", "", "only before this `TIME`, given likewise")
}

// times returns the span's ends; nil for one that is open.
func (s *span) times(now time.Time) (since, until *time.Time, err error) {
	for _, end := range []struct {
		flag, text string
		to         **time.Time
	}{{"--since", s.since, &since}, {"--until", s.until, &until}} {
		if end.text == "" {
			continue
		}
		t, err := parseTime(end.flag, end.text, now)
		if err != nil {
			return nil, nil, err
		}
		*end.to = &t
	}
	if since != nil && until != nil && !since.Before(*until) {
		return nil, nil, usage("--since is before --until")
	}
	return since, until, nil
}

// parseTime reads a flag's date, time, or how long ago.
func parseTime(flag, s string, now time.Time) (time.Time, error) {
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
	return time.Time{}, usage("%s takes a date (2026-01-01), a time (2026-01-01T08:00:00Z) or a length of time (90m, 24h, 7d)", flag)
}
