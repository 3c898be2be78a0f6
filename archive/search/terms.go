package search

import (
	"encoding/binary"
	"math"
	"time"
)

const secondsPerDay = 24 * 60 * 60

// zap ends a doc value with 0xff, so no byte of a term that is one may be that:
// numbers are written in digits of seven bits, highest first.
const (
	seqTermLen    = 5  // 35 bits, for a place in a log file
	numberTermLen = 10 // 70 bits, for any number
	milliTermLen  = 9  // 63 bits, for a time in milliseconds
	nanoTermLen   = 3  // 21 bits, for the nanoseconds below one
)

func appendDigits(b []byte, v uint64, n int) []byte {
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(v>>(7*i))&0x7f)
	}
	return b
}

func parseDigits(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<7 | uint64(c&0x7f)
	}
	return v
}

// seqTerm is the place of an entry in its log file.
func seqTerm(place uint32) string {
	return string(appendDigits(nil, uint64(place), seqTermLen))
}

func parseSeqTerm(term []byte) (uint32, bool) {
	v := parseDigits(term)
	return uint32(v), len(term) == seqTermLen && v <= math.MaxUint32 // #nosec G115 -- said beside it
}

// numberTerm is any number, such as the seq of an entry.
func numberTerm(v uint64) string { return string(appendDigits(nil, v, numberTermLen)) }

func parseNumberTerm(term []byte) (uint64, bool) {
	return parseDigits(term), len(term) == numberTermLen
}

func dayOf(t time.Time) int64 {
	s := t.Unix()
	day := s / secondsPerDay
	if s%secondsPerDay < 0 {
		day--
	}
	return day
}

// dayTerm and timeTerm sort as the times do.
func dayTerm(day int64) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(day)^1<<63)) // #nosec G115 -- the sign bit is flipped
}

// instant is a time, in the form in which a million of them fit into memory:
// milliseconds since 1970 and the nanoseconds below.
type instant struct {
	milli int64
	nano  uint32
}

// never is the instant of an entry without a time. It is before all others.
var never = instant{milli: math.MinInt64}

func instantOf(t time.Time) instant {
	if t.IsZero() {
		return never
	}
	return instant{t.UnixMilli(), uint32(t.Nanosecond() % int(time.Millisecond))} // #nosec G115 -- below a million
}

func (i instant) time() time.Time {
	if i == never {
		return time.Time{}
	}
	return time.UnixMilli(i.milli).Add(time.Duration(i.nano)).UTC()
}

func (i instant) before(j instant) bool {
	return i.milli < j.milli || i.milli == j.milli && i.nano < j.nano
}

// milliOffset makes milliseconds since 1970 a number of 63 bits that is not
// negative.
const milliOffset = 1 << 62

// timeTerm is the millisecond and, only if it is not zero, the rest in
// nanoseconds.
func timeTerm(t time.Time) string {
	i := instantOf(t)
	b := appendDigits(nil, uint64(i.milli+milliOffset), milliTermLen) // #nosec G115 -- years of four digits are far from the ends
	if i.nano != 0 {
		b = appendDigits(b, uint64(i.nano), nanoTermLen)
	}
	return string(b)
}

func parseTimeTerm(term []byte) (instant, bool) {
	if len(term) != milliTermLen && len(term) != milliTermLen+nanoTermLen {
		return never, false
	}
	return instant{
		milli: int64(parseDigits(term[:milliTermLen])) - milliOffset, // #nosec G115 -- 63 bits
		nano:  uint32(parseDigits(term[milliTermLen:])),              // #nosec G115 -- 21 bits
	}, true
}

func parseDayTerm(term string) (int64, bool) {
	if len(term) != 8 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64([]byte(term)) ^ 1<<63), true // #nosec G115 -- the sign bit is flipped
}
