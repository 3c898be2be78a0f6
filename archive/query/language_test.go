package query

import (
	"errors"
	"slices"
	"testing"
)

func TestParseLanguage(t *testing.T) {
	q, err := ParseLanguage(Language, "bed 4")
	if err != nil || q.String() != "bed AND 4" {
		t.Errorf("%v, %v", q, err)
	}
	for _, version := range []int{-1, 0, Language + 1} {
		if _, err := ParseLanguage(version, "bed"); !errors.Is(err, ErrLanguage) {
			t.Errorf("version %d: %v", version, err)
		}
	}
	var syntax *SyntaxError
	if _, err := ParseLanguage(Language, "("); !errors.As(err, &syntax) {
		t.Errorf("%v", err)
	}
}

// hold: and matter: are no properties of the first version.
func TestHoldAndMatterAreRefused(t *testing.T) {
	for _, text := range []string{"hold:7", "bed matter:M-1", "NOT (a OR Hold:7)"} {
		var syntax *SyntaxError
		if _, err := ParseLanguage(1, text); !errors.As(err, &syntax) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestProperties(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, "bed 4": nil, `"hold:7" 10:30`: nil, "from:a to:b FROM:c": {"from", "to"}, "NOT (a OR Hold:7) colour>red": {"hold", "colour"},
		`matter:"M 1"`: {"matter"}, "a\thold:1": {"hold"}, "matter:x (": {"matter"}, `hold:"never closed`: {"hold"}, "hold:(a": {"hold"}, "a\x00hold:1": nil,
	} {
		if got := Properties(text); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
