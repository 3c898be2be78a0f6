package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// AppendLine adds one line to the file at path, durable once it returns; the
// file is made if it is missing. line has no line feed in it. What stands in
// the file is never changed, so that the file may be one that can only be
// appended to (chattr +a, or a share that enforces it).
//
//	open(path, O_APPEND|O_CREAT, perm), pread of the last byte, write, fsync, close, fsync(folder)
//
// A crash leaves nothing, the whole line, or the beginning of it. What began
// and was not finished is ended by the next AppendLine, and stands in the file
// as a line of its own.
func AppendLine(path string, line []byte, perm fs.FileMode) error {
	// Not blocking: a name that became a pipe must not hold up its writer for ever.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK, perm) // #nosec G304 -- the operator names it
	if err != nil {
		return err
	}
	text, err := ended(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	text = append(append(text, line...), '\n')
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// ended returns what has to be written first, so that a line begins: nothing,
// or the line feed that a crash took from the one before.
func ended(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", f.Name())
	}
	if info.Size() == 0 {
		return nil, nil
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, info.Size()-1); err != nil {
		return nil, err
	}
	if last[0] == '\n' {
		return nil, nil
	}
	return []byte{'\n'}, nil
}
