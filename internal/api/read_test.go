package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"holdfast/archive/audit"
	"holdfast/archive/query"
	"holdfast/ingest/envelope"
	"holdfast/internal/role"
	"holdfast/retention"
)

// talk makes the town's archive a conversation of messages 10..19, by turns of
// u1 and u7, that answers queries as they are.
func talk(w *town) {
	w.messages = nil
	for seq := uint64(10); seq < 20; seq++ {
		from := "u1"
		if seq%2 == 1 {
			from = "u7"
		}
		w.messages = append(w.messages, Hit{Seq: seq, FromUsr: from, From: from, ConversationID: "c1", Text: "word", Sent: "2026-03-01T08:00:00.000Z", Received: day(1)})
	}
	w.house.search = func(q *query.Query, page Page) (*SearchResponse, error) {
		out := &SearchResponse{}
		out.Through = max(page.AsOf, 19)
		all := slices.Clone(w.messages)
		if !page.Oldest {
			slices.Reverse(all)
		}
		for _, m := range all {
			d := &query.Doc{Seq: m.Seq, Text: m.Text, Received: m.Received, From: query.Parties{{Usr: m.FromUsr}}, Conversation: query.ConversationRef{ID: m.ConversationID}}
			if page.AsOf != 0 && m.Seq > page.AsOf || !q.Match(d) {
				continue
			}
			out.Total++
			switch wanted := page.Oldest && m.Seq > page.Above || !page.Oldest && (page.Before == nil || m.Seq < page.Before.Seq); {
			case !wanted || page.Limit == 0:
			case len(out.Hits) == page.Limit:
				out.NextAt(&Place{Seq: out.Hits[page.Limit-1].Seq})
			default:
				out.Hits = append(out.Hits, m)
			}
		}
		return out, nil
	}
}

// found asks and reads an answer.
func found[T any](t *testing.T, w *town, s *Server, route, body string) *T {
	t.Helper()
	status, answer := w.ask(s, route, body)
	var out T
	if err := json.Unmarshal([]byte(answer), &out); err != nil || status != http.StatusOK {
		t.Fatalf("%s %s: %d %s, %v", route, body, status, answer, err)
	}
	return &out
}

func seqs(hits []Hit) (out []uint64) {
	for _, h := range hits {
		out = append(out, h.Seq)
	}
	return out
}

func talkTown(t *testing.T, g role.Grant) (*town, *Server) {
	t.Helper()
	w := newTown(t)
	w.officer(g)
	talk(w)
	s := w.server()
	w.noteSize(t, s, 30)
	return w, s
}

// noteSize has checkpoints be of a size.
func (w *town) noteSize(t *testing.T, s *Server, size int) {
	t.Helper()
	s.Store = sized{w.house, size}
}

type sized struct {
	*house
	size int
}

func (s sized) Checkpoint(context.Context) ([]byte, error) {
	return fmt.Appendf(nil, "origin\n%d\nroot\n\n— sig\n", s.size), nil
}

// Pages by cursor are the same search as of the same entries, whatever comes
// meanwhile, and end.
func TestPagesByCursor(t *testing.T) {
	w, s := talkTown(t, role.Grant{Role: role.ComplianceOfficer})
	page := found[SearchResponse](t, w, s, "POST /v1/search", `{"query":"word","reason":"r","limit":4}`)
	if page.Total != 10 || !slices.Equal(seqs(page.Hits), []uint64{19, 18, 17, 16}) || page.Checkpoint.Size != 30 || page.Through != 29 {
		t.Fatalf("first page %+v", page)
	}
	w.messages = append(w.messages, Hit{Seq: 40, FromUsr: "u1", Text: "word", Received: day(1)})
	w.noteSize(t, s, 50)
	var got []uint64
	for n := 0; page.Cursor != ""; n++ {
		page = found[SearchResponse](t, w, s, "POST /v1/search", `{"query":"word","reason":"r","limit":4,"cursor":"`+page.Cursor+`"}`)
		got = append(got, seqs(page.Hits)...)
		if page.Total != 10 || n > 5 {
			t.Fatalf("page %+v", page)
		}
	}
	if !slices.Equal(got, []uint64{15, 14, 13, 12, 11, 10}) {
		t.Errorf("the pages after the first: %v", got)
	}
}

