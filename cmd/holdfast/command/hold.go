package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newHold(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hold",
		Short: "Legal holds: what is held is not destroyed, whatever the schedule says",
		Long: `A hold keeps messages for a matter from being destroyed, whatever the retention schedule says. It is in
force when hold place returns, for what the archive has and for what is yet to come. With a message
it holds the whole family: all versions, recalls, receipts, reactions and attachments. What cannot be
read is held as well: nobody knows that it is not covered.

A hold is known by the number of the entry that placed it. Its release takes two people and a grace
period, and holds that were released stay on record for ever.`,
		Example: `  holdfast hold place --matter M-7 --custodian 'Anna Berg' --from 2025-06-01 --reason 'letter of claim, 1 March'
  holdfast hold show 412
  holdfast hold explain 4711
  holdfast hold release 412 --reason 'settled, order of 4 June'`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newHoldPlace(g), newHoldList(g), newHoldShow(g), newHoldExplain(g), newHoldWiden(g), newHoldRelease(g), newHoldCancel(g), newHoldNotice(g))
	return cmd
}

type holdPlaceOptions struct {
	scope          scopeOptions
	matter, reason string
}

func newHoldPlace(g *globals) *cobra.Command {
	o := &holdPlaceOptions{}
	cmd := &cobra.Command{
		Use:   "place --matter ID [--custodian WHO]... [--conversation ID]... [--query QUERY] [--from DATE] [--to DATE] --reason TEXT",
		Short: "Place a hold, which is in force when this returns",
		Long:  "Place a hold for an open matter of which you are a member.\n\n" + scopeHelp + "\n\n" + whoHelp,
		Example: `  holdfast hold place --matter M-7 --custodian 'Anna Berg' --custodian dahl --from 2025-06-01 --reason 'letter of claim, 1 March'
  holdfast hold place --matter M-7 --group 'ICU night team' --from -18m --reason 'board inquiry'
  holdfast hold place --matter M-7 --conversation c1 --query '"potassium" OR "kalium"' --reason 'complaint 26-014'
  holdfast hold place --matter M-9 --query-file query.txt --reason 'subpoena 26-118' --json | jq .seq
  holdfast hold place --matter M-9 --all --from 2026-03-01 --to 2026-03-08 --reason 'outage of 3 March'`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return runHoldPlace(cmd.Context(), g, o) },
	}
	cmd.Flags().StringVar(&o.matter, "matter", "", "the matter for which it is held: `ID`")
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, kept in the log: `TEXT`")
	o.scope.addFlags(cmd, "", "hold")
	return cmd
}

func runHoldPlace(ctx context.Context, g *globals, o *holdPlaceOptions) error {
	if o.matter == "" {
		return usage("name with --matter for what it is held; `holdfast matter list` lists the open matters, `holdfast matter open` opens one")
	}
	scope, err := o.scope.read(ctx, g)
	if err != nil {
		return err
	}
	req := api.PlaceHoldRequest{Matter: o.matter, Scope: *scope, Reason: o.reason}
	h, err := ask(ctx, g, func(c *api.Client) (*api.Hold, error) { return c.PlaceHold(ctx, req) })
	if err != nil {
		return err
	}
	return g.holdAnswer(h, inForce(h)...)
}

// inForce says what a hold does from now on.
func inForce(h *api.Hold) []string {
	return []string{
		"in force: what it covers, now or in future, is not destroyed until it is released",
		"how many entries it holds is counted behind: holdfast hold show " + number(h.Seq),
	}
}

// holdAnswer writes a hold and what is to be done next.
func (g *globals) holdAnswer(h *api.Hold, next ...string) error {
	if g.format == formatJSON {
		return g.writeJSON(h)
	}
	return errors.Join(g.writeHold(h), g.next(next...))
}

func newHoldList(g *globals) *cobra.Command {
	var req api.HoldsRequest
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the holds, newest first",
		Example: "  holdfast hold list\n  holdfast hold list --matter M-7 --all --json",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runHoldList(cmd.Context(), g, req) },
	}
	cmd.Flags().BoolVar(&req.All, "all", false, "the released ones as well")
	cmd.Flags().StringVar(&req.Matter, "matter", "", "only those of this matter: `ID`")
	return cmd
}

