package docket

import (
	"fmt"
	"strings"
	"testing"
)

func TestSavedSearches(t *testing.T) {
	l := newLog()
	b, ctx := l.book, t.Context()
	save := func(matter, name, query string) error {
		_, err := b.SaveSearch(ctx, officer(1), SavedSearch{Matter: matter, Name: name, Query: query, Language: 2})
		return err
	}
	want(t, "save", save("m-1", "Kalium", "potassium"), nil)
	want(t, "another matter", save("M-3", "Kalium", "sodium"), nil)
	want(t, "again", save("M-1", "KALIUM", "sodium"), ErrSearchExists)
	want(t, "a closed matter", save("M-2", "x", "q"), ErrMatterClosed)
	want(t, "no matter", save("M-9", "x", "q"), ErrUnknownMatter)
	for _, name := range []string{"", " x", "x\n", strings.Repeat("x", MaxName+1), "\u202ex", "\xff"} {
		want(t, name, save("M-1", name, "q"), ErrInvalid)
	}
	want(t, "a long query", save("M-1", "x", strings.Repeat("q", MaxQuery+1)), ErrInvalid)
	if q, language, ok := b.Saved("M-1", "kalium"); !ok || q != "potassium" || language != 2 {
		t.Errorf("%s in language %d, %v", q, language, ok)
	}
	want(t, "remove", b.RemoveSearch(ctx, officer(1), "M-1", "kaLium", ""), nil)
	want(t, "remove again", b.RemoveSearch(ctx, officer(1), "M-1", "Kalium", ""), ErrUnknownSearch)
	if _, _, ok := b.Saved("M-1", "Kalium"); ok {
		t.Error("it is still there")
	}
	if _, _, ok := b.Saved("M-3", "Kalium"); !ok {
		t.Error("another matter's is gone")
	}
	want(t, "a name that is free again", save("M-1", "Kalium", "potassium NOT kcl"), nil)
	for i := range MaxSaved - 1 {
		want(t, "save", save("M-1", fmt.Sprint(i), "q"), nil)
	}
	want(t, "one more", save("M-1", "one more", "q"), ErrInvalid)
}
