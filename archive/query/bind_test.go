package query

import (
	"slices"
	"testing"
	"time"
)

func TestWithNames(t *testing.T) {
	q, err := Parse(`potassium from:lund NOT to:"Bo Dahl"`)
	if err != nil {
		t.Fatal(err)
	}
	w := q.WithNames(func(v string) []string {
		return map[string][]string{"lund": {"u7", "u9"}, "Bo Dahl": {"u3"}}[v]
	})
	if w.String() != q.String() || !slices.Equal(w.Names(), []string{"lund", "Bo Dahl"}) {
		t.Errorf("written as %s with names %v", w, w.Names())
	}
	tests := map[string]struct {
		from, to string
		q, w     bool
	}{
		"under the name": {"Anna Lund", "", true, true}, "under another name": {"Anna Berg", "", false, true},
		"somebody else": {"Cy Holm", "", false, false}, "to one left out": {"Anna Berg", "u3", false, false},
	}
	for name, tt := range tests {
		d := Doc{Text: "potassium 5.9", From: Parties{{Usr: "u9", Name: tt.from}}, To: Parties{{Usr: tt.to}}}
		if tt.from == "Cy Holm" {
			d.From[0].Usr = "u1"
		}
		if q.Match(&d) != tt.q || w.Match(&d) != tt.w {
			t.Errorf("%s: %v, widened %v; want %v, %v", name, q.Match(&d), w.Match(&d), tt.q, tt.w)
		}
	}
}

func TestWithin(t *testing.T) {
	q, err := Parse("potassium OR heparin")
	if err != nil {
		t.Fatal(err)
	}
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	w := q.Within([]Stay{{Usrs: []string{"u1", "u2"}, From: day(10), To: day(20)}, {Usrs: []string{"u3"}}, {From: day(1)}})
	tests := map[string]struct {
		d    Doc
		want bool
	}{
		"sender in":         {Doc{From: Parties{{Usr: "u1"}}, Received: day(10)}, true},
		"recipient in":      {Doc{From: Parties{{Usr: "u8"}}, To: Parties{{Usr: "u8"}, {Usr: "u2"}}, Received: day(20).Add(-1)}, true},
		"before the stay":   {Doc{From: Parties{{Usr: "u1"}}, Received: day(10).Add(-1)}, false},
		"after the stay":    {Doc{From: Parties{{Usr: "u1"}}, Received: day(20)}, false},
		"open ends":         {Doc{From: Parties{{Usr: "u3"}}, Received: day(1)}, true},
		"somebody else":     {Doc{From: Parties{{Usr: "u8", Name: "u1"}}, Received: day(15)}, false},
		"not what is asked": {Doc{Text: "x", From: Parties{{Usr: "u1"}}, Received: day(15)}, false},
	}
	for name, tt := range tests {
		if tt.d.Text == "" {
			tt.d.Text = "heparin"
		}
		if got := w.Match(&tt.d); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
		if q.Within(nil).Match(&tt.d) {
			t.Errorf("%s: it matches within no scope at all", name)
		}
	}
	if w.String() != q.String() {
		t.Errorf("written as %s", w)
	}
}
