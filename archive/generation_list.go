package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"golang.org/x/sys/unix"
)

// ClassMonths returns every class-month that has a body file, by month, then
// class.
func (a *Archive) ClassMonths(ctx context.Context) ([]Generation, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out []Generation
	err := a.view(func(s *store) error {
		ids, err := bodyNames(s.dir)
		if err != nil {
			return err
		}
		highest := map[ClassMonth]uint32{}
		for _, id := range ids {
			highest[id.ClassMonth] = max(highest[id.ClassMonth], id.generation)
		}
		for cm, high := range highest {
			g := Generation{ClassMonth: cm, Live: s.gens.live(cm), Highest: high}
			if was := s.gens[cm]; was != nil {
				g.Highest, g.Switched, g.Pending = max(high, was.highest), was.intent, a.reversible(cm, was)
			}
			if g.Bytes, err = diskBytes(bodyPath(s.dir, s.bodyName(cm))); err != nil && !errors.Is(err, unix.ENOENT) {
				return err
			}
			out = append(out, g)
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Generation) int { return compareClassMonths(a.ClassMonth, b.ClassMonth) })
	return out, err
}

// reversible reports whether the former file of a switch still opens.
func (a *Archive) reversible(cm ClassMonth, g *generation) bool {
	return g.unfinished() && a.keys.snapshot().Bodies[bodyName(cm.Month, cm.Class, g.former)] != nil
}

// diskBytes returns what a file takes, without its holes.
func diskBytes(path string) (int64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return st.Blocks * 512, nil
}

// PendingDisposals returns the class-months whose switch waits for Destroy or
// SwitchBack, those included whose keys are gone already and whose files are
// not: for them Unkept yields nothing, and Destroy finishes.
func (a *Archive) PendingDisposals() []ClassMonth {
	var out []ClassMonth
	err := a.view(func(s *store) error {
		for _, cm := range s.gens.sorted() {
			if s.gens[cm].unfinished() {
				out = append(out, cm)
			}
		}
		return nil
	})
	if err != nil {
		return nil // closed: nothing can be done about them
	}
	return out
}

// MonthRange returns which entries were received in a month ("2026-01", UTC):
// those with from ≤ seq < to.
func (a *Archive) MonthRange(month string) (from, to uint64, err error) {
	first, next, err := monthBounds(month)
	if err != nil {
		return 0, 0, err
	}
	size := a.Size()
	if from, err = a.receivedFrom(first, size); err != nil {
		return 0, 0, err
	}
	to, err = a.receivedFrom(next, size)
	return from, to, err
}

// receivedFrom returns the first seq that was received at or after a moment:
// received times never fall.
func (a *Archive) receivedFrom(ms int64, size uint64) (uint64, error) {
	var failed error
	n := sort.Search(int(size), func(i int) bool { // #nosec G115 -- a log of 2^63 entries is out of reach
		if failed != nil {
			return true
		}
		l, err := a.Leaf(uint64(i)) // #nosec G115 -- an index
		failed = err
		return err == nil && l.Received >= ms
	})
	return uint64(n), failed // #nosec G115 -- as above
}