// A cursor that was changed, is of another search, order or scope, or of before
// the daemon started anew, is a problem and no page.
func TestCursorsOfOthers(t *testing.T) {
	w, s := talkTown(t, role.Grant{Role: role.ComplianceOfficer})
	c := found[SearchResponse](t, w, s, "POST /v1/search", `{"query":"word","reason":"r","limit":4}`).Cursor
	b, err := base64.RawURLEncoding.DecodeString(c)
	if err != nil || strings.Contains(string(b), "word") {
		t.Fatalf("cursor %s, %v", b, err)
	}
	forged := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(b), `"as_of":29`, `"as_of":49`, 1)))
	refused := func(what, body string) {
		t.Helper()
		before := len(w.records)
		status, answer := w.ask(s, "POST /v1/search", body)
		if p, err := parseProblem([]byte(answer)); err != nil || p.Code != CodeCursor && p.Code != CodeBadRequest || p.Hint == "" || status < 400 {
			t.Errorf("%s: %d %s", what, status, answer)
		}
		if strings.Contains(what, "unrecorded") && len(w.records) != before {
			t.Errorf("%s: recorded", what)
		}
	}
	refused("another query, unrecorded", `{"query":"words","reason":"r","cursor":"`+c+`"}`)
	refused("another order", `{"query":"word","reason":"r","sort":"sent","cursor":"`+c+`"}`)
	refused("changed", `{"query":"word","reason":"r","cursor":"`+forged+`"}`)
	refused("no cursor", `{"query":"word","reason":"r","cursor":"x"}`)
	refused("as a watch", `{"query":"word","reason":"r","watch":"`+c+`"}`)
	refused("with another beginning", `{"query":"word","reason":"r","before":15,"cursor":"`+c+`"}`)
	w.stays = []query.Stay{{Usrs: []string{"u1"}}}
	w.officer(role.Grant{Role: role.ComplianceOfficer, Department: "Ward 3"})
	refused("another scope", `{"query":"word","reason":"r","cursor":"`+c+`"}`)
	w.officer(role.Grant{Role: role.ComplianceOfficer})
	if s.cursors, err = newCursorKey(); err != nil {
		t.Fatal(err)
	}
	refused("of a daemon before", `{"query":"word","reason":"r","cursor":"`+c+`"}`)
}

// When a name in the query comes to stand for somebody else, pages do not fit.
func TestCursorExpiresWithItsNames(t *testing.T) {
	w, s := talkTown(t, role.Grant{Role: role.ComplianceOfficer})
	const q = `{"query":"from:\"Anna Berg\"","reason":"r","limit":2`
	page := found[SearchResponse](t, w, s, "POST /v1/search", q+`}`)
	if page.Total != 5 || page.Cursor == "" {
		t.Fatalf("%+v", page)
	}
	w.people[0].Usrs = []string{"u1", "u7"}
	status, body := w.ask(s, "POST /v1/search", q+`,"cursor":"`+page.Cursor+`"}`)
	if status != http.StatusConflict || !strings.Contains(body, "names stand for") {
		t.Errorf("%d %s", status, body)
	}
}

