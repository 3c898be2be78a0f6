package query

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestUnaccent(t *testing.T) {
	for in, want := range map[string]string{
		"café": "cafe", "ñandú": "nandu", "ångström": "angstrom", "łódź": "lodz", "søster": "soster", "œdème": "oedeme", "þæð": "thaed", "i̇stanbul": "istanbul",
		"ёлка": "елка", "άλφα": "αλφα", "שָׁלוֹם": "שלום", "مُحَمَّد": "محمد", "हिन्दी": "हिन्दी", "が": "が", "한": "한", "患": "患", "5": "5", "👍": "👍", "٠\u0301": "٠\u0301", "1\u0301": "1\u0301",
	} {
		if got := Unaccent(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestAccepts(t *testing.T) {
	for _, tt := range []struct {
		form    Form
		text    string
		yes, no []string
	}{
		{Exact, "café", []string{"café"}, []string{"cafe", "cafés"}},
		{Folded, "cafe", []string{"café", "cafe"}, []string{"cafes"}},
		{Stem, "cafe", []string{"café", "cafe", "cafes", "cafés"}, []string{"cafeteria"}},
		{Stem, "allergic", []string{"allergic"}, []string{"allergies"}},
		{Stem, "allergy", []string{"allergies", "allergy"}, []string{"allege"}},
		{Stem, "bleeding", []string{"bleed", "bleeds", "bleeding"}, []string{"blood"}},
		{Stem, "habitación", []string{"habitaciones", "habitacion"}, []string{"hablar"}},
		{Stem, "habitacion", []string{"habitaciones", "habitación"}, []string{"hablar"}},
		{Stem, "alérgico", []string{"alergica", "alérgicas", "alergicos"}, []string{"alarma"}},
		{Stem, "42", []string{"42"}, []string{"421"}},
		{Stem, "患", []string{"患"}, []string{"者"}},
		{Prefix, "caf", []string{"café", "caf", "cafeteria"}, []string{"decaf"}},
		{Prefix, "café", []string{"cafeteria"}, []string{"caf"}},
		{Suffix, "emia", []string{"anemia", "emia", "hipoxémia"}, []string{"emias"}},
		{Infix, "tass", []string{"potassium", "tass"}, []string{"tas"}},
		{Fuzzy, "potasium", []string{"potassium", "potasium", "potasiun", "potaisum", "pótasium"}, []string{"potassiun", "potas"}},
	} {
		w := NewWord(tt.form, tt.text, 1)
		for _, token := range tt.yes {
			if !w.Accepts(token) || !(Word{Form: tt.form, Text: tt.text, Distance: 1}).Accepts(token) {
				t.Errorf("%v does not accept %s", w, token)
			}
		}
		for _, token := range tt.no {
			if w.Accepts(token) {
				t.Errorf("%v accepts %s", w, token)
			}
		}
	}
}

func TestStems(t *testing.T) {
	for token, want := range map[string][2]string{
		"bleeding": {"bleed", "bleeding"}, "habitación": {"habitacion", "habit"}, "habitacion": {"habitacion", "habit"}, "medicación": {"medicacion", "medic"},
		"ab": {}, "5mg": {}, "患": {}, "łódź": {"lodz", ""}, "über": {"uber", "uber"}, strings.Repeat("a", 41): {},
	} {
		if en, es := Stems(token); en != want[0] || es != want[1] {
			t.Errorf("%s: %q and %q, want %q", token, en, es, want)
		}
	}
}

// drawnToken is a token of any text, and often one that has stems.
var drawnToken = rapid.Custom(func(t *rapid.T) string {
	letters := rapid.StringOfN(rapid.RuneFrom([]rune("abcdeilmnoprstuyáéíóúüñ")), 1, 8, -1)
	ending := rapid.SampledFrom([]string{"", "s", "es", "ing", "ed", "ly", "ational", "ies", "y", "ion", "ión", "iones", "amente", "ándose", "ía", "ó", "ito", "ying"})
	text := letters.Draw(t, "letters") + ending.Draw(t, "ending")
	if rapid.IntRange(0, 3).Draw(t, "any") == 0 {
		text = rapid.String().Draw(t, "text")
	}
	words := Words(text)
	if len(words) == 0 {
		return "a"
	}
	return words[0]
})

// The shortcuts of Accepts give what its definition says; a stem begins as its
// word does; Literal names the one token there is.
func TestAcceptsAsDefined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawnToken.Draw(t, "a"), drawnToken.Draw(t, "b")
		if rapid.Bool().Draw(t, "related") {
			b = Words(a + rapid.SampledFrom([]string{"s", "es", "ing", "ed", "\u0301", "mente"}).Draw(t, "ending"))[0]
		}
		for form := Stem; form <= Fuzzy; form++ {
			w := NewWord(form, a, 1)
			if got, want := w.Accepts(b), plainAccepts(w, b); got != want {
				t.Fatalf("form %d of %q accepts %q: %v", form, a, b, got)
			}
			if !w.Accepts(a) {
				t.Fatalf("form %d of %q does not accept it", form, a)
			}
			if only, ok := w.Literal(); ok && (only != a || w.Accepts(b) && b != a) {
				t.Fatalf("form %d of %q has the literal %q and accepts %q", form, a, only, b)
			}
		}
		u := Unaccent(a)
		if u != unaccented(a) {
			t.Fatalf("%q without accents is %q, the long way %q", a, u, unaccented(a))
		}
		if u == "" || Unaccent(u) != u || !utf8.ValidString(u) {
			t.Fatalf("%q without accents is %q", a, u)
		}
		en, es := Stems(a)
		if en != "" && en[0] != u[0] || es != "" && es[0] != u[0] {
			t.Fatalf("%q has stems %q and %q", a, en, es)
		}
	})
}

