package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"

	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// bbolt believes what its pages say. A damaged one can send it round in a
// circle until the memory is full, or into memory that belongs to something
// else, and neither can be caught; and a damaged list of free pages makes the
// next commit write over live ones. So the pages that lead to others are
// looked at before bbolt opens a file. What is wrong within a leaf page makes
// bbolt return wrong bytes, panic or fault, which guard and the hashes notice.
//
// A page begins with id u64, flags u16, count u16, overflow u32. A branch
// page goes on with count elements of pos u32, key size u32, child u64; a leaf
// page with flags u32, pos u32, key size u32, value size u32, pos counted from
// the element itself; a free list with its pages' ids. A bucket's value is root
// page u64 ‖ sequence u64 ‖, when root is 0, a leaf page of its own. A meta page
// goes on with magic u32, version u32, page size u32, flags u32, root page u64,
// sequence u64, free list u64, pages in use u64, transaction u64, sum u64.
// Integers are in the machine's own order, which is little-endian wherever
// Holdfast runs.
const (
	pageHeader  = 16
	elementSize = 16
	branchPage  = 0x01
	leafPage    = 0x02
	freePage    = 0x10
	bucketFlag  = 0x01
	maxDepth    = 32
	metaMagic   = 0xed0cdaed
	metaSummed  = 56      // bytes of a meta page after its header, under FNV-1a-64
	maxListed   = 1 << 12 // overflow pages of a page that is looked at
	edgePages   = 1 << 12 // leaf pages at a tree's growing end whose kind is looked at in any case
)

// pageWalk is one pass over a database's pages.
type pageWalk struct {
	f     *os.File
	size  uint64   // of a page
	pages uint64   // in use: the high-water mark
	deep  bool     // look at leaf pages as well
	seen  []uint64 // a bit a page
}

// metaPage is what the walk needs of one.
type metaPage struct{ root, free, pages, tx uint64 }

// checkPages refuses a database whose pages do not form trees. Leaf pages are
// read only if deep is set: that reads the whole file.
func checkPages(path string, deep bool) error {
	f, err := openRegular(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	// A process that writes to the file holds bbolt's exclusive lock: what is read beside it may be torn.
	if err := flock(f, unix.LOCK_SH); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = berrors.ErrTimeout
		}
		return errors.Join(err, f.Close())
	}
	w := &pageWalk{f: f, size: pageSize, deep: deep}
	return errors.Join(w.check(), f.Close())
}

func (w *pageWalk) check() error {
	m, err := w.metas()
	if err != nil {
		return err
	}
	info, err := w.f.Stat()
	if err != nil {
		return err
	}
	if w.pages = m.pages; w.pages > uint64(info.Size())/w.size { // #nosec G115 -- a file's size
		return fmt.Errorf("%w: the file is cut off", ErrDamaged)
	}
	w.seen = make([]uint64, w.pages/64+1)
	if err := w.freeList(m.free); err != nil {
		return err
	}
	var roots []uint64
	err = w.tree(m.root, func(page []byte) error {
		more, err := bucketRoots(page)
		roots = append(roots, more...)
		return err
	})
	for i := 0; i < len(roots) && err == nil; i++ {
		err = w.tree(roots[i], nil)
	}
	return err
}

// metas returns the meta page in force. It refuses a database of whose two meta
// pages one does not bear its sum: bbolt would take the other without a word,
// and with it the state before the last commit. A crash does not do that, for
// what counts of a meta page lies in one sector.
func (w *pageWalk) metas() (m metaPage, err error) {
	for id := range int64(2) {
		var page [pageHeader + metaSummed + 8]byte
		if _, err := w.f.ReadAt(page[:], id*pageSize); err != nil {
			return m, fmt.Errorf("%w: meta page %d: %w", ErrDamaged, id, err)
		}
		b := page[pageHeader:]
		h := fnv.New64a()
		h.Write(b[:metaSummed])
		if h.Sum64() != binary.LittleEndian.Uint64(b[metaSummed:]) || binary.LittleEndian.Uint32(b) != metaMagic ||
			binary.LittleEndian.Uint32(b[8:]) != pageSize {
			return m, fmt.Errorf("%w: meta page %d; what was committed last may be missing", ErrDamaged, id)
		}
		n := metaPage{
			root: binary.LittleEndian.Uint64(b[16:]), free: binary.LittleEndian.Uint64(b[32:]),
			pages: binary.LittleEndian.Uint64(b[40:]), tx: binary.LittleEndian.Uint64(b[48:]),
		}
		if id == 0 || n.tx > m.tx {
			m = n
		}
	}
	return m, nil
}

