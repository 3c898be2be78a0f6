package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// caller is who asks, and how far their roles go for what they ask.
type caller struct {
	who      role.Principal
	endpoint role.Endpoint
	grants   []role.Grant // all of them
	scope    role.Scope   // for the endpoint
	ends     time.Time    // of the session
	token    string       // over HTTPS
}

// answer is the one place that says who gets where: the way of the request,
// its principal, and role's table. A request that it refuses reaches no part.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, rt route) error {
	at := endOf(r.Context())
	c, err := s.caller(r, at, rt)
	if err != nil {
		return err
	}
	if r.URL.RawQuery != "" {
		return badRequest("a URL with a query part", "send parameters in the body, and the session's token as `Authorization: Bearer`: URLs end up in logs")
	}
	if rt.endpoint == "" {
		return rt.answer(w, r, c)
	}
	if rt.only != "" && rt.only != at.via {
		return s.refuse(r.Context(), c, &Problem{Title: "not this way", Hint: onlyVia[rt.only]})
	}
	if !role.Open(rt.endpoint) {
		now := time.Now()
		scope, ok := role.Allowed(c.grants, rt.endpoint, now)
		if ok && rt.also != "" {
			_, ok = role.Allowed(c.grants, rt.also, now)
		}
		if !ok {
			return s.refuse(r.Context(), c, &Problem{Title: "your roles do not allow that",
				Hint: "`holdfast roles` says which role it takes, `holdfast whoami` which you have; the archive's administrator gives them"})
		}
		c.scope = scope
	}
	return rt.answer(w, r, c)
}

var onlyVia = map[string]string{
	role.ViaSocket: "this is answered on the appliance itself, over its socket",
	role.ViaHTTPS:  "over the socket the kernel says who you are; log in over HTTPS from another machine",
}

// caller finds out who asks. Over the socket the kernel says it; over HTTPS it
// is whose session the token opens, and only the open endpoints go without one.
func (s *Server) caller(r *http.Request, at end, rt route) (*caller, error) {
	c := &caller{endpoint: rt.endpoint}
	if at.err != nil {
		return nil, fmt.Errorf("who is at the other end: %w", at.err)
	}
	if at.via == role.ViaSocket {
		c.who, c.grants = s.Auth.Local(at.uid, at.name)
		return c, nil
	}
	c.who = role.Principal{Via: role.ViaHTTPS, Address: at.address}
	if rt.endpoint == "" || role.Open(rt.endpoint) {
		return c, s.strangers.admit(at.address, time.Now())
	}
	token, ok := bearer(r.Header)
	if !ok {
		return nil, s.unauthenticated(at.address)
	}
	who, grants, ends, err := s.Auth.Session(token)
	if errors.Is(err, ErrSession) {
		return nil, s.unauthenticated(at.address)
	}
	if err != nil {
		return nil, err
	}
	who.Address = at.address // of this request, not of the login
	c.who, c.grants, c.ends, c.token = who, grants, ends, token
	return c, nil
}

// still refuses more of a stream to a caller whose session has ended since, or
// whose roles do not reach as far any more. It counts as use of the session.
func (s *Server) still(at end, c *caller) error {
	var grants []role.Grant
	if at.via == role.ViaSocket {
		_, grants = s.Auth.Local(at.uid, at.name)
	} else {
		var err error
		if _, grants, _, err = s.Auth.Session(c.token); err != nil {
			grants = nil
		}
	}
	if now, ok := role.Allowed(grants, c.endpoint, time.Now()); ok && reaches(now, c.scope) {
		return nil
	}
	return &Problem{Title: "your session, or the role, ended while this was being handed out", Status: http.StatusForbidden, Code: CodeForbidden, Exit: ExitPermission,
		Hint: "what has arrived is not whole; `holdfast whoami` says which roles you have"}
}

// reaches reports whether a scope has all that another has.
func reaches(s, other role.Scope) bool {
	return s.All || !other.All && !slices.ContainsFunc(other.Of, func(g role.Grant) bool {
		return !slices.ContainsFunc(s.Of, func(h role.Grant) bool { return h.Department == g.Department && h.OU == g.OU })
	})
}

// maxToken bounds a token, in bytes.
const maxToken = 512

// bearer returns the token of a request (RFC 6750 section 2.1). No other way of
// sending one is taken, and no cookie is ever looked at.
func bearer(h http.Header) (string, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 || len(values[0]) > maxToken {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return token, ok && token != "" && strings.EqualFold(scheme, "Bearer")
}

// unauthenticated is the one answer to a request without a session, whatever is
// wrong with its token.
func (s *Server) unauthenticated(address string) error {
	if err := s.strangers.admit(address, time.Now()); err != nil {
		return err
	}
	return &Problem{Title: "there is no such session", Status: http.StatusUnauthorized, Code: CodeLogin, Exit: ExitPermission,
		Hint: "log in with `holdfast login`; a session ends after a while, and at once when the directory says so", err: ErrSession}
}

// refusals keeps a caller who is turned away again and again from filling the
// log: one entry per principal, endpoint and refuseEvery says enough.
type refusals struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const (
	refuseEvery = time.Minute
	maxRefused  = 1024 // principals × endpoints remembered; beyond that all are forgotten
)

func (f *refusals) first(key string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, ok := f.last[key]; ok && now.Sub(at) < refuseEvery {
		return false
	}
	if len(f.last) >= maxRefused {
		clear(f.last)
	}
	f.last[key] = now
	return true
}

// refuse turns away a caller and records it. An open endpoint over HTTPS has
// nobody to name.
func (s *Server) refuse(ctx context.Context, c *caller, p *Problem) error {
	p.Status, p.Code, p.Exit = http.StatusForbidden, CodeForbidden, ExitPermission
	s.record(ctx, audit.Access{Principal: c.who, Target: string(c.endpoint), Code: CodeForbidden})
	return p
}

// record puts a refusal into the audit. What was refused stays refused when it
// cannot be recorded.
func (s *Server) record(ctx context.Context, a audit.Access) {
	a.Action, a.At = audit.ActionRefused, time.Now()
	if !s.refused.first(a.Principal.ID()+" "+a.Target+" "+a.Code, a.At) {
		return
	}
	if _, err := audit.Begin(ctx, s.Ledger, a); err != nil {
		s.Log.Error("a refusal could not be recorded", "error", err)
	}
}
