//go:build !race

package envelope

const flipStep = 1
