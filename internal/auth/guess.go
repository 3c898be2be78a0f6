package auth

import (
	"net/netip"
	"slices"
	"time"
)

// How often a second factor may be guessed. A code is right with a probability
// of 3 in a million (three steps of a million codes); see the package doc for
// what these numbers come to.
const (
	guessWindow  = 15 * time.Minute
	guessesFrom  = 5 // wrong codes for one person from one address within guessWindow
	guessDay     = 24 * time.Hour
	guessesKnown = 50 // wrong codes a day from one address that the person has logged in from
	guessesOther = 20 // wrong codes a day from all other addresses together
	maxKnown     = 16 // addresses remembered for a person
)

// How many wrong passwords may reach the directory. Accounts are usually locked
// after 5 or 10 within 30 minutes; a person whom this archive let through to
// the directory three times can still mistype elsewhere.
const (
	wrongBinds  = 3
	wrongForget = time.Hour // after the last wrong one
)

// attempts is what is remembered of the logins of one person. It is guarded by
// Auth.mu, and bounded: what is throttled is not counted.
type attempts struct {
	failed []wrongCode // within guessDay, oldest first
	known  []seen      // addresses logged in from, latest last
	wrong  int         // passwords that the directory called wrong, one after the other
	last   time.Time   // when it did so last
	binds  int         // under way
}

type wrongCode struct {
	at   time.Time
	from netip.Prefix
}

type seen struct {
	at   time.Time
	from netip.Prefix
}

// throttled reports whether no more codes are looked at from an address for
// now. Strangers share one allowance, so that they cannot use up the one of an
// address that the person has logged in from.
func (g *attempts) throttled(from netip.Prefix, now time.Time) bool {
	g.failed = slices.DeleteFunc(g.failed, func(w wrongCode) bool { return now.Sub(w.at) >= guessDay })
	lately, here, strange := 0, 0, 0
	for _, w := range g.failed {
		switch {
		case w.from != from:
		case now.Sub(w.at) < guessWindow:
			lately++
			here++
		default:
			here++
		}
		if !g.knows(w.from) {
			strange++
		}
	}
	if g.knows(from) {
		return lately >= guessesFrom || here >= guessesKnown
	}
	return lately >= guessesFrom || strange >= guessesOther
}

// guessed counts a wrong code; true when strangers have used up their allowance by it.
func (g *attempts) guessed(from netip.Prefix, now time.Time) bool {
	g.failed = append(g.failed, wrongCode{now, from})
	strange := 0
	for _, w := range g.failed {
		if !g.knows(w.from) {
			strange++
		}
	}
	return !g.knows(from) && strange == guessesOther
}

func (g *attempts) knows(from netip.Prefix) bool {
	return slices.ContainsFunc(g.known, func(s seen) bool { return s.from == from })
}

// succeeded forgets what went wrong from an address that the person has now
// logged in from, and the wrong passwords.
func (g *attempts) succeeded(from netip.Prefix, now time.Time) {
	g.wrong = 0
	if !from.IsValid() {
		return // an address that is not known cannot be told from a stranger's
	}
	g.failed = slices.DeleteFunc(g.failed, func(w wrongCode) bool { return w.from == from })
	g.known = slices.DeleteFunc(g.known, func(s seen) bool { return s.from == from })
	g.known = append(g.known, seen{now, from})
	if len(g.known) > maxKnown {
		g.known = slices.Delete(g.known, 0, 1)
	}
}

// mayBind reports whether one more password may be tried at the directory, and
// counts it as under way. Those under way count as wrong until they are settled.
func (g *attempts) mayBind(now time.Time) bool {
	if g.wrong > 0 && now.Sub(g.last) >= wrongForget {
		g.wrong = 0
	}
	if g.wrong+g.binds >= wrongBinds {
		return false
	}
	g.binds++
	return true
}

// mistyped counts a password that the directory called wrong.
func (g *attempts) mistyped(at time.Time) {
	g.wrong++
	g.last = at
}

// attemptsOf returns what is remembered of a person; a.mu is held. The map has
// at most as many as the directory has people.
func (a *Auth) attemptsOf(person string) *attempts {
	g := a.guesses[person]
	if g == nil {
		g = &attempts{}
		a.guesses[person] = g
	}
	return g
}
