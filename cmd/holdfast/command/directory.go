package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newDirectory(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "directory",
		Short: "People and groups: synchronisation, history, and who a relay user is",
		Long: `The archive reads people and groups from the directory and keeps every change for ever, so that a
custodian is found by any name that they ever had.`,
		Example: `  holdfast directory status
  holdfast directory diff
  holdfast directory person jdoe --as-of 2026-03-01`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDirectoryStatus(g), newDirectoryDiff(g), newDirectorySync(g), newDirectoryApprove(g),
		newDirectoryPeople(g), newDirectoryPerson(g), newDirectoryMatch(g), newDirectoryMatches(g),
		newDirectoryBlock(g, true), newDirectoryBlock(g, false))
	return cmd
}

// nameless takes no arguments and repeats none: they could be somebody's name,
// and an error may end in a log.
func nameless(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errors.New("there is no such command")
	}
	return nil
}

func newDirectoryStatus(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Say how the synchronisation stands",
		Example: "  holdfast directory status\n  holdfast directory status --format json | jq .pending",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDirectoryStatus(cmd.Context(), g) },
	}
}

func runDirectoryStatus(ctx context.Context, g *globals) error {
	st, err := ask(ctx, g, func(c *api.Client) (*api.DirectoryStatus, error) { return c.DirectoryStatus(ctx) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(st)
	}
	if !st.Configured {
		return g.say("no directory is configured")
	}
	fields := []field{
		{"domain controller", st.Source},
		{"last success", sinceStamp(st.LastSuccess, "never")},
		{"last try", sinceStamp(st.LastTry, "never")},
		{"took", seconds(st.Took)},
		{"trouble", st.Failing},
		{"people", fmt.Sprintf("%d, and %d departed", st.People, st.Departed)},
		{"groups", fmt.Sprint(st.Groups)},
		{"relay users", fmt.Sprintf("%d matched to people, %d not", st.Matched, st.Unmatched)},
	}
	for _, group := range st.Missing {
		fields = append(fields, field{"missing group", group + ": its role is nobody's; restore it, or take it out of the configuration"})
	}
	return errors.Join(g.writeFields(append(fields, pendingFields(st.Pending)...)), g.sayPending(st.Pending))
}

// pendingFields describe a diff that waits for approval.
func pendingFields(p *api.PendingDiff) []field {
	if p == nil {
		return nil
	}
	fields := []field{
		{"waiting diff", p.Digest},
		{"waiting since", stamp(p.Since) + " UTC"},
		{"it changes", counts(p.Counts)},
	}
	for _, r := range p.Rails {
		fields = append(fields, field{"held back", r.Text + " (" + r.Code + ")"})
	}
	if p.Suspended > 0 {
		fields = append(fields, field{"without access", fmt.Sprintf("%d people who are disabled or expired, already", p.Suspended)})
	}
	if p.Request > 0 {
		fields = append(fields, field{"request", number(p.Request)})
	}
	return fields
}

// sayPending says what is to be done about a diff that waits.
func (g *globals) sayPending(p *api.PendingDiff) error {
	if p == nil {
		return nil
	}
	if len(p.Counts) == 0 {
		return g.say("it changes nothing, so there is nothing to decide; but nothing else will be taken over by itself until what holds it back\n" +
			"is put right in the directory, or in the daemon's configuration with a restart")
	}
	return g.say("nothing is changed until an approver has read `holdfast directory diff` and approves exactly that diff:\n" + approveDiff(p.Digest))
}

// approveDiff is the command that approves and applies a diff.
func approveDiff(digest string) string {
	return "holdfast directory approve " + visible(digest) + " --reason TEXT"
}

// counts lists how many there are of each kind, by name.
func counts[K ~string, N int | uint64](m map[K]N) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, m[k]))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func sinceStamp(t *time.Time, never string) string {
	if t == nil {
		return never
	}
	return stamp(*t) + " UTC"
}

func seconds(s float64) string { return fmt.Sprintf("%.3f s", s) }

func newDirectoryDiff(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "diff",
		Short: "Show what a synchronisation would change",
		Long: `Show the diff that waits for approval, change by change, or if none waits what a synchronisation
would change at this moment. The digest names exactly these changes.`,
		Example: "  holdfast directory diff\n  holdfast directory diff --format json | jq '.changes[] | select(.op == \"depart\")'",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDirectoryDiff(cmd.Context(), g) },
	}
}

