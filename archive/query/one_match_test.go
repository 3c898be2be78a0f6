package query

import (
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	doc := &Doc{
		Text:         "Please call Dr. O'Brien about bed 4; the the dose",
		Files:        []File{{Name: "X-Ray Left.pdf"}, {Name: "notes"}},
		From:         Parties{{Usr: "u-17", UPN: "Ada.Ng@ward.example", Mail: "ada@example.org", Name: "Ada Ng"}},
		To:           Parties{{Usr: "u-2", Name: "Ben Ray"}, {Name: "Left Wing"}},
		Conversation: ConversationRef{ID: "AbC", Name: "4 East night"},
		Sent:         time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC),
		Received:     time.Date(2026, 1, 2, 23, 59, 59, 0, time.FixedZone("", -3600)), // the 3rd, 00:59:59 UTC
	}
	for text, want := range map[string]bool{
		`call`: true, `CALL`: true, `cal`: false, `calls`: false,
		`"call dr o brien"`: true, `"call o brien"`: false, `o'brien`: true, `OBrien`: false,
		`"the dose"`: true, `"the the"`: true, `"the the the"`: false,
		`"left pdf"`: true, `"dose x"`: false, `"pdf notes"`: false, `notes`: true,
		`call 4`: true, `call nobody`: false, `call OR nobody`: true, `NOT nobody`: true, `NOT call`: false,
		`nobody OR call nobody`: false, `(nobody OR call) bed`: true, `call NOT bed`: false, `call OR NOT bed`: true,
		`ada`: false, `from:ada`: true, `from:"ng ada"`: false, `from:U-17`: true, `from:ada.ng@WARD.example`: true,
		`from:ward.example`: false, `from:ADA@example.org`: true, `from:ben`: false, `to:ben`: true,
		`to:"ben ray"`: true, `to:"ray left"`: false, `to:wing`: true, `to:u-17`: false, `to:"--"`: false,
		`conversation:AbC`: true, `conversation:abc`: false, `conversation:east`: true, `conversation:"east 4"`: false,
		`sent=2026-01-02`: true, `sent=2026-01-01`: false, `sent>=2026-01-02`: true, `sent>2026-01-02`: false,
		`sent<2026-01-02`: false, `sent<=2026-01-02`: true, `sent<2026-01-03`: true, `sent>2026-01-01`: true,
		`sent=2026-01-02T03:04:05Z`: true, `sent>2026-01-02T03:04:05Z`: false, `sent>2026-01-02T03:04:05.6Z`: false,
		`sent=2026-01-02T03:04:05.678Z`: true, `sent=2026-01-02T04:04:05+01:00`: true, `sent=2026-01-02T03:04:05.679Z`: false,
		`sent<2026-01-02T03:04:05.6781Z`: true, `sent>=2026-01-02T03:04:05.6780001Z`: false,
		`received=2026-01-03`: true, `received=2026-01-02`: false,
	} {
		q, err := ParseLanguage(1, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Match(doc); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// What is absent matches nothing, and NOT of it matches.
func TestMatchAbsent(t *testing.T) {
	for _, text := range []string{
		`a`, `from:a`, `to:a`, `conversation:a`, `sent<2100-01-01`, `sent>0002-01-01`, `received=2026-01-01`, `sent>=0002-01-01`,
	} {
		for _, q := range []string{text, "NOT " + text} {
			parsed, err := ParseLanguage(1, q)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := parsed.Match(&Doc{}), q != text; got != want {
				t.Errorf("%s: %v", q, got)
			}
		}
	}
}
