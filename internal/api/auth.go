package api

import (
	"context"
	"errors"
	"time"

	"holdfast/internal/role"
)

// Auth says who is asking and what they may do. It records logins, logouts,
// second factors and break-glass in the audit itself, before they take effect:
// the API adds no entries of its own to those.
type Auth interface {
	// Login opens a session. Each failure is ErrLogin, whatever the cause.
	Login(ctx context.Context, a Attempt) (*Granted, error)
	// Session returns whose session a token opens, the roles at this moment, and
	// when it ends whatever is asked. It counts as use. Every other token is
	// ErrSession.
	Session(token string) (role.Principal, []role.Grant, time.Time, error)
	// Logout ends a session.
	Logout(ctx context.Context, token string) error
	// Local returns who an account of the appliance is, and its roles.
	Local(uid uint32, name string) (role.Principal, []role.Grant)
	// BreakGlass gives an account the roles of an emergency, each with its
	// Until, or is ErrForbidden.
	BreakGlass(ctx context.Context, who role.Principal, reason string) ([]role.Grant, error)
	// IssueTicket returns a ticket with which the person enrols a second factor.
	IssueTicket(ctx context.Context, by role.Principal, guid, reason string) (ticket string, expires time.Time, err error)
	// ResetFactor ends the person's second factor and sessions.
	ResetFactor(ctx context.Context, by role.Principal, guid, reason string) error
	// Sessions lists those who are logged in.
	Sessions() []Session
}

// Attempt is one attempt to log in.
type Attempt struct {
	Name, Password, Code, Ticket string
	Address                      string // IP address of the other end
}

// Granted is a session that was opened.
type Granted struct {
	Token     string // "" with Enrol: a login with a code of the new factor follows
	Principal role.Principal
	Grants    []role.Grant
	Idle      time.Duration
	Ends      time.Time
	Enrol     *Enrolment // of a second factor that is new
}

// Errors that the parts behind the API answer with; see Auth and parts.go.
var (
	// ErrLogin is every failure to log in.
	ErrLogin = errors.New("the login was refused")
	// ErrSession is every token that opens no session, or no longer.
	ErrSession = errors.New("there is no such session")
	// ErrForbidden is an act that this principal may not do, whatever the role.
	ErrForbidden = errors.New("this is not for you to do")
	// ErrUnreachable is a directory of which no domain controller answers.
	ErrUnreachable = errors.New("no domain controller answers")
	// ErrUnknown is a person, relay user, device or request that does not exist.
	ErrUnknown = errors.New("there is none of that name")
	// ErrState is an act that what it is about does not admit, such as the
	// approval of a device that is revoked. What wraps it is shown to the
	// person: it is free of content.
	ErrState = errors.New("it does not admit that")
)
