package hold

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/archive/proof"
	"holdfast/archive/query"
)

// anybody is a directory of nobody.
type anybody struct{}

func (anybody) MembersEver(string, time.Time) []string { return nil }
func (anybody) Usrs(string) []string                   { return nil }
func (anybody) Names(string) []string                  { return nil }

// ward is a directory as a test draws it.
type ward struct {
	usrs    map[string][]string // of a person
	names   map[string][]string
	members map[string][]stay // of a group
}

type stay struct {
	person string
	until  time.Time // zero: still there
}

func (w ward) Usrs(guid string) []string   { return w.usrs[guid] }
func (w ward) Names(value string) []string { return w.names[value] }

func (w ward) MembersEver(group string, from time.Time) []string {
	var people []string
	for _, s := range w.members[group] {
		if s.until.IsZero() || s.until.After(from) {
			people = append(people, s.person)
		}
	}
	return people
}

var staff = ward{
	usrs:    map[string][]string{anna: {"u-anna", "u-anna-before"}, bo: {"u-bo"}},
	names:   map[string][]string{"lund": {"u-anna", "u-anna-before"}},
	members: map[string][]stay{night: {{bo, day(10)}, {anna, time.Time{}}}},
}

func compiled(t *testing.T, s Scope, d Directory, r Readings) *Matcher {
	t.Helper()
	m, err := Compile("M-1", s, d, r)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// message is an entry of a message received on a day and sent the day before.
func message(received int, text string, usrs ...string) *Entry {
	d := &query.Doc{Typ: "msg", Text: text, Sent: day(received - 1), Received: day(received)}
	for _, u := range usrs {
		d.To = append(d.To, query.Party{Usr: u, Name: "Nobody"})
	}
	return &Entry{Kind: proof.KindMessage, Received: d.Received, Sent: d.Sent, Doc: d, Usrs: usrs, Conversation: "c-1"}
}

func with(e *Entry, change func(*Entry)) *Entry {
	change(e)
	return e
}

func expect(t *testing.T, m *Matcher, tests map[string]struct {
	e   *Entry
	why string
}) {
	t.Helper()
	for name, tt := range tests {
		if why, held := m.Covers(tt.e); why != tt.why || held != (tt.why != "") {
			t.Errorf("%s: %q, %v; want %q", name, why, held, tt.why)
		}
	}
}

type tests = map[string]struct {
	e   *Entry
	why string
}

func TestARangeMatchesWhenSentOrReceivedLiesInIt(t *testing.T) {
	at := func(sent, received time.Time) *Entry {
		return &Entry{Kind: proof.KindMessage, Sent: sent, Received: received, Doc: &query.Doc{}}
	}
	expect(t, compiled(t, Scope{All: true, From: from(10), To: from(20)}, staff, nil), tests{
		"both":                        {at(day(12), day(13)), "all"},
		"sent before, received in it": {at(day(1), day(10)), "all"},
		"sent in it, received after":  {at(day(19), day(25)), "all"},
		"sent after, received in it":  {at(day(30), day(15)), "all"}, // a device's clock that is ahead
		"around it":                   {at(day(9), day(20)), ""},
		"before":                      {at(day(8), day(10).Add(-1)), ""},
		"after":                       {at(day(20), day(21)), ""},
		"the last instant":            {at(time.Time{}, day(20).Add(-1)), "all"},
		"not sent by any clock":       {at(time.Time{}, day(21)), ""},
	})
}

func TestOpenEnds(t *testing.T) {
	at := func(n int) *Entry {
		return &Entry{Kind: proof.KindMessage, Received: day(n), Doc: &query.Doc{}}
	}
	expect(t, compiled(t, Scope{All: true, From: from(10)}, staff, nil), tests{"before": {at(9), ""}, "at": {at(10), "all"}, "for ever": {at(4000), "all"}})
	expect(t, compiled(t, Scope{All: true, To: from(10)}, staff, nil), tests{"ever": {at(-4000), "all"}, "before": {at(9), "all"}, "at": {at(10), ""}})
	expect(t, compiled(t, Scope{All: true}, staff, nil), tests{"ever": {at(-4000), "all"}, "for ever": {at(4000), "all"}})
}

func TestAQuarantinedEntryIsHeldWhenReceivedAtOrAfterFrom(t *testing.T) {
	quarantined := func(n int) *Entry { return &Entry{Kind: proof.KindQuarantine, Received: day(n)} }
	unreadable := func(n int) *Entry { return &Entry{Kind: proof.KindMessage, Unknown: true, Received: day(n)} }
	for name, s := range map[string]Scope{
		"custodian": {Custodians: []string{cy}, From: from(10), To: from(20)}, "conversation": {Conversations: []string{"c-9"}, From: from(10), To: from(20)},
		"query": {Query: "from:nobody", Language: 1, From: from(10), To: from(20)}, "all": {All: true, From: from(10), To: from(20)},
		"group of nobody": {Groups: []string{cy}, From: from(10), To: from(20)},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, compiled(t, s, staff, Languages(staff)), tests{
				"quarantined before": {quarantined(9), ""}, "quarantined at": {quarantined(10), "unknown content"},
				"quarantined after the end": {quarantined(21), "unknown content"}, // it may have been sent long before
				"unreadable before":         {unreadable(9), ""}, "unreadable at": {unreadable(10), "unknown content"}, "unreadable after": {unreadable(30), "unknown content"},
				"unreadable, sent in range": {with(unreadable(9), func(e *Entry) { e.Sent = day(15) }), "unknown content"},
				"unreadable redelivery":     {with(unreadable(10), func(e *Entry) { e.Kind = proof.KindRedelivery }), "unknown content"},
				"of a kind not known":       {&Entry{Kind: 250, Received: day(10)}, "unknown content"},
			})
		})
	}
	expect(t, compiled(t, Scope{Custodians: []string{cy}}, staff, nil), tests{"open": {quarantined(-100), "unknown content"}})
}

