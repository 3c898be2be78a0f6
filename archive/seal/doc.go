// Package seal holds Holdfast's cryptography at rest: the master key, the
// keyring that it wraps, the recovery key's shares, and the AEAD over records.
// Nothing in the data directory opens without it.
//
// It touches no file: package archive reads and writes. Only archive and the
// commands that make or restore an archive import it. Its bytes are specified
// in archive/FORMAT.md, sections 7 and 8.
package seal

import "errors"

// ErrKey means that a key does not fit what it should open, or that what it
// should open was changed: the two cannot be told apart.
var ErrKey = errors.New("the key does not fit, or what it should open was changed")
