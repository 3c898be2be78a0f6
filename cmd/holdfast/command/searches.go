package command

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newSearches(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "searches",
		Short: "Searches that are saved for a matter",
		Long: `Keep a matter's searches under names, for everybody who works on it. A search is kept as it was typed: words
such as today mean the day on which it is run. Names differ by more than their case.`,
		Example: `  holdfast searches save potassium 'potassium OR kalium' --matter M-7
  holdfast searches run potassium --matter M-7
  holdfast searches list --matter M-7`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSearchesSave(g), newSearchesList(g), newSearchesRun(g), newSearchesRemove(g))
	return cmd
}

// addMatter adds the flag that names the matter of saved searches.
func addMatter(cmd *cobra.Command, matter *string) {
	cmd.Flags().StringVar(matter, "matter", "", "the matter that keeps it: `ID`")
}

var errNoMatter = usage("name the matter with --matter; `holdfast matter list` lists the open matters")

func newSearchesSave(g *globals) *cobra.Command {
	var req api.SaveSearchRequest
	var query asked
	cmd := &cobra.Command{
		Use:   "save NAME [QUERY] --matter ID",
		Short: "Save a search for a matter",
		Example: `  holdfast searches save potassium 'potassium OR kalium' --matter M-7
  holdfast searches save ward3 --query-file query.txt --matter M-7 --reason 'terms agreed on 3 March'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("give the search a name, and then the query")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if req.Matter == "" {
				return errNoMatter
			}
			q, err := query.read(ctx, g, args[1:])
			if err != nil {
				return err
			}
			req.Name, req.Query = args[0], q
			return g.searches(ctx, func(c *api.Client) (*api.SearchesResponse, error) { return c.SaveSearch(ctx, req) })
		},
	}
	addMatter(cmd, &req.Matter)
	query.addFlags(cmd)
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, kept in the log: `TEXT`")
	return cmd
}

func newSearchesList(g *globals) *cobra.Command {
	var matter string
	cmd := &cobra.Command{
		Use:     "list --matter ID",
		Short:   "List the searches that a matter keeps",
		Example: "  holdfast searches list --matter M-7\n  holdfast searches list --matter M-7 --json | jq -r '.searches[].query'",
		Args:    nameless,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if matter == "" {
				return errNoMatter
			}
			return g.searches(ctx, func(c *api.Client) (*api.SearchesResponse, error) { return c.Searches(ctx, matter) })
		},
	}
	addMatter(cmd, &matter)
	return cmd
}

func newSearchesRemove(g *globals) *cobra.Command {
	var req api.RemoveSearchRequest
	cmd := &cobra.Command{
		Use:     "remove NAME --matter ID",
		Short:   "Remove a saved search; that it was there stays on record",
		Example: "  holdfast searches remove potassium --matter M-7\n  holdfast searches remove ward3 --matter M-7 --reason 'terms withdrawn'",
		Args:    exactly(1, "name one saved search, as `holdfast searches list` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if req.Matter == "" {
				return errNoMatter
			}
			req.Name = args[0]
			return g.searches(ctx, func(c *api.Client) (*api.SearchesResponse, error) { return c.RemoveSearch(ctx, req) })
		},
	}
	addMatter(cmd, &req.Matter)
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, kept in the log: `TEXT`")
	return cmd
}

func newSearchesRun(g *globals) *cobra.Command {
	var matter string
	search := newSearch(g)
	cmd := &cobra.Command{
		Use:     "run NAME --matter ID",
		Short:   "Run a saved search, as holdfast search does",
		Example: "  holdfast searches run potassium --matter M-7\n  holdfast searches run potassium --matter M-7 --json | jq .total",
		Args:    exactly(1, "name one saved search, as `holdfast searches list` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if matter == "" {
				return errNoMatter
			}
			ctx := cmd.Context()
			q, err := g.savedQuery(ctx, matter, args[0])
			if err != nil {
				return err
			}
			if err := search.Flags().Set("matter", matter); err != nil {
				return err
			}
			search.SetContext(ctx)
			return search.RunE(search, []string{q})
		},
	}
	addMatter(cmd, &matter)
	return cmd
}

// savedQuery returns the query that a matter keeps under a name.
func (g *globals) savedQuery(ctx context.Context, matter, name string) (string, error) {
	list, err := ask(ctx, g, func(c *api.Client) (*api.SearchesResponse, error) { return c.Searches(ctx, matter) })
	if err != nil {
		return "", err
	}
	for i := range list.Searches {
		if strings.EqualFold(list.Searches[i].Name, name) {
			return list.Searches[i].Query, nil
		}
	}
	return "", usage("the matter has no saved search of that name; `holdfast searches list` shows those that it has")
}

// searches asks for a matter's saved searches and writes them.
func (g *globals) searches(ctx context.Context, get func(c *api.Client) (*api.SearchesResponse, error)) error {
	list, err := ask(ctx, g, get)
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Searches) == 0 {
		return g.say("the matter has no saved searches")
	}
	rows := make([][]string, 0, len(list.Searches))
	for i := range list.Searches {
		s := &list.Searches[i]
		rows = append(rows, []string{s.Name, stamp(s.At), s.By.String(), s.Query})
	}
	return g.writeTable([]string{"NAME", "SAVED (UTC)", "BY", "QUERY"}, rows)
}
