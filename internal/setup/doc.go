// Package setup is an archive's first run: what it asks, what it makes and in
// which order, the recovery kit on paper, and the places of the master key. It
// overwrites nothing, and leaves nothing half made that it could take away.
//
// Only cmd/holdfastd imports it, and internal/daemon for the names of files. An
// answers file is documented at the fields of Answers; a wrapped master key is
// specified in archive/FORMAT.md section 8.
package setup

import "errors"

var (
	// ErrAnswers is an answer that cannot be used, or is missing.
	ErrAnswers = errors.New("answers")
	// ErrGiven is a file, a flag or a typed line that cannot be used, or is missing.
	ErrGiven = errors.New("what was given cannot be used")
	// ErrThere is something that is there already and is never overwritten.
	ErrThere = errors.New("it is there already, and nothing is overwritten")
	// ErrNothing says that nothing was made, because a person did not go on.
	ErrNothing = errors.New("nothing was made; run it again")
)
