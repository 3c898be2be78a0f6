package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newAnchors(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "anchors",
		Short: "Where the log is anchored outside the machine",
		Long: `Show where the log's checkpoints are kept outside the machine, so that even root on it cannot rewrite what
is older than the last of them: in a file, with witnesses (C2SP tlog-witness), with a time-stamping
authority (RFC 3161), and with the relay, which gets one in each acknowledgement.`,
		Example: "  holdfast anchors list\n  holdfast anchors make\n  holdfast anchors cosigned > cosigned.checkpoint",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAnchorsList(g), newAnchorsMake(g), newAnchorsCosigned(g))
	return cmd
}

func newAnchorsList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the places, with the last anchor of each",
		Long: `List the places outside the machine, with the last anchor of each and what fails now. With --json each has its
signed checkpoint and the place's own proof: a witness's cosignature line, or the time-stamp token,
which ` + "`openssl ts -verify`" + ` checks against the checkpoint's text.`,
		Example: "  holdfast anchors list\n  holdfast anchors list --json | jq -r '.anchors[] | select(.anchor == \"timestamp\").last.proof' | base64 -d > token.tst",
		Args:    nameless,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := ask(cmd.Context(), g, func(c *api.Client) (*api.AnchorsResponse, error) { return c.AnchorsList(cmd.Context()) })
			if err != nil {
				return err
			}
			return g.writeAnchors(list)
		},
	}
}

func (g *globals) writeAnchors(list *api.AnchorsResponse) error {
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Anchors) == 0 {
		return errors.Join(g.say("the log is anchored nowhere: who has root on the machine could rewrite all of it"),
			g.next("set [anchor] in holdfastd.toml: a file on another machine, a witness, a time-stamping authority"))
	}
	rows := make([][]string, 0, len(list.Anchors))
	for _, a := range list.Anchors {
		row := []string{a.Kind, a.Name, "never", "", "", a.Failing}
		if a.Last != nil {
			row[2] = stamp(a.Last.At)
			if a.Last.Size > 0 {
				row[3], row[4] = number(a.Last.Size), number(a.Last.Entry)
			}
		}
		rows = append(rows, row)
	}
	return g.writeTable([]string{"ANCHOR", "NAME", "LAST (UTC)", "LOG SIZE", "ENTRY", "FAILING"}, rows)
}

func newAnchorsMake(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "make",
		Short:   "Anchor the log at all places now",
		Example: "  holdfast anchors make",
		Args:    nameless,
		RunE: func(cmd *cobra.Command, _ []string) error {
			made, err := ask(cmd.Context(), g, func(c *api.Client) (*api.AnchorMakeResponse, error) { return c.AnchorsMake(cmd.Context()) })
			if err != nil {
				return err
			}
			var failed bool
			rows := make([][]string, 0, len(made.Results))
			for _, r := range made.Results {
				rows = append(rows, []string{r.Kind, r.Name, outcome("anchored", r.Failed)})
				failed = failed || r.Failed != ""
			}
			return g.tried(made, []string{"ANCHOR", "NAME", "RESULT"}, rows, failed, "no place is configured: set [anchor] in holdfastd.toml")
		},
	}
}

func newAnchorsCosigned(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "cosigned",
		Short:   "Print the newest checkpoint that a witness cosigned",
		Long:    "Print the newest checkpoint with a witness's cosignature under it, as `holdfast verify` takes it beside a production.",
		Example: "  holdfast anchors cosigned > cosigned.checkpoint",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAnchorsCosigned(cmd.Context(), g) },
	}
}

func runAnchorsCosigned(ctx context.Context, g *globals) error {
	list, err := ask(ctx, g, func(c *api.Client) (*api.AnchorsResponse, error) { return c.AnchorsList(ctx) })
	if err != nil {
		return err
	}
	var newest *api.Anchored
	for _, a := range list.Anchors {
		if a.Last != nil && a.Last.Cosigned != "" && (newest == nil || a.Last.Size > newest.Size) {
			newest = a.Last
		}
	}
	if newest == nil {
		return &api.Problem{Title: "no witness has cosigned a checkpoint yet", Code: api.CodeNotFound, Exit: api.ExitTemporary,
			Hint: "`holdfast anchors list` says whether there is a witness, and what fails"}
	}
	if g.format == formatJSON {
		return g.writeJSON(newest)
	}
	_, err = fmt.Fprint(g.Out, newest.Cosigned)
	return err
}

// outcome says in words what became of an attempt.
func outcome(done, failed string) string {
	if failed == "" {
		return done
	}
	return "FAILED: " + failed
}

// tried writes what became of attempts at several places, and fails if one of
// them did.
func (g *globals) tried(all any, head []string, rows [][]string, failed bool, none string) error {
	var err error
	switch {
	case g.format == formatJSON:
		err = g.writeJSON(all)
	case len(rows) == 0:
		return &api.Problem{Title: none, Code: api.CodeNoPart, Exit: api.ExitConfig, Hint: "then `holdfastd check-config`, and `systemctl restart holdfastd`"}
	default:
		err = g.writeTable(head, rows)
	}
	if err == nil && failed {
		return &api.Problem{Title: "not every place took it", Code: api.CodeState, Exit: api.ExitTemporary, Hint: "the daemon's log says why; the figures above say which"}
	}
	return err
}
