package durable

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Pace waits until what was being written at its last call is on disk, and has
// the kernel begin with what came since. Called every few megabytes it keeps a
// large file from filling the disk's queue, where whoever syncs a small one
// would wait behind it. It makes nothing durable: Commit does. A file system
// that knows nothing of it goes without.
//
//	sync_file_range(SYNC_FILE_RANGE_WAIT_BEFORE|SYNC_FILE_RANGE_WRITE)
func (f *File) Pace() error {
	err := unix.SyncFileRange(int(f.f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE) // #nosec G115 -- a descriptor
	for _, unknown := range []error{unix.ENOSYS, unix.EINVAL, unix.ESPIPE, unix.EOPNOTSUPP} {
		if errors.Is(err, unknown) {
			return nil
		}
	}
	return err
}

// CommitAt is Commit for a path that was not known when the file was begun, as
// when it is named after its content.
func (f *File) CommitAt(path string) error {
	f.path = path
	return f.Commit()
}
