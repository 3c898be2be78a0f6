package hold

import (
	"testing"

	"pgregory.net/rapid"

	"holdfast/archive/query"
)

// A hold of language 1 also holds what its query finds in language 2, and one of
// language 2 nothing by language 1.
func TestLanguageTwoStandsBesideOne(t *testing.T) {
	one := compiled(t, Scope{Query: "allergies", Language: 1}, staff, Languages(staff))
	expect(t, one, tests{"the word": {message(10, "Allergies?"), "query"}, "of its stem": {message(10, "an allergy"), "query"}, "another": {message(10, "alligator"), ""}})
	two := compiled(t, Scope{Query: `"allergies" participants:lund`, Language: 2}, staff, Languages(staff))
	expect(t, two, tests{
		"the word":          {with(message(10, "Allergies?"), func(e *Entry) { e.Doc.Members = query.Parties{{Usr: "u-anna"}} }), "query"},
		"in quotes no stem": {with(message(10, "an allergy"), func(e *Entry) { e.Doc.Members = query.Parties{{Usr: "u-anna"}} }), ""}, "somebody else": {message(10, "Allergies?", "u-bo"), ""},
	})
	// Refused by language 2, which does not guess what is meant: read in 1 alone.
	twice := compiled(t, Scope{Query: "to:u-anna to:u-bo", Language: 1}, staff, Languages(staff))
	expect(t, twice, tests{"both": {message(10, "x", "u-anna", "u-bo"), "query"}, "one": {message(10, "x", "u-anna"), ""}})
}

// What a hold cannot know it holds, should its query ask for that nevertheless.
func TestAQueryThatNoHoldCanAnswerHoldsAll(t *testing.T) {
	for _, text := range []string{"group:night", "bed hold:7", "matter:m", "sent:today"} {
		m := compiled(t, Scope{Query: text, Language: 2}, staff, Languages(staff))
		expect(t, m, tests{text: {message(10, "x"), "query: its version of the language is gone"}})
	}
}

// Whatever the newest reading makes of an old hold's query, the old one still
// holds what it held.
func TestAnOldHoldHoldsWhatItHeld(t *testing.T) {
	words := []string{"bed", "beds", "café", "cafe", "환자", `"bed 👍 4"`, `"bed 4"`, "from:lund", "to:u-bo", "NOT bed", "(bed OR café)", "x-ray", "received>2026-01-05"}
	texts := []string{"Bed 4", "beds", "café 👍 bed", "cafe", "환자가", "an x-ray", "bed 👍 4", ""}
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom(words)
		text := word.Draw(t, "a") + rapid.SampledFrom([]string{" ", " AND ", " OR "}).Draw(t, "op") + word.Draw(t, "b")
		m, err := Compile("M-1", Scope{Query: text, Language: 1}, staff, Languages(staff))
		if err != nil {
			t.Fatal(err)
		}
		q, err := query.ParseLanguage(1, text)
		if err != nil {
			t.Fatal(err)
		}
		e := message(rapid.IntRange(1, 9).Draw(t, "day"), rapid.SampledFrom(texts).Draw(t, "text"), rapid.SampledFrom([]string{"u-anna", "u-bo"}).Draw(t, "to"))
		e.Doc.Unread = rapid.Bool().Draw(t, "unread")
		judged := q.WithNames(staff.Names).Judge(e.Doc)
		why, held := m.Covers(e)
		if judged != query.No && !held || judged == query.Yes && why != "query" {
			t.Fatalf("%s: language 1 judges %d, held %v, %s", text, judged, held, why)
		}
	})
}
