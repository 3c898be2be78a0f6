package api

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// reach is what a query's words stood for when it was bound, as far as that is
// neither a name nor the caller's scope. All of it may change between a request
// and its export: whoever asks may widen a hold meanwhile.
type reach struct {
	words []string // who was in a group, and when
	held  []heldSet
}

// heldSet is what a hold, or the holds of a matter, kept.
type heldSet struct {
	of  string
	set *roaring64.Bitmap
}

// of lists what a bound query's words do not say about what it finds below the
// size at, in an order of its own: the scopes of the role, the relay users that
// its names are taken for, its groups' members, and what is held.
func (b *bound) reachOf(c *caller, at uint64) []string {
	out := slices.Clone(b.reach.words)
	for _, g := range c.scope.Of {
		out = append(out, fmt.Sprintf("scope %q %q", g.Department, g.OU))
	}
	for _, n := range b.named {
		for _, usr := range n.Usrs {
			out = append(out, fmt.Sprintf("name %q %q", n.Value, usr))
		}
	}
	for _, h := range b.reach.held {
		out = append(out, "held "+h.of+" "+digestBelow(h.set, at))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// digestBelow is the SHA-256 of the numbers of a set below at, in hex.
func digestBelow(set *roaring64.Bitmap, at uint64) string {
	h := sha256.New()
	var b [8]byte
	for it := set.Iterator(); it.HasNext(); {
		n := it.Next()
		if n >= at {
			break
		}
		h.Write(binary.BigEndian.AppendUint64(b[:0], n))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// nanos is a time as a number; 0 for none.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
