package daemon

import (
	"context"
	"errors"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"holdfast/archive/people"
	"holdfast/archive/proof"
	"holdfast/archive/query"
	"holdfast/archive/search"
	"holdfast/internal/api"
	"holdfast/retention"
)

// kin implements api.Kin over the index.
type kin struct{ *parts }

// Followers returns what hangs at messages, as far as the index could look.
func (k kin) Followers(ctx context.Context, digests [][32]byte, asOf uint64) (found map[[32]byte][]uint64, whole bool, err error) {
	found, err = k.index.Followers(ctx, digests, asOf)
	if errors.Is(err, search.ErrUnindexed) {
		return found, false, nil
	}
	return found, true, searchProblem(err)
}

// maxTail is how many entries that the index does not have yet are looked through
// for the message that an edit is a version of.
const maxTail = 10_000

// Target returns the message with a digest; also one that is too new for the index.
func (k kin) Target(ctx context.Context, digest [32]byte) (uint64, bool, error) {
	size, lag := k.archive.Size(), k.index.Lag()
	seq, ok, err := k.index.Target(ctx, digest)
	if err != nil || ok || lag == 0 || lag > maxTail {
		return seq, ok, searchProblem(err)
	}
	for doc, err := range docs(k).Docs(ctx, size-min(lag, size), size) {
		if err != nil {
			return 0, false, err
		}
		if doc.Digest == digest && !doc.Late {
			return doc.Seq, true, nil
		}
	}
	return 0, false, nil
}

// SizeAt returns how many entries had been received at t, or before.
func (p *parts) SizeAt(_ context.Context, t time.Time) (uint64, error) {
	return p.receivedBefore(t.Add(time.Millisecond), p.archive.Size())
}

// receivedBefore returns how many of the first size entries were received before
// t: received times never fall.
func (p *parts) receivedBefore(t time.Time, size uint64) (uint64, error) {
	var failed error
	n := sort.Search(int(size), func(i int) bool { // #nosec G115 -- a log of 2^63 entries is out of reach
		if failed != nil {
			return true
		}
		leaf, err := p.archive.Leaf(uint64(i)) // #nosec G115 -- an index
		failed = err
		return err != nil || !leaf.ReceivedTime().Before(t)
	})
	return uint64(n), failed // #nosec G115 -- as above
}

// confines returns the entries to which a query confines itself, of the first
// size: lo ≤ seq < hi.
func (p *parts) confines(q *query.Query, size uint64) (lo, hi uint64, err error) {
	from, to, first, last := q.Span()
	lo, hi = first, size
	if last < hi {
		hi = last + 1
	}
	if !from.IsZero() {
		n, err := p.receivedBefore(from, size)
		if err != nil {
			return 0, 0, err
		}
		lo = max(lo, n)
	}
	if !to.IsZero() {
		n, err := p.receivedBefore(to, size)
		if err != nil {
			return 0, 0, err
		}
		hi = min(hi, n)
	}
	return lo, max(lo, hi), nil
}

// extent says how much was found, and what could not be seen.
func (p *parts) extent(ctx context.Context, q *query.Query, found search.Result) (api.Extent, error) {
	out := api.Extent{Total: found.Total, Through: found.ThroughSeq - 1, WithoutText: found.Unread}
	if err := p.counts.catchUp(ctx, p.archive); err != nil {
		return out, err
	}
	if err := p.state.CatchUp(ctx, found.ThroughSeq); err != nil {
		return out, err
	}
	lo, hi, err := p.confines(q, found.ThroughSeq)
	if err != nil {
		return out, err
	}
	damaged := slices.DeleteFunc(slices.Clone(p.damage.below(hi)), func(seq uint64) bool { return seq < lo })
	out.Unindexed = found.Unindexed + uint64(len(damaged))
	seqs := p.counts.quarantineAmong(lo, hi)
	out.Quarantined = uint64(len(seqs))
	if out.Quarantine, err = p.quarantined(ctx, seqs); err != nil {
		return out, err
	}
	out.Disposed, err = p.gone.among(ctx, p, lo, hi)
	return out, err
}

// gone knows which messages were disposed of.
type gone struct {
	mu    sync.Mutex
	known map[goneKey]bool  // certified, and taken in
	seqs  *roaring64.Bitmap // of these
}

type goneKey struct {
	intent       uint64
	class, month string
}

// among returns how many messages with lo ≤ seq < hi were disposed of. What a
// certificate is about is looked through once, leaf by leaf: a certificate's
// ranges are of its own class and month, with other entries in between.
func (g *gone) among(ctx context.Context, p *parts, lo, hi uint64) (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seqs == nil {
		g.known, g.seqs = map[goneKey]bool{}, roaring64.New()
	}
	pending := roaring64.New() // what is under way may yet be undone
	for _, d := range p.book.Gone() {
		key := goneKey{d.Intent, d.Class, d.Month}
		if g.known[key] || d.Class == proof.ClassAudit {
			continue
		}
		into := pending
		if d.Certified {
			into = roaring64.New()
		}
		if err := p.messagesOf(ctx, &d, into); err != nil {
			return 0, err
		}
		if d.Certified {
			g.seqs.Or(into)
			g.known[key] = true
		}
	}
	return between(roaring64.Or(g.seqs, pending), lo, hi), nil
}

// messagesOf adds the seqs of the messages that a disposition destroyed.
func (p *parts) messagesOf(ctx context.Context, d *retention.Gone, into *roaring64.Bitmap) error {
	for leaf, err := range p.archive.Scan(ctx, d.First, d.Last+1) {
		if err != nil {
			return err
		}
		if leaf.Kind == proof.KindMessage && d.Has(leaf) {
			into.Add(leaf.Seq)
		}
	}
	return nil
}

// between returns how many numbers of a set are in [lo, hi).
func between(set *roaring64.Bitmap, lo, hi uint64) uint64 {
	below := func(n uint64) uint64 {
		if n == 0 {
			return 0
		}
		return set.Rank(n - 1)
	}
	return below(hi) - below(lo)
}

// GroupStays returns who was in a group of the directory, and when.
func (r peopleAPI) GroupStays(ctx context.Context, guid string) ([]query.Stay, error) {
	if err := r.caughtUp(ctx); err != nil {
		return nil, err
	}
	var out []query.Stay
	for _, s := range r.history.MemberStays(people.GUID(guid)) {
		if len(s.Usrs) > 0 {
			out = append(out, query.Stay{Usrs: s.Usrs, From: s.From, To: s.To})
		}
	}
	return out, nil
}

// quarantineAmong returns the quarantined entries with lo ≤ seq < hi, ascending.
func (c *leafCounts) quarantineAmong(lo, hi uint64) []uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, _ := slices.BinarySearch(c.quarantined, lo)
	to, _ := slices.BinarySearch(c.quarantined, max(lo, hi))
	return slices.Clone(c.quarantined[from:to])
}
