package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/archive"
	"holdfast/archive/people"
	"holdfast/archive/query"
	"holdfast/internal/api"
	"holdfast/internal/role"
)

// peopleAPI implements api.People and api.Register over the log's history.
type peopleAPI struct{ *parts }

// Find returns everyone who has, or ever had, that name.
func (r peopleAPI) Find(ctx context.Context, name string) ([]api.Found, error) {
	if err := r.caughtUp(ctx); err != nil {
		return nil, err
	}
	var out []api.Found
	for _, g := range r.history.Find(name) {
		s, ok := r.history.Person(g, time.Time{})
		if !ok {
			continue
		}
		out = append(out, api.Found{Ref: api.Ref{GUID: string(g), Name: nameOf(s.Person)}, Usrs: r.history.Usrs(g)})
	}
	return out, nil
}

// Stays returns who belonged to a scope, and when.
func (r peopleAPI) Stays(ctx context.Context, scope role.Scope) ([]query.Stay, error) {
	if err := r.caughtUp(ctx); err != nil {
		return nil, err
	}
	var out []query.Stay
	for _, g := range scope.Of {
		for _, s := range r.history.InScope(g.Department, g.OU) {
			if len(s.Usrs) > 0 {
				out = append(out, query.Stay{Usrs: s.Usrs, From: s.From, To: s.To})
			}
		}
	}
	return out, nil
}

// PersonOf returns the person whom a relay user belongs to.
func (r peopleAPI) PersonOf(usr string) (string, bool) {
	g, ok := r.history.PersonOf(usr)
	return string(g), ok
}

// Department returns a person's department now, or the last one.
func (r peopleAPI) Department(guid string) string {
	s, _ := r.history.Person(people.GUID(guid), time.Time{})
	return s.Person.Department
}

// List returns people, by GUID.
func (r peopleAPI) List(ctx context.Context, req api.PeopleRequest) (*api.PeopleResponse, error) {
	if err := r.caughtUp(ctx); err != nil {
		return nil, err
	}
	out := &api.PeopleResponse{}
	limit, want := cmp.Or(req.Limit, api.DefaultLimit), query.FoldKey(req.Match)
	for _, s := range r.history.All(req.Departed) {
		if string(s.Person.GUID) <= req.After || !matches(s.Person, want) {
			continue
		}
		if len(out.People) == limit {
			out.More = true
			break
		}
		out.People = append(out.People, r.personOf(s))
	}
	return out, nil
}

func matches(p people.Person, want string) bool {
	return slices.ContainsFunc([]string{p.Name, p.Account, p.UPN, p.Mail, p.Department}, func(text string) bool {
		return strings.Contains(query.FoldKey(text), want)
	})
}

func (r peopleAPI) personOf(s people.Standing) api.Person {
	p := s.Person
	out := api.Person{
		GUID: string(p.GUID), Name: p.Name, Account: p.Account, UPN: p.UPN, Mail: p.Mail, Title: p.Title, Department: p.Department, DN: p.DN,
		Status: s.Status, Why: s.Why, Blocked: s.Blocked, Since: timeOrNil(s.Since), Groups: []api.Ref{}, Usrs: r.history.Usrs(p.GUID),
	}
	for _, g := range s.Groups {
		out.Groups = append(out.Groups, api.Ref{GUID: string(g.GUID), Name: g.Name})
	}
	if out.Usrs == nil {
		out.Usrs = []string{}
	}
	return out
}

// Person returns a person as of a time, with everything that changed.
func (r peopleAPI) Person(ctx context.Context, guid string, at time.Time) (*api.PersonHistory, error) {
	if err := r.caughtUp(ctx); err != nil {
		return nil, err
	}
	g := people.GUID(guid)
	s, ok := r.history.Person(g, at)
	if !ok {
		return nil, api.ErrUnknown
	}
	out := &api.PersonHistory{Person: r.personOf(s), Versions: []api.Version{}, Memberships: []api.Membership{}, Matches: []api.RelayMatched{}}
	for _, v := range r.history.Versions(g) {
		p := v.Person
		out.Versions = append(out.Versions, api.Version{
			Seq: v.Seq, At: v.At, Op: string(v.Op), Name: p.Name, Account: p.Account, UPN: p.UPN, Mail: p.Mail, Department: p.Department, DN: p.DN,
			Fields: v.Fields, Why: v.Why, By: principalOrNil(v.By), Reason: v.Reason,
		})
	}
	for _, m := range r.history.Memberships(g) {
		out.Memberships = append(out.Memberships, api.Membership{Group: string(m.Group), Name: m.Name, From: m.From, To: m.To, Direct: m.Direct})
	}
	for _, m := range r.history.Matches() {
		if m.GUID == g {
			out.Matches = append(out.Matches, r.matchedOf(m))
		}
	}
	return out, nil
}

