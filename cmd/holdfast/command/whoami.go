package command

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newWhoami(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "whoami",
		Short:   "Say who the daemon takes you for, and which way you reach it",
		Long:    "Say who the daemon takes you for, with which roles, and which way you reach it.\n\n" + wayRule,
		Example: "  holdfast whoami\n  holdfast whoami --format json | jq .way",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runWhoami(cmd.Context(), g) },
	}
}

// self is what whoami prints for scripts.
type self struct {
	*api.WhoamiResponse
	Way *way `json:"way"`
}

func runWhoami(ctx context.Context, g *globals) error {
	w, err := g.chooseWay()
	if err != nil {
		return err
	}
	me, err := askBy(ctx, g, w, func(c *api.Client) (*api.WhoamiResponse, error) { return c.Whoami(ctx) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(self{me, w})
	}
	fields := []field{{"name", me.Name}, {"person", me.Person}}
	if me.UID != nil {
		fields = append(fields, field{"account", number(uint64(*me.UID))})
	}
	fields = append(fields, field{"roles", grants(me.Roles)}, field{"way", w.Kind + " " + w.Address + ": " + w.Why}, field{"as", me.Via}, field{"address", me.Address})
	if me.Ends != nil {
		fields = append(fields, field{"ends", stamp(*me.Ends) + " UTC"})
	}
	return g.writeFields(fields)
}

func newBreakGlass(g *globals) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "break-glass --reason TEXT",
		Short: "Take emergency roles on the appliance, which raises an alarm",
		Long: `Take, for a short time, the roles that the configuration gives your account in an emergency, such
as when the directory is down and nobody can log in. It works over the Unix socket alone, on the
appliance, for accounts that the configuration names. It raises an alarm and stands in the log with
your reason, and so does everything that you do then.`,
		Example: "  holdfast break-glass --reason 'directory down since 02:10, court order 26-118 due at 08:00'",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runBreakGlass(cmd.Context(), g, reason) },
	}
	cmd.Flags().StringVar(&reason, "reason", "", "what the emergency is, kept in the log: `TEXT`")
	return cmd
}

// loud says what breaking the glass does, before it does it.
const loud = `BREAK-GLASS
  You are taking emergency roles of the archive.
  An alarm is raised now, and repeated until somebody acknowledges it.
  Your account, your reason and everything that you do from here on stand in
  the log for good and are read by auditors.`

func runBreakGlass(ctx context.Context, g *globals, reason string) error {
	switch {
	case g.server != "":
		return usage("break-glass works over the socket alone, on the archive's own machine")
	case strings.TrimSpace(reason) == "":
		return usage("say with --reason what the emergency is")
	}
	if err := g.say("%s", loud); err != nil {
		return err
	}
	c := api.NewClient(g.socket) // whatever session is saved
	defer c.Close()
	given, err := c.BreakGlass(ctx, api.BreakGlassRequest{Reason: reason})
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(given)
	}
	return errors.Join(
		g.writeFields([]field{{"roles", grants(given.Roles)}, {"end", stamp(given.Ends) + " UTC"}}),
		g.say("use them over the socket: with a saved session, add --socket %s", visible(g.socket)),
	)
}
