//go:build race

package envelope

// flipStep is the distance of the bits that the flip tests try. The race detector makes the KEMs ten times slower, and finds nothing
// in a test of arithmetic; the plain run tries every bit.
const flipStep = 23
