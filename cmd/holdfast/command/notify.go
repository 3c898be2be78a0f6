package command

import (
	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newNotify(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "notify",
		Short:   "The ways by which alarms leave the machine",
		Example: "  holdfast notify test",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newNotifyTest(g))
	return cmd
}

func newNotifyTest(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "test",
		Short: "Send a test by mail, webhook, syslog and to the audit's collector",
		Long: `Send a test by each way that is configured under [notify] and [mirror]. It says that it is a test, and holds
nothing but the archive's id. Whoever is to get alarms should tell you that it came.`,
		Example: "  holdfast notify test",
		Args:    nameless,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sent, err := ask(cmd.Context(), g, func(c *api.Client) (*api.NoticeTestResponse, error) { return c.NoticesTest(cmd.Context()) })
			if err != nil {
				return err
			}
			var failed bool
			rows := make([][]string, 0, len(sent.Results))
			for _, r := range sent.Results {
				rows = append(rows, []string{r.Way, outcome("taken", r.Failed)})
				failed = failed || r.Failed != ""
			}
			return g.tried(sent, []string{"WAY", "RESULT"}, rows, failed, "no way is configured, and alarms stay on this machine: set [notify.smtp], [notify.webhook] or [notify.syslog] in holdfastd.toml")
		},
	}
}
