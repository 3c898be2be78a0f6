package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

// whoHelp says how people are named.
const whoHelp = "WHO is a GUID, account, UPN, mail address or display name that the person has or ever had."

type peopleOptions struct {
	departed     bool
	match, after string
	limit        int
}

func newDirectoryPeople(g *globals) *cobra.Command {
	o := &peopleOptions{}
	cmd := &cobra.Command{
		Use:     "people",
		Short:   "List people",
		Example: "  holdfast directory people --match pathology\n  holdfast directory people --departed --limit 1000 --format json",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDirectoryPeople(cmd.Context(), g, o) },
	}
	cmd.Flags().BoolVar(&o.departed, "departed", false, "also those who departed")
	cmd.Flags().StringVar(&o.match, "match", "", "only whom this `PART` of a name, account, address or department finds")
	cmd.Flags().IntVar(&o.limit, "limit", api.DefaultLimit, "at most `N`")
	cmd.Flags().StringVar(&o.after, "after", "", "only after this `GUID`: the next page")
	return cmd
}

func runDirectoryPeople(ctx context.Context, g *globals, o *peopleOptions) error {
	if o.limit < 1 || o.limit > api.MaxLimit {
		return usage("--limit is 1 to %d", api.MaxLimit)
	}
	req := api.PeopleRequest{Departed: o.departed, Match: o.match, Limit: o.limit, After: o.after}
	list, err := ask(ctx, g, func(c *api.Client) (*api.PeopleResponse, error) { return c.People(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.People) == 0 {
		return g.say("nobody found")
	}
	rows := make([][]string, 0, len(list.People))
	for i := range list.People {
		p := &list.People[i]
		rows = append(rows, []string{p.GUID, p.Account, p.Name, p.Mail, personStatus(p), p.Department})
	}
	if err := g.writeTable([]string{"GUID", "ACCOUNT", "NAME", "MAIL", "STATUS", "DEPARTMENT"}, rows); err != nil {
		return err
	}
	if list.More {
		return g.say("the next page: --after %s", visible(list.People[len(list.People)-1].GUID))
	}
	return nil
}

// personStatus is how a person stands, on a few words.
func personStatus(p *api.Person) string {
	s := p.Status
	if p.Why != "" {
		s += " (" + p.Why + ")"
	}
	if p.Blocked {
		s += ", blocked"
	}
	return s
}

func newDirectoryPerson(g *globals) *cobra.Command {
	var asOf string
	cmd := &cobra.Command{
		Use:   "person WHO",
		Short: "Show a person's dated history",
		Long: `Show how a person stands, or stood at a time, and everything that changed about them: names,
addresses, department, memberships, blocks, and the relay users that are theirs. ` + whoHelp + `
All whom a name fits are shown.`,
		Example: `  holdfast directory person jdoe
  holdfast directory person 'Anna Berg' --as-of 2026-03-01
  holdfast directory person berg@example.org --format json`,
		Args: exactly(1, "name one person, with quotes around a name that has spaces"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDirectoryPerson(cmd.Context(), g, args[0], asOf)
		},
	}
	cmd.Flags().StringVar(&asOf, "as-of", "", "how the person stood at the end of a `DATE` in UTC (2026-03-01), or at a time (2026-03-01T08:00:00Z)")
	return cmd
}

func runDirectoryPerson(ctx context.Context, g *globals, who, asOf string) error {
	req := api.PersonRequest{Who: who}
	if asOf != "" {
		at, err := parseAsOf(asOf)
		if err != nil {
			return err
		}
		req.AsOf = &at
	}
	found, err := ask(ctx, g, func(c *api.Client) (*api.PersonResponse, error) { return c.Person(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(found)
	}
	if len(found.People) == 0 {
		return g.say("nobody has, or ever had, that name")
	}
	for i := range found.People {
		if i > 0 {
			if _, err := fmt.Fprintln(g.Out); err != nil {
				return err
			}
		}
		if err := g.writePerson(&found.People[i]); err != nil {
			return err
		}
	}
	if len(found.People) > 1 {
		return g.say("%d people have, or had, that name", len(found.People))
	}
	return nil
}

// parseAsOf reads a time, or a date, which stands for its last moment.
func parseAsOf(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.AddDate(0, 0, 1).Add(-time.Millisecond), nil // the log's times have milliseconds
	}
	return time.Time{}, usage("--as-of takes a date (2026-03-01) or a time (2026-03-01T08:00:00Z)")
}

func (g *globals) writePerson(p *api.PersonHistory) error {
	groups := make([]string, 0, len(p.Groups))
	for _, ref := range p.Groups {
		groups = append(groups, ref.Name)
	}
	err := g.writeFields([]field{
		{"person", p.GUID},
		{"name", p.Name},
		{"account", p.Account},
		{"UPN", p.UPN},
		{"mail", p.Mail},
		{"title", p.Title},
		{"department", p.Department},
		{"DN", p.DN},
		{"status", personStatus(&p.Person)},
		{"since", sinceStamp(p.Since, "")},
		{"groups", strings.Join(groups, ", ")},
		{"relay users", strings.Join(p.Usrs, ", ")},
	})
	return errors.Join(err, g.writeVersions(p.Versions), g.writeMemberships(p.Memberships), g.writePersonMatches(p.Matches))
}

func (g *globals) writeVersions(versions []api.Version) error {
	if len(versions) == 0 {
		return nil
	}
	rows := make([][]string, 0, len(versions))
	for _, v := range versions {
		what := v.Fields
		for _, s := range []string{v.Why, v.Reason} {
			if s != "" {
				what = append(what, s)
			}
		}
		by := ""
		if v.By != nil {
			by = v.By.String()
		}
		rows = append(rows, []string{number(v.Seq), stamp(v.At), v.Op, v.Account, v.Name, v.Mail, v.Department, by, strings.Join(what, ", ")})
	}
	return g.writeTable([]string{"ENTRY", "TIME (UTC)", "OP", "ACCOUNT", "NAME", "MAIL", "DEPARTMENT", "BY", "WHAT"}, rows)
}

func (g *globals) writeMemberships(list []api.Membership) error {
	if len(list) == 0 {
		return nil
	}
	rows := make([][]string, 0, len(list))
	for _, m := range list {
		to, how := "", "nested"
		if m.To != nil {
			to = stamp(*m.To)
		}
		if m.Direct {
			how = "direct"
		}
		rows = append(rows, []string{stamp(m.From), to, how, m.Group, m.Name})
	}
	return g.writeTable([]string{"FROM (UTC)", "TO (UTC)", "HOW", "GROUP", "GROUP'S NAME"}, rows)
}

func (g *globals) writePersonMatches(list []api.RelayMatched) error {
	if len(list) == 0 {
		return nil
	}
	rows := make([][]string, 0, len(list))
	for i := range list {
		m := &list[i]
		rows = append(rows, []string{m.Usr, stamp(m.At), m.How, matchedBy(m), m.Reason})
	}
	return g.writeTable([]string{"RELAY USER", "MATCHED (UTC)", "HOW", "BY", "REASON"}, rows)
}

func matchedBy(m *api.RelayMatched) string {
	if m.By == nil {
		return ""
	}
	return m.By.String()
}

func newDirectoryBlock(g *globals, block bool) *cobra.Command {
	name, short := "block", "Block a person from logging in, at once"
	long := "Block a person from logging in and end their sessions at once. Their messages and history stay."
	if !block {
		name, short, long = "unblock", "Lift a person's block", "Lift a person's block: whoever has a role may log in again."
	}
	var reason string
	cmd := &cobra.Command{
		Use:     name + " WHO --reason TEXT",
		Short:   short,
		Long:    long + "\n" + whoHelp + "\nIt must fit one person alone.",
		Example: "  holdfast directory " + name + " jdoe --reason 'HR case 26-31'",
		Args:    exactly(1, "name one person, with quotes around a name that has spaces"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			p, err := ask(ctx, g, func(c *api.Client) (*api.Person, error) {
				return c.Block(ctx, api.BlockRequest{Who: args[0], Block: block, Reason: reason})
			})
			switch {
			case err != nil:
				return err
			case g.format == formatJSON:
				return g.writeJSON(p)
			}
			return g.writeFields([]field{{"person", p.GUID}, {"name", p.Name}, {"account", p.Account}, {"status", personStatus(p)}})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, kept in the log: `TEXT`")
	return cmd
}