// A watch is recorded when it begins and when it finds something. Its token is
// for its own query alone, so that nothing can be asked without a record.
func TestWatch(t *testing.T) {
	w, s := talkTown(t, role.Grant{Role: role.ComplianceOfficer})
	watch := func(token string) *SearchResponse {
		t.Helper()
		return found[SearchResponse](t, w, s, "POST /v1/search", `{"query":"word","reason":"r","limit":2,"watch":"`+token+`"}`)
	}
	begun := watch(WatchBegin)
	if begun.Total != 10 || begun.Watch == "" || w.accessAt(t, 1).Target != "watch" || len(w.records) != 3 {
		t.Fatalf("begun %+v", begun)
	}
	nothing := watch(begun.Watch)
	if nothing.Total != 0 || len(nothing.Hits) != 0 || nothing.Watch == "" || len(w.records) != 3 {
		t.Fatalf("nothing new: %+v, %d entries", nothing, len(w.records))
	}
	for _, seq := range []uint64{31, 32, 33} {
		w.messages = append(w.messages, Hit{Seq: seq, FromUsr: "u1", Text: "word", Received: day(1)})
	}
	w.noteSize(t, s, 50)
	news := watch(nothing.Watch)
	if news.Total != 3 || !slices.Equal(seqs(news.Hits), []uint64{33, 32}) || len(w.records) != 5 || news.Through != 49 {
		t.Fatalf("news %+v, %d entries", news, len(w.records))
	}
	rest := found[SearchResponse](t, w, s, "POST /v1/search", `{"query":"word","reason":"r","limit":2,"cursor":"`+news.Cursor+`"}`)
	if !slices.Equal(seqs(rest.Hits), []uint64{31}) || rest.Cursor != "" {
		t.Errorf("the rest of the news %+v", rest)
	}
	if again := watch(news.Watch); again.Total != 0 {
		t.Errorf("told twice: %+v", again)
	}
	before := len(w.records)
	for _, body := range []string{
		`{"query":"other","reason":"r","watch":"` + news.Watch + `"}`, `{"query":"word","reason":"r","cursor":"` + news.Watch + `"}`,
		`{"query":"word","reason":"r","after":3,"watch":"` + news.Watch + `"}`,
	} {
		if status, answer := w.ask(s, "POST /v1/search", body); status < 400 || len(w.records) != before {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
}

// What surrounds a message is told to a narrowed officer as a number where it is
// not of their people.
func TestContextIsNarrowed(t *testing.T) {
	for name, tt := range map[string]struct {
		grant         role.Grant
		before, after []uint64
		hidden        uint64
	}{
		"whole":    {role.Grant{Role: role.ComplianceOfficer}, []uint64{12, 13}, []uint64{15, 16}, 0},
		"narrowed": {role.Grant{Role: role.ComplianceOfficer, Department: "Ward 3"}, []uint64{10, 12}, []uint64{16, 18}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := talkTown(t, tt.grant)
			w.stays = []query.Stay{{Usrs: []string{"u1"}}}
			m := w.messages[4]
			w.shown = []Shown{{Seq: 14, Kind: "message", Received: day(1), Message: &m}}
			c := found[ShowResponse](t, w, s, "POST /v1/show", `{"seqs":[14],"context":2,"reason":"r"}`).Entries[0].Context
			if !slices.Equal(seqs(c.Before), tt.before) || !slices.Equal(seqs(c.After), tt.after) || c.NotInScope != tt.hidden {
				t.Errorf("context %v %v, %d hidden", seqs(c.Before), seqs(c.After), c.NotInScope)
			}
			if o := outcomeOf(t, w.records[2]); o.Shown != 5 || slices.Contains(o.Custodians, "u7") != (tt.hidden == 0) {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestConversationIsNarrowedAndPaged(t *testing.T) {
	w, s := talkTown(t, role.Grant{Role: role.ComplianceOfficer, Department: "Ward 3"})
	w.stays = []query.Stay{{Usrs: []string{"u1"}}}
	w.shown = []Shown{{Kind: "message", Message: &Hit{Conversation: "Ward 3", Members: []Participant{{Usr: "u1", Name: "Anna"}}}}}
	c := found[ConversationResponse](t, w, s, "POST /v1/conversation", `{"id":"c1","limit":3,"reason":"r"}`)
	if c.Total != 5 || c.NotInScope != 5 || !slices.Equal(seqs(c.Messages), []uint64{10, 12, 14}) || c.Name != "Ward 3" || len(c.Members) != 1 || c.Checkpoint == nil {
		t.Fatalf("%+v", c)
	}
	if a := w.accessAt(t, 1); a.Action != audit.ActionShow || a.Target != "conversation" || a.Query != "c1" {
		t.Errorf("access %+v", a)
	}
	w.messages = append(w.messages, Hit{Seq: 45, FromUsr: "u1", ConversationID: "c1", Text: "late", Received: day(1)})
	w.noteSize(t, s, 60)
	c = found[ConversationResponse](t, w, s, "POST /v1/conversation", `{"id":"c1","limit":3,"reason":"r","cursor":"`+c.Cursor+`"}`)
	if c.Total != 5 || !slices.Equal(seqs(c.Messages), []uint64{16, 18}) || c.Cursor != "" {
		t.Errorf("second page %+v", c)
	}
	s.SizeAt = func(_ context.Context, at time.Time) (uint64, error) { return 15, nil }
	c = found[ConversationResponse](t, w, s, "POST /v1/conversation", `{"id":"c1","reason":"r","at":"2026-03-01T00:00:00Z"}`)
	if !slices.Equal(seqs(c.Messages), []uint64{10, 12, 14}) {
		t.Errorf("as of a time %v", seqs(c.Messages))
	}
	_, none := w.ask(s, "POST /v1/conversation", `{"id":"c9","reason":"r"}`)
	w.stays = []query.Stay{{Usrs: []string{"u5"}}}
	status, others := w.ask(s, "POST /v1/conversation", `{"id":"c1","reason":"r"}`)
	if status != http.StatusNotFound || others != none {
		t.Errorf("of others: %d %s, of none %s", status, others, none)
	}
}

func TestCounts(t *testing.T) {
	w, s := talkTown(t, role.Grant{Role: role.ComplianceOfficer})
	w.people[1].Usrs = []string{"u1", "u7"} // both are Bo's
	w.people[0].Usrs = nil
	w.counted = CountResponse{Extent: Extent{Total: 10}, Buckets: []Bucket{{Key: "u1", Count: 7}, {Key: "u7", Count: 7}, {Key: "u8", Name: "Eve", Count: 3}}}
	c := found[CountResponse](t, w, s, "POST /v1/count", `{"query":"word","by":"custodian","reason":"r","explain":true}`)
	// Not 14: messages between both are one person's.
	want := []Bucket{{Key: bo, Name: "Bo Dahl", Count: 10}, {Key: "usr:u8", Name: "Eve", Count: 3}}
	if !slices.Equal(c.Buckets, want) {
		t.Errorf("buckets %+v", c.Buckets)
	}
	if c.Explain == nil || c.Several != 2 || c.Checkpoint == nil {
		t.Errorf("%+v", c)
	}
	if a := w.accessAt(t, 1); a.Action != audit.ActionSearch || a.Target != "count by custodian" || a.Query != "word" {
		t.Errorf("access %+v", a)
	}
	if o := outcomeOf(t, w.records[2]); o.Total != 10 || o.Shown != 0 || o.Custodians == nil {
		t.Errorf("outcome %+v", o)
	}
	if status, _ := w.ask(s, "POST /v1/count", `{"query":"word","by":"weekday","reason":"r"}`); status != http.StatusBadRequest {
		t.Errorf("by weekday: %d", status)
	}
	if status, _ := w.ask(s, "POST /v1/count", `{"query":"word","by":"month"}`); status != http.StatusBadRequest {
		t.Errorf("without a reason: %d", status)
	}
}

// A query asks for what holds keep of matters that the caller works on; of others
// it is told what it is told of what is not there.
func TestQueriesForHolds(t *testing.T) {
	w, s := watched(t, []string{"person:" + cy}, []string{anna}, role.Grant{Role: role.ComplianceOfficer})
	talk(w)
	w.noteSize(t, s, 30)
	other := newVault(w)
	w.vault.holds, w.vault.matters = other.holds, append(w.vault.matters, other.matters[1]) // M-1's 50, and M-2 with 60
	var asked [][]uint64
	s.HeldSet = func(_ context.Context, holds []uint64) (*roaring64.Bitmap, uint64, error) {
		asked = append(asked, holds)
		return roaring64.BitmapOf(11, 12, 18), 16, nil
	}
	for _, q := range []string{"hold:50", "matter:M-1"} {
		r := found[SearchResponse](t, w, s, "POST /v1/search", `{"query":"`+q+`","reason":"r"}`)
		if !slices.Equal(seqs(r.Hits), []uint64{12, 11}) { // 18 came when nobody knew yet what of it is held
			t.Errorf("%s: %v", q, seqs(r.Hits))
		}
	}
	if len(asked) != 2 || !slices.Equal(asked[0], []uint64{50}) {
		t.Errorf("asked %v", asked)
	}
	answers := map[string]bool{}
	for _, q := range []string{"hold:60", "hold:61", "hold:x", "matter:M-2", "matter:M-9"} {
		status, body := w.ask(s, "POST /v1/search", `{"query":"`+q+`","reason":"r"}`)
		if status != http.StatusNotFound || len(asked) != 2 {
			t.Errorf("%s: %d %s", q, status, body)
		}
		answers[body] = true
	}
	if len(answers) != 1 {
		t.Errorf("different answers: %v", answers)
	}
	s.HeldSet = func(context.Context, []uint64) (*roaring64.Bitmap, uint64, error) {
		return nil, 0, retention.ErrSurveying
	}
	if status, body := w.ask(s, "POST /v1/search", `{"query":"hold:50","reason":"r"}`); status != http.StatusServiceUnavailable || !strings.Contains(body, CodeNotReady) {
		t.Errorf("while surveying: %d %s", status, body)
	}
}

func TestQueriesForGroups(t *testing.T) {
	w, s := watched(t, []string{"person:" + cy}, nil, role.Grant{Role: role.ComplianceOfficer})
	talk(w)
	s.GroupStays = func(_ context.Context, guid string) ([]query.Stay, error) {
		if guid != wards {
			return nil, nil
		}
		return []query.Stay{{Usrs: []string{"u7"}}}, nil
	}
	if r := found[SearchResponse](t, w, s, "POST /v1/search", `{"query":"group:Wards","reason":"r","as_of":29}`); r.Total != 5 {
		t.Errorf("%+v", r)
	}
	if status, body := w.ask(s, "POST /v1/search", `{"query":"group:canary","reason":"r"}`); status != http.StatusNotFound || strings.Contains(body, "canary") {
		t.Errorf("no such group: %d %s", status, body)
	}
}

type savedSearches map[string]string

func (v savedSearches) Saved(matter, name string) (string, int, bool) {
	text, ok := v[matter+"/"+name]
	return text, 2, ok
}

func TestSavedSearches(t *testing.T) {
	w, s := watched(t, []string{"person:" + cy}, nil, role.Grant{Role: role.ComplianceOfficer})
	talk(w)
	s.Saved = savedSearches{"M-1/daily": "word", "M-2/daily": "canary"}
	if r := found[SearchResponse](t, w, s, "POST /v1/search", `{"saved":"daily","matter":"M-1","as_of":29}`); r.Total != 10 {
		t.Errorf("%+v", r)
	}
	if a := w.accessAt(t, 1); a.Query != "word" || a.Matter != "M-1" {
		t.Errorf("access %+v", a)
	}
	for body, want := range map[string]int{
		`{"saved":"other","matter":"M-1"}`: http.StatusNotFound, `{"saved":"daily","matter":"M-2"}`: http.StatusForbidden,
		`{"saved":"daily","reason":"r"}`: http.StatusBadRequest, `{"saved":"daily","query":"x","matter":"M-1"}`: http.StatusBadRequest,
	} {
		if status, answer := w.ask(s, "POST /v1/search", body); status != want {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
}

// A timeline says who could see a message, what came of it, and what each rests on.
func TestTimeline(t *testing.T) {
	w := newTown(t)
	w.officer(role.Grant{Role: role.ComplianceOfficer})
	m := Hit{Seq: 14, Typ: "msg", From: "Anna", FromUsr: "u1", To: []string{"Bo"}, ToUsrs: []string{"u2"}, ConversationID: "c1", Sent: "2026-03-01T08:00:00.000Z", Assurance: "enrolled",
		Members: []Participant{{"u1", "Anna"}, {"u2", "Bo"}, {"u3", "Cy"}}}
	for _, f := range []Follower{
		{Seq: 15, Typ: envelope.TypReceipt, Status: "read", From: "Bo", FromUsr: "u2", At: "2026-03-01T08:05:00.000Z"},
		{Seq: 16, Typ: envelope.TypReceipt, Status: "read", From: "Bo", FromUsr: "u2", At: "2026-03-01T08:04:00.000Z"},
		{Seq: 17, Typ: envelope.TypRecall, From: "Anna", FromUsr: "u1", Sent: "2026-03-01T09:00:00.000Z"},
		{Seq: 21, Typ: envelope.TypReceipt, Status: "delivered", From: "Dag", FromUsr: "u9", At: "2026-03-01T09:05:00.000Z"},
	} {
		f.Received = day(1)
		m.add(f)
	}
	member := Hit{Seq: 18, Typ: envelope.TypMember, From: "Anna", FromUsr: "u1", Sent: "2026-03-01T08:30:00.000Z", Members: []Participant{{"u1", "Anna"}, {"u2", "Bo"}, {"u4", "Eve"}}}
	s := w.server()
	s.Show = byNumber{w.house, map[uint64]*Hit{14: &m, 18: &member}}
	s.Anchors = func(context.Context, string) ([]uint64, error) { return []uint64{3, 18}, nil }
	r := found[TimelineResponse](t, w, s, "POST /v1/timeline", `{"seq":14,"reason":"r"}`)
	var events []string
	for _, e := range r.Events {
		events = append(events, fmt.Sprintf("%d %s %s", e.Seq, e.What, e.Who))
		if e.Basis == "" {
			t.Errorf("%+v rests on nothing", e)
		}
	}
	if want := []string{"14 sent Anna", "15 read Bo", "16 read Bo", "17 recalled Anna", "18 joined Eve", "18 left Cy", "21 delivered Dag"}; !slices.Equal(events, want) {
		t.Errorf("events %q", events)
	}
	var people []string
	for _, p := range r.People {
		people = append(people, fmt.Sprintf("%s %v read %q delivered %q joined %v left %v", p.Name, p.As, p.Read, p.Delivered, p.Joined != nil, p.Left != nil))
	}
	want := []string{
		`Anna [sender member] read "" delivered "" joined false left false`,
		`Bo [recipient member] read "2026-03-01T08:04:00.000Z" delivered "" joined false left false`,
		`Cy [member] read "" delivered "" joined false left true`,
		`Dag [reader] read "" delivered "2026-03-01T09:05:00.000Z" joined false left false`,
		`Eve [member] read "" delivered "" joined true left false`,
	}
	if slices.Sort(people); !slices.Equal(people, want) {
		t.Errorf("people\n%s", strings.Join(people, "\n"))
	}
	if len(r.Limits) != 3 {
		t.Errorf("limits %q", r.Limits)
	}
	s.Anchors = func(context.Context, string) ([]uint64, error) { return nil, retention.ErrSurveying }
	if r := found[TimelineResponse](t, w, s, "POST /v1/timeline", `{"seq":14,"reason":"r"}`); !slices.Contains(r.Limits, limitUnsurveyed) {
		t.Errorf("limits %q", r.Limits)
	}
	// An officer of Bo's sees what Bo is party to, of the rest how much there is.
	s.Anchors = func(context.Context, string) ([]uint64, error) { return []uint64{18}, nil }
	w.stays = []query.Stay{{Usrs: []string{"u2"}}}
	w.officer(role.Grant{Role: role.ComplianceOfficer, Department: "Ward 3"})
	r = found[TimelineResponse](t, w, s, "POST /v1/timeline", `{"seq":14,"reason":"r"}`)
	if r.NotInScope != 3 || len(r.Events) != 3 {
		t.Errorf("narrowed: %d hidden, %+v", r.NotInScope, r.Events)
	}
	w.stays = []query.Stay{{Usrs: []string{"u5"}}}
	if status, body := w.ask(s, "POST /v1/timeline", `{"seq":14,"reason":"r"}`); status != http.StatusForbidden || strings.Contains(body, "Anna") {
		t.Errorf("of others: %d %s", status, body)
	}
}

// byNumber shows messages by number.
type byNumber struct {
	*house
	messages map[uint64]*Hit
}

func (b byNumber) Show(_ context.Context, seqs []uint64) ([]Shown, error) {
	var out []Shown
	for _, seq := range seqs {
		out = append(out, Shown{Seq: seq, Kind: "message", Class: "general", Received: day(1), Message: b.messages[seq]})
	}
	return out, nil
}
