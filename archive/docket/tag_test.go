package docket

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestTags(t *testing.T) {
	l := newLog()
	b, ctx := l.book, t.Context()
	set := func(matter string, tag Tag, remove bool, seqs ...uint64) error {
		return b.SetTag(ctx, officer(1), TagChange{Tag: tag, Matter: matter, Seqs: seqs, Remove: remove, Reason: "advice of counsel"})
	}
	want(t, "add", set("m-1", Privileged, false, 4, 5), nil)
	want(t, "a closed matter", set("M-2", Part2, false, 5), nil)
	want(t, "no matter", set("M-9", Part2, false, 5), ErrUnknownMatter)
	want(t, "the genesis", set("M-1", Part2, false, 5, 0), ErrNotMessage)
	want(t, "past the end", set("M-1", Part2, false, 5, 1<<40), ErrNotMessage)
	want(t, "another's", set("M-1", Part2, true, 5), ErrNotTagged)
	want(t, "no tag", set("M-1", "secret", false, 5), ErrInvalid)
	want(t, "no entry", set("M-1", Part2, false), ErrInvalid)
	want(t, "too many", set("M-1", Part2, false, make([]uint64, MaxTagged+1)...), ErrInvalid)
	want(t, "no reason", b.SetTag(ctx, officer(1), TagChange{Tag: Part2, Matter: "M-1", Seqs: []uint64{4}}), ErrInvalid)

	w, ok := b.Withheld("M-1", 4)
	if !ok || w.Tag != Privileged || w.By == "" || w.Basis == "" || w.Description == "" {
		t.Errorf("withheld %+v, %v", w, ok)
	}
	// Of another matter nothing is told but that it is withheld; the own tag goes before it.
	if w, ok := b.Withheld("M-3", 4); !ok || w.By != "" || w.Tag != Privileged {
		t.Errorf("withheld %+v, %v", w, ok)
	}
	if w, ok := b.Withheld("M-2", 5); !ok || w.Tag != Part2 || w.By == "" {
		t.Errorf("withheld %+v, %v", w, ok)
	}
	if w, ok := b.Withheld("M-3", 5, Privileged); !ok || w.Tag != Part2 {
		t.Errorf("withheld %+v, %v", w, ok)
	}
	if _, ok := b.Withheld("M-3", 5, Privileged, Part2); ok {
		t.Error("included tags withhold")
	}
	if _, ok := b.Withheld("M-1", 6); ok {
		t.Error("what nobody tagged is withheld")
	}
	want(t, "remove", set("M-1", Privileged, true, 4, 5, 6), nil)
	if got := b.TagHistory(4); len(got) != 1 || got[0].Removed == nil || got[0].Removed.Reason == "" || len(b.Tagged(4)) != 0 || len(b.Tagged(5)) != 1 {
		t.Errorf("history %+v", got)
	}
}

// model is what tags are, told simply: who put which on which entry.
type model map[string][]bool // matter, tag, seq → put on, taken off, ...

func key(matter string, tag Tag, seq uint64) string { return fmt.Sprint(matter, " ", tag, " ", seq) }

// Tags over time are those of the naive model, also in a book made anew.
func TestTagsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLog()
		m := model{}
		on := func(matter string, tag Tag, seq uint64) bool {
			h := m[key(matter, tag, seq)]
			return len(h) > 0 && h[len(h)-1]
		}
		for range rapid.IntRange(1, 25).Draw(t, "changes") {
			c := TagChange{
				Tag: rapid.SampledFrom(allTags).Draw(t, "tag"), Matter: rapid.SampledFrom([]string{"M-1", "m-1", "M-3"}).Draw(t, "matter"),
				Seqs: rapid.SliceOfN(rapid.Uint64Range(1, 12), 1, 8).Draw(t, "seqs"), Remove: rapid.Bool().Draw(t, "remove"), Reason: "r",
			}
			canonical, _, _ := l.Matter(c.Matter)
			has := slices.ContainsFunc(c.Seqs, func(seq uint64) bool { return on(canonical, c.Tag, seq) })
			err := l.book.SetTag(t.Context(), officer(1), c)
			if refused := c.Remove && !has; refused != (err != nil) {
				t.Fatalf("%+v: %v", c, err)
			} else if refused {
				continue
			}
			for _, seq := range slices.Compact(slices.Sorted(slices.Values(c.Seqs))) {
				if c.Remove && !on(canonical, c.Tag, seq) {
					continue
				}
				k := key(canonical, c.Tag, seq)
				m[k] = append(m[k], !c.Remove)
			}
		}
		compare := func(b *Book) {
			for seq := uint64(1); seq <= 13; seq++ {
				standing, ever := 0, 0
				var tags []Tag
				for _, matter := range []string{"M-1", "M-3"} {
					for _, tag := range allTags {
						if on(matter, tag, seq) {
							standing++
							tags = append(tags, tag)
						}
						for _, put := range m[key(matter, tag, seq)] {
							if put {
								ever++
							}
						}
						seqs, total := b.TaggedBy(matter, tag, 0, 100)
						if slices.Contains(seqs, seq) != on(matter, tag, seq) || total != uint64(len(seqs)) {
							t.Fatalf("%s %s: %v", matter, tag, seqs)
						}
					}
				}
				if got := b.Tagged(seq); len(got) != standing {
					t.Fatalf("%d has %+v, want %d tags", seq, got, standing)
				}
				if got := b.TagHistory(seq); len(got) != ever {
					t.Fatalf("%d had %+v, want %d tags", seq, got, ever)
				}
				if _, ok := b.Withheld("", seq); ok != (standing > 0) {
					t.Fatalf("%d withheld: %v, %d tags", seq, ok, standing)
				}
				if _, ok := b.Withheld("M-1", seq, tags...); ok {
					t.Fatalf("%d is withheld by a tag that is included", seq)
				}
			}
		}
		compare(l.book)
		l.reopen()
		if err := l.catchUp(t.Context(), l.Size()); err != nil {
			t.Fatal(err)
		}
		compare(l.book)
		if f := l.book.Faults(); len(f) > 0 {
			t.Fatalf("faults %+v", f)
		}
	})
}
