package auth

import (
	"context"
	"time"

	"holdfast/archive"
	"holdfast/internal/role"
)

// shown is the second factor that an attempt showed.
type shown struct {
	secret   []byte   // of the factor that it is of
	step     uint64   // of a TOTP code, used up from here on
	recovery *digest  // a recovery code, held for this attempt alone
	pending  *pending // the enrolment that the code confirms
	ticket   bool     // a ticket in a code's place
}

// AlarmGuessing is the name of the alarm that somebody guesses codes.
const AlarmGuessing = "login-guessing"

// prove checks the second factor of an attempt and uses it up: of two attempts
// with the same code, one gets it. It returns why not, or "".
func (a *Auth) prove(ctx context.Context, person string, at try) (shown, string) {
	f, now := a.factors.of(person), time.Now()
	if at.ticket != "" {
		if code := f.checkTicket(at.ticket, now); code != "" {
			return shown{}, code
		}
		if at.kind == codeNone {
			return shown{ticket: true}, ""
		}
	}
	a.mu.Lock()
	sh, code := a.check(&f, person, at, now)
	warn := false
	if code == codeBad && at.kind == codeTOTP {
		warn = a.attemptsOf(person).guessed(at.from, now)
	}
	if warn = warn && (a.guessing.IsZero() || now.Sub(a.guessing) >= guessAlarmEvery); warn {
		a.guessing = now
	}
	a.mu.Unlock()
	if warn {
		a.warnGuessing(ctx)
	}
	return sh, code
}

// check is prove for everything but a ticket alone; a.mu is held.
func (a *Auth) check(f *factor, person string, at try, now time.Time) (shown, string) {
	pend := a.pending[person]
	if pend != nil && (!now.Before(pend.expires) || at.ticket != "" && !pend.ticket.equal(ticketDigest(at.ticket))) {
		pend = nil
	}
	switch {
	case at.ticket != "" && pend == nil:
		return shown{}, codeNoEnrolment
	case f.secret == nil && pend == nil:
		return shown{}, codeNoFactor
	case at.kind == codeRecovery:
		return a.hold(f, at.code)
	case at.kind == codeTOTP && a.attemptsOf(person).throttled(at.from, now):
		return shown{}, codeThrottled
	}
	replayed := false
	if f.secret != nil && at.ticket == "" {
		step, again, err := match(f.secret, at.kind, at.code, max(a.used[person], f.step, a.burnt), now)
		if err != nil {
			return shown{}, codeState
		}
		if step != 0 {
			a.used[person] = step
			return shown{secret: f.secret, step: step}, ""
		}
		replayed = again
	}
	if pend != nil {
		step, again, err := match(pend.factor.secret, at.kind, at.code, pend.last, now)
		if err != nil {
			return shown{}, codeState
		}
		if step != 0 {
			pend.last = step
			return shown{secret: pend.factor.secret, step: step, pending: pend}, ""
		}
		replayed = replayed || again
	}
	if replayed {
		return shown{}, codeReplayed
	}
	return shown{}, codeBad
}

// hold finds a recovery code and keeps it from every other attempt until it is
// released; a.mu is held.
func (a *Auth) hold(f *factor, code string) (shown, string) {
	d, ok := f.findRecovery(code)
	if !ok {
		return shown{}, codeBad
	}
	if a.held[d] {
		return shown{}, codeReplayed
	}
	a.held[d] = true
	return shown{secret: f.secret, recovery: &d}, ""
}

// spend makes what was shown unusable, now that the directory has answered
// with code, and returns the code that the attempt has come to. A recovery code
// is used up although the password was wrong; when no controller was asked or
// none answered, it is as if it had not been typed.
func (a *Auth) spend(ctx context.Context, who role.Principal, sh shown, code string) string {
	if sh.recovery != nil {
		defer func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			delete(a.held, *sh.recovery)
		}()
		if code != codeUnavailable && code != codeWithheld {
			if err := a.useRecovery(ctx, who, *sh.recovery); err != nil {
				a.o.Logger.Error("a login was refused: the use of a recovery code could not be recorded", "error", err)
				return codeState
			}
		}
	}
	if code == "" && sh.pending != nil {
		return a.confirm(ctx, who, sh)
	}
	return code
}

// guessAlarmEvery keeps the alarm about guessing from becoming a flood itself.
const guessAlarmEvery = time.Hour

// warnGuessing raises the alarm that somebody guesses codes.
func (a *Auth) warnGuessing(ctx context.Context) {
	err := a.alarm(ctx, archive.AlarmBody{
		Name: AlarmGuessing, Severity: "warning",
		Text: "somebody guesses second factors: a day's allowance of wrong codes for one person is used up",
		Fix: "`holdfast audit --action login` names the person and the addresses; the person logs in with two consecutive codes typed as one, " +
			"or from an address that they have logged in from",
	})
	if err != nil {
		a.o.Logger.Error("an alarm could not be raised", "error", err)
	}
}
