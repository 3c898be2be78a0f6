package hold

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"holdfast/archive/proof"
	"holdfast/archive/query"
)

// Directory is what is known of people. What it once said it says for ever:
// nobody leaves a hold because a name, a match or a membership ended.
type Directory interface {
	// MembersEver returns the objectGUIDs of whoever was in a group, directly or
	// through other groups, at any time from from on; the zero time is ever.
	MembersEver(group string, from time.Time) []string
	// Usrs returns the relay users that are or ever were matched to a person.
	Usrs(guid string) []string
	// Names returns the relay users of the people who ever had a name.
	Names(value string) []string
}

// Reading is a query, read in one version of the language.
type Reading interface {
	Judge(d *query.Doc) query.Truth
}

// Readings are the versions of the query language that there are.
type Readings map[int]func(text string) (Reading, error)

// Languages returns the versions of the query language that this program has.
// A name in a query stands for every person who ever had it. A query that asks
// what a hold cannot know (see Check) is read in no version.
func Languages(d Directory) Readings {
	readings := Readings{}
	for version := 1; version <= query.Language; version++ {
		readings[version] = func(text string) (Reading, error) {
			q, err := query.ParseLanguage(version, text)
			if err != nil {
				return nil, err
			}
			return q.Bind(directory{d})
		}
	}
	return readings
}

var errNotAHolds = errors.New("the query of a hold asks for what no hold can know")

// directory binds the names of a hold's query.
type directory struct{ Directory }

func (directory) Members(string) ([]query.Stay, error) { return nil, errNotAHolds }

func (directory) Held(query.Property, string) (*roaring64.Bitmap, error) { return nil, errNotAHolds }

// newest returns the newest version; 0 when there is none.
func (r Readings) newest() int {
	newest := 0
	for version := range r {
		newest = max(newest, version)
	}
	return newest
}

// of returns the readings of a query written in a version, and whether it can
// be read in that version at all.
func (r Readings) of(version int, text string) (readings []Reading, known bool) {
	for _, v := range slices.Compact([]int{version, r.newest()}) {
		read := r[v]
		if read == nil {
			continue
		}
		if q, err := read(text); err == nil {
			readings, known = append(readings, q), known || v == version
		}
	}
	return readings, known
}

// Matcher is a scope made ready for asking, with what the directory said when
// it was compiled: compile again when people, groups or matches have changed.
// It is immutable and safe for concurrent use.
type Matcher struct {
	matter   string
	from, to time.Time // zero: open
	all      bool

	people        bool // the scope has custodians or groups, however many people they are
	persons, usrs map[string]by
	conversations map[string]struct{} // nil: of any

	query    bool
	readings []Reading
	lost     bool // the query's version of the language is gone

	whys [3][4]string // by people and by query
}

// by says how a person is in a scope.
type by uint8

const (
	byNone by = iota
	byCustodian
	byGroup
)

// What a query says of an entry that it covers.
const (
	saidNothing = iota // there is no query
	saidYes
	saidMaybe
	saidLost
)

var errNoDirectory = errors.New("compile a hold: no directory; give the one that says who people are")

// Compile makes a scope of a hold of a matter ready for asking. It fails only
// for a scope that is not well formed; a query that no version there is can read
// covers everything that the scope's other kinds take.
func Compile(matter string, s Scope, d Directory, r Readings) (*Matcher, error) {
	if d == nil {
		return nil, errNoDirectory
	}
	if err := s.form(); err != nil {
		return nil, err
	}
	m := &Matcher{matter: matter, all: s.All, query: s.Query != ""}
	if s.From != nil {
		m.from = *s.From
	}
	if s.To != nil {
		m.to = *s.To
	}
	m.gather(s, d)
	if len(s.Conversations) > 0 {
		m.conversations = make(map[string]struct{}, len(s.Conversations))
		for _, id := range s.Conversations {
			m.conversations[id] = struct{}{}
		}
	}
	if m.query {
		var known bool
		m.readings, known = r.of(s.Language, s.Query)
		m.lost = !known
	}
	m.nameReasons()
	return m, nil
}

// gather collects the people of the scope. Who is named as a custodian is in it
// as that, member of a group or not.
func (m *Matcher) gather(s Scope, d Directory) {
	m.people = len(s.Custodians)+len(s.Groups) > 0
	m.persons, m.usrs = map[string]by{}, map[string]by{}
	for _, c := range s.Custodians {
		if usr, ok := strings.CutPrefix(c, UsrPrefix); ok {
			m.usrs[usr] = byCustodian
			continue
		}
		m.persons[c] = byCustodian
		for _, usr := range d.Usrs(c) {
			m.usrs[usr] = byCustodian
		}
	}
	for _, g := range s.Groups {
		for _, person := range d.MembersEver(g, m.from) {
			if m.persons[person] != byNone {
				continue
			}
			m.persons[person] = byGroup
			for _, usr := range d.Usrs(person) {
				if m.usrs[usr] == byNone {
					m.usrs[usr] = byGroup
				}
			}
		}
	}
}

