package command

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"holdfast/internal/api"
	"holdfast/internal/build"
	"holdfast/internal/config"
	"holdfast/internal/daemon"
)

func newServe() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "serve [--config FILE]",
		Short: "Run the daemon",
		Long: `serve opens the archive, pulls from the relay, keeps the index and answers
` + "`holdfast`" + ` at its socket, until it gets SIGTERM or SIGINT; then it stops cleanly.
It never makes an archive.

Under systemd it says when it is ready (Type=notify), asks for more time while
it opens a large archive, feeds the watchdog (WatchdogSec=) for as long as the
archive answers, and marks its log lines with their priorities. On SIGHUP it
does what ` + "`holdfastd reload`" + ` does.`,
		Example: `  holdfastd serve --config /etc/holdfast/holdfastd.toml`,
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return runServe(c, path) },
	}
	c.Flags().StringVar(&path, "config", defaultConfig, "configuration file (TOML)")
	return c
}

func runServe(c *cobra.Command, path string) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	if cfg.LogLevel != "" {
		if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
			return fmt.Errorf("%w: log_level: %w", config.ErrConfig, err)
		}
	}
	logger := newLogger(c.ErrOrStderr(), level)
	slog.SetDefault(logger) // libraries that log by themselves, bleve for one, do so in the same form
	self, err := ownPath()
	if err != nil {
		return err
	}
	ready := extendStart(c.Context(), logger)
	defer ready(false)
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	hangUps := followHangUps(ctx, cfg.Socket, logger)
	defer hangUps.Wait()
	defer stop()
	defer tell(logger, sd.SdNotifyStopping)
	return daemon.Run(ctx, daemon.Options{
		Config: cfg, Version: build.Version(), Logger: logger, Level: level, Extract: []string{self, extractName},
		Reread: func() (*config.Config, error) { return config.Load(path) },
		Ready:  func() { ready(true) },
	})
}

func tell(logger *slog.Logger, state string) {
	if err := daemon.Notify(state); err != nil {
		logger.Warn("systemd was not told how the daemon stands", "err", err)
	}
}

// How long systemd is asked for while an archive is opened, how often, and up
// to when: an opening that never ends is to be given up.
const (
	extendBy   = time.Minute
	extendEach = 20 * time.Second
	extendMost = 2 * time.Hour
)

// extendStart keeps systemd from giving up a start for as long as opening a
// large archive takes (EXTEND_TIMEOUT_USEC, sd_notify(3)). The function that it
// returns ends that; called with true it also says that the daemon is ready.
func extendStart(ctx context.Context, logger *slog.Logger) func(ready bool) {
	ctx, cancel := context.WithTimeout(ctx, extendMost)
	var extending sync.WaitGroup
	extending.Go(func() {
		tick := time.NewTicker(extendEach)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			tell(logger, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extendBy.Microseconds()))
		}
	})
	return func(ready bool) {
		cancel()
		extending.Wait() // nothing asks for time after the daemon was ready
		if ready {
			tell(logger, sd.SdNotifyReady)
		}
	}
}

// followHangUps has SIGHUP read the configuration again, through the daemon's
// own socket like anybody else, until ctx ends.
func followHangUps(ctx context.Context, socket string, logger *slog.Logger) *sync.WaitGroup {
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGHUP)
	following := new(sync.WaitGroup)
	following.Go(func() {
		defer signal.Stop(got)
		for {
			select {
			case <-ctx.Done():
				return
			case <-got:
				client := api.NewClient(socket)
				if _, err := client.Reload(ctx); err != nil {
					logger.Error("the configuration was not read again", "err", err)
				}
				client.Close()
			}
		}
	})
	return following
}
