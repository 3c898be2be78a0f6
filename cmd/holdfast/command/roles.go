package command

import (
	"slices"

	"github.com/spf13/cobra"

	"holdfast/internal/role"
)

func newRoles(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "roles",
		Short: "Print which role may do what",
		Long: `Print the table of endpoints and roles that the daemon goes by. It is built into this program
and needs no daemon; holdfast whoami says which roles you hold.`,
		Example: "  holdfast roles\n  holdfast roles --format json | jq '.rows[] | select(.endpoint == \"search\").roles'",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return runRoles(g) },
	}
}

// roleTable is what roles prints for scripts.
type roleTable struct {
	Rows []role.Row `json:"rows"`
}

func runRoles(g *globals) error {
	table := roleTable{Rows: role.Table()}
	for i := range table.Rows {
		if table.Rows[i].Roles == nil {
			table.Rows[i].Roles = []role.Role{} // an empty list for scripts, not null
		}
	}
	if g.format == formatJSON {
		return g.writeJSON(table)
	}
	header := []string{"ENDPOINT"}
	for _, r := range role.All() {
		header = append(header, string(r))
	}
	rows := make([][]string, 0, len(table.Rows))
	for _, row := range table.Rows {
		cells := []string{string(row.Endpoint)}
		for _, r := range role.All() {
			cells = append(cells, cell(row, r))
		}
		rows = append(rows, append(cells, row.What))
	}
	return g.writeTable(append(header, "WHAT"), rows)
}

// cell says whether a role has an endpoint.
func cell(row role.Row, r role.Role) string {
	if slices.Contains(row.Roles, r) || role.Open(row.Endpoint) {
		return "yes"
	}
	return "-"
}