func runDirectoryDiff(ctx context.Context, g *globals) error {
	d, err := ask(ctx, g, func(c *api.Client) (*api.DirectoryDiff, error) { return c.DirectoryDiff(ctx) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(d)
	}
	if len(d.Changes) == 0 {
		return errors.Join(g.say("the directory says what the archive knows"), g.sayPending(d.Pending))
	}
	rows := make([][]string, 0, len(d.Changes))
	for _, ch := range d.Changes {
		rows = append(rows, []string{ch.Subject, ch.Op, ch.GUID, ch.Name, changed(&ch)})
	}
	if err := g.writeTable([]string{"SUBJECT", "OP", "GUID", "NAME", "WHAT"}, rows); err != nil {
		return err
	}
	if d.Pending != nil {
		return g.sayPending(d.Pending)
	}
	return g.say("%d changes, which the next synchronisation makes; digest %s", len(d.Changes), visible(d.Digest))
}

// changed sums up a change: the fields of a person, why somebody departs, how
// many members a group gains and loses.
func changed(ch *api.DirectoryChange) string {
	var parts []string
	if ch.Why != "" {
		parts = append(parts, ch.Why)
	}
	// Who departs because they are disabled also changes in being disabled.
	fields := slices.DeleteFunc(slices.Clone(ch.Fields), func(f string) bool { return f == ch.Why })
	if len(fields) > 0 {
		parts = append(parts, strings.Join(fields, ", "))
	}
	if len(ch.Added)+len(ch.Removed) > 0 {
		parts = append(parts, fmt.Sprintf("members +%d -%d", len(ch.Added), len(ch.Removed)))
	}
	return strings.Join(parts, "; ")
}

func newDirectorySync(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "sync",
		Short: "Synchronise now instead of at the next interval",
		Long: `Read the directory now and apply what changed, whole or not at all. A diff beyond the configured
rails is not applied: it waits for approval, and the exit code is 75.`,
		Example: "  holdfast directory sync",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDirectorySync(cmd.Context(), g) },
	}
}

func runDirectorySync(ctx context.Context, g *globals) error {
	r, err := ask(ctx, g, func(c *api.Client) (*api.DirectoryReport, error) { return c.DirectorySync(ctx) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		err = g.writeJSON(r)
	} else {
		err = g.writeSync(r)
	}
	if err == nil && r.Pending != nil {
		err = &verdictError{api.ExitTemporary}
	}
	return err
}

func (g *globals) writeSync(r *api.DirectoryReport) error {
	result := "nothing to change: the log says what the directory says"
	switch {
	case r.Pending != nil:
		result = "NOT APPLIED: it waits for approval"
	case r.Applied:
		result = "applied"
	}
	fields := []field{
		{"result", result},
		{"domain controller", r.Source},
		{"people", fmt.Sprint(r.People)},
		{"groups", fmt.Sprint(r.Groups)},
		{"changes", counts(r.Counts)},
		{"took", seconds(r.Took)},
	}
	return errors.Join(g.writeFields(append(fields, pendingFields(r.Pending)...)), g.sayPending(r.Pending))
}

func newDirectoryApprove(g *globals) *cobra.Command {
	var reason string
	var deny bool
	cmd := &cobra.Command{
		Use:   "approve DIGEST --reason TEXT",
		Short: "Approve exactly the diff that waits, which applies it, or deny it",
		Long: `Approve exactly the diff with this digest, as holdfast directory diff shows it, and apply it. It is applied as
it was read. Once a later reading no longer has all of its changes, another diff waits, with another
digest, and approving this one changes nothing.`,
		Example: `  holdfast directory approve 9f86d081884c7d65… --reason 'the pathology department was outsourced, HR list of 1 March'
  holdfast directory approve 9f86d081884c7d65… --deny --reason 'nobody knows of so many leavers'`,
		Args: exactly(1, "name the diff by its whole digest, as `holdfast directory diff` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := api.ApproveDiffRequest{Digest: strings.ToLower(args[0]), Approve: !deny, Reason: reason}
			return runDirectoryApprove(cmd.Context(), g, req)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, kept in the log: `TEXT`")
	cmd.Flags().BoolVar(&deny, "deny", false, "deny it instead")
	return cmd
}

func runDirectoryApprove(ctx context.Context, g *globals, req api.ApproveDiffRequest) error {
	done, err := ask(ctx, g, func(c *api.Client) (*api.ApproveDiffResponse, error) { return c.ApproveDiff(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(done)
	}
	if done.Request != nil {
		if err := g.writeFields(requestFields(done.Request)); err != nil {
			return err
		}
	}
	if done.Report == nil {
		return nil
	}
	return g.writeSync(done.Report)
}

// exactly takes n arguments and says what they are; it repeats none.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return errors.New(what)
		}
		return nil
	}
}
