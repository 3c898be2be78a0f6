//go:build race

package people

// Under the race detector the same work takes several times as long.
const (
	raceFactor = 8
	changes    = 800
)
