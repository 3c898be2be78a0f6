package command

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"holdfast/ingest/wire"
	"holdfast/internal/relay"
)

func newStatus() *cobra.Command {
	var dir, format string
	cmd := &cobra.Command{
		Use:   "status --dir DIR [--format json]",
		Short: "Show how far the archive has acked",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runStatus(cmd.Context(), dir, format, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the relay's folder")
	addFormat(cmd, &format)
	return cmd
}

func runStatus(ctx context.Context, dir, format string, out io.Writer) error {
	if err := errors.Join(required("dir", dir), checkFormat(format)); err != nil {
		return err
	}
	s, err := readStatus(ctx, dir)
	if err != nil {
		return err
	}
	if format == "json" {
		return json.NewEncoder(out).Encode(s)
	}
	t := table.NewWriter()
	t.AppendHeader(table.Row{"epoch", "previous epoch", "oldest", "high", "acked", "waiting"})
	t.AppendRow(table.Row{s.Epoch, s.PreviousEpoch, s.Oldest, s.High, s.Acked, s.High - s.Acked})
	_, err = io.WriteString(out, t.Render()+"\n")
	return err
}

// readStatus asks the running relay, or looks into the queue of one that is stopped.
func readStatus(ctx context.Context, dir string) (wire.Status, error) {
	client, err := relay.NewClient(dir, "")
	if err != nil {
		return wire.Status{}, err
	}
	defer client.Close()
	s, err := client.Status(ctx)
	if errors.Is(err, relay.ErrUnreachable) {
		return relay.OfflineStatus(dir)
	}
	return s, err
}
