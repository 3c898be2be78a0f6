package search

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"holdfast/archive/query"
)

func TestTargetIsFoundByItsDigest(t *testing.T) {
	digest := func(i int) [32]byte { return sha256.Sum256(fmt.Append(nil, i)) }
	src := newSource(40)
	for i := range 100 {
		d := &query.Doc{Text: "word", Digest: digest(i)}
		switch {
		case i%7 == 3:
			d = nil
		case i == 50:
			d.Digest = digest(12) // the same message twice
		}
		src.append(d)
	}
	dir := t.TempDir()
	x := openIndex(t, dir, src, Options{BatchDocs: 9, unmerged: true})
	if _, ok, err := x.Target(t.Context(), digest(12)); ok || err != nil {
		t.Fatalf("before anything is indexed: %v, %v", ok, err)
	}
	catchUp(t, x)
	for i := range 100 {
		seq, ok, err := x.Target(t.Context(), digest(i))
		if err != nil {
			t.Fatal(err)
		}
		if want := i%7 != 3 && i != 50; ok != want || ok && seq != uint64(i) {
			t.Errorf("target %d: entry %d, %v; want %v", i, seq, ok, want)
		}
	}
	almost := digest(12)
	almost[digestLen-1]++
	for _, none := range [][32]byte{{}, almost} {
		if seq, ok, err := x.Target(t.Context(), none); ok || err != nil {
			t.Errorf("a digest of no entry finds %d, %v", seq, err)
		}
	}
}
