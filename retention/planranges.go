package retention

import (
	"encoding/binary"
	"errors"
	"slices"
	"sort"

	"holdfast/internal/jws"
)

// span is a run of entries of one class-month: every leaf of that class and
// month with from ≤ seq ≤ to, what others received in between left out.
type span struct{ from, to uint64 }

// spans are the exact entries that a plan's line, an intent or a certificate
// is about, in order. Two neighbours have at least one entry of the
// class-month between them that is not meant.
type spans []span

var errSpans = errors.New("not a canonical list of ranges")

// maxSpans bounds what decode allocates: with two bytes for the shortest, it
// is what fits into an entry.
const maxSpans = 4 << 20

// add appends one entry. joined says that no other entry of the class-month
// lies between it and the one added before.
func (s *spans) add(seq uint64, joined bool) {
	if n := len(*s); joined && n > 0 {
		(*s)[n-1].to = seq
		return
	}
	*s = append(*s, span{seq, seq})
}

// has reports whether seq, which must be of the class-month, is meant.
func (s spans) has(seq uint64) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i].to >= seq })
	return i < len(s) && s[i].from <= seq
}

// bytes returns the canonical bytes: for each range two minimal unsigned
// varints (Go's encoding/binary), the distance of its first seq from the seq
// after the range before (from 0 for the first), and its length less one.
func (s spans) bytes() []byte {
	var b []byte
	next := uint64(0)
	for _, r := range s {
		b = binary.AppendUvarint(b, r.from-next)
		b = binary.AppendUvarint(b, r.to-r.from)
		next = r.to + 1
	}
	return b
}

// text returns the canonical bytes in unpadded base64url.
func (s spans) text() string { return jws.EncodeB64(s.bytes()) }

// parseSpans reads canonical bytes. What it accepts, bytes returns to the
// byte.
func parseSpans(b []byte) (spans, error) {
	if len(b) > 2*maxSpans {
		return nil, errSpans
	}
	out := make(spans, 0, len(b)/4)
	next, first := uint64(0), true
	for len(b) > 0 {
		gap, n := uvarint(b)
		if n == 0 {
			return nil, errSpans
		}
		length, m := uvarint(b[n:])
		if m == 0 {
			return nil, errSpans
		}
		from := next + gap
		to := from + length
		if from < next || to < from || to+1 == 0 || !first && next == 0 {
			return nil, errSpans
		}
		out = append(out, span{from, to})
		b, next, first = b[n+m:], to+1, false
	}
	return slices.Clip(out), nil
}

// uvarint reads one minimal unsigned varint; 0 bytes when there is none.
func uvarint(b []byte) (uint64, int) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, 0
	}
	return v, n
}

// parseSpansText reads what text writes.
func parseSpansText(s string) (spans, error) {
	if len(s) > 3*maxSpans {
		return nil, errSpans
	}
	b, err := jws.DecodeB64(s)
	if err != nil {
		return nil, errSpans
	}
	return parseSpans(b)
}
