// Package regular reads files whose names an operator gave, or that lie in a
// folder of another account. A pipe in place of one would keep its reader, who
// may be root, waiting for somebody at its other end; a device has no end. What
// is no regular file is opened without waiting, found out, and refused.
//
// Every package above the cellar may import it; it imports nothing of the
// project's.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrIrregular is returned for a pipe, a folder, a socket or a device.
var ErrIrregular = errors.New("is no regular file; put the file itself there, or a link to it")

// OpenFile opens path as os.OpenFile does; what is no regular file is
// ErrIrregular, and is never waited for.
func OpenFile(path string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag|unix.O_NONBLOCK, perm) // #nosec G304 -- whoever calls this names it
	if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.EISDIR) {
		return nil, fmt.Errorf("%s %w", path, ErrIrregular) // a socket, a pipe that nobody reads, or a folder to write to
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s %w", path, ErrIrregular)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Open opens path to read, as OpenFile does.
func Open(path string) (*os.File, error) { return OpenFile(path, os.O_RDONLY, 0) }

// Read reads a file of at most limit bytes, as OpenFile opens it.
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes; see that it is the file that is meant", path, limit)
	}
	return b, nil
}
