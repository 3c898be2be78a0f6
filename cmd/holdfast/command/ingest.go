package command

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newIngest(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ingest",
		Short: "Pause what comes from the relay, and resume it",
		Long: `Pause what comes from the relay, for work on the machine or its disks, and resume it. Nothing is lost:
the relay keeps what is not acknowledged, for days; alarms tell of the lag as always. A pause stays in
force over restarts until somebody resumes. Searches, holds and exports go on meanwhile.`,
		Example: "  holdfast ingest pause --reason 'the disk is moved to another shelf, change 4711'\n  holdfast ingest show\n  holdfast ingest resume --reason 'the disk is back'",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newIngestShow(g),
		newIngestChange(g, "pause", "Pull nothing from the relay until it is resumed", (*api.Client).PauseIngest),
		newIngestChange(g, "resume", "Pull from the relay again", (*api.Client).ResumeIngest))
	return cmd
}

func newIngestShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Say whether ingest is paused, and since when",
		Example: "  holdfast ingest show\n  holdfast ingest show --json | jq .paused",
		Args:    nameless,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := ask(cmd.Context(), g, func(c *api.Client) (*api.PauseResponse, error) { return c.Ingest(cmd.Context()) })
			if err != nil {
				return err
			}
			return g.writePaused(st)
		},
	}
}

func newIngestChange(g *globals, verb, short string, do func(*api.Client, context.Context, api.PauseRequest) (*api.PauseResponse, error)) *cobra.Command {
	var req api.PauseRequest
	cmd := &cobra.Command{
		Use:     verb + " --reason TEXT",
		Short:   short,
		Example: "  holdfast ingest " + verb + " --reason 'change 4711'",
		Args:    nameless,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := ask(cmd.Context(), g, func(c *api.Client) (*api.PauseResponse, error) { return do(c, cmd.Context(), req) })
			if err != nil {
				return err
			}
			return g.writePaused(st)
		},
	}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, kept in the log: `TEXT`")
	return cmd
}

func (g *globals) writePaused(st *api.PauseResponse) error {
	if g.format == formatJSON {
		return g.writeJSON(st)
	}
	state := "running"
	switch {
	case st.Paused:
		state = "paused"
	case len(st.Reasons) > 0:
		state = "held back: " + strings.Join(st.Reasons, ", ")
	case !st.Relay:
		state = "no relay is configured"
	}
	fields := []field{{"ingest", state}}
	if st.Paused && st.Since != nil {
		fields = append(fields, field{"since", stamp(*st.Since) + " UTC, entry " + number(st.Entry)})
	}
	if err := g.writeFields(fields); err != nil || !st.Paused {
		return err
	}
	return g.next("holdfast ingest resume --reason TEXT")
}
