package api

// The exit codes of Holdfast's commands, after sysexits.h. A problem carries
// the one that its command exits with.
const (
	ExitOK          = 0
	ExitUsage       = 64 // the command was used wrongly
	ExitData        = 65 // data is corrupt, or not proven
	ExitUnreachable = 69 // the daemon cannot be reached
	ExitCreate      = 73 // an output cannot be created
	ExitIO          = 74 // an input or output error
	ExitTemporary   = 75 // temporary, or locked: try again
	ExitPermission  = 77 // a key or a permission is missing
	ExitConfig      = 78 // the configuration is wrong, or the store is newer than the program
)