func FuzzStems(f *testing.F) {
	for _, s := range []string{"running", "habitación", "dying", "y", "ñ", "quería", "yyyy", "üéion", "ation", "áéíóú"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, token := range Words(s) {
			en, es := Stems(token)
			u := Unaccent(token)
			if u == "" || Unaccent(u) != u || en != "" && en[0] != u[0] || es != "" && es[0] != u[0] {
				t.Fatalf("%q: %q, %q, %q", token, u, en, es)
			}
			if again := Words(u); len(again) == 0 {
				t.Fatalf("%q is no word without accents: %q", token, u)
			}
		}
	})
}

// A word found in text is found however the text is cut: letters are never the
// end of one token and the beginning of the next by what comes after.
func TestWordsInsideSentences(t *testing.T) {
	for text, d := range map[string]string{
		`患者`: "今日患者が来ました", `"患者"`: "今日患者が来ました", `환자`: "오늘환자가왔다", `👍`: "ok👍🏽", `"ok 👍"`: "ok👍",
		`resume`: "Résumé attached", `"resume"`: "Résumé", `Niño`: "el nino", `RESUMEN`: "Resúmenes",
	} {
		q, err := Parse(text)
		if err != nil {
			t.Fatal(text, err)
		}
		if !q.Match(&Doc{Text: d}) || !q.Match(&Doc{Files: []File{{Text: d}}}) || !q.Match(&Doc{Files: []File{{Name: d}}}) {
			t.Errorf("%s does not find %s", text, d)
		}
	}
	for text, d := range map[string]string{`exact:nino`: "el niño", `患者`: "患 or 者", `"beds"`: "bed", `exact:beds`: "bed", `filename:bed`: "beds"} {
		q, err := Parse(text)
		if err != nil {
			t.Fatal(text, err)
		}
		if q.Match(&Doc{Text: d, Files: []File{{Name: d}}}) {
			t.Errorf("%s finds %s", text, d)
		}
	}
	if !slices.Equal(Words("👍🏽"), []string{"👍"}) {
		t.Error("a skin tone is a word")
	}
}
