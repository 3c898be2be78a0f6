package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// diskSpace decides, before each commit, whether there is room for it. Nothing
// is begun that may end in ENOSPC half-way. The file `reserve` holds space that
// only control and audit entries may use when the disk is full, so that
// looking stays audited: audit entries may take three quarters of it, control
// entries (holds) all.
type diskSpace struct {
	dir      string
	path     string
	reserve  int64 // bytes the file is meant to hold
	lowWater int64 // free bytes below which nothing else is accepted
	have     int64 // bytes the file holds now
	avail    int64 // bytes that were free at the last measurement
}

// margin is what a commit may need beyond its entries' own bytes: the pages of
// every touched b-tree's path, twice.
const margin = 1 << 20

// reserveStep is the unit in which the reserve is given away, in bytes.
const reserveStep = 256 << 10

// newDiskSpace preallocates the reserve. By default it is a twentieth of the
// file system, at most 64 MiB, and the low-water mark a tenth, at most 256 MiB.
func newDiskSpace(dir string, reserve, lowWater int64) (*diskSpace, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return nil, err
	}
	total := int64(fs.Blocks) * fs.Bsize // #nosec G115 -- a file system's size
	if reserve == 0 {
		reserve = min(64<<20, total/20)
	}
	if lowWater == 0 {
		lowWater = min(256<<20, total/10)
	}
	d := &diskSpace{dir: dir, path: filepath.Join(dir, "reserve"), reserve: reserve, lowWater: lowWater}
	info, err := os.Stat(d.path)
	if err == nil {
		d.have = info.Size()
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return d, d.refill()
}

func (d *diskSpace) free() (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(d.dir, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * fs.Bsize, nil // #nosec G115 -- as above
}

// refill measures what is free, for the admissions of one commit, and gives the
// reserve back what was taken from it, when there is room above the low-water
// mark.
func (d *diskSpace) refill() (err error) {
	if d.avail, err = d.free(); err != nil || d.have >= d.reserve || d.avail < d.lowWater+d.reserve-d.have+2*margin {
		return err
	}
	f, err := os.OpenFile(d.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, d.reserve) // #nosec G115 -- a descriptor
	if errors.Is(err, unix.EOPNOTSUPP) {
		// Some file systems cannot preallocate; the reserve then is the low-water mark alone.
		err = f.Truncate(d.reserve)
	}
	if err = errors.Join(err, f.Close()); errors.Is(err, unix.ENOSPC) {
		return nil // somebody else took the room meanwhile; the next commit tries again
	}
	if err != nil {
		return fmt.Errorf("reserve: %w", err)
	}
	d.have = d.reserve
	d.avail, err = d.free()
	return err
}

// claim says on whose behalf space is asked for.
type claim int

const (
	claimIngest claim = iota
	claimAudit
	claimControl
)

// admit reports whether entries of so many bytes may be written now; for
// control and audit entries it frees part of the reserve.
func (d *diskSpace) admit(c claim, bytes int64) error {
	need, free := 2*bytes+margin, d.avail
	if c == claimIngest {
		if free < d.lowWater+need {
			return ErrDiskFull
		}
		return nil
	}
	if free >= need {
		return nil
	}
	var floor int64 // what of the reserve this claim may not touch
	if c == claimAudit {
		floor = d.reserve / 4
	}
	// Whole blocks only: a file system gives back nothing for part of one.
	give := min((need-free+reserveStep-1)/reserveStep*reserveStep, d.have-floor)
	if give <= 0 {
		return ErrDiskFull
	}
	if err := os.Truncate(d.path, d.have-give); err != nil {
		return fmt.Errorf("reserve: %w", err)
	}
	d.have -= give
	var err error
	if d.avail, err = d.free(); err == nil && d.avail < need {
		err = ErrDiskFull
	}
	return err
}

// Room reports whether the disk has more free space than the low-water mark:
// without that nothing derived may grow, and ingest is refused.
func (a *Archive) Room() bool {
	if a.disk == nil {
		return false
	}
	free, err := a.disk.free()
	return err == nil && free >= a.disk.lowWater+margin
}
