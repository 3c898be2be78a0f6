package hold

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive/query"
)

const (
	anna  = "3e4385bb-7c43-4feb-8ea2-97c65cc06abf"
	bo    = "00000000-0000-0000-0000-000000000001"
	cy    = "00000000-0000-0000-0000-000000000002"
	night = "11111111-0000-0000-0000-000000000000" // a group
)

func day(n int) time.Time   { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
func from(n int) *time.Time { t := day(n); return &t }

func numbered(format string, n int) []string {
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprintf(format, i+1)
	}
	return values
}

func TestCheck(t *testing.T) {
	guids := "22222222-0000-0000-0000-%012x"
	for name, s := range map[string]Scope{
		"everything": {All: true}, "everything in a range": {All: true, From: from(1), To: from(2)},
		"a person": {Custodians: []string{anna}}, "a relay user": {Custodians: []string{"usr:u-1"}}, "a longest id": {Custodians: []string{"usr:" + strings.Repeat("u", MaxID)}},
		"all kinds":      {Custodians: []string{anna}, Groups: []string{night}, Conversations: []string{"c1"}, Query: "bed 4", Language: query.Language},
		"a range, to ns": {Groups: []string{night}, From: from(1), To: func() *time.Time { t := day(1).Add(1); return &t }()},
		"as many":        {Custodians: numbered(guids, MaxValues), Groups: numbered(guids, MaxValues), Conversations: numbered("c%d", MaxValues)},
		"as text":        {Query: `"hold:7" OR hold OR "matter: 5" OR 5:hold:4`, Language: 1},
	} {
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseScope(b); err != nil || !got.Equal(s) {
			t.Errorf("%s: read again as %+v, %v", name, got, err)
		}
	}
	long := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	odd := day(1).In(time.FixedZone("", 24*3600))
	for name, s := range map[string]Scope{
		"nothing": {}, "a range alone": {From: from(1), To: from(2)}, "everything and a person": {All: true, Custodians: []string{anna}},
		"everything and a group": {All: true, Groups: []string{night}}, "everything and a conversation": {All: true, Conversations: []string{"c"}},
		"everything and a query": {All: true, Query: "a", Language: 1},
		"an address":             {Custodians: []string{"anna@ward.example"}}, "upper case": {Custodians: []string{strings.ToUpper(anna)}},
		"no hyphens": {Custodians: []string{strings.ReplaceAll(anna, "-", "")}}, "zeroes": {Groups: []string{"00000000-0000-0000-0000-000000000000"}},
		"hyphens elsewhere": {Groups: []string{"3e4385bb7-c43-4feb-8ea2-97c65cc06abf"}}, "usr without id": {Custodians: []string{"usr:"}},
		"usr too long": {Custodians: []string{"usr:" + strings.Repeat("u", MaxID+1)}}, "usr not text": {Custodians: []string{"usr:\xff"}},
		"a usr as group": {Groups: []string{"usr:u1"}}, "conversation without id": {Conversations: []string{""}},
		"conversation too long": {Conversations: []string{strings.Repeat("c", MaxID+1)}}, "the second is wrong": {Conversations: []string{"c", ""}},
		"too many custodians": {Custodians: numbered(guids, MaxValues+1)}, "too many groups": {Groups: numbered(guids, MaxValues+1)},
		"too many conversations": {Conversations: numbered("c%d", MaxValues+1)},
		"not pinned":             {Query: "a"}, "negative version": {Query: "a", Language: -1}, "newer version": {Query: "a", Language: query.Language + 1},
		"version of nothing": {All: true, Language: 1}, "no query": {Query: "(", Language: 1}, "empty query": {Query: " ", Language: 1},
		"query too long": {Query: strings.Repeat("a", query.MaxBytes+1), Language: 1}, "query not text": {Query: "\"a\xff\"", Language: 1},
		"asks for hold": {Query: "bed hold:7", Language: 1}, "asks for group": {Query: "group:night", Language: 2}, "asks for quarantine": {Query: "a OR quarantined:true", Language: 2}, "says today": {Query: "sent:today", Language: 2},
		"of language 2 in 1": {Query: "a NEAR b", Language: 1},
		"asks for matter":    {Query: "bed (a OR Matter:M-1)", Language: 1}, "asks for hold>": {Query: "NOT hold>7", Language: 1},
		"ends as it begins": {All: true, From: from(1), To: from(1)}, "ends before": {All: true, From: from(2), To: from(1)},
		"year 10000": {All: true, To: &long}, "year 1": {All: true, From: new(time.Time)}, "a zone that JSON has not": {All: true, From: &odd},
		"too large": {Custodians: numbered("usr:"+strings.Repeat("\x00", 200)+"%d", MaxValues)},
	} {
		err := s.Check()
		if !errors.Is(err, ErrScope) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The errors of a hold's query tell what is wrong with holds in holds, by name.
func TestCheckNamesWhatIsRefused(t *testing.T) {
	for text, want := range map[string]string{"hold:7": "hold:", "a MATTER:x": "matter:"} {
		s := Scope{Query: text, Language: 1}
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	s := Scope{Query: `a "b`, Language: 1}
	var syntax *query.SyntaxError
	if err := s.Check(); !errors.As(err, &syntax) || syntax.Column != 3 {
		t.Errorf("%v", err)
	}
}

// Whom and what a hold is after is nobody's business but the matter's.
func TestErrorsHoldNothingOfTheScope(t *testing.T) {
	const canary = "Zyxwvut"
	for _, s := range []Scope{
		{Custodians: []string{canary}}, {Groups: []string{canary}}, {Conversations: []string{canary + "\xff"}},
		{Query: canary + ":x", Language: 1}, {Query: canary, Language: 9}, {Query: canary + " hold:" + canary, Language: 1},
	} {
		if err := s.Check(); err == nil || strings.Contains(strings.ToLower(err.Error()), strings.ToLower(canary)) {
			t.Errorf("%+v: %v", s, err)
		}
		b, _ := json.Marshal(s)
		if _, err := ParseScope(append(b, 'x')); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", b, err)
		}
	}
}

func TestParseScope(t *testing.T) {
	want := Scope{
		Custodians: []string{anna, "usr:u-1"}, Groups: []string{night}, Conversations: []string{"c-1"},
		Query: "bed", Language: 7, From: from(1), To: from(2),
	}
	const full = `{"custodians":["3e4385bb-7c43-4feb-8ea2-97c65cc06abf","usr:u-1"],"groups":["11111111-0000-0000-0000-000000000000"],` +
		`"conversations":["c-1"],"query":"bed","language":7,"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}`
	if b, err := json.Marshal(want); err != nil || string(b) != full {
		t.Errorf("written as %s, %v", b, err)
	}
	// The version is kept although this program has it not: what it holds stays held.
	if got, err := ParseScope([]byte(full)); err != nil || !got.Equal(want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ParseScope([]byte(`{"all":true,"from":null,"groups":[]}`)); err != nil || !got.Equal(Scope{All: true}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{
		``, `null`, `[]`, `{}`, `{"all":false}`, `{"all":true}x`, `{"all":true,"all":true}`, `{"ALL":true}`, `{"all":true,"more":1}`, `{"all":1}`,
		`{"custodians":"` + anna + `"}`, `{"custodians":[null]}`, `{"custodians":["anna"]}`, `{"query":"bed"}`, `{"query":"bed","language":0}`,
		`{"all":true,"from":"2026-01-01"}`, `{"all":true,"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}`, `{"all":true,"from":1}`,
		strings.Repeat(" ", MaxEncoded) + `{"all":true}`, `{"query":"` + strings.Repeat("a", query.MaxBytes+1) + `","language":9}`,
	} {
		if _, err := ParseScope([]byte(text)); !errors.Is(err, ErrScope) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

func TestFrozen(t *testing.T) {
	zone := day(1).In(time.FixedZone("", 3600))
	given := Scope{Custodians: []string{"usr:b", anna, "usr:b"}, Groups: []string{}, Conversations: []string{"b", "a"}, Query: "bed", From: &zone}
	got := given.Frozen()
	if !slices.Equal(got.Custodians, []string{anna, "usr:b"}) || got.Groups != nil || !slices.Equal(got.Conversations, []string{"a", "b"}) ||
		got.Language != query.Language || got.From.Location() != time.UTC || !got.From.Equal(zone) || got.To != nil {
		t.Errorf("%+v", got)
	}
	if given.Custodians[0] != "usr:b" || given.Language != 0 || given.From != &zone {
		t.Errorf("what was given is now %+v", given)
	}
	if s := (Scope{Query: "a", Language: 3}).Frozen(); s.Language != 3 {
		t.Errorf("pinned anew to %d", s.Language)
	}
	if s := (Scope{All: true}).Frozen(); s.Language != 0 {
		t.Errorf("pinned without a query to %d", s.Language)
	}
}

func TestEqual(t *testing.T) {
	zone := day(1).In(time.FixedZone("", 3600))
	s := Scope{Custodians: []string{"b", "a"}, Groups: []string{"g", "h"}, Conversations: []string{"c", "d"}, Query: "q", Language: 1, From: &zone, To: from(2)}
	same := Scope{Custodians: []string{"a", "b", "a"}, Groups: []string{"h", "g"}, Conversations: []string{"d", "c"}, Query: "q", Language: 1, From: from(1), To: from(2)}
	if !s.Equal(same) || !same.Equal(s) || !s.Equal(s.Frozen()) {
		t.Error("the same in another order and zone is not equal")
	}
	for name, change := range map[string]func(*Scope){
		"all": func(s *Scope) { s.All = true }, "custodians": func(s *Scope) { s.Custodians = []string{"a"} }, "groups": func(s *Scope) { s.Groups = nil },
		"conversations": func(s *Scope) { s.Conversations = []string{"c", "e"} }, "query": func(s *Scope) { s.Query = "Q" }, "language": func(s *Scope) { s.Language = 2 },
		"from": func(s *Scope) { s.From = nil }, "to": func(s *Scope) { s.To = from(3) },
	} {
		other := same
		change(&other)
		if s.Equal(other) || other.Equal(s) {
			t.Errorf("equal although %s differ", name)
		}
	}
}

func FuzzParseScope(f *testing.F) {
	for _, s := range []string{
		`{"all":true,"from":"2026-01-01T00:00:00.5+02:00"}`, `{"custodians":["usr:\u0000<"],"to":"9999-12-31T23:59:59Z"}`,
		`{"query":"bed hold:7","language":1}`, `{"query":"a AND (","language":99,"groups":["11111111-0000-0000-0000-000000000000"]}`, `{"conversations":["c"]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseScope(b)
		if err != nil {
			if !errors.Is(err, ErrScope) {
				t.Fatalf("%q: %v", b, err)
			}
			return
		}
		for _, of := range []Scope{s, s.Frozen()} {
			out, err := json.Marshal(of)
			if err != nil {
				t.Fatalf("%q: %v", b, err)
			}
			if again, err := ParseScope(out); err != nil || !again.Equal(s) {
				t.Fatalf("%q written as %q, read again as %+v, %v", b, out, again, err)
			}
		}
		if _, err := Compile("m", s, anybody{}, Languages(anybody{})); err != nil {
			t.Fatalf("%q: read and not compiled: %v", b, err)
		}
	})
}
