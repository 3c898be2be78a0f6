package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"holdfast/archive/audit"
	"holdfast/internal/role"
)

var (
	// ErrLogin is what every failed login is, whatever the cause: unknown name,
	// wrong password, wrong code, no role, directory or log out of reach. The
	// cause stands in the audit alone.
	ErrLogin = errors.New("the login failed: check name, password and code, and wait for a new code; " +
		"if it keeps failing, log in with two consecutive codes typed as one or with a recovery code, or ask an administrator")

	// ErrSession is returned for a token that opens no session (any more).
	ErrSession = errors.New("there is no such session: log in again")

	// ErrBreakGlass is returned to whoever may not break the glass.
	ErrBreakGlass = errors.New("this account may not use break-glass: the daemon's configuration names those that may")

	// ErrPerson is returned when a factor is issued or reset for a person whom
	// the directory does not have, or who departed or is blocked.
	ErrPerson = errors.New("the directory has no such person who may log in: see `holdfast directory person`")

	// ErrOwnTicket is returned to an administrator who issues a ticket for
	// themselves over HTTPS: whoever has taken over the session could keep it so.
	ErrOwnTicket = errors.New("another administrator, or somebody on the appliance itself, issues your ticket")
)

// Directory checks passwords against the directory.
type Directory interface {
	// Authenticate binds as the one person who has the login name (account or
	// UPN), exactly once, and returns their objectGUID and the objectGUIDs of
	// all security groups they are in right now, nested ones included. Its
	// errors may have a method SubCode() string: Active Directory's "52e" and
	// so on, else a code of the reader's own. Errors without one mean that no
	// domain controller answered.
	Authenticate(ctx context.Context, name, password string) (person string, groups []string, err error)
}

// Log is the log: audit entries go in and come out, control entries go in.
// *archive.Archive is one.
type Log interface {
	audit.Appender
	audit.Source
}

// GroupGrant gives the members of one of the directory's groups, nested ones
// included, a role.
type GroupGrant struct {
	Group string // objectGUID, DN or sAMAccountName of a security group
	Grant role.Grant
}

// Account is an account of the appliance.
type Account struct {
	UID        uint32
	Roles      []role.Role
	Person     string // UPN or objectGUID of who uses it; "" when nobody in the directory
	BreakGlass bool
}

// Options says who may log in and how long. People, Log and CatchUp are required.
type Options struct {
	Directory  Directory // nil: nobody can log in over HTTPS
	People     People
	Mapping    []GroupGrant
	Accounts   []Account
	Configured bool   // there are accounts or a directory
	Own        uint32 // the daemon's own uid
	Log        Log
	CatchUp    func(ctx context.Context, size uint64) error // brings People and Factors up to a size of the log
	Idle       time.Duration                                // DefaultIdle when 0
	Absolute   time.Duration                                // DefaultAbsolute when 0
	Logger     *slog.Logger                                 // nil: none
}

// How long a session lasts when the configuration does not say.
const (
	DefaultIdle     = 15 * time.Minute
	DefaultAbsolute = 10 * time.Hour
)

// Auth answers who somebody is and what they may do. It is safe for concurrent use.
type Auth struct {
	o        Options
	factors  *Factors
	accounts map[uint32]Account

	credential chan struct{} // capacity 1: held while a credential entry is judged, appended and applied
	binds      chan struct{} // a place for each bind under way
	pads       chan struct{} // a place for each failure whose answer waits

	mu       sync.Mutex // guards what follows; a leaf but for People and Factors
	stopped  bool
	sessions map[digest]*session
	ended    []ending             // sessions whose end is not in the log yet
	pending  map[string]*pending  // enrolments by person
	guesses  map[string]*attempts // by person
	held     map[digest]bool      // recovery codes that an attempt under way shows
	used     map[string]uint64    // newest step of a code used, by person
	glass    map[uint32]glass     // accounts that broke the glass, until when
	refused  map[uint32]time.Time // accounts whose break-glass was refused lately
	burnt    uint64               // newest step that is good for nobody
	guessing time.Time            // when the alarm about guessing was last raised

	tally tally
}

// New returns an Auth over the people and factors that the log knows. It reads
// the logins of the last hour from the audit, so that no code is good twice
// and no wrong password is forgotten across a restart.
func New(ctx context.Context, o Options, f *Factors) (*Auth, error) {
	if o.People == nil || o.Log == nil || o.CatchUp == nil || f == nil {
		return nil, errors.New("auth needs people, factors, the log and a way to catch up with it")
	}
	if o.Idle == 0 {
		o.Idle = DefaultIdle
	}
	if o.Absolute == 0 {
		o.Absolute = DefaultAbsolute
	}
	if o.Idle < 0 || o.Absolute < 0 {
		return nil, errors.New("a session's length is positive")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Auth{
		o: o, factors: f, accounts: map[uint32]Account{},
		credential: make(chan struct{}, 1), binds: make(chan struct{}, maxBinds), pads: make(chan struct{}, maxPads),
		sessions: map[digest]*session{}, pending: map[string]*pending{}, guesses: map[string]*attempts{},
		held: map[digest]bool{}, used: map[string]uint64{}, glass: map[uint32]glass{}, refused: map[uint32]time.Time{},
	}
	for _, acc := range o.Accounts {
		if _, twice := a.accounts[acc.UID]; twice {
			return nil, fmt.Errorf("account %d stands twice in the configuration", acc.UID)
		}
		for _, r := range acc.Roles {
			if _, err := role.Parse(string(r)); err != nil {
				return nil, fmt.Errorf("account %d: %w", acc.UID, err)
			}
		}
		a.accounts[acc.UID] = acc
	}
	for _, m := range o.Mapping {
		if _, err := role.Parse(string(m.Grant.Role)); err != nil {
			return nil, fmt.Errorf("a mapped group: %w", err)
		}
	}
	if err := a.restore(ctx); err != nil {
		return nil, fmt.Errorf("read the latest logins from the audit: %w", err)
	}
	return a, nil
}

// catchUp brings what the log knows of people and factors up to its end.
func (a *Auth) catchUp(ctx context.Context) error { return a.o.CatchUp(ctx, a.o.Log.Size()) }
