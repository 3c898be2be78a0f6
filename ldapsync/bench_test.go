package ldapsync

import (
	"fmt"
	"testing"

	"holdfast/archive/people"
	"holdfast/internal/adtest"
)

// big is a directory of the size that is promised: 3,000 people, 114 groups of
// 60, one of which has everybody.
func big(tb *testing.B) *adtest.Fake {
	tb.Helper()
	fake, err := adtest.NewFake(tb.TempDir(), staff(3000)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(fake.Close)
	for i := range 114 {
		var members []string
		for k := range 60 {
			members = append(members, fmt.Sprintf("p%d", (i*26+k)%3000))
		}
		if i == 0 {
			members = nil
			for k := range 3000 {
				members = append(members, fmt.Sprintf("p%d", k))
			}
		}
		if _, err := fake.AddGroup(fmt.Sprintf("g%d", i), members...); err != nil {
			tb.Fatal(err)
		}
	}
	return fake
}

// BenchmarkRead reads 3,000 people and 114 groups; the Fake works in the same
// process, and its work is counted in.
func BenchmarkRead(b *testing.B) {
	o := options(big(b))
	b.ReportAllocs()
	for b.Loop() {
		snap, _, err := Read(b.Context(), o)
		if err != nil || len(snap.People) != 3000 || len(snap.Groups) != 114 {
			b.Fatal(err)
		}
	}
}

func pair() (old, new *people.Snapshot) {
	var groups [][]int
	for i := range 114 {
		var members []int
		for k := range 60 {
			members = append(members, (i*26+k)%3000+1)
		}
		groups = append(groups, members)
	}
	old = snapshot(3000, groups...)
	return old, old.Clone()
}

// BenchmarkDiff compares two snapshots of that size that are the same.
func BenchmarkDiff(b *testing.B) {
	old, new := pair()
	b.ReportAllocs()
	for b.Loop() {
		if len(Diff(old, new, noon)) != 0 {
			b.Fatal("they differ")
		}
	}
}

// BenchmarkRails judges a diff of that size.
func BenchmarkRails(b *testing.B) {
	old, new := pair()
	for i := range 20 {
		delete(new.People, id(i+1))
	}
	changes := Diff(old, new, noon)
	r := Rails{MaxLossPercent: 5, MaxLoss: 20, Mapped: []string{"g1", "g50", "g114"}}
	b.ReportAllocs()
	for b.Loop() {
		if rails := r.Check(old, new, changes, noon); len(rails) != 0 {
			b.Fatal(rails)
		}
	}
}