func TestACustodianIsAnIdentityNotAnAddress(t *testing.T) {
	expect(t, compiled(t, Scope{Custodians: []string{anna}}, staff, nil), tests{
		"now":                     {message(5, "x", "u-cy", "u-anna"), "custodian"},
		"under the old address":   {message(5, "x", "u-anna-before"), "custodian"},
		"by person":               {with(message(5, "x", "u-new"), func(e *Entry) { e.Persons = []string{cy, anna} }), "custodian"},
		"somebody else":           {with(message(5, "x", "u-bo"), func(e *Entry) { e.Persons = []string{bo} }), ""},
		"named so in the text":    {message(5, anna+" u-anna", "u-bo"), ""},
		"a user called like her":  {message(5, "x", anna), ""},
		"her receipt":             {with(message(5, "", "u-anna"), func(e *Entry) { e.Doc.Typ = "receipt" }), "custodian"},
		"her redelivered message": {with(message(5, "x", "u-anna"), func(e *Entry) { e.Kind = proof.KindRedelivery }), ""},
	})
}

func TestARelayUserWithoutPerson(t *testing.T) {
	m := compiled(t, Scope{Custodians: []string{"usr:u-7"}}, staff, nil)
	expect(t, m, tests{
		"that user":             {message(5, "x", "u-7"), "custodian"},
		"whoever it becomes":    {with(message(5, "x", "u-7"), func(e *Entry) { e.Persons = []string{cy} }), "custodian"},
		"another":               {message(5, "x", "u-77", "usr:u-7"), ""},
		"a person called so":    {with(message(5, "x"), func(e *Entry) { e.Persons = []string{"usr:u-7", "u-7"} }), ""},
		"looked at":             {&Entry{Kind: proof.KindOutcome, Custodians: []string{"usr:u-7"}}, "audit"},
		"another was looked at": {&Entry{Kind: proof.KindOutcome, Custodians: []string{"u-7", "usr:u-8"}}, ""},
		"at whatever time":      {message(-900, "x", "u-7"), "custodian"},
	})
}

