package hold

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"holdfast/archive/proof"
	"holdfast/archive/query"
)

var (
	personIDs = []string{anna, bo, cy, "00000000-0000-0000-0000-000000000003"}
	groupIDs  = []string{night, "11111111-0000-0000-0000-000000000001"}
	userIDs   = []string{"u1", "u2", "u3", "u4", anna}
	chats     = []string{"c1", "c2", ""}
	wordings  = []string{"bed", "cot", "bed AND NOT cot", "from:lund", "NOT bed", "bed OR from:u2"}
)

func some(of []string, least int) *rapid.Generator[[]string] {
	return rapid.SliceOfN(rapid.SampledFrom(of), least, 3)
}

var drawnWard = rapid.Custom(func(t *rapid.T) ward {
	w := ward{map[string][]string{}, map[string][]string{"lund": some(userIDs, 0).Draw(t, "named lund")}, map[string][]stay{}}
	for _, p := range personIDs {
		w.usrs[p] = some(userIDs, 0).Draw(t, "users")
	}
	for _, g := range groupIDs {
		for _, p := range some(personIDs, 0).Draw(t, "members") {
			w.members[g] = append(w.members[g], stay{p, moment(t)})
		}
	}
	return w
})

// moment is a time of a few, or none.
func moment(t *rapid.T) time.Time {
	n := rapid.IntRange(0, 8).Draw(t, "moment")
	if n == 0 {
		return time.Time{}
	}
	return day(n / 2).Add(time.Duration(n%2) * -time.Nanosecond)
}

func end(t *rapid.T) *time.Time {
	if m := moment(t); !m.IsZero() {
		return &m
	}
	return nil
}

var drawnScope = rapid.Custom(func(t *rapid.T) Scope {
	s := Scope{From: end(t), To: end(t)}
	if s.From != nil && s.To != nil && !s.From.Before(*s.To) {
		s.To = nil
	}
	if s.All = rapid.IntRange(0, 5).Draw(t, "all") == 0; s.All {
		return s
	}
	kinds := rapid.SampledFrom([]string{"p", "g", "c", "q", "q", "pq", "pg", "gcq", "pgcq", "cq"}).Draw(t, "kinds")
	if strings.Contains(kinds, "p") {
		s.Custodians = some(append([]string{"usr:u1", "usr:u3"}, personIDs...), 1).Draw(t, "custodians")
	}
	if strings.Contains(kinds, "g") {
		s.Groups = some(groupIDs, 1).Draw(t, "groups")
	}
	if strings.Contains(kinds, "c") {
		s.Conversations = some([]string{"c1", "c2"}, 1).Draw(t, "conversations")
	}
	if strings.Contains(kinds, "q") {
		s.Query, s.Language = rapid.SampledFrom(wordings).Draw(t, "query"), rapid.IntRange(1, 3).Draw(t, "language")
	}
	return s
})

var drawnEntry = rapid.Custom(func(t *rapid.T) *Entry {
	e := &Entry{
		Kind: rapid.OneOf(rapid.Just(proof.KindMessage), rapid.Custom(func(t *rapid.T) proof.Kind {
			return proof.Kind(rapid.IntRange(0, 40).Draw(t, "kind"))
		})).Draw(t, "kind"),
		Received: day(rapid.IntRange(0, 5).Draw(t, "received")).Add(-time.Duration(rapid.IntRange(0, 1).Draw(t, "ns"))), Sent: moment(t),
		Unknown: rapid.IntRange(0, 5).Draw(t, "unknown") == 0,
		Usrs:    some(userIDs, 0).Draw(t, "usrs"), Persons: some(personIDs, 0).Draw(t, "persons"), Conversation: rapid.SampledFrom(chats).Draw(t, "conversation"),
		Matter: rapid.SampledFrom([]string{"", "M-1", "m-1", "M-2"}).Draw(t, "matter"), Custodians: some(append([]string{"usr:u1", "usr:u2"}, personIDs...), 0).Draw(t, "looked at"),
	}
	if rapid.IntRange(0, 5).Draw(t, "doc") > 0 {
		e.Doc = &query.Doc{
			Text: strings.Join(some([]string{"bed", "cot", "bedside"}, 0).Draw(t, "text"), " "), Unread: rapid.Bool().Draw(t, "unread"),
			From: query.Parties{{Usr: rapid.SampledFrom(userIDs).Draw(t, "from"), Name: rapid.SampledFrom([]string{"Lund", "Berg"}).Draw(t, "name")}},
		}
	}
	return e
})

