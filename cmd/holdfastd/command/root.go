// Package command is the command line of holdfastd: init, serve and verify.
// Only its main imports it, and the tests, which run the root command in
// process.
//
// What goes where: stdout has results only, so that it can be piped; stderr
// has messages, and progress when it is a terminal; nothing is read from the
// terminal unless init asks whether the recovery kit was kept.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"holdfast/archive"
	"holdfast/archive/backup"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/anchor"
	"holdfast/internal/api"
	"holdfast/internal/build"
	"holdfast/internal/config"
	"holdfast/internal/daemon"
	"holdfast/internal/setup"
	"holdfast/retention"
)

// Main runs the command and returns its exit code. It stops what it does when
// the process gets SIGINT or SIGTERM.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, errDamage) && !errors.As(err, new(verdictError)) {
		if errors.Is(err, archive.ErrDamaged) {
			err = fmt.Errorf("%w\nkeep the disk as it is; `holdfastd verify --data DIR` names every entry at fault; then `holdfastd restore` puts the last backup back into a folder of its own", err)
		}
		if errors.Is(err, archive.ErrNoStore) {
			err = fmt.Errorf("%w; if there was one, see that its volume is mounted and that `data` in the configuration names it, and do not run init", err)
		}
		var p *api.Problem
		if errors.As(err, &p) && p.Hint != "" {
			err = fmt.Errorf("%w\n%s", err, p.Hint)
		}
		if _, werr := fmt.Fprintln(stderr, "holdfastd:", err); werr != nil {
			return api.ExitIO
		}
	}
	return exitCode(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "holdfastd",
		Short:         "The message archive's daemon",
		Long:          "holdfastd holds the archive and its keys. Make an archive once with `init`, run it with `serve`, and look at it through `holdfast`.",
		Version:       build.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w; see `%s --help`", errUsage, err, c.CommandPath())
	})
	root.AddCommand(newInit(), newServe(), newReload(), newVerify(), newBackup(), newRestore(), newDrill(), newDoctor(), newSupportBundle(), newCheckConfig(), newUnlock(), newKit(), newExtract())
	return root
}

var (
	errUsage  = errors.New("usage")
	errDamage = errors.New("the archive is damaged") // the report has said how
	errCreate = errors.New("cannot create")
)

// noArgs refuses arguments with the exit code of wrong usage.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: %s takes no argument; see `%s --help`", errUsage, c.CommandPath(), c.CommandPath())
	}
	return nil
}

// exits maps errors to exit codes, first match first.
var exits = []struct {
	err  error
	code int
}{
	{errUsage, api.ExitUsage},
	{config.ErrConfig, api.ExitConfig},
	{archive.ErrInvalid, api.ExitUsage},
	{errDamage, api.ExitData},
	{archive.ErrLocked, api.ExitTemporary},
	{archive.ErrNewer, api.ExitConfig},
	{archive.ErrNoStore, api.ExitConfig},
	{archive.ErrExists, api.ExitCreate},
	{errCreate, api.ExitCreate},
	{archive.ErrKeys, api.ExitPermission},
	{daemon.ErrCredential, api.ExitPermission},
	{archive.ErrKit, api.ExitPermission},
	{seal.ErrShare, api.ExitPermission},
	{setup.ErrNothing, api.ExitUsage},
	{setup.ErrAnswers, api.ExitUsage},
	{setup.ErrGiven, api.ExitUsage},
	{setup.ErrThere, api.ExitCreate},
	{seal.ErrPassphraseFile, api.ExitData},
	{archive.ErrForeign, api.ExitData},
	{archive.ErrDamaged, api.ExitData},
	{archive.ErrAnchor, api.ExitData},
	{backup.ErrNotEmpty, api.ExitCreate},
	{api.ErrDrillRunning, api.ExitTemporary},
	{backup.ErrInside, api.ExitUsage},
	{backup.ErrNoBackup, api.ExitUsage},
	{backup.ErrNoKeys, api.ExitUsage},
	{backup.ErrForeign, api.ExitData},
	{backup.ErrDamaged, api.ExitData},
	{backup.ErrManifest, api.ExitData},
	{retention.ErrCertificate, api.ExitData},
	{proof.ErrCheckpoint, api.ExitData},
	{anchor.ErrLine, api.ExitData},
	{anchor.ErrNoLine, api.ExitUsage},
	{proof.ErrIdentity, api.ExitData},
	{seal.ErrKey, api.ExitData},
	{archive.ErrNoBody, api.ExitData},
	{archive.ErrDisposed, api.ExitData},
	{daemon.ErrSocket, api.ExitCreate},
	{daemon.ErrMetrics, api.ExitCreate},
	{archive.ErrDiskFull, api.ExitTemporary},
	{fs.ErrPermission, api.ExitPermission},
}

func exitCode(err error) int {
	if err == nil {
		return api.ExitOK
	}
	for _, e := range exits {
		if errors.Is(err, e.err) {
			return e.code
		}
	}
	var verdict verdictError
	if errors.As(err, &verdict) {
		return int(verdict)
	}
	var problem *api.Problem
	if errors.As(err, &problem) {
		return problem.Exit
	}
	var path *os.PathError
	if errors.As(err, &path) {
		return api.ExitIO
	}
	if errors.Is(err, context.Canceled) {
		return api.ExitTemporary
	}
	return api.ExitIO
}
