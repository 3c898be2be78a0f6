package docket

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// Limits of Bates numbers.
const (
	DefaultDigits = 7
	MaxDigits     = 12
	MaxPrefix     = 16
	MaxNumber     = 999_999_999_999 // MaxDigits of them
)

// Range is a range of Bates numbers with what they are written with.
type Range struct {
	Seq    uint64 // of the entry that reserved it
	Matter string
	Prefix string
	First  uint64 // >= 1
	Count  uint64 // >= 1
	Digits int    // that a number has at least
}

// Last returns the last number of the range.
func (r Range) Last() uint64 { return r.First + r.Count - 1 }

// Label returns number n as it is printed.
func (r Range) Label(n uint64) string { return Label(r.Prefix, n, r.Digits) }

// Labels returns the numbers from first to last as they are printed: "A..B", or
// one alone.
func (r Range) Labels(first, last uint64) string { return labels(r.Prefix, first, last, r.Digits) }

// Label returns a Bates number as it is printed.
func Label(prefix string, n uint64, digits int) string {
	return fmt.Sprintf("%s%0*d", prefix, digits, n)
}

// ParseLabel reads a Bates number as it is printed: the prefix is all before
// the digits at its end.
func ParseLabel(s string) (prefix string, n uint64, err error) {
	prefix = strings.TrimRight(s, "0123456789")
	if err := checkPrefix(prefix); err != nil {
		return "", 0, err
	}
	digits := s[len(prefix):]
	if n, err = strconv.ParseUint(digits, 10, 64); err != nil || n == 0 || n > MaxNumber || len(digits) > MaxDigits {
		return "", 0, fmt.Errorf("%w: a Bates number is a prefix and 1 to %d digits, such as ABC0000017", ErrInvalid, MaxDigits)
	}
	return prefix, n, nil
}

// checkPrefix refuses what is no prefix. One that ended in a digit would make
// AB1 with 2 and AB with 12 the same number.
func checkPrefix(s string) error {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
	if s == "" || len(s) > MaxPrefix || strings.Trim(s, chars) != "" || s[len(s)-1] >= '0' && s[len(s)-1] <= '9' {
		return fmt.Errorf("%w: a Bates prefix has 1 to %d of A-Z, 0-9 and -, and does not end in a digit: such as SMITH-2026-", ErrInvalid, MaxPrefix)
	}
	return nil
}

// numbering is within what numbers are unique.
type numbering struct {
	matter string // folded
	prefix string
}

// taken are numbers that were given out: sorted, apart, none touching the next.
type taken struct{ ranges [][2]uint64 } // first and last

func (t *taken) overlaps(first, last uint64) bool {
	return t != nil && slices.ContainsFunc(t.ranges, func(r [2]uint64) bool { return first <= r[1] && last >= r[0] })
}

// next returns the number after all that were given out.
func (t *taken) next() uint64 {
	if t == nil || len(t.ranges) == 0 {
		return 1
	}
	return t.ranges[len(t.ranges)-1][1] + 1
}

func (t *taken) add(first, last uint64) {
	t.ranges = append(t.ranges, [2]uint64{first, last})
	slices.SortFunc(t.ranges, func(a, b [2]uint64) int { return int(min(max(int64(a[0])-int64(b[0]), -1), 1)) }) // #nosec G115 -- at most MaxNumber
	merged := t.ranges[:1]
	for _, r := range t.ranges[1:] {
		if before := &merged[len(merged)-1]; r[0] <= before[1]+1 {
			before[1] = max(before[1], r[1])
			continue
		}
		merged = append(merged, r)
	}
	t.ranges = merged
}

// reservation is one range, and the production that has it.
type reservation struct {
	Range
	by         role.Principal
	at         time.Time
	production uint64 // 0: none yet
}

// Numbering says which Bates numbers are wanted.
type Numbering struct {
	Matter string
	Prefix string
	Start  uint64 // 0: after all that were given out in the matter under the prefix
	Count  uint64
	Digits int // 0: DefaultDigits
}

// Reserve gives out Bates numbers of a matter. They are durable when it
// returns and are never given out again, whatever becomes of the production.
func (b *Book) Reserve(ctx context.Context, who role.Principal, n Numbering) (Range, error) {
	if n.Digits == 0 {
		n.Digits = DefaultDigits
	}
	body := productionBody{Version: 1, Op: opReserve, Matter: n.Matter, Prefix: n.Prefix, First: n.Start, Count: n.Count, Digits: n.Digits, By: &who}
	seq, err := b.change(ctx, func(time.Time) error {
		var err error
		if body.Matter, err = b.matter(n.Matter, true); err != nil {
			return err
		}
		t := b.numbers[numbering{matterKey(body.Matter), n.Prefix}]
		if n.Start == 0 {
			body.First = t.next()
		}
		if err := body.checkRange(); err != nil {
			return err
		}
		if t.overlaps(body.First, body.First+body.Count-1) {
			return ErrBatesTaken
		}
		return nil
	}, func() ([]archive.Entry, error) { return one(proof.KindProduction, body) })
	if err != nil {
		return Range{}, err
	}
	return body.rng(seq), nil
}

func (body *productionBody) rng(seq uint64) Range {
	return Range{Seq: seq, Matter: body.Matter, Prefix: body.Prefix, First: body.First, Count: body.Count, Digits: body.Digits}
}

func (body *productionBody) checkRange() error {
	if err := checkPrefix(body.Prefix); err != nil {
		return err
	}
	switch {
	case body.Digits < 1 || body.Digits > MaxDigits:
		return fmt.Errorf("%w: a Bates number has 1 to %d digits", ErrInvalid, MaxDigits)
	case body.Count == 0 || body.First == 0 || body.First > MaxNumber || body.Count > MaxNumber+1-body.First:
		return fmt.Errorf("%w: Bates numbers are 1 to %d, and at least one", ErrInvalid, uint64(MaxNumber))
	}
	return nil
}

// applyReserve takes in a reservation. Numbers are burned whatever rule it
// breaks.
func (b *Book) applyReserve(rec archive.Record, body *productionBody) error {
	if body.checkRange() != nil {
		b.fault(rec, ErrInvalid)
		return nil
	}
	_, broken := b.matter(body.Matter, true)
	key := numbering{matterKey(body.Matter), body.Prefix}
	t := b.numbers[key]
	if t == nil {
		t = &taken{}
		b.numbers[key] = t
	}
	if broken == nil && t.overlaps(body.First, body.First+body.Count-1) {
		broken = ErrBatesTaken
	}
	t.add(body.First, body.First+body.Count-1)
	if broken != nil {
		b.fault(rec, broken)
		return nil
	}
	r := &reservation{Range: body.rng(rec.Leaf.Seq), at: rec.Leaf.ReceivedTime()}
	if body.By != nil {
		r.by = *body.By
	}
	b.reservations[rec.Leaf.Seq] = r
	return nil
}
