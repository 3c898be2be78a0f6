package auth

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/internal/role"
)

// How long an attempt takes.
const (
	loginWithin = time.Minute // an attempt as a whole
	answerEvery = time.Second // a failure is told at a whole number of these after the attempt
	maxPads     = 1024        // failures that wait for that; in a greater flood the rest are told at once
	maxBinds    = 16          // at the directory at a time
)

// Granted is what a login gives: a session, or, while a second factor is being
// enrolled, that factor and no session yet.
type Granted struct {
	Token     string // "" when Enrol is set
	Principal role.Principal
	Grants    []role.Grant
	Idle      time.Duration
	Ends      time.Time
	Enrol     *Enrolment
}

// Login lets somebody in. Every error is ErrLogin, after the same time. The
// second factor is checked first, so that nobody without it makes a single
// wrong bind; the login's audit entry is durable before it returns a token.
//
// With a ticket instead of a code it returns a new second factor, and a second
// Login with a code of that factor (and, if one likes, the ticket once more)
// brings it into force. Until then nothing of it is in the log: a crash leaves
// the ticket good and the factor as it was.
func (a *Auth) Login(ctx context.Context, at Attempt) (*Granted, error) {
	began := time.Now()
	// Who hangs up stops neither the attempt nor its entry.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), loginWithin)
	defer cancel()
	g, f := a.login(work, at)
	if f == nil {
		return g, nil
	}
	a.failed(work, f)
	a.pad(ctx, began)
	return nil, ErrLogin
}

// pad waits until a whole number of answerEvery has passed since began, so that
// the time of a failure does not tell how far it came.
func (a *Auth) pad(ctx context.Context, began time.Time) {
	select {
	case a.pads <- struct{}{}:
		defer func() { <-a.pads }()
	default:
		return
	}
	took := time.Since(began)
	wait := time.NewTimer(answerEvery*(took/answerEvery+1) - took)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}

func (a *Auth) login(ctx context.Context, raw Attempt) (*Granted, *refusal) {
	at, ok := normalise(raw)
	nobody := &refusal{code: codeMalformed, who: principal(Person{}, at.address)}
	if !ok {
		return nil, nobody
	}
	if err := a.catchUp(ctx); err != nil {
		a.o.Logger.Error("a login was refused: the state does not follow the log", "error", err)
		nobody.code = codeState
		return nil, nobody
	}
	p, code := a.named(at.name)
	f := &refusal{code: code, who: principal(p, at.address)}
	if code == "" {
		f.code = a.unfit(p, at)
	}
	if f.code != "" {
		return nil, f
	}
	sh, code := a.prove(ctx, p.GUID, at)
	if f.code = code; code != "" {
		return nil, f
	}
	fresh, code := a.bind(ctx, p.GUID, at)
	f.step, f.proven = sh.step, sh.step != 0 || code != codeWithheld && code != codeUnavailable
	if f.code = a.spend(ctx, f.who, sh, code); f.code != "" {
		return nil, f
	}
	g := &Granted{Principal: f.who}
	if f.code = a.welcome(ctx, p, at, sh, fresh, g); f.code != "" {
		return nil, f
	}
	return g, nil
}

// welcome fills in g for a person who has shown everything, if the log still
// knows nothing against it.
func (a *Auth) welcome(ctx context.Context, p Person, at try, sh shown, fresh []string, g *Granted) string {
	if err := a.catchUp(ctx); err != nil {
		a.o.Logger.Error("a login was refused: the state does not follow the log", "error", err)
		return codeState
	}
	// While the directory was asked the person may have left, or been blocked.
	p, ok := a.o.People.Person(p.GUID)
	switch {
	case !ok || p.Departed:
		return codeDeparted
	case p.Blocked:
		return codeBlocked
	}
	denied := a.stale(p, fresh)
	if g.Grants = a.grants(p, denied, time.Now()); len(g.Grants) == 0 {
		return codeNoRole
	}
	if sh.ticket {
		return a.enrolling(ctx, p, at, g)
	}
	return a.admit(ctx, p, at, sh, denied, g)
}