// plainly is the rules as they are told, without regard to speed. It looks at
// one custodian, member and value after the other.
func plainly(matter string, s Scope, w ward, r Readings, e *Entry) bool {
	in := func(t time.Time) bool {
		return (s.From == nil || !t.Before(*s.From)) && (s.To == nil || t.Before(*s.To))
	}
	custodians := slices.Clone(s.Custodians)
	for _, g := range s.Groups {
		for _, m := range w.members[g] {
			if m.until.IsZero() || s.From == nil || m.until.After(*s.From) {
				custodians = append(custodians, m.person)
			}
		}
	}
	concerns := func(persons, usrs []string) bool {
		return slices.ContainsFunc(custodians, func(c string) bool {
			usr, isUser := strings.CutPrefix(c, "usr:")
			return isUser && slices.Contains(usrs, usr) || slices.Contains(persons, c) ||
				slices.ContainsFunc(w.usrs[c], func(u string) bool { return slices.Contains(usrs, u) })
		})
	}
	switch e.Kind.String() {
	case "access", "outcome":
		var usrs []string
		for _, c := range e.Custodians {
			if usr, ok := strings.CutPrefix(c, "usr:"); ok {
				usrs = append(usrs, usr)
			}
		}
		return e.Unknown || s.All || strings.EqualFold(e.Matter, matter) || concerns(e.Custodians, usrs)
	case "message", "redelivery", "quarantine":
	default:
		return !e.Kind.Valid() && (s.From == nil || !e.Received.Before(*s.From) || !e.Sent.IsZero() && in(e.Sent))
	}
	if e.Unknown || e.Kind == proof.KindQuarantine {
		return s.From == nil || !e.Received.Before(*s.From) || !e.Sent.IsZero() && in(e.Sent)
	}
	if !in(e.Received) && (e.Sent.IsZero() || !in(e.Sent)) {
		return false
	}
	if s.All || e.Kind == proof.KindRedelivery {
		return s.All
	}
	return (len(s.Custodians)+len(s.Groups) == 0 || concerns(e.Persons, e.Usrs)) &&
		(len(s.Conversations) == 0 || slices.Contains(s.Conversations, e.Conversation)) &&
		(s.Query == "" || mayMean(s, r, e.Doc))
}

// mayMean says whether the query may hold for d in its own reading or the
// newest.
func mayMean(s Scope, r Readings, d *query.Doc) bool {
	if d == nil || r[s.Language] == nil {
		return true
	}
	if _, err := r[s.Language](s.Query); err != nil {
		return true
	}
	for v, read := range r {
		if v != s.Language && v != slices.Max(slices.Collect(maps.Keys(r))) {
			continue
		}
		if q, err := read(s.Query); err == nil && q.Judge(d) != query.No {
			return true
		}
	}
	return false
}

func drawReadings(t *rapid.T, w ward) Readings {
	all := []func(string) (Reading, error){
		Languages(w)[1],
		func(text string) (Reading, error) { return newer(strings.Fields(text)[0]), nil },
		func(text string) (Reading, error) {
			if strings.Contains(text, ":") {
				return nil, errReading
			}
			return newer("cot"), nil
		},
	}
	r := Readings{}
	for i, read := range all {
		if rapid.IntRange(0, 3).Draw(t, fmt.Sprint("has version ", i+1)) > 0 {
			r[i+1] = read
		}
	}
	return r
}