func TestLeavingAGroupNeverReleases(t *testing.T) {
	group := Scope{Groups: []string{night}}
	left := with(message(25, "x", "u-bo"), func(e *Entry) { e.Persons = []string{bo} }) // long after bo left
	expect(t, compiled(t, group, staff, nil), tests{
		"member": {message(5, "x", "u-anna"), "group"}, "left, by user": {message(25, "x", "u-bo"), "group"}, "left, by person": {left, "group"}, "never in it": {message(5, "x", "u-cy"), ""},
	})
	group.From = from(10)
	expect(t, compiled(t, group, staff, nil), tests{"left before from": {left, ""}, "member": {message(25, "x", "u-anna"), "group"}})
	group.From = from(9)
	expect(t, compiled(t, group, staff, nil), tests{"left after from": {left, "group"}})

	both := compiled(t, Scope{Groups: []string{night}, Custodians: []string{bo}}, staff, nil)
	expect(t, both, tests{"custodian and member": {left, "custodian"}, "member": {message(5, "x", "u-anna"), "group"}, "of both": {message(5, "x", "u-anna", "u-bo"), "custodian"}})
	user := compiled(t, Scope{Groups: []string{night}, Custodians: []string{"usr:u-bo"}}, staff, nil)
	expect(t, user, tests{"custodian by relay user, and member": {message(5, "x", "u-bo"), "custodian"}})
	if !both.Custodian(anna) || !both.Custodian(bo) || both.Custodian(cy) {
		t.Error("who is in the scope")
	}
	expect(t, compiled(t, Scope{Groups: []string{cy}}, staff, nil), tests{"a group of nobody holds nobody": {message(5, "x", "u-anna"), ""}})
}

func TestAQueryCatchesTomorrowsMessage(t *testing.T) {
	expect(t, compiled(t, Scope{Query: `potassium OR "bed 4"`, Language: 1, From: from(10)}, staff, Languages(staff)), tests{
		"today": {message(10, "potassium 5.9"), "query"}, "tomorrow": {message(11, "Bed 4 is free"), "query"}, "yesterday": {message(9, "potassium"), ""}, "other": {message(10, "bed 5"), ""},
	})
}

func TestARenamedPersonByNameInAQuery(t *testing.T) {
	berg := message(10, "x")
	berg.Doc.From = query.Parties{{Usr: "u-anna", Name: "Anna Berg"}}
	expect(t, compiled(t, Scope{Query: "from:lund", Language: 1}, staff, Languages(staff)), tests{
		"under the new name": {berg, "query"}, "somebody else": {with(message(10, "x"), func(e *Entry) { e.Doc.From = query.Parties{{Usr: "u-bo", Name: "Bo Berg"}} }), ""},
	})
}

func TestAttachmentsWithoutTextAreHeldWhenTheOtherTermsMatch(t *testing.T) {
	picture := func(usr string) *Entry {
		return with(message(10, "see this", usr), func(e *Entry) { e.Doc.Unread = true })
	}
	expect(t, compiled(t, Scope{Query: "fracture to:u-anna", Language: 1, To: from(20)}, staff, Languages(staff)), tests{
		"other terms match":     {picture("u-anna"), "query: attachments without text"},
		"other terms do not":    {picture("u-bo"), ""},
		"the word is there":     {with(picture("u-anna"), func(e *Entry) { e.Doc.Text = "fracture!" }), "query"},
		"after the range":       {with(picture("u-anna"), func(e *Entry) { e.Sent, e.Received = day(21), day(21) }), ""},
		"no attachment":         {message(10, "see this", "u-anna"), ""},
		"nothing known of it":   {with(picture("u-anna"), func(e *Entry) { e.Doc = nil }), "query: attachments without text"},
		"its name says nothing": {with(picture("u-anna"), func(e *Entry) { e.Doc.Files = []query.File{{Name: "scan.png", Unread: true}} }), "query: attachments without text"},
	})
	expect(t, compiled(t, Scope{Query: "NOT fracture", Language: 1}, staff, Languages(staff)), tests{"may be without the word": {picture("u-bo"), "query: attachments without text"}})
}