// freeList marks the list's own pages and those that it names: none of them
// may be part of a tree.
func (w *pageWalk) freeList(id uint64) error {
	if err := w.mark(id); err != nil {
		return err
	}
	page, err := w.read(id)
	if err != nil {
		return err
	}
	for more := range uint64(len(page))/w.size - 1 {
		if err := w.mark(id + 1 + more); err != nil {
			return err
		}
	}
	count, at := uint64(binary.LittleEndian.Uint16(page[10:])), pageHeader
	if count == 0xffff { // the number is too large for its field and comes first
		count, at = binary.LittleEndian.Uint64(page[at:]), at+8
	}
	if binary.LittleEndian.Uint16(page[8:]) != freePage || count > uint64(len(page)-at)/8 {
		return fmt.Errorf("%w: the list of free pages", ErrDamaged)
	}
	for range count {
		if err := w.mark(binary.LittleEndian.Uint64(page[at:])); err != nil {
			return err
		}
		at += 8
	}
	return nil
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
				if i < len(level)-edgePages {
					continue // all pages of a level are of one kind
				}
				leads, err := w.leadsOn(id)
				if err != nil {
					return err
				}
				if leads {
					return fmt.Errorf("%w: page %d is of the wrong kind", ErrDamaged, id)
				}
				continue
			}
			page, err := w.read(id)
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
			default:
				if err := checkLeafPage(page); err != nil {
					return fmt.Errorf("page %d: %w", id, err)
				}
				if leaf == nil {
					continue
				}
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

// leadsOn reports whether a page of the lowest level says that it leads to
// others. A disk that lost the last commit's pages, and not the page that leads
// to them, may have there what once led back to it. Whatever else is wrong with
// such a page concerns its own entries alone.
func (w *pageWalk) leadsOn(id uint64) (bool, error) {
	var page [pageHeader]byte
	_, err := w.f.ReadAt(page[:], int64(id*w.size)) // #nosec G115 -- below the high-water mark
	return binary.LittleEndian.Uint16(page[8:]) == branchPage, err
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

// read returns a page with its overflow pages.
func (w *pageWalk) read(id uint64) ([]byte, error) {
	page := make([]byte, w.size)
	if _, err := w.f.ReadAt(page, int64(id*w.size)); err != nil { // #nosec G115 -- below the high-water mark
		return nil, err
	}
	overflow := uint64(binary.LittleEndian.Uint32(page[12:]))
	if binary.LittleEndian.Uint64(page) != id || overflow >= w.pages-id {
		return nil, fmt.Errorf("%w: page %d is another", ErrDamaged, id)
	}
	if overflow > 0 && overflow <= maxListed {
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
		v := leafValue(page, at)
		if binary.LittleEndian.Uint32(page[at:]) != bucketFlag || len(v) < 16 {
			return nil, bad
		}
		if root := binary.LittleEndian.Uint64(v); root != 0 {
			roots = append(roots, root)
			continue
		}
		if v = v[16:]; len(v) < pageHeader || binary.LittleEndian.Uint16(v[8:]) != leafPage {
			return nil, bad
		}
		if err := checkLeafPage(v); err != nil {
			return nil, err
		}
		// Such a page is as long as what it holds: one that says it holds less has lost something.
		end := pageHeader
		for at := range elements(v) {
			_, to := leafSpan(v, at)
			end = max(end, int(to)) // #nosec G115 -- within v
		}
		if end != len(v) {
			return nil, bad
		}
	}
	return roots, nil
}

// checkLeafPage sees to it that every key and value of a leaf page lies in it.
func checkLeafPage(page []byte) error {
	if int(binary.LittleEndian.Uint16(page[10:])) > (len(page)-pageHeader)/elementSize {
		return fmt.Errorf("%w: it states more elements than it has room for", ErrDamaged)
	}
	for at := range elements(page) {
		if leafValue(page, at) == nil {
			return fmt.Errorf("%w: an element lies outside it", ErrDamaged)
		}
	}
	return nil
}

// leafValue returns the value of the element at the given place, nil if its key
// or value is not in the page.
func leafValue(page []byte, at int) []byte {
	if from, to := leafSpan(page, at); to <= uint64(len(page)) {
		return page[from:to:to]
	}
	return nil
}

// leafSpan returns where the value of the element at the given place begins and
// ends.
func leafSpan(page []byte, at int) (from, to uint64) {
	pos, key, value := binary.LittleEndian.Uint32(page[at+4:]), binary.LittleEndian.Uint32(page[at+8:]), binary.LittleEndian.Uint32(page[at+12:])
	from = uint64(at) + uint64(pos) + uint64(key) // #nosec G115 -- an offset in a page
	return from, from + uint64(value)
}
