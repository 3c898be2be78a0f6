// Command holdfast is how compliance staff and scripts use a Holdfast archive.
package main

import (
	"os"

	"holdfast/cmd/holdfast/command"
)

func main() { os.Exit(command.Main(os.Args[1:])) }
