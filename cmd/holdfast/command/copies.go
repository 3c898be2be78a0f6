package command

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newCopies(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "copies",
		Short: "Copies of keys and data: what could still open what was destroyed",
		Long: `A backup of the keyring, or a snapshot of the disk, opens what it held when it was made: a certificate of
destruction is complete only when every copy that is older than the destruction is gone. Say here
which copies there are, and when one is destroyed.`,
		Example: `  holdfast copies list
  holdfast copies note tape-2026-06 --what backup --where 'safe B, tape 12'
  holdfast copies gone tape-2026-06 --reason 'shredded, protocol 26-7'`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCopiesList(g), newCopiesNote(g), newCopiesGone(g))
	return cmd
}

func newCopiesList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the known copies",
		Example: "  holdfast copies list\n  holdfast copies list --json | jq '.copies[] | select(.gone == null)'",
		Args:    nameless,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return g.copies(ctx, func(c *api.Client) (*api.CopiesResponse, error) { return c.Copies(ctx) })
		},
	}
}

// copyKinds are what a copy can be of.
var copyKinds = []string{"backup", "keyring", "recovery", "snapshot"}

func newCopiesNote(g *globals) *cobra.Command {
	var req api.NoteCopyRequest
	cmd := &cobra.Command{
		Use:   "note ID --what KIND --where TEXT",
		Short: "Record that there is a copy",
		Long: `Record that there is a copy of the keyring, of the recovery kit's file, of the data directory (backup) or of the
disk (snapshot). From then on certificates name it while it could open what they are about. --keyring
says of which generation the keyring in it is; without it, it counts as older than any.`,
		Example: `  holdfast copies note tape-2026-06 --what backup --where 'safe B, tape 12'
  holdfast copies note vm-0612 --what snapshot --where 'hypervisor 2' --keyring 9`,
		Args: exactly(1, "name the copy by an ID of your own, such as tape-2026-06"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.ID = args[0]
			switch {
			case !slices.Contains(copyKinds, req.What):
				return usage("--what is backup, keyring, recovery or snapshot")
			case req.Where == "":
				return usage("say with --where the copy is, so that somebody finds it when it has to go")
			}
			ctx := cmd.Context()
			return g.copies(ctx, func(c *api.Client) (*api.CopiesResponse, error) { return c.NoteCopy(ctx, req) })
		},
	}
	cmd.Flags().StringVar(&req.What, "what", "", "of what it is a copy: `KIND` backup, keyring, recovery or snapshot")
	cmd.Flags().StringVar(&req.Where, "where", "", "where it is: `TEXT`")
	addCount(cmd, &req.Keyring, "keyring", "the generation `N` of the keyring in it")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why it was made, kept in the log: `TEXT`")
	choices(cmd, "what", copyKinds...)
	return cmd
}

func newCopiesGone(g *globals) *cobra.Command {
	var req api.CopyGoneRequest
	cmd := &cobra.Command{
		Use:   "gone ID --reason TEXT",
		Short: "Record that a copy was destroyed",
		Long: `Record that a copy is gone for good. It is your word that goes into the log: certificates that named it as the
last copy are followed, within the hour, by one that says complete.`,
		Example: "  holdfast copies gone tape-2026-06 --reason 'shredded, protocol 26-7'",
		Args:    exactly(1, "name one copy by its ID, as `holdfast copies list` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.ID = args[0]
			ctx := cmd.Context()
			return g.copies(ctx, func(c *api.Client) (*api.CopiesResponse, error) { return c.CopyGone(ctx, req) },
				"certificates that named it as the last copy are followed, within the hour, by one that says complete: holdfast certificate list")
		},
	}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "how it was destroyed, kept in the log: `TEXT`")
	return cmd
}

// copies asks for the copies, writes them, and says what comes next.
func (g *globals) copies(ctx context.Context, get func(c *api.Client) (*api.CopiesResponse, error), next ...string) error {
	list, err := ask(ctx, g, get)
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Copies) == 0 {
		return g.next("no copy is known; if there are backups or snapshots, name them: holdfast copies note ID --what backup --where TEXT")
	}
	rows := make([][]string, 0, len(list.Copies))
	for i := range list.Copies {
		c := &list.Copies[i]
		rows = append(rows, []string{c.ID, c.What, optional(c.Keyring), stamp(c.Noted), sinceStamp(c.Gone, "no"), c.Where})
	}
	return errors.Join(g.writeTable([]string{"COPY", "WHAT", "KEYRING", "NOTED (UTC)", "GONE", "WHERE"}, rows), g.next(next...))
}
