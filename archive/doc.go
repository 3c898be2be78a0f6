// Package archive is the sole owner of Holdfast's store: the append-only log
// with its hash chain and Merkle tree, the sealed bodies, the attachments and
// the keyring. Its bytes on disk are specified in archive/FORMAT.md.
//
// An archive is made once, by Create, never by itself; Open finds one as a
// crash left it and mends what a crash may leave; Append is durable before it
// returns. One writer goroutine owns every change of the log.
//
// Packages of floor 2 and above may import it.
package archive

import (
	"errors"
	"fmt"
)

// Errors of Create and Open.
var (
	ErrNoStore = errors.New("there is no archive here; make one with `holdfastd init`")
	ErrExists  = errors.New("there is an archive here already; it is never overwritten")
	ErrLocked  = errors.New("another process holds this archive")
	ErrForeign = errors.New("this directory's parts belong to different archives")
	ErrNewer   = errors.New("this archive was written by a newer version; install that version or restore the copy it made before its upgrade")
	ErrKeys    = errors.New("the keyring does not open with this master key")
)

// Errors of reading and writing.
var (
	ErrClosed      = errors.New("the archive is closed")
	ErrFailed      = errors.New("a write failed; nothing is accepted until the archive has been reopened and checked")
	ErrDiskFull    = errors.New("the disk is too full to accept this; free some space, and it goes on by itself")
	ErrStaleCursor = errors.New("the relay entries do not follow the stored cursor")
	ErrInvalid     = errors.New("not an entry that the archive accepts")
	ErrNotFound    = errors.New("the log has no such entry")
	ErrNoBody      = errors.New("this entry's body is not in the archive")
	ErrNoBlob      = errors.New("this attachment is not in the archive")
	ErrDamaged     = errors.New("the archive is damaged")
)

// SeqError says which entry an error is about.
type SeqError struct {
	Seq uint64
	Err error
}

func (e *SeqError) Error() string { return fmt.Sprintf("entry %d: %v", e.Seq, e.Err) }

// Unwrap returns the error without its place.
func (e *SeqError) Unwrap() error { return e.Err }