func principalOrNil(p role.Principal) *role.Principal {
	if p == (role.Principal{}) {
		return nil
	}
	return &p
}

func (r peopleAPI) matchedOf(m people.Matched) api.RelayMatched {
	out := api.RelayMatched{Usr: m.Usr, Person: string(m.GUID), How: m.By, Seq: m.Seq, At: m.At, By: principalOrNil(m.Principal), Reason: m.Reason}
	if s, ok := r.history.Person(m.GUID, time.Time{}); ok {
		out.Name = nameOf(s.Person)
	}
	return out
}

// Matches returns which people the relay's users are, and who is nobody's.
func (r peopleAPI) Matches(ctx context.Context) (*api.MatchesResponse, error) {
	if err := r.caughtUp(ctx); err != nil {
		return nil, err
	}
	out := &api.MatchesResponse{Matched: []api.RelayMatched{}, Unmatched: []api.RelayUnmatched{}}
	for _, m := range r.history.Matches() {
		out.Matched = append(out.Matched, r.matchedOf(m))
	}
	unmatched, err := r.unmatched()
	if err != nil {
		return nil, err
	}
	for _, u := range unmatched {
		out.Unmatched = append(out.Unmatched, api.RelayUnmatched{Usr: u.Usr, UPN: u.UPN, Mail: u.Mail, Name: u.Name, Reason: u.Reason})
	}
	return out, nil
}

// Match records that a person says which person a relay user is.
func (r peopleAPI) Match(ctx context.Context, who role.Principal, usr, guid, reason string) (*api.RelayMatched, error) {
	r.changing.Lock()
	defer r.changing.Unlock()
	if err := r.caughtUp(ctx); err != nil {
		return nil, err
	}
	user, ok := r.relayUser(usr)
	if !ok {
		return nil, fmt.Errorf("%w: the relay never told of such a user", api.ErrUnknown)
	}
	body := people.MatchBody{
		Op: people.OpMatch, Usr: usr, GUID: people.GUID(guid), By: people.ByPerson, UPN: people.Clean(user.UPN), Mail: people.Clean(user.Mail), Principal: who, Reason: reason,
	}
	if guid == "" {
		now, matched := r.history.PersonOf(usr)
		if !matched {
			return nil, fmt.Errorf("%w: the relay user is nobody's now", api.ErrState)
		}
		body.Op, body.GUID = people.OpUnmatch, now
	}
	entry, err := body.Entry()
	if err != nil {
		return nil, invalid(err)
	}
	if err := r.changed(ctx, entry); err != nil {
		return nil, err
	}
	for _, m := range r.history.Matches() {
		if m.Usr == usr {
			out := r.matchedOf(m)
			return &out, nil
		}
	}
	return &api.RelayMatched{Usr: usr}, nil
}

// invalid tells the API that an entry would not be one: the words were wrong.
func invalid(err error) error {
	if errors.Is(err, people.ErrInvalid) {
		return fmt.Errorf("%w: %w", api.ErrState, err)
	}
	return err
}

// changed appends an entry about people and follows it.
func (r peopleAPI) changed(ctx context.Context, entry archive.Entry) error {
	if _, err := r.archive.Append(ctx, archive.Batch{Entries: []archive.Entry{entry}}); err != nil {
		return err
	}
	return r.caughtUp(context.WithoutCancel(ctx))
}

// Block blocks a person from logging in, or lifts that.
func (r peopleAPI) Block(ctx context.Context, who role.Principal, guid string, block bool, reason string) (*api.Person, error) {
	r.changing.Lock()
	defer r.changing.Unlock()
	if err := r.caughtUp(ctx); err != nil {
		return nil, err
	}
	c := people.Change{Op: people.OpUnblock, Person: &people.Person{GUID: people.GUID(guid)}, By: who, Reason: reason}
	if block {
		c.Op = people.OpBlock
	}
	s, ok := r.history.Person(c.Person.GUID, time.Time{})
	switch {
	case !ok:
		return nil, api.ErrUnknown
	case s.Blocked == block && block:
		return nil, fmt.Errorf("%w: the person is blocked already", api.ErrState)
	case s.Blocked == block:
		return nil, fmt.Errorf("%w: the person is not blocked", api.ErrState)
	}
	if err := r.history.Check([]people.Change{c}); err != nil {
		return nil, invalid(err)
	}
	entry, err := c.Entry()
	if err != nil {
		return nil, invalid(err)
	}
	if err := r.changed(ctx, entry); err != nil {
		return nil, err
	}
	// Each request derives roles anew, so that nothing depends on this; it lets sessions end now.
	if err := r.folk.auth.Refresh(context.WithoutCancel(ctx)); err != nil {
		r.logger.Error("the sessions of a blocked person could not be ended; their next request will", "err", err)
	}
	s, _ = r.history.Person(c.Person.GUID, time.Time{})
	out := r.personOf(s)
	return &out, nil
}
