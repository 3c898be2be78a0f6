package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"holdfast/archive"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/daemon"
)

func newCheckConfig() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "check-config [--config FILE]",
		Short: "Say whether this program would start with a configuration",
		Long: `check-config reads the configuration and every certificate and key file that it
names, and asks whether this program knows the archive's schema: of the daemon
that runs, else of the files. It changes nothing, and opens no message. Exit code
78 says that this program would not start with it.

An upgrade asks the new program so before the old one is stopped. For everything
else about the machine there is ` + "`holdfastd doctor`" + `.`,
		Example: "  holdfastd check-config\n  holdfastd check-config --config /root/holdfastd.toml.new",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runCheckConfig(c, path)
		},
	}
	c.Flags().StringVar(&path, "config", defaultConfig, "configuration file (TOML)")
	return c
}

func runCheckConfig(c *cobra.Command, path string) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	if err := daemon.CheckFiles(cfg); err != nil {
		return fmt.Errorf("%w %s: %w", config.ErrConfig, path, err)
	}
	schema, err := schemaOf(c.Context(), cfg)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: accepted, and the archive is of schema %d, which this program knows\n", path, schema)
	return err
}

// schemaOf asks whoever has the archive open for its schema, else the files.
func schemaOf(ctx context.Context, cfg *config.Config) (uint32, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := api.NewClient(cfg.Socket)
	defer client.Close()
	st, err := client.Status(ctx)
	if err == nil {
		if st.Schema > archive.Schema {
			return 0, fmt.Errorf("%w (schema %d, this program knows %d)", archive.ErrNewer, st.Schema, archive.Schema)
		}
		return st.Schema, nil
	}
	n, ferr := archive.SchemaOf(cfg.Data)
	if errors.Is(ferr, archive.ErrLocked) {
		return 0, fmt.Errorf("the archive is open, and its daemon does not answer: %w", err)
	}
	return n, ferr
}