// nameReasons writes out every reason once, so that Covers allocates none.
func (m *Matcher) nameReasons() {
	for p, people := range []string{"", "custodian", "group"} {
		for q, said := range []string{"", "query", "query: attachments without text", "query: its version of the language is gone"} {
			var parts []string
			if people != "" {
				parts = append(parts, people)
			}
			if m.conversations != nil {
				parts = append(parts, "conversation")
			}
			if said != "" {
				parts = append(parts, said)
			}
			m.whys[p][q] = strings.Join(parts, " and ")
		}
	}
}

// Custodian says whether the scope names a person, or a group that the person
// was in at the time that counts.
func (m *Matcher) Custodian(guid string) bool { return m.persons[guid] != byNone }

// Covers says whether the hold covers an entry, and why: "all", "custodian",
// "group", "conversation", "query", "query: attachments without text", "query:
// its version of the language is gone", several of these joined by " and ",
// "unknown content", or "audit". The reason is free of content. It allocates
// nothing but what a query needs for text that is not ASCII.
func (m *Matcher) Covers(e *Entry) (why string, held bool) {
	switch e.Kind {
	case proof.KindAccess, proof.KindOutcome:
		return m.coversLooking(e)
	case proof.KindMessage, proof.KindRedelivery:
		if !e.Unknown {
			return m.coversKnown(e)
		}
	case proof.KindQuarantine:
	default:
		if e.Kind.Valid() {
			return "", false // class control: never disposed of
		}
	}
	// What it says is not known, so neither is when it was sent.
	if !e.Received.Before(m.from) || !e.Latest.Before(m.from) && !e.Latest.IsZero() || m.inRange(e.Sent) {
		return "unknown content", true
	}
	return "", false
}

func (m *Matcher) coversKnown(e *Entry) (why string, held bool) {
	open := m.from.IsZero() && m.to.IsZero()
	switch {
	case !open && !m.inRange(e.Sent) && !m.received(e):
		return "", false
	case m.all:
		return "all", true
	case e.Kind == proof.KindRedelivery:
		return "", false
	}
	person := byNone
	if m.people {
		if person = m.person(e); person == byNone {
			return "", false
		}
	}
	if m.conversations != nil {
		if _, ok := m.conversations[e.Conversation]; !ok {
			return "", false
		}
	}
	said := saidNothing
	if m.query {
		if said = m.says(e.Doc); said == saidNothing {
			return "", false
		}
	}
	return m.whys[person][said], true
}

// coversLooking asks of an entry about looking at messages. The range does not
// count: looking is always later than what was looked at.
func (m *Matcher) coversLooking(e *Entry) (why string, held bool) {
	switch {
	case e.Unknown:
		return "unknown content", true
	case m.all, e.Matter != "" && strings.EqualFold(e.Matter, m.matter):
		return "audit", true
	}
	for _, c := range e.Custodians {
		if m.persons[c] != byNone {
			return "audit", true
		}
		if usr, ok := strings.CutPrefix(c, UsrPrefix); ok && m.usrs[usr] != byNone {
			return "audit", true
		}
	}
	return "", false
}

// received reports whether the entry may have been received in the range.
func (m *Matcher) received(e *Entry) bool {
	if e.Latest.IsZero() {
		return m.inRange(e.Received)
	}
	return !e.Latest.Before(m.from) && (m.to.IsZero() || e.Received.Before(m.to))
}

func (m *Matcher) inRange(t time.Time) bool {
	return !t.IsZero() && !t.Before(m.from) && (m.to.IsZero() || t.Before(m.to))
}

// person says how the entry's people are in the scope: as custodians if one is.
func (m *Matcher) person(e *Entry) by {
	found := byNone
	for _, person := range e.Persons {
		if found = stronger(found, m.persons[person]); found == byCustodian {
			return found
		}
	}
	for _, usr := range e.Usrs {
		if found = stronger(found, m.usrs[usr]); found == byCustodian {
			return found
		}
	}
	return found
}

func stronger(a, b by) by {
	if a == byNone || b == byCustodian {
		return b
	}
	return a
}

// says says what the query has of an entry, the best of its readings.
func (m *Matcher) says(d *query.Doc) int {
	best := query.No
	if d == nil {
		best = query.Maybe // a message of which nothing is known
	} else {
		for _, r := range m.readings {
			if best = max(best, r.Judge(d)); best == query.Yes {
				return saidYes
			}
		}
	}
	switch {
	case m.lost:
		return saidLost
	case best == query.Maybe:
		return saidMaybe
	}
	return saidNothing
}
