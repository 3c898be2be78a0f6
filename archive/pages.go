package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"

	"go.etcd.io/bbolt"
)

// bbolt believes what its pages say. A damaged one can send it round in a
// circle, or into memory that belongs to something else, and neither can be
// caught. So the pages that lead to others are looked at before bbolt follows
// them. What is wrong within a leaf page makes bbolt return wrong bytes, panic
// or fault, which guard and the hashes notice.
//
// A page begins with id u64, flags u16, count u16, overflow u32. A branch
// page goes on with count elements of pos u32, key size u32, child u64; a leaf
// page with flags u32, pos u32, key size u32, value size u32, pos counted from
// the element itself. A bucket's value is root page u64 ‖ sequence u64 ‖, when
// root is 0, a leaf page of its own. Integers are in the machine's own order,
// which is little-endian wherever Holdfast runs.
const (
	pageHeader  = 16
	elementSize = 16
	branchPage  = 0x01
	leafPage    = 0x02
	bucketFlag  = 0x01
	maxDepth    = 32
	maxOverflow = 1 << 12 // pages, of a page that is looked at
	metaSummed  = 56      // bytes of a meta page after the header, under FNV-1a-64
)

// pageWalk is one pass over a database's pages.
type pageWalk struct {
	f     *os.File
	size  uint64   // of a page
	pages uint64   // in use: the high-water mark
	deep  bool     // look at leaf pages' headers as well
	seen  []uint64 // a bit a page
}

// checkPages refuses a database whose pages do not form trees. Leaf pages are
// read only if deep is set: that touches the whole file.
func checkPages(db *bbolt.DB, deep bool) error {
	f, err := os.Open(db.Path()) // #nosec G304 -- a name of ours in the data directory
	if err != nil {
		return err
	}
	err = db.View(func(tx *bbolt.Tx) error {
		w := &pageWalk{f: f, size: uint64(db.Info().PageSize), deep: deep} // #nosec G115 -- a page size
		w.pages = uint64(tx.Size()) / w.size                               // #nosec G115 -- a file's size
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: the file is cut off", ErrDamaged)
		}
		if err := w.metas(); err != nil {
			return err
		}
		w.seen = make([]uint64, w.pages/64+1)
		var roots []uint64
		err = w.tree(uint64(tx.Cursor().Bucket().RootPage()), func(page []byte) error {
			more, err := bucketRoots(page)
			roots = append(roots, more...)
			return err
		})
		for i := 0; i < len(roots) && err == nil; i++ {
			err = w.tree(roots[i], nil)
		}
		return err
	})
	return errors.Join(err, f.Close())
}

// tree walks one b-tree level by level and calls leaf, if any, with the pages
// of the lowest.
func (w *pageWalk) tree(root uint64, leaf func(page []byte) error) error {
	level := []uint64{root}
	for range maxDepth {
		var below []uint64
		kind := uint16(0)
		for i, id := range level {
			if err := w.mark(id); err != nil {
				return err
			}
			if i > 0 && kind == leafPage && leaf == nil && !w.deep {
				continue // all pages of a level are of one kind
			}
			page, err := w.read(id, i > 0 && kind == leafPage && leaf == nil)
			if err != nil {
				return err
			}
			flags := binary.LittleEndian.Uint16(page[8:])
			if i == 0 {
				kind = flags
			}
			switch {
			case flags != kind || kind != branchPage && kind != leafPage:
				return fmt.Errorf("%w: page %d is of the wrong kind", ErrDamaged, id)
			case kind == branchPage:
				for at := range elements(page) {
					below = append(below, binary.LittleEndian.Uint64(page[at+8:]))
				}
			case leaf != nil:
				if err := leaf(page); err != nil {
					return err
				}
			}
		}
		if kind == leafPage {
			return nil
		}
		if level = below; len(level) == 0 {
			break
		}
	}
	return fmt.Errorf("%w: its pages form no tree", ErrDamaged)
}

// mark notes that a page is in use by one tree.
func (w *pageWalk) mark(id uint64) error {
	if id < 2 || id >= w.pages {
		return fmt.Errorf("%w: there is no page %d", ErrDamaged, id)
	}
	if w.seen[id/64]>>(id%64)&1 == 1 {
		return fmt.Errorf("%w: page %d is reached twice", ErrDamaged, id)
	}
	w.seen[id/64] |= 1 << (id % 64)
	return nil
}

// metas refuses a database of whose two meta pages one does not bear its sum:
// bbolt would take the other without a word, and with it the state before the
// last commit. A crash does not do that, for what counts of a meta page lies in
// one sector.
func (w *pageWalk) metas() error {
	for id := range int64(2) {
		var page [pageHeader + metaSummed + 8]byte
		if _, err := w.f.ReadAt(page[:], id*int64(w.size)); err != nil { // #nosec G115 -- a page size
			return err
		}
		h := fnv.New64a()
		h.Write(page[pageHeader : pageHeader+metaSummed])
		if h.Sum64() != binary.LittleEndian.Uint64(page[pageHeader+metaSummed:]) {
			return fmt.Errorf("%w: meta page %d; what was committed last may be missing", ErrDamaged, id)
		}
	}
	return nil
}

// read returns a page, with its overflow pages, or its header alone.
func (w *pageWalk) read(id uint64, headerOnly bool) ([]byte, error) {
	page := make([]byte, w.size)
	if headerOnly {
		page = page[:pageHeader]
	}
	if _, err := w.f.ReadAt(page, int64(id*w.size)); err != nil { // #nosec G115 -- below the high-water mark
		return nil, err
	}
	overflow := uint64(binary.LittleEndian.Uint32(page[12:]))
	if binary.LittleEndian.Uint64(page) != id || overflow >= w.pages-id {
		return nil, fmt.Errorf("%w: page %d is another", ErrDamaged, id)
	}
	if overflow > 0 && overflow <= maxOverflow && !headerOnly {
		page = make([]byte, (overflow+1)*w.size)
		if _, err := w.f.ReadAt(page, int64(id*w.size)); err != nil { // #nosec G115 -- likewise
			return nil, err
		}
	}
	return page, nil
}

// elements yields the offsets of a page's elements, as many as it has room for.
func elements(page []byte) func(yield func(at int) bool) {
	count := min(int(binary.LittleEndian.Uint16(page[10:])), (len(page)-pageHeader)/elementSize)
	return func(yield func(at int) bool) {
		for i := range count {
			if !yield(pageHeader + i*elementSize) {
				return
			}
		}
	}
}

// bucketRoots returns the root pages of the buckets that a leaf page of the
// root bucket holds.
func bucketRoots(page []byte) (roots []uint64, err error) {
	bad := fmt.Errorf("%w: the list of buckets", ErrDamaged)
	for at := range elements(page) {
		flags, pos := binary.LittleEndian.Uint32(page[at:]), uint64(binary.LittleEndian.Uint32(page[at+4:]))
		key, value := uint64(binary.LittleEndian.Uint32(page[at+8:])), uint64(binary.LittleEndian.Uint32(page[at+12:]))
		from := uint64(at) + pos + key // #nosec G115 -- an offset in a page
		if flags != bucketFlag || value < 16 || from+value > uint64(len(page)) {
			return nil, bad
		}
		v := page[from : from+value]
		if root := binary.LittleEndian.Uint64(v); root != 0 {
			roots = append(roots, root)
			continue
		}
		if v = v[16:]; len(v) < pageHeader || binary.LittleEndian.Uint16(v[8:]) != leafPage {
			return nil, bad
		}
	}
	return roots, nil
}
