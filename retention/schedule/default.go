package schedule

import (
	_ "embed"
	"slices"
)

//go:embed default.toml
var defaults []byte

// Default is the schedule for US hospitals that the program brings: a beginning
// for a site's own, with its sources in its comments.
func Default() []byte { return slices.Clone(defaults) }
