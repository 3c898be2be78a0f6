package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newMatter(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "matter",
		Short: "Matters: what messages are looked for and held for",
		Long: `A matter is a lawsuit, a complaint or an inquiry: what messages are looked for, held and produced for. Its
members alone work on it, and nobody in which they are a custodian; others learn that something is
held, and not for what.`,
		Example: `  holdfast matter open M-7 --name 'Berg v. St. Mary' --reason 'letter of claim, 1 March'
  holdfast matter member M-7 jdoe --reason 'takes over from aberg'
  holdfast matter list`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMatterOpen(g), newMatterList(g), newMatterShow(g), newMatterMember(g), newMatterClose(g))
	return cmd
}

// memberHelp says how members are named.
const memberHelp = whoHelp + `
An account of the appliance that is nobody's is uid: and its number.`

type matterOpenOptions struct {
	name, reason string
	members      []string
}

func newMatterOpen(g *globals) *cobra.Command {
	o := &matterOpenOptions{}
	cmd := &cobra.Command{
		Use:   "open ID --name TEXT --reason TEXT",
		Short: "Open a matter, of which you are then a member",
		Long: `Open a matter. Its ID has up to 64 letters, digits, dots, underscores and hyphens, and is never used
again for another one. It is named in the audit and before auditors: write nothing into it that a
member alone may know. You are a member; --member adds others. ` + memberHelp,
		Example: `  holdfast matter open M-7 --name 'Berg v. St. Mary' --reason 'letter of claim, 1 March'
  holdfast matter open INQ-2026-3 --name 'board inquiry' --member jdoe --member aberg --reason 'resolution 26-11'`,
		Args: exactly(1, "name the matter by an ID, such as M-7"),
		RunE: func(cmd *cobra.Command, args []string) error { return runMatterOpen(cmd.Context(), g, o, args[0]) },
	}
	cmd.Flags().StringVar(&o.name, "name", "", "what the matter is called, seen by its members: `TEXT`")
	cmd.Flags().StringArrayVar(&o.members, "member", nil, "who works on it as well: `WHO`; may be repeated")
	cmd.Flags().StringVar(&o.reason, "reason", "", "why it is opened, kept in the log: `TEXT`")
	return cmd
}

func runMatterOpen(ctx context.Context, g *globals, o *matterOpenOptions, id string) error {
	req := api.OpenMatterRequest{ID: id, Name: o.name, Members: o.members, Reason: o.reason}
	return g.matter(ctx, func(c *api.Client) (*api.Matter, error) { return c.OpenMatter(ctx, req) },
		"hold what it is about with: holdfast hold place --matter "+shellWord(id)+" --custodian WHO --reason TEXT")
}

func newMatterList(g *globals) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the open matters",
		Example: "  holdfast matter list\n  holdfast matter list --all --json",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runMatterList(cmd.Context(), g, all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "the closed ones as well")
	return cmd
}

func newMatterShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show a matter with its members, custodians and holds",
		Example: "  holdfast matter show M-7\n  holdfast matter show M-7 --json | jq .holds",
		Args:    exactly(1, "name one matter by its ID, as `holdfast matter list` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return g.matter(ctx, func(c *api.Client) (*api.Matter, error) { return c.Matter(ctx, args[0]) })
		},
	}
}

func newMatterMember(g *globals) *cobra.Command {
	var remove bool
	var reason string
	cmd := &cobra.Command{
		Use:   "member ID WHO --reason TEXT",
		Short: "Add a member to a matter, or with --remove take one out",
		Long: `Let somebody work on a matter, or with --remove do so no longer. The last member stays: a matter on which
nobody works could never be closed. ` + memberHelp,
		Example: `  holdfast matter member M-7 jdoe --reason 'takes over from aberg'
  holdfast matter member M-7 aberg --remove --reason 'left the legal department'`,
		Args: exactly(2, "name the matter and one person, with quotes around a name that has spaces"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			req := api.MemberRequest{ID: args[0], Member: args[1], In: !remove, Reason: reason}
			return g.matter(ctx, func(c *api.Client) (*api.Matter, error) { return c.SetMember(ctx, req) })
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "take the person out")
	cmd.Flags().StringVar(&reason, "reason", "", "why, kept in the log: `TEXT`")
	return cmd
}

func newMatterClose(g *globals) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "close ID --reason TEXT",
		Short: "Close a matter whose holds are all released",
		Long: `Close a matter for good: nobody looks, holds or exports for it any more, and its ID is never used again.
While a hold of it is active or within its grace period it stays open: release those first.`,
		Example: "  holdfast matter close M-7 --reason 'settled, order of 4 June'",
		Args:    exactly(1, "name one matter by its ID, as `holdfast matter list` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return g.matter(ctx, func(c *api.Client) (*api.Matter, error) {
				return c.CloseMatter(ctx, api.CloseMatterRequest{ID: args[0], Reason: reason})
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, kept in the log: `TEXT`")
	return cmd
}

// matter asks for a matter, writes it, and says what comes next.
func (g *globals) matter(ctx context.Context, get func(c *api.Client) (*api.Matter, error), next ...string) error {
	m, err := ask(ctx, g, get)
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(m)
	}
	return errors.Join(g.writeFields(matterFields(m)), g.next(next...))
}

func runMatterList(ctx context.Context, g *globals, all bool) error {
	list, err := ask(ctx, g, func(c *api.Client) (*api.MattersResponse, error) {
		return c.Matters(ctx, api.MattersRequest{All: all})
	})
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Matters) == 0 {
		return g.say("no matter is open")
	}
	rows := make([][]string, 0, len(list.Matters))
	hidden := false
	for i := range list.Matters {
		m := &list.Matters[i]
		hidden = hidden || m.ID == api.Held
		rows = append(rows, []string{m.ID, m.State, sinceStamp(m.Opened, ""), sinceStamp(m.Closed, ""),
			fmt.Sprint(len(m.Holds)), fmt.Sprint(len(m.Custodians)), m.Name})
	}
	if err := g.writeTable([]string{"MATTER", "STATE", "OPENED", "CLOSED", "HOLDS", "CUSTODIANS", "NAME"}, rows); err != nil {
		return err
	}
	if hidden {
		return g.say("%s: a matter of which you are no member, or in which you are a custodian", api.Held)
	}
	return nil
}

func matterFields(m *api.Matter) []field {
	holds := make([]string, 0, len(m.Holds))
	for _, h := range m.Holds {
		holds = append(holds, number(h))
	}
	return []field{
		{"matter", m.ID},
		{"name", m.Name},
		{"state", m.State},
		{"opened", sinceStamp(m.Opened, "")},
		{"closed", sinceStamp(m.Closed, "")},
		{"members", refNames(m.People, m.Members)},
		{"custodians", refNames(m.People, m.Custodians)},
		{"holds", strings.Join(holds, ", ")},
	}
}
