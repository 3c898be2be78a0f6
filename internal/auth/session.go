package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// Sessions lie in memory alone: a restart ends all of them.
const (
	tokenSize   = 32 // random bytes
	maxSessions = 8  // of one person; one more ends the oldest
)

// session is one open session. It is guarded by Auth.mu.
type session struct {
	who     role.Principal
	denied  map[string]bool // mapped groups that the directory had taken the person out of at the login, and the log had not
	began   time.Time
	touched time.Time
	ends    time.Time // whatever is asked
}

// over returns why the session is over at now, or "".
func (s *session) over(now time.Time, idle time.Duration) string {
	switch {
	case !now.Before(s.ends):
		return endAbsolute
	case now.Sub(s.touched) >= idle:
		return endIdle
	}
	return ""
}

// ending is an ended session that the log does not know of yet.
type ending struct {
	who  role.Principal
	code string
}

// Session is an open session as `holdfast sessions` lists it.
type Session struct {
	Principal role.Principal
	Grants    []role.Grant
	Began     time.Time
	Touched   time.Time // when something was last asked
	Ends      time.Time
}

// begin opens a session and puts its token in g; a.mu is held.
func (a *Auth) begin(g *Granted, denied map[string]bool) {
	now := time.Now()
	g.Token = base64.RawURLEncoding.EncodeToString(random(tokenSize))
	g.Idle, g.Ends = a.o.Idle, now.Add(a.o.Absolute)
	var oldest digest
	var first *session
	n := 0
	for d, s := range a.sessions {
		if s.who.Person != g.Principal.Person {
			continue
		}
		n++
		if first == nil || s.touched.Before(first.touched) {
			oldest, first = d, s
		}
	}
	if n >= maxSessions {
		a.end(oldest, endSuperseded)
	}
	a.sessions[sha256.Sum256([]byte(g.Token))] = &session{who: g.Principal, denied: denied, began: now, touched: now, ends: g.Ends}
}

// end ends a session; a.mu is held.
func (a *Auth) end(d digest, code string) {
	if s := a.sessions[d]; s != nil {
		delete(a.sessions, d)
		a.ended = append(a.ended, ending{s.who, code})
	}
}

// endAll ends a person's sessions; a.mu is held.
func (a *Auth) endAll(person, code string) {
	for d, s := range a.sessions {
		if s.who.Person == person {
			a.end(d, code)
		}
	}
}

// Session returns whose session a token opens, what they may do now, and when
// it ends whatever is asked; it keeps the session from becoming idle. What the
// log has come to know of the person since the last request counts. The error
// is ErrSession.
func (a *Auth) Session(token string) (role.Principal, []role.Grant, time.Time, error) {
	d := digest(sha256.Sum256([]byte(token)))
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[d]
	if s == nil {
		return role.Principal{}, nil, time.Time{}, ErrSession
	}
	grants, code := a.judge(s, now)
	if code != "" {
		a.end(d, code)
		return role.Principal{}, nil, time.Time{}, ErrSession
	}
	s.touched = now
	return s.who, grants, s.ends, nil
}

// judge returns what a session gives at now, or why it is over.
func (a *Auth) judge(s *session, now time.Time) ([]role.Grant, string) {
	if code := s.over(now, a.o.Idle); code != "" {
		return nil, code
	}
	p, ok := a.o.People.Person(s.who.Person)
	switch {
	case !ok || p.Departed:
		return nil, codeDeparted
	case p.Blocked:
		return nil, codeBlocked
	}
	for guid := range s.denied {
		if !slices.Contains(p.Groups, guid) {
			delete(s.denied, guid) // the log has followed the directory; what it gives later is new
		}
	}
	grants := a.grants(p, s.denied, now)
	if len(grants) == 0 {
		return nil, codeNoRole
	}
	return grants, ""
}

// Logout ends a session. It is ended even when that could not be recorded; the
// entry is then written later.
func (a *Auth) Logout(ctx context.Context, token string) error {
	d := digest(sha256.Sum256([]byte(token)))
	a.mu.Lock()
	s := a.sessions[d]
	if s != nil {
		a.end(d, "")
	}
	a.mu.Unlock()
	if s == nil {
		return ErrSession
	}
	return a.writeEnded(ctx)
}

// Sessions returns the open sessions, the oldest first.
func (a *Auth) Sessions() []Session {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []Session
	for _, s := range a.sessions {
		if grants, code := a.judge(s, now); code == "" {
			out = append(out, Session{Principal: s.who, Grants: grants, Began: s.began, Touched: s.touched, Ends: s.ends})
		}
	}
	slices.SortFunc(out, func(s, t Session) int { return s.Began.Compare(t.Began) })
	return out
}

// Refresh ends the sessions of whoever departed, was blocked or has no role any
// more, as of the log's end, and those that time has ended. The daemon calls it
// after every change of people or groups.
func (a *Auth) Refresh(ctx context.Context) error {
	err := a.catchUp(ctx)
	now := time.Now()
	a.mu.Lock()
	for d, s := range a.sessions {
		if _, code := a.judge(s, now); code != "" {
			a.end(d, code)
		}
	}
	for person, p := range a.pending {
		if who, ok := a.o.People.Person(person); !now.Before(p.expires) || !ok || who.Departed || who.Blocked {
			delete(a.pending, person)
		}
	}
	a.endGlass(now)
	a.mu.Unlock()
	return errors.Join(err, a.writeEnded(ctx))
}

// writeEnded records the sessions that have ended. What cannot be written now
// is kept for the next time.
func (a *Auth) writeEnded(ctx context.Context) error {
	a.mu.Lock()
	ended := a.ended
	a.ended = nil
	a.mu.Unlock()
	for i, e := range ended {
		action := audit.ActionSessionEnd
		if e.code == "" {
			action = audit.ActionLogout
		}
		if err := a.record(ctx, audit.Access{Action: action, Principal: e.who, Code: e.code}); err != nil {
			a.mu.Lock()
			a.ended = append(ended[i:], a.ended...)
			a.mu.Unlock()
			return err
		}
	}
	return nil
}

// sweepEvery is how long a session that is over may stay without its entry.
const sweepEvery = 30 * time.Second

// Run ends what time ends, and writes what was counted, until ctx ends; then
// it ends every session and lets nobody in any more.
func (a *Auth) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := a.Refresh(ctx); err != nil && ctx.Err() == nil {
				a.o.Logger.Error("the end of sessions could not be recorded yet", "error", err)
			}
			a.writeCounts(ctx, a.tally.due(time.Now(), false))
		case <-ctx.Done():
			a.stop(ctx)
			return nil
		}
	}
}

func (a *Auth) stop(ctx context.Context) {
	a.mu.Lock()
	a.stopped = true
	for d := range a.sessions {
		a.end(d, codeStopping)
	}
	a.mu.Unlock()
	// A crash instead leaves sessions without an end in the log; the next start's entry ends them.
	if err := a.writeEnded(ctx); err != nil {
		a.o.Logger.Error("the end of sessions could not be recorded", "error", err)
	}
	a.writeCounts(ctx, a.tally.due(time.Now(), true))
}
