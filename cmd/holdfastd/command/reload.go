package command

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
	"holdfast/internal/config"
)

func newReload() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "reload [--config FILE]",
		Short: "Have the running daemon read its configuration again",
		Long: `reload has the running daemon read its configuration and its certificates again.
The log's level is taken over at once, and so are renewed certificates. It
names what else was changed in the file: that needs a restart. A configuration
or a certificate that cannot be used changes nothing, and reload says what is
wrong with it.`,
		Example: `  holdfastd reload`,
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return runReload(c, path) },
	}
	c.Flags().StringVar(&path, "config", defaultConfig, "configuration file (TOML) that says where the daemon's socket is")
	return c
}

func runReload(c *cobra.Command, path string) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	client := api.NewClient(cfg.Socket)
	defer client.Close()
	out, err := client.Reload(c.Context())
	if err != nil {
		return err
	}
	lines := []string{"log level: " + out.LogLevel}
	for _, cert := range out.Certificates {
		lines = append(lines, fmt.Sprintf("certificate %s: until %s", cert.Certificate, cert.NotAfter.UTC().Format(time.RFC3339)))
	}
	if len(out.Restart) > 0 {
		lines = append(lines, "changed, and in force only after `systemctl restart holdfastd`: "+strings.Join(out.Restart, ", "))
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), strings.Join(lines, "\n"))
	return err
}
