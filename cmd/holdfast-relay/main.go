// Holdfast-relay is the reference relay: see package command.
package main

import (
	"holdfast/cmd/holdfast-relay/internal/command"
	"os"
)

func main() { os.Exit(command.Main(os.Args[1:], os.Stdout, os.Stderr)) }
