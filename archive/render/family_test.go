package render

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func seqs(list []*Entry) string {
	var out []uint64
	for _, e := range list {
		out = append(out, e.Seq)
	}
	return fmt.Sprint(out)
}

func TestFamilies(t *testing.T) {
	to := func(seq uint64) *uint64 { return &seq }
	entries := []Entry{
		{Seq: 1, Kind: "message", Typ: "msg"},
		{Seq: 2, Kind: "message", Typ: "receipt", Target: to(1)},
		{Seq: 3, Kind: "message", Typ: "edit", Target: to(1)},
		{Seq: 4, Kind: "message", Typ: "receipt", Target: to(3)},  // of the edit
		{Seq: 5, Kind: "message", Typ: "reaction", Target: to(9)}, // a target that comes later
		{Seq: 6, Kind: "message", Typ: "recall", Target: to(99)},  // a target elsewhere
		{Seq: 7, Kind: "relay", Typ: "relay.wipe", Target: to(1)},
		{Seq: 9, Kind: "message", Typ: "msg"},
	}
	families := Families(entries)
	if len(families) != 3 || families[0].Head.Seq != 1 || families[1].Head.Seq != 6 || families[2].Head.Seq != 9 {
		t.Fatalf("%d families", len(families))
	}
	f := families[0]
	got := seqs(f.Receipts) + seqs(f.Edits) + seqs(f.Others) + seqs(families[2].Reactions)
	if got != "[2 4][3][7][5]" {
		t.Errorf("got %s", got)
	}
}

// Whatever the targets say, every entry is in exactly one family.
func TestFamiliesKeepAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "n")
		entries := make([]Entry, n)
		for i := range entries {
			entries[i] = Entry{Seq: uint64(i), Kind: "message", Typ: rapid.SampledFrom([]string{"msg", "edit", "recall", "receipt", "reaction", "expiry"}).Draw(t, "typ")}
			if rapid.Bool().Draw(t, "hangs") {
				to := rapid.Uint64Range(0, 13).Draw(t, "target")
				entries[i].Target = &to
			}
		}
		var seen []uint64
		for _, f := range Families(entries) {
			seen = append(seen, f.Head.Seq)
			for _, list := range [][]*Entry{f.Edits, f.Recalls, f.Receipts, f.Reactions, f.Others} {
				for _, e := range list {
					seen = append(seen, e.Seq)
				}
			}
		}
		slices.Sort(seen)
		for i, seq := range seen {
			if uint64(i) != seq {
				t.Fatalf("families hold %v of %d entries", seen, n)
			}
		}
		if len(seen) != n {
			t.Fatalf("families hold %d of %d entries", len(seen), n)
		}
	})
}
