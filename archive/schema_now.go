//go:build !holdfast_next

package archive

// Schema is the number of the layout of the stores that this program writes, and the last
// that it reads.
const Schema = 1

// migrations lead to it, oldest first: the first release has none.
var migrations []migration
