package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

// A page of a bbolt file begins with id u64, flags u16, count u16, overflow
// u32; a branch page goes on with count elements of pos u32, key size u32,
// child u64. Integers are little-endian on every machine that Holdfast runs on.
const (
	pageHeader    = 16
	branchElement = 16
	branchFlag    = 0x01
	maxDepth      = 32
)

// pageWalk follows the branch pages of a database before bbolt does: one whose
// damage sends bbolt round in a circle would end the process by a stack
// overflow, which nothing can catch. Whatever else is wrong with a page makes
// bbolt panic when it comes there, and guard names the entry.
type pageWalk struct {
	f        *os.File
	pageSize uint64
	seen     []uint64 // a bit a page
}

// checkPages refuses a database in which a page is reached twice.
func checkPages(db *bbolt.DB) error {
	f, err := os.Open(db.Path())
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	size := uint64(db.Info().PageSize)    // #nosec G115 -- a page size
	pages := uint64(info.Size())/size + 1 // #nosec G115 -- a file's size
	w := &pageWalk{f: f, pageSize: size, seen: make([]uint64, pages/64+1)}
	err = db.View(func(tx *bbolt.Tx) error {
		// The root bucket's own pages come first: finding the others means reading those.
		root := tx.Cursor().Bucket()
		if err := w.tree(uint64(root.RootPage())); err != nil {
			return err
		}
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			if b.RootPage() == 0 {
				return nil // inline: it lies in the root bucket's leaf page
			}
			return w.tree(uint64(b.RootPage()))
		})
	})
	return errors.Join(err, f.Close())
}

// tree walks one b-tree level by level; its leaf pages, all of the lowest
// level, are not read.
func (w *pageWalk) tree(root uint64) error {
	level := []uint64{root}
	for range maxDepth {
		var below []uint64
		for _, id := range level {
			if err := w.mark(id); err != nil {
				return err
			}
			children, err := w.children(id)
			if err != nil {
				return err
			}
			if children == nil && len(below) == 0 {
				break // the first page of a level tells whether it is the lowest
			}
			below = append(below, children...)
		}
		if below == nil {
			for _, id := range level[1:] {
				if err := w.mark(id); err != nil {
					return err
				}
			}
			return nil
		}
		level = below
	}
	return fmt.Errorf("%w: its pages lie too deep", ErrDamaged)
}

func (w *pageWalk) mark(id uint64) error {
	if id/64 >= uint64(len(w.seen)) {
		return nil // behind the file's end: bbolt will fault there
	}
	if w.seen[id/64]>>(id%64)&1 == 1 {
		return fmt.Errorf("%w: page %d is reached twice", ErrDamaged, id)
	}
	w.seen[id/64] |= 1 << (id % 64)
	return nil
}

// children returns the pages below a branch page, nil for any other.
func (w *pageWalk) children(id uint64) ([]uint64, error) {
	if id/64 >= uint64(len(w.seen)) {
		return nil, nil
	}
	page := make([]byte, w.pageSize)
	n, err := w.f.ReadAt(page, int64(id*w.pageSize)) // #nosec G115 -- within the file
	if n < len(page) {
		return nil, nil // at the file's end, likewise
	}
	if err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint16(page[8:]) != branchFlag {
		return nil, nil
	}
	count := int(binary.LittleEndian.Uint16(page[10:]))
	count = min(count, (len(page)-pageHeader)/branchElement)
	out := make([]uint64, 0, count)
	for i := range count {
		out = append(out, binary.LittleEndian.Uint64(page[pageHeader+i*branchElement+8:]))
	}
	return out, nil
}
