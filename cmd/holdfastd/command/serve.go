package command

import (
	"fmt"
	"io"
	"log/slog"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"holdfast/internal/build"
	"holdfast/internal/config"
	"holdfast/internal/daemon"
)

func newServe() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the daemon",
		Long: `serve opens the archive, pulls from the relay, keeps the index and answers
` + "`holdfast`" + ` at its socket, until it gets SIGTERM or SIGINT; then it stops cleanly.
It never makes an archive. Under systemd it says when it is ready (Type=notify).`,
		Example: `  holdfastd serve --config /etc/holdfast/holdfastd.toml`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if path == "" {
				return fmt.Errorf("%w: --config is missing; see `holdfastd serve --help`", errUsage)
			}
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			logger := newLogger(c.ErrOrStderr(), cfg.LogLevel)
			slog.SetDefault(logger) // libraries that log by themselves, bleve for one, do so in the same form
			self, err := ownPath()
			if err != nil {
				return err
			}
			return daemon.Run(c.Context(), daemon.Options{
				Config: cfg, Version: build.Version(), Logger: logger, Extract: []string{self, extractName},
				Ready: func() {
					if _, err := sd.SdNotify(false, sd.SdNotifyReady); err != nil {
						logger.Warn("systemd was not told of the start", "err", err)
					}
				},
			})
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration file (TOML)")
	return c
}

// newLogger logs as text to w. No message content, name or query is ever
// handed to it.
func newLogger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo // "" is the default; config has refused anything else
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}