func runHoldList(ctx context.Context, g *globals, req api.HoldsRequest) error {
	list, err := ask(ctx, g, func(c *api.Client) (*api.HoldsResponse, error) { return c.Holds(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	switch {
	case len(list.Holds) == 0 && req.Matter != "":
		return g.say("no hold of such a matter is in force, as far as you may see: its members, approvers and auditors see its holds")
	case len(list.Holds) == 0:
		return g.say("nothing is held")
	}
	rows := make([][]string, 0, len(list.Holds))
	for i := range list.Holds {
		h := &list.Holds[i]
		ends, held, by := "", "", ""
		if h.Release != nil {
			ends = stamp(h.Release.Ends)
		}
		if h.By != nil { // of a hold of somebody else's matter nothing is told
			held, by = number(h.Held), h.By.String()
		}
		rows = append(rows, []string{number(h.Seq), h.Matter, h.State, stamp(h.Placed), ends, held, by, h.Reason})
	}
	return g.writeTable([]string{"HOLD", "MATTER", "STATE", "PLACED (UTC)", "ENDS (UTC)", "HELD", "BY", "REASON"}, rows)
}

func newHoldShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show HOLD",
		Short: "Show a hold: what it covers, how much that is, its release and its notices",
		Long: `Show a hold. How many entries it holds is counted behind the log: "materialised through" says how far.
What the count has not reached is held all the same.`,
		Example: "  holdfast hold show 412\n  holdfast hold show 412 --json | jq .held",
		Args:    exactly(1, "name one hold by its number, as `holdfast hold list` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return g.hold(ctx, args[0], func(c *api.Client, seq uint64) (*api.Hold, error) { return c.Hold(ctx, seq) })
		},
	}
}

// hold asks for the hold of that number and writes it.
func (g *globals) hold(ctx context.Context, arg string, get func(c *api.Client, seq uint64) (*api.Hold, error), next ...string) error {
	seq, err := parseNumber(arg, "a hold")
	if err != nil {
		return err
	}
	h, err := ask(ctx, g, func(c *api.Client) (*api.Hold, error) { return get(c, seq) })
	if err != nil {
		return err
	}
	return g.holdAnswer(h, next...)
}

type holdWidenOptions struct {
	scope  scopeOptions
	reason string
}

func newHoldWiden(g *globals) *cobra.Command {
	o := &holdWidenOptions{}
	cmd := &cobra.Command{
		Use:   "widen HOLD [--custodian WHO]... [--from DATE] ... --reason TEXT",
		Short: "Have a hold cover more, at once",
		Long: `Add a scope to a hold: it then holds what the new scope covers beside all that it held before. To hold less is a
release: holdfast hold release --keep-….

` + scopeHelp,
		Example: `  holdfast hold widen 412 --custodian dahl --from 2025-06-01 --reason 'named in the amended claim'
  holdfast hold widen 412 --conversation c9 --reason 'amended claim'`,
		Args: exactly(1, "name one hold by its number, as `holdfast hold list` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error { return runHoldWiden(cmd.Context(), g, o, args[0]) },
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, kept in the log: `TEXT`")
	o.scope.addFlags(cmd, "", "hold")
	return cmd
}

func runHoldWiden(ctx context.Context, g *globals, o *holdWidenOptions, arg string) error {
	scope, err := o.scope.read(ctx, g)
	if err != nil {
		return err
	}
	return g.hold(ctx, arg, func(c *api.Client, seq uint64) (*api.Hold, error) {
		return c.WidenHold(ctx, api.WidenHoldRequest{Seq: seq, Scope: *scope, Reason: o.reason})
	}, "in force: what it covers, now or in future, is not destroyed until it is released")
}

// writeHold writes a hold: itself, each of its scopes, its release, its notices.
func (g *globals) writeHold(h *api.Hold) error {
	fields := []field{
		{"hold", number(h.Seq) + " (" + h.State + ")"},
		{"matter", h.Matter},
		{"placed", stamp(h.Placed) + " UTC"},
	}
	if h.By != nil {
		fields = append(fields, field{"by", h.By.String()}, field{"reason", h.Reason},
			field{"holds", number(h.Held) + " entries, materialised through " + below(h.Through)})
	} else {
		fields = append(fields, field{"more", "its matter's members, approvers and auditors see what it covers"})
	}
	for i := range h.Scopes {
		fields = append(fields, scopeHeldFields(i, &h.Scopes[i])...)
	}
	if r := h.Release; r != nil {
		fields = append(fields,
			field{"release", "by " + r.By.String() + " at " + stamp(r.At) + " UTC, request " + number(r.Request) + ": " + r.Reason},
			field{"grace ends", stamp(r.Ends) + " UTC"})
	}
	if err := g.writeFields(fields); err != nil {
		return err
	}
	if len(h.Notices) > 0 {
		rows := make([][]string, 0, len(h.Notices))
		for i := range h.Notices {
			n := &h.Notices[i]
			rows = append(rows, []string{stamp(n.At), n.State, n.Custodian, n.Name, n.By.String(), n.Text})
		}
		if err := g.writeTable([]string{"NOTICE (UTC)", "STATE", "CUSTODIAN", "NAME", "BY", "TEXT"}, rows); err != nil {
			return err
		}
	}
	if h.State == "releasing" && h.By != nil {
		return g.next("until the grace period ends one person takes the release back with: holdfast hold cancel " + number(h.Seq) + " --reason TEXT")
	}
	return nil
}

// scopeHeldFields describe the scope at place i of a hold.
func scopeHeldFields(i int, s *api.ScopeHeld) []field {
	since := "in force since " + stamp(s.Since) + " UTC"
	switch {
	case s.Until != nil:
		since += ", lapsed " + stamp(*s.Until) + " UTC"
	case s.Lapses != nil:
		since += ", lapses " + stamp(*s.Lapses) + " UTC unless that is cancelled"
	}
	fields := []field{{fmt.Sprintf("scope %d", i+1), since}}
	for _, f := range scopeFields(&s.Scope) {
		fields = append(fields, field{"  " + f.name, f.value})
	}
	if len(s.Unseen) > 0 {
		fields = append(fields, field{"  not known", strings.Join(s.Unseen, ", ") + ": the archive has nothing of it; check how it is written (`holdfast show` prints ids), or wait for what comes"})
	}
	return fields
}
