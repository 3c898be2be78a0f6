// Package build knows which version of the project this program is. The
// commands and internal/daemon import it; it imports nothing of the project's.
package build

import "runtime/debug"

// version is set by the linker: `make build` takes it from git describe.
var version string

// Version names the version that this program was built from: what the linker
// was told, else the module version that `go install` records, else "unknown".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "unknown"
}
