package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/archive/query"
	"holdfast/internal/role"
	"holdfast/retention/hold"
)

// relative is a time so far back, in days, weeks, months or years.
var relative = regexp.MustCompile(`^-([0-9]{1,4})([dwmy])$`)

// freeze returns the instant that a typed end of a range stands for: nil for an
// open one. What is relative is counted back from now and means the first
// instant of the day it leads to, UTC, as a date does.
func freeze(typed string, now time.Time) (*time.Time, bool) {
	if typed == "" {
		return nil, true
	}
	now = now.UTC()
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	if typed == "today" {
		return &today, true
	}
	if m := relative.FindStringSubmatch(typed); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, false
		}
		back := before(today, n, m[2])
		return &back, true
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, typed); err == nil {
			t = t.UTC()
			return &t, true
		}
	}
	return nil, false
}

// before goes n units back. A month that has no such day gives its last one.
func before(day time.Time, n int, unit string) time.Time {
	switch unit {
	case "d":
		return day.AddDate(0, 0, -n)
	case "w":
		return day.AddDate(0, 0, -7*n)
	case "y":
		n *= 12
	}
	first := time.Date(day.Year(), day.Month()-time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(day.Day(), last)-1)
}

// scopeFrom returns the scope that a request stands for: names as the people
// and groups they are, times as instants.
func (s *Server) scopeFrom(ctx context.Context, req *ScopeRequest) (*hold.Scope, error) {
	if max(len(req.Custodians), len(req.Groups), len(req.Conversations)) > hold.MaxValues {
		return nil, badRequest(fmt.Sprintf("more than %d of one kind", hold.MaxValues), "place several holds")
	}
	out := hold.Scope{All: req.All, Conversations: req.Conversations, Query: req.Query}
	if s.Now == nil {
		return nil, notConfigured("retention")
	}
	now := s.Now()
	for _, end := range []struct {
		typed string
		at    **time.Time
	}{{req.From, &out.From}, {req.To, &out.To}} {
		at, ok := freeze(end.typed, now)
		if !ok {
			return nil, badRequest("an end of the range is no time", "give a date (2026-01-01), an RFC 3339 time, today, or so far back: -90d, -6w, -18m, -7y")
		}
		*end.at = at
	}
	for i, who := range req.Custodians {
		id, err := s.custodianOf(ctx, who)
		if err != nil {
			return nil, nth(err, "custodian", i)
		}
		out.Custodians = append(out.Custodians, id)
	}
	for i, name := range req.Groups {
		guid, err := s.groupOf(name)
		if err != nil {
			return nil, nth(err, "group", i)
		}
		out.Groups = append(out.Groups, guid)
	}
	if out.Query != "" {
		// A hold's entry has the instants: whoever reads it later knows neither the site's zone nor this day.
		q, err := s.parse(query.Language, out.Query, now)
		if err != nil {
			return nil, err
		}
		out.Query = q.String()
	}
	out = out.Frozen()
	return &out, out.Check()
}

// keepFrom is scopeFrom for what a release leaves; nil for nothing.
func (s *Server) keepFrom(ctx context.Context, req *ScopeRequest) (*hold.Scope, error) {
	if req == nil {
		return nil, nil
	}
	return s.scopeFrom(ctx, req)
}

// custodianOf returns the custodian that a name stands for. A relay user who is
// somebody's is held as that person: identities are held, not addresses.
func (s *Server) custodianOf(ctx context.Context, who string) (string, error) {
	usr, ok := strings.CutPrefix(who, hold.UsrPrefix)
	if !ok {
		f, err := s.exactly(ctx, who)
		return f.GUID, err
	}
	if s.People != nil {
		if guid, ok := s.People.PersonOf(usr); ok {
			return "", &Problem{Title: "that relay user belongs to a person", Status: http.StatusConflict, Code: CodeState, Exit: ExitUsage,
				Detail: guid, Hint: "name the person, by the GUID given here: all that they ever sent or received is held then"}
		}
	}
	return who, nil
}

// exactly is one that lists the objectGUIDs of several.
func (s *Server) exactly(ctx context.Context, who string) (Found, error) {
	f, err := s.one(ctx, who)
	var several *Problem
	if !errors.As(err, &several) || several.Code != CodeAmbiguous {
		return f, err
	}
	found, err := s.People.Find(ctx, who)
	if err != nil {
		return Found{}, err
	}
	guids := make([]string, 0, len(found))
	for _, f := range found {
		guids = append(guids, f.GUID)
	}
	slices.Sort(guids)
	several.Detail = strings.Join(guids[:min(len(guids), maxNamed)], ", ")
	return Found{}, several
}

// maxNamed is how many of several people a problem lists.
const maxNamed = 20

func (s *Server) groupOf(name string) (string, error) {
	if s.Group == nil {
		return "", notConfigured("directory")
	}
	if strings.TrimSpace(name) == "" || len(name) > maxWho {
		return "", badRequest("it names no group", "give a group's name or objectGUID")
	}
	guid, ok, err := s.Group(name)
	switch {
	case err != nil:
		return "", &Problem{Title: "several groups have that name", Status: http.StatusConflict, Code: CodeAmbiguous, Exit: ExitUsage,
			Hint: "give the objectGUID of the one you mean", err: err}
	case !ok:
		return "", &Problem{Title: "there is no group of that name", Status: http.StatusNotFound, Code: CodeNotFound, Exit: ExitUsage,
			Hint: "holds and roles know the groups that the directory's synchronisation reads; give the name as the directory has it, or the objectGUID"}
	}
	return guid, nil
}

// nth says of which of several values a problem is, without repeating it.
func nth(err error, kind string, i int) error {
	p := *problemOf(err)
	if p.Code == CodeInternal {
		return err
	}
	at := fmt.Sprintf("%s %d", kind, i+1)
	if p.Detail != "" {
		at += ": " + p.Detail
	}
	p.Detail = at
	return &p
}

// ownHold refuses a hold on who places it: they would be custodian of a matter
// that they work on.
func ownHold(sc *hold.Scope, who role.Principal) error {
	if who.Person == "" || !slices.Contains(sc.Custodians, who.Person) {
		return nil
	}
	return &Problem{Title: "nobody places a hold on themselves", Status: http.StatusForbidden, Code: CodeForbidden, Exit: ExitPermission,
		Hint: "another member of the matter places it; nobody works on a matter in which they are a custodian"}
}

// scopeView returns a hold's scope with the names of its custodians now.
func (s *Server) scopeView(ctx context.Context, sc *hold.Scope, names bool) (Scope, error) {
	out := Scope{All: sc.All, Custodians: sc.Custodians, Groups: sc.Groups, Conversations: sc.Conversations, Query: sc.Query, Language: sc.Language, From: sc.From, To: sc.To}
	if !names {
		return out, nil
	}
	var err error
	out.People, err = s.refs(ctx, sc.Custodians)
	return out, err
}
