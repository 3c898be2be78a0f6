package command

import (
	"context"
	"errors"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

type exportOptions struct {
	why
	asked
	as, out     string
	at, request uint64
	ask         bool
}

func newExport(g *globals) *cobra.Command {
	o := &exportOptions{}
	cmd := &cobra.Command{
		Use:   "export [QUERY] --out DIR",
		Short: "Produce messages with proofs that a stranger can verify",
		Long: `Produce the messages that a query finds, with a signed manifest and proofs, in a new folder.
While it is made the folder is called DIR.partial; DIR appears when the production is whole.
The export is recorded with its query and reason before anything is handed out.

An export of more entries than the configuration lets one person make alone takes two: ask for it
with --ask, which says the number of the request and as of how many entries it is; when another
person has approved that (holdfast requests), make it, once, with --request and --at.`,
		Example: `  holdfast export 'conversation:"Ward 3"' --matter M-7 --as jsonl --out ward3
  holdfast export --query-file query.txt --reason 'subpoena 26-118' --out subpoena
  holdfast export --query-file query.txt --reason 'subpoena 26-118' --ask
  holdfast export --query-file query.txt --reason 'subpoena 26-118' --request 4711 --at 4710 --out subpoena`,
		RunE: func(cmd *cobra.Command, args []string) error { return runExport(cmd.Context(), g, o, args) },
	}
	o.why.addFlags(cmd)
	o.asked.addFlags(cmd)
	cmd.Flags().StringVar(&o.as, "as", api.FormatJSONL, "the `FORMAT`: jsonl")
	cmd.Flags().StringVar(&o.out, "out", "", "the new folder `DIR`")
	addCount(cmd, &o.at, "at", "as of the first `N` entries, to repeat an earlier production")
	cmd.Flags().BoolVar(&o.ask, "ask", false, "ask for the approval of a large export, and produce nothing")
	addCount(cmd, &o.request, "request", "the approved request `SEQ` of a large export")
	choices(cmd, "as", api.FormatJSONL)
	return cmd
}

// exported is what export prints for scripts.
type exported struct {
	Dir string `json:"dir"`
	*api.Completion
}

func runExport(ctx context.Context, g *globals, o *exportOptions, args []string) error {
	q, err := o.asked.read(ctx, g, args)
	if err != nil {
		return err
	}
	req := api.ExportRequest{Query: q, Reason: o.reason, Matter: o.matter, As: o.as, At: o.at, Request: o.request}
	switch {
	case o.ask && (o.out != "" || o.request > 0):
		return usage("--ask produces nothing: leave --out and --request away")
	case o.ask:
		return runAskExport(ctx, g, req)
	case o.out == "":
		return usage("say with --out where the production goes")
	}
	b := g.startBar("receiving", 0, progress.UnitsBytes)
	done, err := ask(ctx, g, func(c *api.Client) (*api.Completion, error) {
		return c.Export(ctx, req, o.out, func(_, bytes uint64) { b.set(bytes, 0) })
	})
	b.stop(err == nil)
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(exported{o.out, done})
	}
	return errors.Join(
		g.writeFields([]field{
			{"production", o.out},
			{"matched", number(done.Matched)},
			{"produced", number(done.Produced)},
			{"withheld", number(done.Withheld)},
			{"quarantined", number(done.Quarantined)},
			{"files", number(done.Files)},
			{"bytes", number(done.Bytes)},
			{"access entry", number(done.Access)},
		}),
		g.say("annex/ stays in the house: take it out of what you hand over\nverify it anywhere with: holdfast verify DIR --log-key FILE (holdfast checkpoint --log-key prints the key)"),
	)
}

func runAskExport(ctx context.Context, g *globals, req api.ExportRequest) error {
	asked, err := ask(ctx, g, func(c *api.Client) (*api.LargeExportResponse, error) { return c.AskExport(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(asked)
	}
	fields := append(requestFields(&asked.Request), field{"matched", number(asked.Total)}, field{"as of", number(asked.At) + " entries"})
	return errors.Join(g.writeFields(fields),
		g.say("when another person has approved it, add to the same command: --request %d --at %d --out DIR", asked.Request.Seq, asked.At))
}
