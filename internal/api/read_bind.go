package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"holdfast/archive/query"
	"holdfast/retention"
)

// asked is a query as a request gives it.
type typed struct {
	text  string
	query *query.Query
	now   time.Time // of its relative dates
}

// typed reads the query of a look: what the caller typed, or a search saved for
// the matter, which is the caller's by now. Relative dates are counted back from
// now; zero: the present.
func (s *Server) typed(text, saved, matter string, now time.Time) (*typed, error) {
	if now.IsZero() {
		now = time.Now()
		if s.Now != nil {
			now = s.Now()
		}
	}
	language := query.Language
	if saved != "" {
		var ok bool
		switch {
		case text != "":
			return nil, badRequest("a query and a saved search", "give one of them")
		case matter == "":
			return nil, badRequest("a saved search without a matter", "name with --matter the matter for which it was saved")
		case s.Saved == nil:
			return nil, notConfigured("saved searches")
		}
		if text, language, ok = s.Saved.Saved(matter, saved); !ok {
			return nil, &Problem{Title: "the matter has no saved search of that name", Status: http.StatusNotFound, Code: CodeNotFound, Exit: ExitUsage,
				Hint: "`holdfast searches list --matter ID` shows them"}
		}
	}
	q, err := s.parse(language, text, now)
	return &typed{text: text, query: q, now: now}, err
}

func (s *Server) parse(language int, text string, now time.Time) (*query.Query, error) {
	if language != query.Language {
		return query.ParseLanguage(language, text)
	}
	zone := s.Zone
	if zone == nil {
		zone = time.UTC
	}
	return query.ParseIn(query.Reading{Now: now, Zone: zone}, text)
}

// bound is a query with what its words alone do not say: whom names and groups
// stand for, what holds keep, and the caller's scope.
type bound struct {
	query *query.Query
	scope []query.Stay // nil: all
	named []Named
	whom  []string // whom everything stands for: when that changes, pages do not fit each other
	size  uint64   // of the log as of which it is known what holds keep; 0: nobody asked
	reach reach
}

// bind binds a query for a caller.
func (s *Server) bind(ctx context.Context, c *caller, q *query.Query) (*bound, error) {
	b := &binder{ctx: ctx, s: s, c: c}
	if err := b.names(q.Names()); err != nil {
		return nil, err
	}
	if err := b.custodians(q.Custodians()); err != nil {
		return nil, err
	}
	q, err := q.Bind(b)
	if err != nil {
		return nil, err
	}
	out := &bound{query: q, named: b.named, whom: b.whom, size: b.size, reach: b.reach}
	if c.scope.All {
		return out, nil
	}
	if s.People == nil {
		return nil, &Problem{Title: "your role is for some people's messages, and there is no directory to say whose they are", Status: http.StatusForbidden,
			Code: CodeForbidden, Exit: ExitPermission, Hint: "ask the archive's administrator to configure the directory"}
	}
	if out.scope, err = s.People.Stays(ctx, c.scope); err != nil {
		return nil, err
	}
	out.query = q.Within(out.scope)
	out.whom = append(out.whom, "scope")
	for _, stay := range out.scope {
		out.whom = append(out.whom, stay.Usrs...)
	}
	return out, nil
}

// binder implements query.Binder for one request.
type binder struct {
	ctx   context.Context
	s     *Server
	c     *caller
	found map[string][]string // relay users, by the name in the query
	named []Named
	whom  []string
	size  uint64
	reach reach
}

// names finds the people of a query's names: whoever ever had them.
func (b *binder) names(values []string) error {
	b.found = map[string][]string{}
	if b.s.People == nil {
		return nil
	}
	for _, value := range values {
		found, err := b.s.People.Find(b.ctx, value)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			continue
		}
		n := Named{Value: value, People: []Ref{}, Usrs: []string{}}
		for _, f := range found {
			n.People, n.Usrs = append(n.People, f.Ref), append(n.Usrs, f.Usrs...)
		}
		b.named, b.found[value] = append(b.named, n), n.Usrs
		b.whom = append(append(b.whom, "name", value), n.Usrs...)
	}
	return nil
}

// custodians refuses a custodian whom nobody knows: that nothing is found of a
// name that was mistyped must not read as if there were nothing.
func (b *binder) custodians(values []string) error {
	for i, value := range values {
		if b.s.People == nil {
			return notConfigured("directory")
		}
		if _, ok := b.found[value]; !ok {
			return nth(&Problem{Title: "nobody has, or ever had, the name of a custodian", Status: http.StatusNotFound, Code: CodeNotFound, Exit: ExitUsage,
				Hint: "`holdfast directory people` lists people; a relay user who is nobody's is found with from: or participants:"}, "custodian", i)
		}
	}
	return nil
}

// Names returns the relay users of everyone who ever had a name.
func (b *binder) Names(value string) []string { return b.found[value] }

// Members returns who was in a group of the directory, and when.
func (b *binder) Members(group string) ([]query.Stay, error) {
	if b.s.GroupStays == nil {
		return nil, notConfigured("directory")
	}
	guid, err := b.s.groupOf(group)
	if err != nil {
		return nil, err
	}
	stays, err := b.s.GroupStays(b.ctx, guid)
	b.whom = append(b.whom, "group", guid)
	for _, stay := range stays {
		b.whom = append(b.whom, stay.Usrs...)
		for _, usr := range stay.Usrs {
			b.reach.words = append(b.reach.words, fmt.Sprintf("group %q %q from %d to %d", guid, usr, nanos(stay.From), nanos(stay.To)))
		}
	}
	return stays, err
}

// Held returns what a hold, or the holds of a matter, keep now. Of a matter that
// the caller may not see there is none.
func (b *binder) Held(p query.Property, value string) (*roaring64.Bitmap, error) {
	if b.s.HeldSet == nil || b.s.Matters == nil || b.s.Holds == nil {
		return nil, notConfigured("holds")
	}
	if err := b.s.caught(b.ctx); err != nil {
		return nil, err
	}
	holds, ok := b.holds(p, value)
	if !ok {
		return nil, errNoHold
	}
	set, size, err := b.s.HeldSet(b.ctx, holds)
	if err == nil {
		b.reach.held = append(b.reach.held, heldSet{string(p) + " " + strconv.Quote(value), set})
	}
	if b.size == 0 || size < b.size {
		b.size = size
	}
	return set, err
}

var errNoHold = &Problem{Title: "there is no such hold or matter that you work on", Status: http.StatusNotFound, Code: CodeNotFound, Exit: ExitUsage,
	Hint: "`holdfast matter list` and `holdfast hold list` show those that you may see; hold: takes a hold's number, matter: a matter's id"}

func (b *binder) holds(p query.Property, value string) ([]uint64, bool) {
	e := b.s.eyes(b.c)
	if p == query.ForMatter {
		m, ok := b.s.Matters.Matter(value)
		if !ok || e.on(m.ID) != seesWhole {
			return nil, false
		}
		return slices.Clone(m.Holds), true
	}
	seq, err := strconv.ParseUint(strings.TrimSpace(value), 10, 53)
	if err != nil {
		return nil, false
	}
	var h *retention.Hold
	h, ok := b.s.Holds.Hold(seq)
	if !ok || e.on(h.Matter) != seesWhole {
		return nil, false
	}
	return []uint64{seq}, true
}
