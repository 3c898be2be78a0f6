package command

import "github.com/spf13/cobra"

// Root returns the whole command line of holdfastd, to print its manual pages
// and completions from. It knows nothing of the machine it runs on.
func Root() *cobra.Command { return newRoot() }
