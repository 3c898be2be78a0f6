package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newCheckpoint(g *globals) *cobra.Command {
	var logKey bool
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Print a signed checkpoint of the log, or the log's key",
		Long: `Print a signed note that states the log's length and root hash. Kept elsewhere it makes
any later rewriting of the log show. --log-key prints the key with which checkpoints and
productions are verified instead: keep that on another machine too.`,
		Example: `  holdfast checkpoint > 2026-03-01.checkpoint
  holdfast checkpoint --log-key > hospital.logkey
  holdfast checkpoint --format json | jq .identity`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCheckpoint(cmd.Context(), g, logKey) },
	}
	cmd.Flags().BoolVar(&logKey, "log-key", false, "print the log's key instead")
	return cmd
}

func runCheckpoint(ctx context.Context, g *globals, logKey bool) error {
	c, err := ask(ctx, g, func(c *api.Client) (*api.CheckpointResponse, error) { return c.Checkpoint(ctx) })
	if err != nil {
		return err
	}
	switch {
	case g.format == formatJSON:
		return g.writeJSON(c)
	case logKey:
		_, err = fmt.Fprintln(g.Out, c.LogKey)
	default:
		_, err = fmt.Fprint(g.Out, c.Checkpoint)
	}
	return err
}
