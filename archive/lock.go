package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lock holds the data directory for one process: flock on the file `lock`,
// whose text says who holds it. The kernel drops it when the process ends,
// however it ends.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600) // #nosec G304 -- a name of ours in the archive's own folder
	if err != nil {
		return nil, err
	}
	// Root, too, takes the lock of a folder that is another account's: what that account linked there is not written to.
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is no file: remove it", f.Name()), err, f.Close())
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		holder, readErr := io.ReadAll(io.LimitReader(f, 64))
		err = errors.Join(err, readErr, f.Close())
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s; stop it first", ErrLocked, strings.TrimSpace(string(holder)))
		}
		return nil, err
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := fmt.Fprintf(f, "process %d\n", os.Getpid()); err != nil && !errors.Is(err, unix.ENOSPC) {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// flock takes a lock, unix.LOCK_SH or unix.LOCK_EX, and tries for a moment where it is held: a process that
// is being started has its parent's descriptors until it is another program, and
// with them a lock that the parent has already let go.
func flock(f *os.File, how int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 25 {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB) // #nosec G115 -- a descriptor
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		<-tick.C
	}
	return unix.EWOULDBLOCK
}
