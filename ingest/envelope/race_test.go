//go:build race

package envelope

// xwingStep is the distance of the bits that the flip test tries on X-Wing. The race detector makes ML-KEM ten times slower, and finds nothing
// in a test of arithmetic; the plain run tries every bit.
const xwingStep = 5
