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

// noticeFixes say what to do about a way out that fails, by the class of the
// failure.
var noticeFixes = map[string]string{
	"tls": "that server answers, and speaks no TLS; nothing is sent in the open. Have TLS enabled there (a mail server has to offer STARTTLS), " +
		"or name the port that speaks TLS from the first byte: for mail often 465, with notify.smtp.tls = \"tls\"",
	"certificate": "that server's certificate is not of the authority or not of the name that the configuration has; set the way's ca to the authority's file, and its address to the name in the certificate",
	"timeout":     "nobody answered in time; see that the firewall lets the archive through to that address and port",
	"unreachable": "it was not reached, or ended the conversation; see the address, DNS, the firewall and the account's password. The daemon's log says more: journalctl -u holdfastd",
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
				if fix, ok := noticeFixes[r.Failed]; ok && g.format != formatJSON {
					if err := g.say("%s: %s", r.Way, fix); err != nil {
						return err
					}
				}
			}
			return g.tried(sent, []string{"WAY", "RESULT"}, rows, failed, "no way is configured, and alarms stay on this machine: set [notify.smtp], [notify.webhook] or [notify.syslog] in holdfastd.toml")
		},
	}
}
