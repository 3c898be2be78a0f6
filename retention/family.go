package retention

import (
	"errors"
	"hash/maphash"
	"math"
)

// errTooMany is returned when the log has more entries than a survey can hold.
var errTooMany = errors.New("the log has more entries than this version can survey; nothing is disposed of")

// kin joins entries into families: what refers to one another. It knows every
// entry by its seq, in four bytes, and every message's digest by 64 bits of a
// keyed hash. Two digests with the same hash would join two families, which
// holds more and never less.
type kin struct {
	seed    maphash.Seed
	parent  []int32           // by seq: the parent; of a root, minus the size of its family
	digests map[uint64]uint32 // messages by digest
	wanted  map[uint64]uint32 // by a digest that nothing has yet: one of the entries that refer to it
}

func newKin() kin {
	return kin{seed: maphash.MakeSeed(), digests: map[uint64]uint32{}, wanted: map[uint64]uint32{}}
}

// grow makes room for the entries below size, each a family of its own.
func (k *kin) grow(size uint64) error {
	if size > math.MaxInt32 {
		return errTooMany
	}
	for uint64(len(k.parent)) < size {
		k.parent = append(k.parent, -1)
	}
	return nil
}

// root returns the entry that stands for a family. Without path compression it
// is safe for any number of readers; joining by size keeps paths short.
func (k *kin) root(seq uint64) uint64 {
	at := int32(seq) // #nosec G115 -- grow saw to it
	for k.parent[at] >= 0 {
		at = k.parent[at]
	}
	return uint64(at) // #nosec G115 -- an index
}

func (k *kin) has(seq uint64) bool { return seq < uint64(len(k.parent)) }

// size returns how many entries the family of a root has.
func (k *kin) size(root uint64) uint64 { return uint64(-int64(k.parent[root])) } // #nosec G115 -- negative for roots

func (k *kin) key(digest [32]byte) uint64 { return maphash.Bytes(k.seed, digest[:]) }

// keyOf is key for an attachment.
func (k *kin) keyOf(a attachment) uint64 {
	return maphash.Bytes(k.seed, append(a.sum[:], a.bid...))
}

// meet calls join for every entry that belongs to the family of the one at
// seq, and remembers what later ones will ask for.
func (k *kin) meet(seq uint64, f *entryFacts, join func(a, b uint64)) {
	if f.of != 0 && f.of < seq {
		join(seq, f.of)
	}
	at := uint32(seq) // #nosec G115 -- grow saw to it
	if f.known {
		key := k.key(f.digest)
		if first, ok := k.digests[key]; ok {
			join(seq, uint64(first))
		} else {
			k.digests[key] = at
		}
		if waiting, ok := k.wanted[key]; ok {
			join(seq, uint64(waiting))
			delete(k.wanted, key)
		}
	}
	if !f.refs {
		return
	}
	key := k.key(f.ref)
	if target, ok := k.digests[key]; ok {
		join(seq, uint64(target))
	} else if waiting, ok := k.wanted[key]; ok {
		join(seq, uint64(waiting))
	} else {
		k.wanted[key] = at
	}
}

// families returns the roots of the families that an entry belongs to, which
// are several only for one that has not been surveyed.
func (k *kin) families(f *entryFacts) []uint64 {
	if k.has(f.leaf.Seq) {
		return []uint64{k.root(f.leaf.Seq)}
	}
	var out []uint64
	add := func(at uint32, ok bool) {
		if ok {
			out = append(out, k.root(uint64(at)))
		}
	}
	if f.known {
		at, ok := k.digests[k.key(f.digest)]
		add(at, ok)
		at, ok = k.wanted[k.key(f.digest)]
		add(at, ok)
	}
	if f.refs {
		at, ok := k.digests[k.key(f.ref)]
		add(at, ok)
		at, ok = k.wanted[k.key(f.ref)]
		add(at, ok)
	}
	if f.of != 0 && k.has(f.of) {
		out = append(out, k.root(f.of))
	}
	return out
}

// bits is a set of seqs in pages, of which only those are there that have one.
type bits struct{ pages []*[pageWords]uint64 }

const (
	pageWords = 64
	pageBits  = pageWords * 64
)

func (b *bits) has(n uint64) bool {
	page := n / pageBits
	return page < uint64(len(b.pages)) && b.pages[page] != nil && b.pages[page][n%pageBits/64]&(1<<(n%64)) != 0
}

func (b *bits) set(n uint64) {
	page := n / pageBits
	for uint64(len(b.pages)) <= page {
		b.pages = append(b.pages, nil)
	}
	if b.pages[page] == nil {
		b.pages[page] = new([pageWords]uint64)
	}
	b.pages[page][n%pageBits/64] |= 1 << (n % 64)
}
