//go:build !holdfast_next

package archive

// schemaNow is the schema of the stores that this program writes, and the last
// that it reads.
const schemaNow = 1

// migrations lead to it, oldest first: the first release has none.
var migrations []migration
