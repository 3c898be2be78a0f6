package command

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/archive/audit"
	"holdfast/internal/api"
)

type reportOptions struct {
	span
	custodian, officer, reason string
}

func newAuditReport(g *globals) *cobra.Command {
	o := &reportOptions{}
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Say who looked at a custodian's messages, or what an officer did",
		Long: `With --custodian: who looked at that person's messages, sent or received, under any name they ever
had. With --officer: what that person did, for which matters, on which days, and what of it is
unusual. The report is itself an access and needs --reason.`,
		Example: `  holdfast audit report --custodian 'Anna Berg' --reason 'request under article 15'
  holdfast audit report --officer jdoe --since 2026-01-01 --until 2026-04-01 --reason 'quarterly review' --format json`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return runAuditReport(cmd.Context(), g, o, time.Now()) },
	}
	cmd.Flags().StringVar(&o.custodian, "custodian", "", "who looked at the messages of this person: `WHO`")
	cmd.Flags().StringVar(&o.officer, "officer", "", "what this person, or account of the appliance, did: `WHO`")
	cmd.Flags().StringVar(&o.reason, "reason", "", "for what the report is, kept in the log: `TEXT`")
	o.span.addFlags(cmd)
	return cmd
}

func runAuditReport(ctx context.Context, g *globals, o *reportOptions, now time.Time) error {
	if (o.custodian == "") == (o.officer == "") {
		return usage("give either --custodian or --officer")
	}
	req := api.AccessReportRequest{Custodian: o.custodian, Officer: o.officer, Reason: o.reason}
	var err error
	if req.Since, req.Until, err = o.times(now); err != nil {
		return err
	}
	r, err := ask(ctx, g, func(c *api.Client) (*api.AccessReport, error) { return c.AccessReport(ctx, req) })
	if err != nil {
		return err
	}
	switch {
	case g.format == formatJSON:
		return g.writeJSON(r)
	case r.Custodian != nil:
		return g.writeCustodianReport(r.Person, r.Custodian)
	case r.Officer != nil:
		return g.writeOfficerReport(r.Person, r.Officer)
	}
	return &api.Problem{Title: "the server made no report", Code: api.CodeProtocol, Exit: api.ExitUnreachable, Hint: "compare `holdfast version` with the daemon's"}
}

// about names whom a report is about.
func about(p *api.Ref, otherwise string) string {
	if p == nil {
		return otherwise
	}
	return p.Name + " (" + p.GUID + ")"
}

func (g *globals) writeCustodianReport(person *api.Ref, r *audit.CustodianReport) error {
	err := g.writeFields([]field{
		{"custodian", about(person, "")},
		{"relay users", strings.Join(r.Custodians, ", ")},
		{"log read through", "entry " + number(r.Through)},
		{"looks", number(r.Accesses)},
		{"possible looks", number(r.Possible)},
	})
	if err != nil {
		return err
	}
	if len(r.By) > 0 {
		rows := make([][]string, 0, len(r.By))
		for _, b := range r.By {
			rows = append(rows, []string{b.ID, b.Name, number(b.Accesses), number(b.Possible), stamp(b.First), stamp(b.Last), counts(b.Actions)})
		}
		if err := g.writeTable([]string{"BY", "NAME", "LOOKS", "POSSIBLE", "FIRST (UTC)", "LAST (UTC)", "ACTIONS"}, rows); err != nil {
			return err
		}
	}
	if r.Possible > 0 {
		if err := g.say("of %d looks it is not known whom they showed: they did not end, or named nobody", r.Possible); err != nil {
			return err
		}
	}
	return g.writeNewest(r.Newest, r.More)
}

func (g *globals) writeOfficerReport(person *api.Ref, r *audit.OfficerReport) error {
	err := g.writeFields([]field{
		{"officer", about(person, r.Person)},
		{"log read through", "entry " + number(r.Through)},
		{"actions", counts(r.Actions)},
		{"entries shown", number(r.Shown)},
		{"unusual", counts(r.Flags)},
	})
	if err != nil {
		return err
	}
	if len(r.Matters) > 0 {
		rows := make([][]string, 0, len(r.Matters))
		for _, m := range r.Matters {
			name := m.Matter
			if name == "" {
				name = "(a reason only)"
			}
			rows = append(rows, []string{number(m.Accesses), number(m.Shown), name})
		}
		err = g.writeTable([]string{"LOOKS", "SHOWN", "MATTER"}, rows)
	}
	if len(r.Days) > 0 {
		rows := make([][]string, 0, len(r.Days))
		for _, d := range r.Days {
			flag := ""
			if d.Volume {
				flag = audit.FlagVolume
			}
			rows = append(rows, []string{d.Day, number(d.Shown), flag})
		}
		err = errors.Join(err, g.writeTable([]string{"DAY", "SHOWN", "FLAG"}, rows))
	}
	return errors.Join(err, g.writeNewest(r.Newest, r.More))
}

func (g *globals) writeNewest(list []audit.Item, more bool) error {
	if len(list) == 0 {
		return g.say("no access found")
	}
	if err := g.writeAccesses(list); err != nil {
		return err
	}
	if more {
		return g.say("there are older ones: narrow --until, or list them with `holdfast audit`")
	}
	return nil
}
