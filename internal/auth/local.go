package auth

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// BreakGlassFor is how long an account has BreakGlassRoles.
const BreakGlassFor = time.Hour

// AlarmBreakGlass is the name of the alarm that an account broke the glass.
const AlarmBreakGlass = "break-glass"

// breakGlassRoles are the roles of an emergency, when the directory is down or
// whoever could log in is away: to find, read, hold and export messages, and to
// read the audit. What takes two people still takes two, and the machine's own
// administration never needs the glass.
var breakGlassRoles = []role.Role{role.ComplianceOfficer, role.Auditor}

// BreakGlassRoles returns the roles of an account that broke the glass.
func BreakGlassRoles() []role.Role { return append([]role.Role(nil), breakGlassRoles...) }

// glass is a broken glass.
type glass struct {
	who   role.Principal
	until time.Time
}

// Local returns the principal of an account of the appliance, whose name the
// machine's user database has, and what they may do now. An account that the
// configuration does not name may do nothing, except root and the daemon's own:
// those are administrators, and hold every role where nothing is configured.
func (a *Auth) Local(uid uint32, name string) (role.Principal, []role.Grant) {
	p := role.Principal{UID: &uid, Name: name, Via: role.ViaSocket}
	acc, listed := a.accounts[uid]
	roles, source := acc.Roles, "account "+strconv.FormatUint(uint64(uid), 10)
	if !listed && (uid == 0 || uid == a.o.Own) {
		roles, source = []role.Role{role.Administrator}, "appliance"
		if !a.o.Configured {
			roles = role.All()
		}
	}
	var fit bool
	if p.Person, fit = a.owner(acc); !fit {
		return p, nil
	}
	var grants []role.Grant
	for _, r := range roles {
		grants = append(grants, role.Grant{Role: r, Source: source})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if g, ok := a.glass[uid]; ok && time.Now().Before(g.until) {
		p.Via = role.ViaBreakGlass
		grants = append(grants, g.grants()...)
	}
	return p, grants
}

func (g glass) grants() []role.Grant {
	var out []role.Grant
	for _, r := range breakGlassRoles {
		out = append(out, role.Grant{Role: r, Until: &g.until, Source: role.ViaBreakGlass})
	}
	return out
}

// owner returns the person who uses an account, where that is known, and
// whether the account may be used: not by somebody who departed or is blocked,
// nor when its UPN has been more than one person's.
func (a *Auth) owner(acc Account) (person string, fit bool) {
	if acc.Person == "" {
		return "", true
	}
	found := a.o.People.Owners(acc.Person)
	switch len(found) {
	case 0:
		return "", true // before the first synchronisation somebody must be able to look why there is none
	case 1:
		p, ok := a.o.People.Person(found[0])
		return found[0], ok && !p.Departed && !p.Blocked
	}
	return "", false
}

// BreakGlass gives an account that the configuration names for it the
// BreakGlassRoles for an hour, after an audit entry and a critical alarm are
// durable. Each grant says until when it holds. The errors are ErrBreakGlass, audit.ErrNoReason, audit.ErrTooLong
// and those of the log.
func (a *Auth) BreakGlass(ctx context.Context, who role.Principal, reason string) ([]role.Grant, error) {
	if err := a.catchUp(ctx); err != nil {
		return nil, err
	}
	if who.UID == nil {
		return nil, ErrBreakGlass // over HTTPS there is no glass
	}
	acc := a.accounts[*who.UID]
	person, fit := a.owner(acc)
	if !acc.BreakGlass || !fit {
		return nil, errors.Join(ErrBreakGlass, a.refuseGlass(ctx, who))
	}
	if err := checkReason(reason); err != nil {
		return nil, err
	}
	who.Person, who.Via = person, role.ViaBreakGlass
	if err := a.record(ctx, audit.Access{Action: audit.ActionBreakGlass, Principal: who, Reason: reason}); err != nil {
		return nil, err
	}
	// A crash here leaves an entry of a glass that was not broken.
	err := a.alarm(ctx, archive.AlarmBody{
		Name: AlarmBreakGlass, Severity: "critical",
		Text: "an account of the appliance has taken a compliance officer's and an auditor's roles for an hour by break-glass",
		Fix:  "`holdfast audit --action break-glass` says who and why; ask them, then look at what they did, and acknowledge",
	})
	if err != nil {
		return nil, fmt.Errorf("break the glass: %w", err)
	}
	g := glass{who: who, until: time.Now().Add(BreakGlassFor)}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.glass[*who.UID] = g
	return g.grants(), nil
}

// One refusal of an account in so long is an entry; an account that keeps
// trying fills no log.
const (
	refuseEvery = time.Minute
	maxRefused  = 1024 // accounts remembered; beyond that all are forgotten
)

func (a *Auth) refuseGlass(ctx context.Context, who role.Principal) error {
	a.mu.Lock()
	now := time.Now()
	at, again := a.refused[*who.UID]
	if again = again && now.Sub(at) < refuseEvery; !again {
		if len(a.refused) >= maxRefused {
			clear(a.refused)
		}
		a.refused[*who.UID] = now
	}
	a.mu.Unlock()
	if again {
		return nil
	}
	return a.record(ctx, audit.Access{Action: audit.ActionRefused, Principal: who, Code: codeNotNamed, Target: string(audit.ActionBreakGlass)})
}

// endGlass ends what an hour has ended; a.mu is held.
func (a *Auth) endGlass(now time.Time) {
	for uid, g := range a.glass {
		if _, fit := a.owner(a.accounts[uid]); !fit || !now.Before(g.until) {
			delete(a.glass, uid)
			a.ended = append(a.ended, ending{g.who, role.ViaBreakGlass})
		}
	}
}
