//go:build !race

package people

const (
	raceFactor = 1
	changes    = 4000
)
