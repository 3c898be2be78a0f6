package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/durable"
	"holdfast/internal/relay"
)

// stopTime bounds the wait for requests under way when the relay stops.
const stopTime = 10 * time.Second

type serveOptions struct {
	dir, listen, addrFile, faults string
	verbose                       bool
}

func newServe() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve --dir DIR [--fault SPEC] [--listen HOST:PORT] [--addr-file FILE]",
		Short: "Serve the archive and the loader until SIGTERM",
		Long: "Serves until SIGINT or SIGTERM. Prints one line \"ready https://HOST:PORT\" to stderr once it listens.\n\n" +
			"--fault makes the relay do wrong what AMX/1 section 3 says a relay can do wrong:\n\n" + relay.FaultHelp(),
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), o, cmd.ErrOrStderr()) },
	}
	cmd.Flags().StringVar(&o.dir, "dir", "", "the relay's folder")
	cmd.Flags().StringVar(&o.listen, "listen", "", "address to listen at instead of relay.toml's; port 0 takes a free one")
	cmd.Flags().StringVar(&o.addrFile, "addr-file", "", "write HOST:PORT to this file once it listens")
	cmd.Flags().StringVar(&o.faults, "fault", "", "faults to inject, see above")
	cmd.Flags().BoolVar(&o.verbose, "verbose", false, "log every refusal")
	return cmd
}

func runServe(ctx context.Context, o serveOptions, notes io.Writer) (err error) {
	if err := required("dir", o.dir); err != nil {
		return err
	}
	faults, err := relay.ParseFaults(o.faults)
	if err != nil {
		return usageError{err}
	}
	cfg, err := relay.ReadConfig(o.dir)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	r, err := relay.New(o.dir, relay.Options{Faults: faults, Log: slog.New(slog.NewTextHandler(notes, &slog.HandlerOptions{Level: level}))})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	listen := cfg.Listen
	if o.listen != "" {
		listen = o.listen
	}
	running, err := r.Start(listen)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(running)) }()
	if err := announce(o, strings.TrimPrefix(running.URL, "https://")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, relay.Withdraw(o.dir)) }()
	if _, err := fmt.Fprintf(notes, "ready %s\n", running.URL); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-running.Done():
	}
	return nil
}

// announce tells the other commands, and then a script, where the relay listens: a script that has seen its file may call the others.
func announce(o serveOptions, address string) error {
	if err := relay.Announce(o.dir, address); err != nil {
		return err
	}
	if o.addrFile == "" {
		return nil
	}
	path, err := filepath.Abs(o.addrFile)
	if err != nil {
		return err
	}
	if err := durable.Replace(path, []byte(address+"\n"), 0o644); err != nil {
		return fmt.Errorf("write --addr-file: %w", err)
	}
	return nil
}

func stop(running *relay.Running) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return running.Stop(ctx)
}
