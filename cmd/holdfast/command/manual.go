package command

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Root returns the whole command line of holdfast, to print its manual pages
// and completions from. It knows nothing of the machine it runs on: there is no
// terminal, no login, and the socket is the packaged daemon's.
func Root() *cobra.Command {
	return newRoot(&globals{Terminal: &Terminal{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard, Socket: DefaultSocket}})
}
