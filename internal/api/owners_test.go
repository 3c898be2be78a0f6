package api

import (
	"context"
	"os"
	"time"

	"holdfast/internal/role"
)

// owners is an Auth of root and the account that runs the tests, with every
// role. Nobody logs in.
type owners struct{}

func (owners) Local(uid uint32, name string) (role.Principal, []role.Grant) {
	who := role.Principal{UID: &uid, Name: name, Via: role.ViaSocket}
	if uid != 0 && int(uid) != os.Getuid() {
		return who, nil
	}
	var grants []role.Grant
	for _, r := range role.All() {
		grants = append(grants, role.Grant{Role: r, Source: "the appliance's owner"})
	}
	return who, grants
}

func (owners) Login(context.Context, Attempt) (*Granted, error) { return nil, ErrLogin }

func (owners) Session(string) (role.Principal, []role.Grant, time.Time, error) {
	return role.Principal{}, nil, time.Time{}, ErrSession
}

func (owners) Logout(context.Context, string) error { return ErrSession }

func (owners) BreakGlass(context.Context, role.Principal, string) ([]role.Grant, error) {
	return nil, ErrForbidden
}

func (owners) IssueTicket(context.Context, role.Principal, string, string) (string, time.Time, error) {
	return "", time.Time{}, ErrForbidden
}

func (owners) ResetFactor(context.Context, role.Principal, string, string) error {
	return ErrForbidden
}

func (owners) Sessions() []Session { return nil }
