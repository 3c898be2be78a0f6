package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"
	"unicode/utf8"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/internal/role"
)

// The sub-codes of this package, beside Active Directory's own. They stand in
// the audit and are told to nobody else.
const (
	codeMalformed   = "malformed"     // not a name, password, code or ticket at all
	codeUnknown     = "no-such-name"  // nobody has that login name now
	codeAmbiguous   = "not-one"       // more than one person has it
	codeDeparted    = "departed"      //
	codeBlocked     = "blocked"       //
	codeNoRole      = "no-role"       //
	codeEmpty       = "empty"         // no password
	codeNoCode      = "no-code"       // neither code nor ticket
	codeNoFactor    = "no-factor"     // no second factor was ever enrolled, or it was reset
	codeBad         = "bad-code"      //
	codeReplayed    = "replayed-code" // that code, or a later one, was used before
	codeBadTicket   = "bad-ticket"    //
	codeOldTicket   = "expired-ticket"
	codeNoEnrolment = "no-enrolment"    // a code with a ticket, and no enrolment begun or one begun too long ago
	codeThrottled   = "throttled"       // too many wrong codes
	codeWithheld    = "throttled-binds" // too many wrong passwords: no more reach the directory for now
	codeOther       = "other-person"    // the directory says that the name is somebody else's
	codeRefused     = "unknown"         // the directory refused and did not say why
	codeUnavailable = "unavailable"     // no domain controller answered
	codeState       = "state"           // what the log says could not be read, or a credential not be written
	codeStopping    = "stopping"        // the daemon ends

	codeNotNamed = "not-named" // break-glass by an account that the configuration does not name for it
)

// The codes of an ended session.
const (
	endIdle       = "idle"
	endAbsolute   = "absolute"
	endReset      = "factor-reset"
	endEnrolled   = "factor-enrolled"
	endSuperseded = "superseded" // by a newer session of the same person
)

// recordWithin bounds how long an entry may wait for the log's writer.
const recordWithin = 30 * time.Second

// record makes an access entry durable. The client may have hung up, which
// keeps nobody's attempt out of the log.
func (a *Auth) record(ctx context.Context, e audit.Access) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
	defer cancel()
	e.At = time.Now()
	_, err := audit.Begin(ctx, a.o.Log, e)
	return err
}

// alarm raises an alarm. It is free of names: the audit has them.
func (a *Auth) alarm(ctx context.Context, body archive.AlarmBody) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write an alarm: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
	defer cancel()
	_, err = a.o.Log.Append(ctx, archive.Batch{Entries: []archive.Entry{{Kind: proof.KindAlarm, Class: proof.ClassControl, Body: b}}})
	return err
}

// principal names a person who comes over HTTPS. An unknown name is not
// repeated: people type passwords into the wrong field.
func principal(p Person, address string) role.Principal {
	w := role.Principal{Name: p.Name, Person: p.GUID, Via: role.ViaHTTPS, Address: address}
	for _, other := range []string{p.UPN, p.Account, "unknown"} {
		if w.Name == "" {
			w.Name = other
		}
	}
	w.Name = truncate(w.Name, audit.MaxName)
	return w
}

// truncate cuts text to at most n bytes, between characters.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// refusal is why a login failed.
type refusal struct {
	code   string
	who    role.Principal
	step   uint64 // of the code that was used up, if one was
	proven bool   // the second factor was shown, which nobody does often
}

// subCode is what the audit says of a directory's error: the code that the
// directory gave, or what its reader made of an answer; every other error says
// that there was no answer.
func subCode(err error) string {
	var s interface{ SubCode() string }
	if !errors.As(err, &s) {
		return codeUnavailable
	}
	code := s.SubCode()
	if serverCode.MatchString(code) || readerCode[code] {
		return code
	}
	return codeUnavailable
}

// serverCode is a Win32 error in hexadecimal, as Active Directory writes it
// behind "data" (MS-ERREF section 2.2); none that a login gives begins with a letter.
var serverCode = regexp.MustCompile(`^[0-9][0-9a-f]{0,7}$`)

// readerCode are what the directory's reader says of an answer: refused without
// a sub-code, name not exactly one person's, nothing asked, groups unreadable.
var readerCode = map[string]bool{codeRefused: true, codeAmbiguous: true, codeEmpty: true, "too-long": true, "groups": true}

