package command

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

type holdReleaseOptions struct {
	keep    scopeOptions
	reason  string
	request uint64
	dry     bool
}

func newHoldRelease(g *globals) *cobra.Command {
	o := &holdReleaseOptions{}
	cmd := &cobra.Command{
		Use:   "release HOLD --reason TEXT | HOLD --request SEQ",
		Short: "Ask for a hold's release, or do it once it is approved",
		Long: `Release a hold, in three steps. With --reason: see what would become disposable, and ask for the release.
When another person has approved it (holdfast requests): do it with --request. Then a grace period
begins (30 days unless configured otherwise), until whose end everything stays held and one person
can take the release back with holdfast hold cancel.

To narrow a hold, release it but for what the --keep-… options name: they are those of hold place.
--dry-run shows what would become disposable, and asks for nothing.`,
		Example: `  holdfast hold release 412 --dry-run
  holdfast hold release 412 --reason 'settled, order of 4 June'
  holdfast hold release 412 --request 431
  holdfast hold release 412 --keep-custodian 'Anna Berg' --keep-from 2025-06-01 --reason 'narrowed by stipulation'`,
		Args: exactly(1, "name one hold by its number, as `holdfast hold list` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error { return runHoldRelease(cmd.Context(), g, o, args[0]) },
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, kept in the log: `TEXT`")
	addCount(cmd, &o.request, "request", "do the release of this approved request `SEQ`")
	cmd.Flags().BoolVar(&o.dry, "dry-run", false, "only show what would become disposable")
	o.keep.addFlags(cmd, "keep-", "go on holding")
	return cmd
}

func runHoldRelease(ctx context.Context, g *globals, o *holdReleaseOptions, arg string) error {
	seq, err := parseNumber(arg, "a hold")
	if err != nil {
		return err
	}
	if o.request > 0 {
		if o.keep.given() || o.reason != "" || o.dry {
			return usage("--request does exactly what was approved: leave --reason, --dry-run and --keep-… away")
		}
		return g.hold(ctx, arg, func(c *api.Client, seq uint64) (*api.Hold, error) {
			return c.ReleaseHold(ctx, api.ReleaseHoldRequest{Seq: seq, Request: o.request})
		})
	}
	var keep *api.ScopeRequest
	if o.keep.given() {
		if keep, err = o.keep.read(ctx, g); err != nil {
			return err
		}
	}
	if o.dry {
		return runPreviewRelease(ctx, g, api.PreviewReleaseRequest{Seq: seq, Keep: keep})
	}
	req := api.AskReleaseRequest{Seq: seq, Keep: keep, Reason: o.reason}
	asked, err := ask(ctx, g, func(c *api.Client) (*api.AskReleaseResponse, error) { return c.AskRelease(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(asked)
	}
	fields := []field{{"hold", number(seq)}, {"request", number(asked.Request)}}
	if asked.Keep != nil {
		fields = append(fields, field{"goes on holding", "what this scope covers"})
		for _, f := range scopeFields(asked.Keep) {
			fields = append(fields, field{"  " + f.name, f.value})
		}
	}
	return errors.Join(g.writeFields(fields), g.writePreview(&asked.Preview), g.next(
		"nothing is released yet: another person approves with: "+approve(asked.Request),
		fmt.Sprintf("then: holdfast hold release %d --request %d", seq, asked.Request)))
}

func runPreviewRelease(ctx context.Context, g *globals, req api.PreviewReleaseRequest) error {
	p, err := ask(ctx, g, func(c *api.Client) (*api.Preview, error) { return c.PreviewRelease(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(p)
	}
	return errors.Join(g.writePreview(p), g.next("nothing was asked for and nothing is released"))
}

// writePreview writes what a release would come to.
func (g *globals) writePreview(p *api.Preview) error {
	err := g.writeFields([]field{
		{"would be free", number(p.Entries) + " entries that nothing else holds"},
		{"due already", number(p.DueNow) + " of them, which the next disposition would destroy"},
		{"counted through", below(p.Through)},
	})
	if err != nil || len(p.ClassMonths) == 0 {
		return err
	}
	rows := make([][]string, 0, len(p.ClassMonths))
	for _, m := range p.ClassMonths {
		rows = append(rows, []string{m.Class, m.Month, number(m.Entries), number(m.Due)})
	}
	return g.writeTable([]string{"CLASS", "MONTH", "WOULD BE FREE", "DUE ALREADY"}, rows)
}

func newHoldCancel(g *globals) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "cancel HOLD --reason TEXT",
		Short:   "Take a release back within its grace period",
		Long:    "Take a release back before its grace period ends. One person suffices; the hold is then as it was before.",
		Example: "  holdfast hold cancel 412 --reason 'appeal lodged on 20 June'",
		Args:    exactly(1, "name one hold by its number, as `holdfast hold list` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return g.hold(ctx, args[0], func(c *api.Client, seq uint64) (*api.Hold, error) {
				return c.CancelRelease(ctx, api.CancelReleaseRequest{Seq: seq, Reason: reason})
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, kept in the log: `TEXT`")
	return cmd
}

type holdNoticeOptions struct{ custodian, state, text, file string }

// maxNotice bounds a notice's text, in bytes: with the rest of its request it
// fits into one.
const maxNotice = 32 << 10

// noticeStates are what can be recorded of a notice.
var noticeStates = []string{"sent", "acknowledged", "reminded"}

func newHoldNotice(g *globals) *cobra.Command {
	o := &holdNoticeOptions{}
	cmd := &cobra.Command{
		Use:   "notice HOLD --custodian WHO --state STATE [--text TEXT | --text-file FILE]",
		Short: "Record what a custodian was told of a hold",
		Long: `Record that a custodian was sent a notice of the hold, acknowledged it, or was reminded, with its text.
The archive sends nothing itself. hold show lists the notices. ` + whoHelp,
		Example: `  holdfast hold notice 412 --custodian 'Anna Berg' --state sent --text-file notice.txt
  holdfast hold notice 412 --custodian 'Anna Berg' --state acknowledged --text 'by mail, 3 March'`,
		Args: exactly(1, "name one hold by its number, as `holdfast hold list` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error { return runHoldNotice(cmd.Context(), g, o, args[0]) },
	}
	cmd.Flags().StringVar(&o.custodian, "custodian", "", "who was told: `WHO`")
	cmd.Flags().StringVar(&o.state, "state", "", "what is recorded: `STATE` sent, acknowledged or reminded")
	cmd.Flags().StringVar(&o.text, "text", "", "what was said, kept in the log: `TEXT`")
	cmd.Flags().StringVar(&o.file, "text-file", "", "read that text from `FILE`, or from stdin with -")
	choices(cmd, "state", noticeStates...)
	return cmd
}

func runHoldNotice(ctx context.Context, g *globals, o *holdNoticeOptions, arg string) error {
	switch {
	case o.custodian == "":
		return usage("name with --custodian who was told")
	case !slices.Contains(noticeStates, o.state):
		return usage("--state is sent, acknowledged or reminded")
	case o.file != "" && o.text != "":
		return usage("give --text or --text-file, and not both")
	}
	req := api.NoticeRequest{Custodian: o.custodian, State: o.state, Text: o.text}
	if o.file != "" {
		text, err := g.readInput(ctx, o.file, "the notice's text", maxNotice)
		if err != nil {
			return err
		}
		req.Text = text
	}
	return g.hold(ctx, arg, func(c *api.Client, seq uint64) (*api.Hold, error) {
		req.Seq = seq
		return c.Notice(ctx, req)
	})
}
