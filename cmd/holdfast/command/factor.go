package command

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newFactor(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "factor",
		Short: "Issue a ticket for a second factor, or end a person's",
		Example: `  holdfast factor issue jdoe --reason 'new compliance officer, ticket handed over in person'
  holdfast factor reset jdoe --reason 'telephone lost'`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newFactorIssue(g), newFactorReset(g))
	return cmd
}

func newFactorIssue(g *globals) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "issue WHO --reason TEXT",
		Short: "Issue a ticket with which a person enrols a second factor",
		Long: `Issue a ticket with which a person enrols a second factor, by holdfast login --ticket. It is printed
this once: hand it over on a way on which you know that it is they. ` + whoHelp + `
It must fit one person alone.`,
		Example: "  holdfast factor issue jdoe --reason 'new compliance officer, handed over in person'",
		Args:    exactly(1, "name one person, with quotes around a name that has spaces"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runFactorIssue(cmd.Context(), g, api.FactorRequest{Who: args[0], Reason: reason})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, kept in the log: `TEXT`")
	return cmd
}

func runFactorIssue(ctx context.Context, g *globals, req api.FactorRequest) error {
	t, err := ask(ctx, g, func(c *api.Client) (*api.TicketResponse, error) { return c.IssueTicket(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(t)
	}
	return errors.Join(
		g.writeFields([]field{{"person", t.Person}, {"name", t.Name}, {"ticket", t.Ticket}, {"expires", stamp(t.Expires) + " UTC"}}),
		g.say("the ticket is shown once; it is used with: holdfast login --ticket"),
	)
}

func newFactorReset(g *globals) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "reset WHO --reason TEXT",
		Short: "End a person's second factor and sessions",
		Long: `End a person's second factor, recovery codes and sessions at once. They log in again only after
enrolling anew with a ticket. ` + whoHelp + `
It must fit one person alone.`,
		Example: "  holdfast factor reset jdoe --reason 'telephone lost'",
		Args:    exactly(1, "name one person, with quotes around a name that has spaces"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runFactorReset(cmd.Context(), g, api.FactorRequest{Who: args[0], Reason: reason})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, kept in the log: `TEXT`")
	return cmd
}

func runFactorReset(ctx context.Context, g *globals, req api.FactorRequest) error {
	r, err := ask(ctx, g, func(c *api.Client) (*api.FactorResponse, error) { return c.ResetFactor(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(r)
	}
	return g.writeFields([]field{{"person", r.Person}, {"name", r.Name}, {"second factor", "ended, with all sessions"}})
}

func newSessions(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "sessions",
		Short:   "List who is logged in",
		Example: "  holdfast sessions\n  holdfast sessions --format json",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runSessions(cmd.Context(), g) },
	}
}

func runSessions(ctx context.Context, g *globals) error {
	list, err := ask(ctx, g, func(c *api.Client) (*api.SessionsResponse, error) { return c.Sessions(ctx) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Sessions) == 0 {
		return g.say("nobody is logged in")
	}
	rows := make([][]string, 0, len(list.Sessions))
	for _, s := range list.Sessions {
		rows = append(rows, []string{s.Principal.String(), s.Principal.Address, stamp(s.Began), stamp(s.Used), stamp(s.Ends), grants(s.Roles)})
	}
	return g.writeTable([]string{"PRINCIPAL", "ADDRESS", "BEGAN (UTC)", "USED (UTC)", "ENDS (UTC)", "ROLES"}, rows)
}
