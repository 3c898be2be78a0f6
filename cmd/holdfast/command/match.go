package command

import (
	"context"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newDirectoryMatches(g *globals) *cobra.Command {
	var unmatched bool
	cmd := &cobra.Command{
		Use:   "matches",
		Short: "List relay users with the people they belong to, and those that nobody knows",
		Long: `List the relay's users with the people they belong to, and those of which it is not known. A relay
user is matched by its UPN or mail address, and never by guessing: for the others say who it is
with holdfast directory match.`,
		Example: "  holdfast directory matches --unmatched\n  holdfast directory matches --format json",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDirectoryMatches(cmd.Context(), g, unmatched) },
	}
	cmd.Flags().BoolVar(&unmatched, "unmatched", false, "only those that nobody knows")
	return cmd
}

func runDirectoryMatches(ctx context.Context, g *globals, unmatched bool) error {
	list, err := ask(ctx, g, func(c *api.Client) (*api.MatchesResponse, error) { return c.Matches(ctx) })
	if err != nil {
		return err
	}
	if unmatched {
		list.Matched = []api.RelayMatched{}
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	var rows [][]string
	for _, u := range list.Unmatched {
		address := u.UPN
		if u.Mail != "" && u.Mail != u.UPN {
			address += " " + u.Mail
		}
		rows = append(rows, []string{u.Usr, "-", u.Name, address, "unmatched: " + u.Reason})
	}
	for i := range list.Matched {
		m := &list.Matched[i]
		how := "by " + m.How
		if by := matchedBy(m); by != "" {
			how = by + ": " + m.Reason
		}
		rows = append(rows, []string{m.Usr, m.Person, m.Name, "", how})
	}
	if len(rows) == 0 {
		return g.say("no relay user found")
	}
	if err := g.writeTable([]string{"RELAY USER", "PERSON", "NAME", "ADDRESS", "HOW"}, rows); err != nil {
		return err
	}
	if len(list.Unmatched) > 0 {
		return g.say("%d relay users are nobody's: holdfast directory match USR WHO --reason TEXT", len(list.Unmatched))
	}
	return nil
}

type matchOptions struct {
	none   bool
	reason string
}

func newDirectoryMatch(g *globals) *cobra.Command {
	o := &matchOptions{}
	cmd := &cobra.Command{
		Use:   "match USR WHO --reason TEXT",
		Short: "Say which person a relay user is",
		Long: `Say which person a relay user is, after you have made sure of it. Searches and holds for the person
then find that relay user's messages. ` + whoHelp + `
It must fit one person alone. With --none in place of WHO the relay user is nobody's again.`,
		Example: `  holdfast directory match u-1077 jdoe --reason 'HR confirms the maiden name, mail of 1 March'
  holdfast directory match u-1077 --none --reason 'mixed up with another person of that name'`,
		RunE: func(cmd *cobra.Command, args []string) error { return runDirectoryMatch(cmd.Context(), g, o, args) },
	}
	cmd.Flags().BoolVar(&o.none, "none", false, "the relay user is nobody's, or nobody knows whose")
	cmd.Flags().StringVar(&o.reason, "reason", "", "how you know, kept in the log: `TEXT`")
	return cmd
}

func runDirectoryMatch(ctx context.Context, g *globals, o *matchOptions, args []string) error {
	req := api.MatchRequest{Reason: o.reason}
	switch {
	case len(args) == 1 && o.none:
		req.Usr = args[0]
	case len(args) == 2 && !o.none:
		req.Usr, req.Who = args[0], args[1]
	default:
		return usage("name the relay user and the person, or the relay user and --none")
	}
	m, err := ask(ctx, g, func(c *api.Client) (*api.RelayMatched, error) { return c.Match(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(m)
	}
	person := "nobody"
	if m.Person != "" {
		person = m.Person
	}
	return g.writeFields([]field{{"relay user", m.Usr}, {"person", person}, {"name", m.Name}, {"entry", number(m.Seq)}})
}
