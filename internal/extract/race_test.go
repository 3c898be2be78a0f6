//go:build race

package extract

// raced says that the race detector watches. It makes a process start and end
// seconds later, and takes the memory that the child must not have: the child is
// then one that it does not watch.
const raced = true