// wrongPassword reports whether a login's code says that the directory may have
// counted a wrong password. It has not for no such person, hours, workstation,
// password expired or to be changed, account disabled, expired or locked.
func wrongPassword(code string) bool {
	switch code {
	case "525", "530", "531", "532", "533", "701", "773", "775":
		return false
	case codeRefused, codeOther:
		return true
	}
	return serverCode.MatchString(code)
}

// failed records a failed login: at once, or as one of a count when the same
// fails over and over or there is a flood of failures.
func (a *Auth) failed(ctx context.Context, f *refusal) {
	if !f.proven {
		due, now := a.tally.add(f.who, f.code, time.Now())
		a.writeCounts(ctx, due)
		if !now {
			return
		}
	}
	if err := a.record(ctx, audit.Access{Action: audit.ActionLogin, Principal: f.who, Code: f.code, Step: f.step}); err != nil {
		a.o.Logger.Error("a failed login could not be recorded", "error", err)
		if !f.proven {
			a.tally.again(count{who: f.who, code: f.code, n: 1})
		}
	}
}

// writeCounts records counted failures. What cannot be written is counted again.
func (a *Auth) writeCounts(ctx context.Context, due []count) {
	for i, c := range due {
		err := a.record(ctx, audit.Access{Action: audit.ActionLogin, Principal: c.who, Code: c.code, Count: c.n})
		if err != nil {
			a.o.Logger.Error("counted failed logins could not be recorded yet", "error", err)
			for _, c := range due[i:] {
				a.tally.again(c)
			}
			return
		}
	}
}

// The log's share of a flood: the first failure of each person and kind in a
// minute is an entry of its own, up to maxSingly of them; the rest are counted
// and written once a minute, those of persons and kinds beyond the limit as
// one count.
const (
	tallyEvery = time.Minute
	maxSingly  = 60
)

type tallyKey struct{ person, code string }

type count struct {
	who  role.Principal
	code string
	n    uint64
}

// tally counts the failures of a minute. It is safe for concurrent use.
type tally struct {
	mu     sync.Mutex
	began  time.Time // zero: nothing counted
	counts map[tallyKey]*count
	beyond uint64 // failures of persons and kinds beyond maxSingly
}

// codeMany is the code of a count of failures of all kinds.
const codeMany = "many"

// add counts a failure: the minute's counts that are due, if that is over, and
// whether this failure is to be written now.
func (t *tally) add(who role.Principal, code string, at time.Time) (due []count, now bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	due = t.take(at)
	if t.began.IsZero() {
		t.began, t.counts = at, map[tallyKey]*count{}
	}
	key := tallyKey{who.Person, code}
	if c := t.counts[key]; c != nil {
		c.n++
		return due, false
	}
	if len(t.counts) >= maxSingly {
		t.beyond++
		return due, false
	}
	t.counts[key] = &count{who: who, code: code}
	return due, true
}

// again counts what could not be written.
func (t *tally) again(c count) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began.IsZero() {
		t.began, t.counts = time.Now(), map[tallyKey]*count{}
	}
	key := tallyKey{c.who.Person, c.code}
	if known := t.counts[key]; known != nil {
		known.n += c.n
	} else if len(t.counts) < 2*maxSingly {
		t.counts[key] = &c
	} else {
		t.beyond += c.n
	}
}

// due returns the counts of a minute that is over at at, or all when flush.
func (t *tally) due(at time.Time, flush bool) []count {
	t.mu.Lock()
	defer t.mu.Unlock()
	if flush && !t.began.IsZero() {
		at = t.began.Add(tallyEvery)
	}
	return t.take(at)
}

func (t *tally) take(at time.Time) []count {
	if t.began.IsZero() || at.Sub(t.began) < tallyEvery {
		return nil
	}
	var due []count
	for _, c := range t.counts {
		if c.n > 0 {
			due = append(due, *c)
		}
	}
	if t.beyond > 0 {
		due = append(due, count{who: role.Principal{Name: "unknown", Via: role.ViaHTTPS}, code: codeMany, n: t.beyond})
	}
	t.began, t.counts, t.beyond = time.Time{}, nil, 0
	return due
}
