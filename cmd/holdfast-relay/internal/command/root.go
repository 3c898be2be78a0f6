// Package command is the command line of holdfast-relay, the reference relay for the demo, for tests and for vendors to develop against. The
// relay itself is package internal/relay, and its protocol is specified in ingest/AMX.md; cmd/holdfast-relay alone imports this package.
//
// What goes where: results to stdout (the configuration block of init, the status, the summary of load), as text for people or with --format
// json for scripts; everything else to stderr (ready, waiting, a progress bar if stderr is a terminal, errors). Exit codes are those of
// sysexits: 0, 64 usage, 65 bad input, 69 relay not reachable or refusing, 73 cannot create, 74 anything else (I/O), 75 in use, 77 permission,
// 78 configuration.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"holdfast/ingest/wire"
	"holdfast/internal/build"
	"holdfast/internal/relay"
	"holdfast/internal/relay/load"
)

// The exit codes.
const (
	exitUsage       = 64
	exitInput       = 65
	exitUnreachable = 69
	exitCreate      = 73
	exitOther       = 74
	exitInUse       = 75
	exitPermission  = 77
	exitConfig      = 78
)

// usageError is an error in how a command was called.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// Main runs the command line and returns the exit code. SIGINT and SIGTERM end it in good order.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return Run(ctx, args, stdout, stderr)
}

// Run is Main until ctx ends.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := Root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	// A terminal that is gone cannot be told.
	_, _ = fmt.Fprintf(stderr, "holdfast-relay: %v\n", err)
	return exitCode(err)
}

func exitCode(err error) int {
	var usage usageError
	var refused *wire.Problem
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, load.ErrLine), errors.Is(err, relay.ErrIdentity):
		return exitInput
	case errors.Is(err, relay.ErrUnreachable), errors.Is(err, load.ErrKeyset), errors.As(err, &refused):
		return exitUnreachable
	case errors.Is(err, relay.ErrExists):
		return exitCreate
	case errors.Is(err, relay.ErrLocked):
		return exitInUse
	case errors.Is(err, fs.ErrPermission):
		return exitPermission
	case errors.Is(err, fs.ErrNotExist):
		return exitConfig
	}
	return exitOther
}

// Root returns the root command.
func Root() *cobra.Command {
	root := &cobra.Command{
		Use:           "holdfast-relay",
		Short:         "The reference relay: hands sealed messages to one archive",
		Long:          "The reference relay of AMX/1, for the demo, for tests and for vendors to develop against. It is no product to run a hospital on.",
		Version:       build.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{fmt.Errorf("%w; see --help", err)} })
	epoch := &cobra.Command{Use: "epoch", Short: "Epochs of the relay's stream", Args: noArgs}
	epoch.AddCommand(newEpoch())
	root.AddCommand(newInit(), newServe(), newLoad(), newStatus(), newPin(), epoch)
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usageError{fmt.Errorf("%w; see --help", err)}
	}
	return nil
}

// required refuses an empty flag.
func required(name, value string) error {
	if value == "" {
		return usageError{fmt.Errorf("--%s is required; see --help", name)}
	}
	return nil
}

// printer writes lines and keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
