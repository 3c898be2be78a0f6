package command

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
	"holdfast/internal/build"
)

func newStatus(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Say how the daemon, the relay's stream and the index stand",
		Example: "  holdfast status\n  holdfast status --format json | jq .relay",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), g) },
	}
}

func runStatus(ctx context.Context, g *globals) error {
	var paused *api.PauseResponse
	st, err := ask(ctx, g, func(c *api.Client) (*api.Status, error) {
		st, err := c.Status(ctx)
		if err == nil && g.format != formatJSON {
			// An archive without a relay has nothing to pause, and says so with an error.
			if now, err := c.Ingest(ctx); err == nil {
				paused = now
			}
		}
		return st, err
	})
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(st)
	}
	contact := "never"
	if st.Relay.Contact != nil {
		contact = stamp(*st.Relay.Contact)
	}
	fields := []field{
		{"archive", st.ArchiveID},
		{"origin", st.Origin},
		{"daemon", st.Version + ", since " + stamp(st.Started)},
		{"entries", number(st.Size)},
		{"accepting", yesOr(st.Accepting, st.Waiting)},
		{"ingest", notPulling(paused)},
		{"relay", stream(&st.Relay)},
		{"last contact", contact},
		{"relay trouble", st.Relay.Failing},
		{"index", fmt.Sprintf("%s entries, working: %s", number(st.Index.Through), yesOr(st.Index.Working, ""))},
		{"quarantined", number(st.Quarantined)},
		{"attachments awaited", number(st.Pending)},
		{"open alarms", number(st.Alarms)},
		{"roles", rolesConfigured(st.Roles)},
	}
	return g.writeFields(append(fields, retentionFields(&st.Retention)...))
}

// retentionFields say what is held, what is due, and what waits for somebody.
func retentionFields(r *api.Gauges) []field {
	held := optional(uint64(max(r.HoldsActive, 0)))
	if held != "" && r.OldestHold != nil {
		held += " active, the oldest since " + stamp(*r.OldestHold) + " UTC"
	}
	fields := []field{{"holds", held}}
	if r.AsOf != nil {
		fields = append(fields, field{"due", fmt.Sprintf("%d entries that nothing holds, %s, as of %s UTC", r.DueMessages, size(r.DueBytes), stamp(*r.AsOf))})
	}
	fields = append(fields, field{"next due", sinceStamp(r.NextCutoff, "")})
	if r.PlansWaiting > 0 {
		fields = append(fields, field{"plans waiting", fmt.Sprintf("%d for a second person: holdfast disposition list", r.PlansWaiting)})
	}
	if r.Frozen {
		fields = append(fields, field{"disposition", "FROZEN, because the clock jumped: holdfast clock show"})
	}
	return fields
}

// rolesConfigured warns of an archive that its owner has not set up.
func rolesConfigured(ok bool) string {
	if ok {
		return "configured"
	}
	return "nobody has said who may do what: root and the daemon's own account hold every role"
}

// notPulling says why nothing is pulled although the relay answers; empty: it is.
func notPulling(p *api.PauseResponse) string {
	switch {
	case p == nil:
		return ""
	case p.Paused && p.Since != nil:
		return "PAUSED since " + stamp(*p.Since) + " UTC: holdfast ingest resume --reason TEXT"
	case len(p.Reasons) > 0:
		return "HELD BACK: " + strings.Join(p.Reasons, ", ")
	}
	return ""
}

// stream is how far the relay's stream has come.
func stream(r *api.RelayStatus) string {
	if r.Epoch == "" {
		return "nothing has come from a relay yet"
	}
	return fmt.Sprintf("epoch %s: %s in the log, %s acked, %s at the relay", r.Epoch, number(r.Seq), number(r.Acked), number(r.High))
}

func yesOr(ok bool, why string) string {
	switch {
	case ok:
		return "yes"
	case why != "":
		return "no: " + why
	}
	return "no"
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func newVersion(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print this program's version",
		Example: "  holdfast version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := build.Version()
			if g.format == formatJSON {
				return g.writeJSON(map[string]string{"version": v, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintf(g.Out, "holdfast %s (%s, %s/%s)\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
