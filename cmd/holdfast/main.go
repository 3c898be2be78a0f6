// Command holdfast is how compliance staff and scripts use a Holdfast archive.
package main

import (
	"os"
	_ "time/tzdata" // productions are rendered anew in their own time zone, on machines without the files

	"holdfast/cmd/holdfast/command"
)

func main() { os.Exit(command.Main(os.Args[1:])) }
