package command

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newDisposition(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "disposition",
		Short: "Destroy what the schedule no longer keeps: plan, approve, run, certificate",
		Long: `Destroy for good what the schedule no longer keeps and nothing holds. One person plans it, another approves
exactly that plan, and it is run once. What is held or no longer due when it is run is left out;
nothing is ever added. What was destroyed is certified (holdfast certificate), and the chain still
verifies.`,
		Example: `  holdfast disposition plan --reason 'yearly disposition 2026'
  holdfast disposition show 500
  holdfast disposition approve 500 --reason 'compared with the schedule'
  holdfast disposition run 500 --yes`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDispositionPlan(g), newDispositionList(g), newDispositionShow(g), newDispositionDecide(g, true), newDispositionDecide(g, false), newDispositionRun(g))
	return cmd
}

// month is how a month is written, as in the names of class-months.
var month = regexp.MustCompile(`^[0-9]{4}-(0[1-9]|1[0-2])$`)

func checkMonth(s string) error {
	if s != "" && !month.MatchString(s) {
		return usage("--month is written 2019-03")
	}
	return nil
}

func newDispositionPlan(g *globals) *cobra.Command {
	var req api.PlanDispositionRequest
	cmd := &cobra.Command{
		Use:   "plan --reason TEXT",
		Short: "Plan what is due, and ask for its approval",
		Long: `Plan the destruction of what is due, month by month and class by class: how many entries go, how many stay,
and which holds keep those. The plan is logged with exactly the entries that it names, and another
person's approval is asked for. Nothing is destroyed by planning. --dry-run logs and asks nothing.`,
		Example: `  holdfast disposition plan --dry-run
  holdfast disposition plan --reason 'yearly disposition 2026'
  holdfast disposition plan --class general --month 2019-03 --reason 'test of the procedure' --json`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDispositionPlan(cmd.Context(), g, req) },
	}
	cmd.Flags().StringVar(&req.Class, "class", "", "only this record `CLASS`")
	cmd.Flags().StringVar(&req.Month, "month", "", "only what was received in this `MONTH`: 2019-03")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, kept in the log: `TEXT`")
	cmd.Flags().BoolVar(&req.Dry, "dry-run", false, "only show what is due")
	return cmd
}

func runDispositionPlan(ctx context.Context, g *globals, req api.PlanDispositionRequest) error {
	if err := checkMonth(req.Month); err != nil {
		return err
	}
	return g.planWith(ctx, func(c *api.Client, p func(api.Progress)) (*api.Plan, error) { return c.PlanDisposition(ctx, req, p) })
}

// planWith has the daemon make a plan, writes it, and says who does what next.
func (g *globals) planWith(ctx context.Context, make func(c *api.Client, progress func(api.Progress)) (*api.Plan, error)) error {
	b := g.startBar("planning", 0, progress.UnitsDefault)
	p, err := ask(ctx, g, func(c *api.Client) (*api.Plan, error) {
		return make(c, func(p api.Progress) { b.set(p.Done, p.Total) })
	})
	b.stop(err == nil)
	if err != nil {
		return err
	}
	return g.planAnswer(p)
}

// planAnswer writes a plan and what can be done with it.
func (g *globals) planAnswer(p *api.Plan) error {
	if g.format == formatJSON {
		return g.writeJSON(p)
	}
	return errors.Join(g.writePlan(p), g.next(planNext(p)...))
}

// planNext says what can be done next with a plan.
func planNext(p *api.Plan) []string {
	run := "holdfast disposition run " + number(p.Seq) + " --yes"
	switch {
	case p.Seq == 0:
		return []string{"nothing was planned, asked for or destroyed"}
	case p.State == planWaiting:
		return []string{
			"nothing is done yet: another person approves exactly this plan with: holdfast disposition approve " + number(p.Seq) + " --reason TEXT",
			"then: " + run,
		}
	case p.State == planApproved && p.Kind == planReclass:
		return []string{"it is approved, and not done yet: " + run}
	case p.State == planApproved:
		return []string{"it is approved, and not run yet; what it names is destroyed for good by: " + run}
	}
	return nil
}

// The kinds of plans, and the states of one, that the commands tell apart.
const (
	planErase    = "erase"
	planReclass  = "reclass"
	planWaiting  = "waiting"
	planApproved = "approved"
	planDenied   = "denied"
)

// planKind says what a plan is for.
func planKind(p *api.Plan) string {
	switch p.Kind {
	case planErase:
		return "erasure of single entries"
	case planReclass:
		return "class " + p.Class + " for single entries: nothing is destroyed by it"
	}
	return "what is due by the schedule"
}

