package query

import "testing"

func TestParts(t *testing.T) {
	q, err := Parse("potassium")
	if err != nil {
		t.Fatal(err)
	}
	d := Doc{Seq: 7, Text: "potassium", Conversation: ConversationRef{ID: "c1", Name: "c2"}, From: Parties{{Usr: "U1"}}, To: Parties{{Usr: "u2"}}, Members: Parties{{Usr: "u3"}}}
	for name, tt := range map[string]struct {
		q    *Query
		want bool
	}{
		"its conversation":     {q.In("c1"), true},
		"one called like it":   {q.In("c2"), false},
		"its place":            {q.Among(7, 7), true},
		"before it":            {q.Among(0, 6), false},
		"after it":             {q.Among(8, 9), false},
		"its sender":           {q.Of([]string{"u1"}), true},
		"its recipient":        {q.Of([]string{"x", "u2"}), true},
		"its member":           {q.Of([]string{"u3"}), true},
		"nobody":               {q.Of(nil), false},
		"somebody else":        {q.Of([]string{"u4"}), false},
		"both":                 {q.In("c1").Among(7, 9), true},
		"its place of another": {q.In("c3").Among(7, 9), false},
	} {
		if got := tt.q.Match(&d); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
		if tt.q.String() != q.String() {
			t.Errorf("%s: written %s", name, tt.q)
		}
	}
	d.Text = "sodium"
	if q.In("c1").Match(&d) || q.Among(7, 7).Match(&d) || q.Of([]string{"u1"}).Match(&d) {
		t.Error("what the query itself does not match")
	}
}
