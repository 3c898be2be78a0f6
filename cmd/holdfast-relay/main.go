// Command holdfast-relay is the reference relay, for the demo, for tests and
// for vendors to develop against. All of it is in package command.
package main

import (
	"os"

	"holdfast/cmd/holdfast-relay/internal/command"
)

func main() { os.Exit(command.Main(os.Args[1:], os.Stdout, os.Stderr)) }
