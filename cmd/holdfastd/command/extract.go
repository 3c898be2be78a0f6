package command

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"holdfast/internal/extract"
)

const extractName = "extract"

// newExtract is the process that reads one attachment's text. It stays out of
// the help: only the daemon calls it, by a protocol of its own.
func newExtract() *cobra.Command {
	return &cobra.Command{
		Use:    extractName,
		Short:  "Read an attachment's text (the daemon's own)",
		Long:   "extract is started by the daemon for each attachment whose text it reads. It reads no configuration and opens no file.",
		Args:   noArgs,
		Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := extract.Child(c.InOrStdin(), c.OutOrStdout()); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			return nil
		},
	}
}

// ownPath returns where this program lies, as it was called: after an upgrade
// that is the new one, which knows the same protocol.
func ownPath() (string, error) {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		path, err = os.Executable()
	}
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", fmt.Errorf("where this program lies is not known, so that no attachment can be read; start it by its full path: %w", err)
	}
	return path, nil
}
