package doctor

import (
	"context"
	"errors"
	"io/fs"
	"sort"
	"time"

	"holdfast/archive"
)

// store opens a stopped archive to read, without its keys, and judges the end of
// its chain and its disk.
func (m *Machine) store(ctx context.Context) []Finding {
	data := m.Config.Data
	a, err := archive.Open(ctx, data, archive.Options{ReadOnly: true, Keyless: true})
	if err != nil {
		return []Finding{opening(data, err), m.room(nil)}
	}
	growth, chain := m.room(a), fine("chain", "the log's end is as it was signed")
	if err := provable(ctx, a); err != nil {
		chain = damaged(data)
	}
	if err := a.Close(); err != nil {
		chain = damaged(data)
	}
	return []Finding{chain, growth}
}

func damaged(data string) Finding {
	return fatal("chain", "the log's last entry cannot be read and proven",
		"Keep the disk as it is. `holdfastd verify --data "+data+"` names every entry at fault; then restore from a backup with `holdfastd restore`.")
}

// opening judges an archive that does not open.
func opening(data string, err error) Finding {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return unseen("chain", data)
	case errors.Is(err, archive.ErrLocked):
		return warn("chain", "another process holds the archive, and its daemon does not answer here", "If a backup, a restore or verify is running, wait for it. Else compare `socket` in the configuration with where the daemon listens.")
	case errors.Is(err, archive.ErrNoStore):
		return fatal("chain", "there is no archive at "+data, noArchive)
	case errors.Is(err, archive.ErrNewer):
		return fatal("chain", err.Error(), "Install the version that wrote it, or a newer one; a downgrade needs the copy that the upgrade made.")
	case errors.Is(err, archive.ErrDamaged), errors.Is(err, archive.ErrForeign):
		return damaged(data)
	}
	return fatal("chain", "the archive cannot be opened: "+err.Error(), "Check the disk (dmesg, smartctl).")
}

// provable proves the last leaf by the tree.
func provable(ctx context.Context, a *archive.Archive) error {
	size := a.Size()
	if size == 0 {
		return archive.ErrNotFound
	}
	return Included(ctx, a, size-1, size)
}

// room judges the disk of an archive that is open to read; nil: of one that is not.
func (m *Machine) room(a *archive.Archive) Finding {
	var size uint64
	begun := m.Now
	if a != nil {
		if leaf, err := a.Leaf(0); err == nil {
			size, begun = a.Size(), leaf.ReceivedTime()
		}
	}
	g, err := Measure(m.Config.Data, m.Config.Disk.LowWater, m.Now, begun, size, func(t time.Time) (uint64, error) { return sizeAt(a, t) })
	if err != nil {
		return warn("disk", "what is free on the archive's disk could not be found out: "+err.Error(), "Run `holdfastd doctor` as root, and check that the archive's volume is mounted.")
	}
	return g.Finding()
}

// sizeAt returns how many entries there were before t: received times never fall.
func sizeAt(a *archive.Archive, t time.Time) (uint64, error) {
	var failed error
	n := sort.Search(int(a.Size()), func(i int) bool { // #nosec G115 -- a log of 2^63 entries is out of reach
		if failed != nil {
			return true
		}
		leaf, err := a.Leaf(uint64(i)) // #nosec G115 -- an index
		failed = err
		return err != nil || !leaf.ReceivedTime().Before(t)
	})
	return uint64(n), failed // #nosec G115 -- as above
}