// named returns the person who has the login name now.
func (a *Auth) named(name string) (Person, string) {
	var found []Person
	for _, guid := range a.o.People.Find(name) {
		p, ok := a.o.People.Person(guid)
		if ok && (strings.EqualFold(p.Account, name) || strings.EqualFold(p.UPN, name)) {
			found = append(found, p)
		}
	}
	if len(found) > 1 {
		// Somebody who left had the name before; only one can have it now.
		present := found[:0]
		for _, p := range found {
			if !p.Departed {
				present = append(present, p)
			}
		}
		found = present
	}
	switch len(found) {
	case 0:
		return Person{}, codeUnknown
	case 1:
		return found[0], ""
	}
	return Person{}, codeAmbiguous
}

// unfit returns why p cannot log in whatever else is shown, or "".
func (a *Auth) unfit(p Person, at try) string {
	switch {
	case p.Departed:
		return codeDeparted
	case p.Blocked:
		return codeBlocked
	case len(a.grants(p, nil, time.Now())) == 0:
		return codeNoRole
	case at.password == "":
		return codeEmpty // the directory would take it for an anonymous bind (RFC 4513 section 5.1.2)
	case at.kind == codeNone && at.ticket == "":
		return codeNoCode
	case a.o.Directory == nil:
		return codeUnavailable
	}
	return ""
}

// bind tries the password at the directory, once, and returns the groups that
// the person is in right now.
func (a *Auth) bind(ctx context.Context, person string, at try) ([]string, string) {
	a.mu.Lock()
	g := a.attemptsOf(person)
	may := g.mayBind(time.Now())
	a.mu.Unlock()
	if !may {
		return nil, codeWithheld
	}
	code := codeUnavailable
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		g.binds--
		if wrongPassword(code) {
			g.mistyped(time.Now())
		}
	}()
	select {
	case a.binds <- struct{}{}:
		defer func() { <-a.binds }()
	case <-ctx.Done():
		return nil, code
	}
	guid, groups, err := a.o.Directory.Authenticate(ctx, at.name, at.password)
	switch {
	case err != nil:
		code = subCode(err)
	case !strings.EqualFold(guid, person):
		code = codeOther
	default:
		code = ""
	}
	return groups, code
}

// admit records the login and begins its session.
func (a *Auth) admit(ctx context.Context, p Person, at try, sh shown, denied map[string]bool, g *Granted) string {
	if err := a.record(ctx, audit.Access{Action: audit.ActionLogin, Principal: g.Principal, Step: sh.step}); err != nil {
		a.o.Logger.Error("a login was refused: it could not be recorded", "error", err)
		return codeState
	}
	// A crash here leaves a login in the audit that nobody got a token of.
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return codeStopping
	}
	// A reset ends sessions after it has changed the factor, so that one of the two sees the other.
	if f := a.factors.of(p.GUID); !bytes.Equal(f.secret, sh.secret) {
		return codeNoFactor
	}
	a.attemptsOf(p.GUID).succeeded(at.from, time.Now())
	a.begin(g, denied)
	return ""
}

// restore reads the logins of the last hour back from the audit. When one of
// its entries is damaged it is not known which codes were used: then none is
// good that was before now.
func (a *Auth) restore(ctx context.Context) error {
	if err := a.catchUp(ctx); err != nil {
		return err
	}
	f := audit.Filter{Action: audit.ActionLogin, Since: time.Now().Add(-wrongForget)}
	var items []audit.Item
	for {
		page, err := audit.List(ctx, a.o.Log, f)
		if errors.Is(err, archive.ErrDamaged) {
			a.o.Logger.Error("the latest logins cannot be read from the audit: codes of before this start are refused, and wrong passwords of before it forgotten", "error", err)
			a.burnt = stepAt(time.Now()) + totpDrift
			break
		}
		if err != nil {
			return err
		}
		items = append(items, page...)
		if len(page) < audit.MaxListed {
			break
		}
		f.Before = page[len(page)-1].Seq
	}
	for i := len(items) - 1; i >= 0; i-- { // oldest first
		a.remember(&items[i])
	}
	return nil
}

// remember takes in a login of an earlier process.
func (a *Auth) remember(i *audit.Item) {
	who := i.Access.Principal
	if who.Person == "" || who.Via != role.ViaHTTPS {
		return
	}
	_, from := place(who.Address)
	a.used[who.Person] = max(a.used[who.Person], i.Access.Step)
	g := a.attemptsOf(who.Person)
	switch code := i.Access.Code; {
	case code == "":
		g.succeeded(from, i.Received)
	case wrongPassword(code):
		g.mistyped(i.Received)
	}
}
