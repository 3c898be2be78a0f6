package auth

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// How long an enrolment may take.
const (
	TicketFor  = 24 * time.Hour   // from a ticket's issue to its use
	pendingFor = 10 * time.Minute // from showing a new factor to its first code
)

// opShow is, in the audit, a new factor shown to its person; nothing is in
// force by it.
const opShow = "show"

// errStale is returned when a credential is not any more what it was when it
// was shown.
var errStale = errors.New("the credential has changed")

// pending is an enrolment that waits for a code of its factor. It lies in
// memory alone.
type pending struct {
	ticket  digest
	factor  factor
	expires time.Time
	last    uint64 // newest step of a code used; guarded by Auth.mu
}

// IssueTicket lets a person enrol a second factor: whoever logs in with their
// password and the ticket within TicketFor is shown a new one. It takes the
// place of an earlier ticket. The factor in force stays until the new one is
// confirmed. The ticket is returned this once.
func (a *Auth) IssueTicket(ctx context.Context, by role.Principal, person, reason string) (string, time.Time, error) {
	if by.Via == role.ViaHTTPS && by.Person == person {
		return "", time.Time{}, ErrOwnTicket
	}
	if err := checkReason(reason); err != nil {
		return "", time.Time{}, err
	}
	if err := a.catchUp(ctx); err != nil {
		return "", time.Time{}, err
	}
	if p, ok := a.o.People.Person(person); !ok || p.Departed || p.Blocked {
		return "", time.Time{}, ErrPerson
	}
	text := base32Plain.EncodeToString(random(ticketSize))
	hash := ticketDigest(text)
	expires := time.Now().Add(TicketFor).UTC().Truncate(time.Second)
	err := a.changeCredential(ctx, by, credential{
		Op: opIssue, Person: person, By: &by, Reason: reason, Ticket: hex.EncodeToString(hash[:]), Expires: &expires,
	}, nil)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("issue a ticket: %w", err)
	}
	return grouped(text), expires, nil
}

// ResetFactor takes a person's second factor, recovery codes and ticket away
// and ends their sessions. It is for whom the directory does not have any more
// as well.
func (a *Auth) ResetFactor(ctx context.Context, by role.Principal, person, reason string) error {
	if err := checkReason(reason); err != nil {
		return err
	}
	if err := a.catchUp(ctx); err != nil {
		return err
	}
	if _, ok := a.o.People.Person(person); !ok {
		return ErrPerson
	}
	if err := a.changeCredential(ctx, by, credential{Op: opReset, Person: person, By: &by, Reason: reason}, nil); err != nil {
		return fmt.Errorf("reset a second factor: %w", err)
	}
	a.mu.Lock()
	delete(a.pending, person)
	a.endAll(person, endReset)
	a.mu.Unlock()
	return a.writeEnded(ctx)
}

func checkReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return audit.ErrNoReason
	case !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > audit.MaxReason:
		return audit.ErrTooLong
	}
	return nil
}

// changeCredential records c in the audit and then makes it so: durable, and
// applied to Factors. Nothing else changes a credential between still's look at
// the person's factor and that.
func (a *Auth) changeCredential(ctx context.Context, by role.Principal, c credential, still func(factor) bool) error {
	select {
	case a.credential <- struct{}{}:
		defer func() { <-a.credential }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := a.catchUp(ctx); err != nil {
		return err
	}
	if still != nil && !still(a.factors.of(c.Person)) {
		return errStale
	}
	e, err := c.entry()
	if err != nil {
		return err
	}
	if err := a.record(ctx, audit.Access{Action: audit.ActionFactor, Principal: by, Target: c.Person, Code: c.Op, Reason: c.Reason, Step: c.Step}); err != nil {
		return err
	}
	// A crash here leaves an act in the audit that did not come to pass: the factor is as it was.
	if _, err := a.o.Log.Append(ctx, archive.Batch{Entries: []archive.Entry{e}}); err != nil {
		return err
	}
	return a.catchUp(ctx)
}

// enrolling shows a new factor to the person who came with a ticket and the
// password. A crash afterwards, or an answer that does not arrive, leaves the
// ticket as good as it was.
func (a *Auth) enrolling(ctx context.Context, p Person, at try, g *Granted) string {
	account := p.UPN
	if account == "" {
		account = p.Account
	}
	e, f, err := newEnrolment(account)
	if err == nil {
		err = a.record(ctx, audit.Access{Action: audit.ActionFactor, Principal: g.Principal, Target: p.GUID, Code: opShow})
	}
	if err != nil {
		a.o.Logger.Error("a second factor could not be shown", "error", err)
		return codeState
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending[p.GUID] = &pending{ticket: ticketDigest(at.ticket), factor: f, expires: time.Now().Add(pendingFor)}
	g.Grants, g.Enrol = nil, e
	return ""
}

// confirm brings the factor of a pending enrolment into force, and ends the
// sessions that were begun with an earlier one. A crash after its entry leaves
// a factor that its person has, and needs a new code to log in.
func (a *Auth) confirm(ctx context.Context, who role.Principal, sh shown) string {
	f := sh.pending.factor
	c := credential{
		Op: opEnrol, Person: who.Person, Secret: hex.EncodeToString(f.secret), Step: sh.step, Ticket: hex.EncodeToString(sh.pending.ticket[:]),
	}
	for _, r := range f.recovery {
		c.Recovery = append(c.Recovery, recoveryBody{Salt: hex.EncodeToString(r.salt), Hash: hex.EncodeToString(r.hash[:])})
	}
	err := a.changeCredential(ctx, who, c, func(now factor) bool {
		return now.ticket != nil && now.ticket.hash.equal(sh.pending.ticket) // neither reset nor replaced meanwhile
	})
	if errors.Is(err, errStale) {
		return codeBadTicket
	}
	if err != nil {
		a.o.Logger.Error("a second factor could not be enrolled", "error", err)
		return codeState
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used[who.Person] = max(a.used[who.Person], sh.step)
	delete(a.pending, who.Person)
	a.endAll(who.Person, endEnrolled)
	return ""
}

// useRecovery uses a recovery code up.
func (a *Auth) useRecovery(ctx context.Context, who role.Principal, code digest) error {
	return a.changeCredential(ctx, who, credential{Op: opUse, Person: who.Person, Used: hex.EncodeToString(code[:])}, func(now factor) bool {
		for _, r := range now.recovery {
			if r.hash.equal(code) {
				return true
			}
		}
		return false
	})
}

// checkTicket returns why a ticket does not let its person enrol, or "".
func (f *factor) checkTicket(text string, now time.Time) string {
	switch {
	case f.ticket == nil || !f.ticket.hash.equal(ticketDigest(text)):
		return codeBadTicket
	case !now.Before(f.ticket.expires):
		return codeOldTicket
	}
	return ""
}
