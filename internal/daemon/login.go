package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/api"
	"holdfast/internal/auth"
	"holdfast/internal/role"
)

// authAPI is internal/auth as the API asks for it.
type authAPI struct{ *auth.Auth }

// Login opens a session.
func (a authAPI) Login(ctx context.Context, at api.Attempt) (*api.Granted, error) {
	g, err := a.Auth.Login(ctx, auth.Attempt{Name: at.Name, Password: at.Password, Code: at.Code, Ticket: at.Ticket, Address: at.Address})
	if err != nil {
		return nil, authError(err)
	}
	out := &api.Granted{Token: g.Token, Principal: g.Principal, Grants: g.Grants, Idle: g.Idle, Ends: g.Ends}
	if e := g.Enrol; e != nil {
		out.Enrol = &api.Enrolment{Secret: e.Secret, URL: e.URL, RecoveryCodes: e.RecoveryCodes}
	}
	return out, nil
}

// Session returns whose session a token opens.
func (a authAPI) Session(token string) (role.Principal, []role.Grant, time.Time, error) {
	who, grants, ends, err := a.Auth.Session(token)
	return who, grants, ends, authError(err)
}

// Logout ends a session.
func (a authAPI) Logout(ctx context.Context, token string) error {
	return authError(a.Auth.Logout(ctx, token))
}

// BreakGlass gives an account the roles of an emergency.
func (a authAPI) BreakGlass(ctx context.Context, who role.Principal, reason string) ([]role.Grant, error) {
	grants, err := a.Auth.BreakGlass(ctx, who, reason)
	return grants, authError(err)
}

// IssueTicket returns a ticket with which a person enrols a second factor.
func (a authAPI) IssueTicket(ctx context.Context, by role.Principal, guid, reason string) (string, time.Time, error) {
	ticket, expires, err := a.Auth.IssueTicket(ctx, by, guid, reason)
	return ticket, expires, authError(err)
}

// ResetFactor ends a person's second factor and sessions.
func (a authAPI) ResetFactor(ctx context.Context, by role.Principal, guid, reason string) error {
	return authError(a.Auth.ResetFactor(ctx, by, guid, reason))
}

// Sessions lists those who are logged in.
func (a authAPI) Sessions() []api.Session {
	var out []api.Session
	for _, s := range a.Auth.Sessions() {
		out = append(out, api.Session{Principal: s.Principal, Roles: s.Grants, Began: s.Began, Used: s.Touched, Ends: s.Ends})
	}
	return out
}

// authError gives auth's errors the API's names.
func authError(err error) error {
	for _, e := range []struct{ is, as error }{
		{auth.ErrLogin, api.ErrLogin}, {auth.ErrSession, api.ErrSession}, {auth.ErrBreakGlass, api.ErrForbidden},
		{auth.ErrOwnTicket, api.ErrState}, {auth.ErrPerson, api.ErrState},
	} {
		if errors.Is(err, e.is) {
			return fmt.Errorf("%w: %w", e.as, err)
		}
	}
	return err
}
