// Command holdfastd is the archive's daemon and what is done to its store.
package main

import (
	"os"
	_ "time/tzdata" // the site's time zone, on machines without the files

	"holdfast/cmd/holdfastd/command"
)

func main() { os.Exit(command.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