// newer is a reading in which words are parts of words.
type newer string

func (n newer) Judge(d *query.Doc) query.Truth {
	if strings.Contains(d.Text, string(n)) {
		return query.Yes
	}
	if d.Unread {
		return query.Maybe
	}
	return query.No
}

var errReading = errors.New("not a query of this version")

// A query is read in its own version and in the newest, and holds the union.
func TestAfterAnUpgradeTheUnionOfBothReadingsIsHeld(t *testing.T) {
	upgraded := func(refuse ...int) Readings {
		r := Readings{
			1: Languages(staff)[1],
			2: func(text string) (Reading, error) { return newer("between"), nil },
			3: func(text string) (Reading, error) { return newer(strings.ToLower(text)), nil },
		}
		for _, version := range refuse {
			r[version] = func(string) (Reading, error) { return nil, errReading }
		}
		return r
	}
	old, fresh, between := message(10, "BED 4"), message(10, "bedside"), message(10, "between")
	unread := with(message(10, "x"), func(e *Entry) { e.Doc.Unread = true })
	s := Scope{Query: "Bed", Language: 1}
	expect(t, compiled(t, s, staff, upgraded()), tests{
		"the old reading alone": {old, "query"}, "the new reading alone": {fresh, "query"}, "one between": {between, ""}, "neither": {message(10, "x"), ""}, "unread": {unread, "query: attachments without text"},
	})
	expect(t, compiled(t, s, staff, upgraded(3)), tests{"the newest refuses it, old": {old, "query"}, "the newest refuses it": {fresh, ""}})
	s.Language = 2
	expect(t, compiled(t, s, staff, upgraded()), tests{"pinned to the second": {between, "query"}, "not the first": {old, ""}, "and the newest": {fresh, "query"}})
	s.Language = 3
	expect(t, compiled(t, s, staff, upgraded()), tests{"the newest": {fresh, "query"}, "not the first, either": {old, ""}})
}

// When nobody can read the query as it was meant, all that it might mean is held.
func TestAPinnedLanguageThatIsGoneHoldsAllThatTheOtherKindsTake(t *testing.T) {
	const gone = "query: its version of the language is gone"
	s := Scope{Custodians: []string{anna}, Query: "potassium", Language: 9, From: from(10)}
	refusing := Readings{9: func(string) (Reading, error) { return nil, errReading }}
	for name, r := range map[string]Readings{"older": Languages(staff), "newer": {10: func(string) (Reading, error) { return newer("potassium"), nil }}, "refused": refusing} {
		t.Run(name, func(t *testing.T) {
			yes := "custodian and query"
			if name == "refused" {
				yes = "custodian and " + gone
			}
			expect(t, compiled(t, s, staff, r), tests{
				"what it may have meant": {message(10, "x", "u-anna"), "custodian and " + gone}, "what the newest finds": {message(10, "potassium", "u-anna"), yes},
				"another custodian": {message(10, "x", "u-bo"), ""}, "before the range": {message(9, "x", "u-anna"), ""},
			})
		})
	}
	s.Custodians = nil
	expect(t, compiled(t, s, staff, nil), tests{"a query alone": {message(10, "x", "u-bo"), gone}, "before the range": {message(9, "x"), ""}})
}

func TestKindsRestrictEachOther(t *testing.T) {
	m := compiled(t, Scope{Custodians: []string{anna, bo}, Conversations: []string{"c-1", "c-2"}, Query: "bed", Language: 1, From: from(10)}, staff, Languages(staff))
	expect(t, m, tests{
		"all of them": {message(10, "bed", "u-anna"), "custodian and conversation and query"}, "the other value": {with(message(10, "bed", "u-bo"), func(e *Entry) { e.Conversation = "c-2" }), "custodian and conversation and query"},
		"not the people": {message(10, "bed", "u-cy"), ""}, "not the conversation": {with(message(10, "bed", "u-anna"), func(e *Entry) { e.Conversation = "C-1" }), ""},
		"not the query": {message(10, "cot", "u-anna"), ""}, "not the range": {message(9, "bed", "u-anna"), ""}, "no conversation": {with(message(10, "bed", "u-anna"), func(e *Entry) { e.Conversation = "" }), ""},
	})
}