func (g *globals) writePlan(p *api.Plan) error {
	name, does := fmt.Sprintf("%d (%s)", p.Seq, p.State), "named"
	if p.Seq == 0 {
		name = "none: a dry run"
	}
	switch {
	case p.Seq > 0 && p.State != planWaiting && p.State != planApproved: // a run leaves out what stays, and its certificates count
	case p.Kind == planReclass:
		does = "changes"
	default:
		does = "destroys"
	}
	fields := []field{
		{"plan", name},
		{"for", planKind(p)},
		{does, number(p.Total) + " entries"},
		{"as of", stamp(p.AsOf) + " UTC, through " + below(p.Through)},
	}
	if p.Schedule > 0 {
		fields = append(fields, field{"schedule", "of entry " + number(p.Schedule)})
	}
	if p.Seq > 0 {
		fields = append(fields, field{"planned", stamp(p.At) + " UTC by " + p.By.String()}, field{"reason", p.Reason},
			field{"request", optional(p.Request)}, field{"digest", p.Digest}, field{"done by", optional(p.Intent)}, field{"certificates", numbers(p.Certificates)})
	}
	if err := g.writeFields(fields); err != nil || len(p.Lines) == 0 {
		return err
	}
	rows := make([][]string, 0, len(p.Lines))
	for i := range p.Lines {
		l := &p.Lines[i]
		next := ""
		if l.NextDue != nil {
			next = bound(l.NextDue, "")
		}
		rows = append(rows, []string{l.Class, l.Month, number(l.Entries), size(l.Bytes), heldBack(l.HeldBack), number(l.NotDue), next, l.Why})
	}
	return g.writeTable([]string{"CLASS", "MONTH", "GO", "BYTES", "HELD BACK", "NOT DUE", "NEXT DUE (UTC)", "WHY"}, rows)
}

// heldBack says how many due entries are kept, and by what.
func heldBack(list []api.HeldBack) string {
	if len(list) == 0 {
		return "0"
	}
	parts := make([]string, 0, len(list))
	for _, h := range list {
		parts = append(parts, number(h.Entries)+" by "+keeper(h.Hold, h.Matter, h.Why))
	}
	return strings.Join(parts, ", ")
}

// keeper names what keeps entries: a hold by its matter and number, as far as
// they may be known, else what else it is.
func keeper(hold uint64, matter, why string) string {
	switch {
	case matter == "" && hold == 0:
		return why
	case hold == 0:
		return matter
	}
	return matter + " (hold " + number(hold) + ")"
}

// size is a number of bytes for people.
func size(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v := float64(n)
	for len(units) > 1 && v >= 1024 {
		v, units = v/1024, units[1:]
	}
	if units[0] == "B" {
		return number(n) + " B"
	}
	return fmt.Sprintf("%.1f %s", v, units[0])
}

func newDispositionList(g *globals) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the plans that wait or are approved, newest first",
		Example: "  holdfast disposition list\n  holdfast disposition list --all --json",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDispositionList(cmd.Context(), g, all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those that were denied, have expired or are done")
	return cmd
}

func runDispositionList(ctx context.Context, g *globals, all bool) error {
	list, err := ask(ctx, g, func(c *api.Client) (*api.PlansResponse, error) { return c.Plans(ctx, api.PlansRequest{All: all}) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Plans) == 0 {
		return g.say("no plan waits")
	}
	rows := make([][]string, 0, len(list.Plans))
	for i := range list.Plans {
		p := &list.Plans[i]
		rows = append(rows, []string{number(p.Seq), stamp(p.At), string(p.Kind), string(p.State), number(p.Total), optional(p.Request), p.By.String(), p.Reason})
	}
	return g.writeTable([]string{"PLAN", "PLANNED (UTC)", "KIND", "STATE", "ENTRIES", "REQUEST", "BY", "REASON"}, rows)
}

func newDispositionShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show PLAN",
		Short:   "Show a plan: what goes, what stays, and what holds it back",
		Example: "  holdfast disposition show 500\n  holdfast disposition show 500 --json | jq '.lines[] | select(.held_back | length > 0)'",
		Args:    exactly(1, onePlan),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			seq, err := parseNumber(args[0], "a plan")
			if err != nil {
				return err
			}
			p, err := ask(ctx, g, func(c *api.Client) (*api.Plan, error) { return c.Plan(ctx, seq) })
			if err != nil {
				return err
			}
			return g.planAnswer(p)
		},
	}
}

const onePlan = "name one plan by its number, as `holdfast disposition list` prints it"

func newDispositionDecide(g *globals, approve bool) *cobra.Command {
	name, short := "approve", "Approve exactly a plan that another person made"
	long := `Approve exactly a plan that another person made, as holdfast disposition show prints it. It can then be run,
once. Approving destroys nothing by itself, and nothing can be added to the plan afterwards.`
	if !approve {
		name, short, long = "deny", "Deny a plan that another person made", "Deny a plan. It cannot be run any more; another can be made."
	}
	var reason string
	cmd := &cobra.Command{
		Use:     name + " PLAN --reason TEXT",
		Short:   short,
		Long:    long,
		Example: "  holdfast disposition show 500\n  holdfast disposition " + name + " 500 --reason 'compared with the schedule'",
		Args:    exactly(1, onePlan),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDispositionDecide(cmd.Context(), g, args[0], approve, reason)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, kept in the log: `TEXT`")
	return cmd
}

func runDispositionDecide(ctx context.Context, g *globals, arg string, yes bool, reason string) error {
	seq, err := parseNumber(arg, "a plan")
	if err != nil {
		return err
	}
	type decided struct {
		Plan    *api.Plan            `json:"plan"`
		Request *api.ApprovalRequest `json:"request"`
	}
	d, err := ask(ctx, g, func(c *api.Client) (*decided, error) {
		p, err := c.Plan(ctx, seq)
		if err != nil {
			return nil, err
		}
		r, err := c.Decide(ctx, api.DecideRequest{Seq: p.Request, Approve: yes, Reason: reason})
		if err != nil {
			return nil, err
		}
		p.State = planDenied
		if yes {
			p.State = planApproved
		}
		return &decided{p, r}, nil
	})
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(d)
	}
	return errors.Join(g.writePlan(d.Plan), g.next(planNext(d.Plan)...))
}