func TestCoversAsPlainly(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w, s := drawnWard.Draw(t, "ward"), drawnScope.Draw(t, "scope")
		r := drawReadings(t, w)
		m, err := Compile("M-1", s, w, r)
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			e := drawnEntry.Draw(t, "entry")
			why, held := m.Covers(e)
			if want := plainly("M-1", s, w, r, e); held != want || held != (why != "") {
				t.Fatalf("%v, %q; plainly %v", held, why, want)
			}
			seen[why]++
			narrower(t, s, w, r, e, held)
			unsure(t, m, e, held)
		}
	})
	for _, why := range []string{"", "all", "custodian", "group", "conversation", "query", "unknown content", "audit"} {
		if seen[why] == 0 {
			t.Errorf("no entry was covered as %q: the test looks at nothing", why)
		}
	}
}

// narrower checks that what a scope covers a wider one does, too.
func narrower(t *rapid.T, s Scope, w ward, r Readings, e *Entry, held bool) {
	wider := s
	switch {
	case s.All || rapid.Bool().Draw(t, "wider range"):
		wider.From, wider.To = nil, nil
	case s.Query != "" && len(s.Custodians)+len(s.Groups)+len(s.Conversations) > 0:
		wider.Query, wider.Language = "", 0
	case len(s.Custodians)+len(s.Groups) > 0:
		wider.Custodians = append(slices.Clone(s.Custodians), personIDs...)
	default:
		wider = Scope{All: true, From: s.From, To: s.To}
	}
	m, err := Compile("M-1", wider, w, r)
	if err != nil {
		t.Fatal(err)
	}
	if _, still := m.Covers(e); held && !still {
		t.Fatalf("covered by %+v and not by the wider %+v", s, wider)
	}
}

// unsure checks that knowing less of an entry never lets it go.
func unsure(t *rapid.T, m *Matcher, e *Entry, held bool) {
	less := *e
	less.Unknown = true
	if _, still := m.Covers(&less); held && !still {
		t.Fatal("covered, but not when it cannot be read")
	}
	less = *e
	if e.Doc != nil {
		d := *e.Doc
		d.Unread, less.Doc = true, &d
	}
	if _, still := m.Covers(&less); held && !still {
		t.Fatal("covered, but not with an attachment that cannot be read")
	}
}

// FuzzCovers looks for scopes and entries over which Covers stumbles, or says
// what is not in Covers' words.
func FuzzCovers(f *testing.F) {
	f.Add([]byte(`{"custodians":["usr:u1"],"query":"bed","language":1}`), "usr:u1", "bed\n4 café", uint8(2), int64(1767225600), int64(0), byte(0))
	f.Add([]byte(`{"all":true,"from":"2026-01-01T00:00:00Z"}`), "", "", uint8(4), int64(-1), int64(1<<40), byte(1))
	f.Add([]byte(`{"groups":["11111111-0000-0000-0000-000000000000"],"query":"NOT from:u1","language":4}`), "u1", "\xff", uint8(11), int64(0), int64(0), byte(7))
	allowed := []string{"all", "custodian", "group", "conversation", "query", "unknown content", "audit"}
	f.Fuzz(func(t *testing.T, scope []byte, who, text string, kind uint8, received, sent int64, flags byte) {
		s, err := ParseScope(bytes.Clone(scope))
		if err != nil {
			return
		}
		m, err := Compile(who, s, staff, Languages(staff))
		if err != nil {
			t.Fatal(err)
		}
		e := &Entry{
			Kind: proof.Kind(kind), Received: time.Unix(received, 0), Sent: time.Unix(sent, 0), Unknown: flags&1 != 0, Usrs: []string{who, text}, Persons: []string{text},
			Conversation: text, Matter: text, Custodians: []string{who, "usr:" + who},
		}
		if flags&2 == 0 {
			p := query.Parties{{Usr: who, UPN: text, Mail: who, Name: text}}
			e.Doc = &query.Doc{Text: text, Files: []query.File{{Name: who}, {Name: text}}, Unread: flags&4 != 0, From: p, To: p, Sent: e.Sent, Received: e.Received}
		}
		why, held := m.Covers(e)
		if held != (why != "") {
			t.Fatalf("%q, %v", why, held)
		}
		for _, part := range strings.Split(why, " and ") {
			if held && !slices.Contains(allowed, part) {
				t.Fatalf("why: %q", why)
			}
		}
		if again, _ := m.Covers(e); again != why {
			t.Fatalf("%q, then %q", why, again)
		}
	})
}