func TestConversations(t *testing.T) {
	expect(t, compiled(t, Scope{Conversations: []string{"c-1"}}, staff, nil), tests{
		"in it": {message(5, "x"), "conversation"}, "another": {with(message(5, "x"), func(e *Entry) { e.Conversation = "c-11" }), ""},
	})
}

// Who looked at what is held is held, whenever it was.
func TestLookingAtWhatIsHeldIsHeld(t *testing.T) {
	for _, kind := range []proof.Kind{proof.KindAccess, proof.KindOutcome} {
		look := func(matter string, custodians ...string) *Entry {
			return &Entry{Kind: kind, Received: day(900), Matter: matter, Custodians: custodians}
		}
		expect(t, compiled(t, Scope{Custodians: []string{anna}, Groups: []string{night}, Query: "nothing", Language: 1, From: from(9), To: from(11)}, staff, Languages(staff)), tests{
			"of the matter": {look("M-1"), "audit"}, "of the matter, written otherwise": {look("m-1"), "audit"}, "of another matter": {look("M-2"), ""},
			"at a custodian": {look("", cy, anna), "audit"}, "at a member of the group": {look("M-2", bo), "audit"}, "at somebody else": {look("", cy), ""}, "at a custodian's relay user": {look("", "usr:u-anna-before"), "audit"},
			"before the range": {with(look("M-1"), func(e *Entry) { e.Received = day(1) }), "audit"}, "not known": {with(look(""), func(e *Entry) { e.Unknown = true }), "unknown content"},
			"no matter": {look(""), ""},
		})
		expect(t, compiled(t, Scope{All: true, From: from(10), To: from(11)}, staff, nil), tests{"everything": {look(""), "audit"}})
		expect(t, compiled(t, Scope{Conversations: []string{"c-1"}}, staff, nil), tests{"of the matter": {look("M-1"), "audit"}, "of none": {with(look(""), func(e *Entry) { e.Conversation = "c-1" }), ""}})
		m, err := Compile("", Scope{Conversations: []string{"c-1"}}, staff, nil)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, m, tests{"no matter is no matter": {look(""), ""}})
	}
}

func TestRedeliveriesAndControl(t *testing.T) {
	m := compiled(t, Scope{All: true, From: from(10)}, staff, nil)
	again := func(n int) *Entry { return &Entry{Kind: proof.KindRedelivery, Received: day(n)} }
	expect(t, m, tests{"redelivered": {again(10), "all"}, "before": {again(9), ""}})
	expect(t, compiled(t, Scope{Query: "NOT a", Language: 1}, staff, Languages(staff)), tests{"it has no content": {again(10), ""}})
	looking := []proof.Kind{proof.KindMessage, proof.KindRedelivery, proof.KindQuarantine, proof.KindAccess, proof.KindOutcome}
	for k := proof.Kind(1); k.Valid(); k++ {
		if slices.Contains(looking, k) {
			continue
		}
		for _, unknown := range []bool{false, true} {
			e := &Entry{Kind: k, Received: day(10), Unknown: unknown, Usrs: []string{"u-anna"}, Matter: "M-1"}
			if why, held := m.Covers(e); held || why != "" {
				t.Errorf("%s: held, %s", k, why)
			}
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	if _, err := Compile("m", Scope{}, staff, nil); !errors.Is(err, ErrScope) {
		t.Errorf("a scope of nothing: %v", err)
	}
	if _, err := Compile("m", Scope{All: true}, nil, nil); err == nil {
		t.Error("no directory: compiled")
	}
	if _, err := Languages(staff)[query.Language]("("); err == nil {
		t.Error("what is no query was read")
	}
}
