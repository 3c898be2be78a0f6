package search

import (
	"cmp"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// lates are the late entries that exist for a search: which stands for which.
// Of an entry and those that stand for it the newest counts alone.
type lates struct {
	newest map[uint64]uint64 // seq of the newest late entry, by the one it stands for
	of     []uint64          // the keys of newest, ascending, once settled
}

// add adds the late entry seq that stands for the entry of.
func (l *lates) add(of, seq uint64) {
	if l.newest == nil {
		l.newest = map[uint64]uint64{}
	}
	l.newest[of] = max(l.newest[of], seq)
}

// settle is called when all are added.
func (l *lates) settle() {
	for of := range l.newest {
		l.of = append(l.of, of)
	}
	slices.Sort(l.of)
}

func (l *lates) none() bool { return len(l.newest) == 0 }

// supersede says whether a newer entry stands for what the entry seq is, or
// stands for.
func (l *lates) supersede(about, seq uint64) bool { return l.newest[about] > seq }

// hide returns the documents of a segment that are superseded.
func (l *lates) hide(c *column) *roaring.Bitmap {
	hidden := roaring.New()
	for doc, of := range c.late {
		if l.supersede(of, c.seq(doc)) {
			hidden.Add(doc)
		}
	}
	if len(c.newest) == 0 {
		return hidden
	}
	low, high := c.seq(c.newest[len(c.newest)-1]), c.seq(c.newest[0])
	first, _ := slices.BinarySearch(l.of, low)
	for _, of := range l.of[first:] {
		if of > high {
			break
		}
		at, found := slices.BinarySearchFunc(c.newest, of, func(doc uint32, of uint64) int { return cmp.Compare(of, c.seq(doc)) })
		if found && l.supersede(of, of) && !c.lates.Contains(c.newest[at]) {
			hidden.Add(c.newest[at])
		}
	}
	return hidden
}
