package ldapsync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"holdfast/archive/people"
)

// Identity is who somebody turned out to be by name and password.
type Identity struct {
	GUID   people.GUID
	Groups []people.GUID // groups that the person is in now, nested and primary ones included, as far as the log knows them
	Person people.Person // as the directory has the person now
}

// The codes of a LoginError that are not the directory's own sub-codes.
const (
	CodeEmpty   = "empty"    // no name or no password: nothing was asked
	CodeTooLong = "too-long" // nothing was asked
	CodeNotOne  = "not-one"  // nobody has that name, or several do: no password was tried
	CodeUnknown = "unknown"  // refused without a sub-code
	CodeGroups  = "groups"   // the password was right, the groups could not be read
)

// LoginError is why a login failed. People are told one message for all of them;
// Code is for the audit: the sub-code that Active Directory gave (52e wrong
// password, 525 no such person, 530 and 531 not now and not from here, 532
// password expired, 533 disabled, 701 expired, 773 password has to be changed,
// 775 locked), one of the codes above, or the Class of a Failure.
type LoginError struct {
	Code string
	Err  error // a *Failure when the directory gave no answer, else nil
}

// Error tells the code.
func (e *LoginError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("login (%s): %v", e.Code, e.Err)
	}
	return "the directory refused the login (" + e.Code + ")"
}

// Unwrap returns the failure behind it; errors.Is tells ErrUnavailable by it.
func (e *LoginError) Unwrap() error { return e.Err }

// SubCode returns Code, for the audit.
func (e *LoginError) SubCode() string { return e.Code }

// Authenticate asks the directory whether password is that of the person with
// the given UPN, or sAMAccountName if it has no @. Every error is a *LoginError.
//
// An empty password is refused before anything is sent, because Active Directory
// takes it for an anonymous bind that succeeds. The name has to be exactly one
// person's; then that entry's DN is bound on a connection of its own, exactly
// once, whatever becomes of it: each further try would bring the person nearer
// to being locked out. The groups are what the directory says now, not what the
// last synchronisation read.
func (s *Syncer) Authenticate(ctx context.Context, name, password string) (*Identity, error) {
	id, err := s.authenticate(ctx, name, password)
	outcome := "right"
	if err != nil {
		var l *LoginError
		if !errors.As(err, &l) {
			err = &LoginError{Code: string(classOf(err)), Err: failed("log in", err)}
		}
		if outcome = "wrong"; errors.Is(err, ErrUnavailable) {
			outcome = "unavailable"
		}
	}
	s.o.Metrics.logins.WithLabelValues(outcome).Inc()
	return id, err
}

func (s *Syncer) authenticate(ctx context.Context, name, password string) (*Identity, error) {
	switch {
	case name == "" || password == "":
		return nil, &LoginError{Code: CodeEmpty}
	case len(name) > maxName || len(password) > maxSecret:
		return nil, &LoginError{Code: CodeTooLong}
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return nil, &LoginError{Code: CodeNotOne}
	}
	if err := s.servers.gate(); err != nil {
		return nil, err
	}
	var id *Identity
	_, err := s.o.eachServer(ctx, &s.servers, func(ctx context.Context, t target) (err error) {
		id, err = s.authenticateAt(ctx, t, name, password)
		return err
	})
	if err != nil {
		return nil, err
	}
	return id, nil
}

// authenticateAt asks one domain controller. It returns a *LoginError, after
// which no other one is asked, as soon as the person's password may have been sent.
func (s *Syncer) authenticateAt(ctx context.Context, t target, name, password string) (*Identity, error) {
	reader, err := s.o.connect(ctx, t)
	if err != nil {
		return nil, err
	}
	defer reader.close()
	p, err := s.o.find(ctx, reader, name)
	if err != nil {
		return nil, err
	}
	own, err := s.o.dial(ctx, t)
	if err != nil {
		return nil, err
	}
	defer own.close()
	if err := own.bind(ctx, p.DN, password); err != nil {
		return nil, refused(err)
	}
	groups, err := s.groupsOf(ctx, reader, p)
	if err != nil {
		return nil, &LoginError{Code: CodeGroups, Err: failed("read the person's groups", err)}
	}
	return &Identity{GUID: p.GUID, Groups: groups, Person: *p}, nil
}

// find returns the one person who has the name now.
func (o *Options) find(ctx context.Context, c *conn, name string) (*people.Person, error) {
	attribute := "sAMAccountName"
	if strings.Contains(name, "@") {
		attribute = "userPrincipalName"
	}
	filter := "(&" + o.peopleQuery() + "(" + attribute + "=" + ldap.EscapeFilter(name) + "))"
	found := map[people.GUID]*people.Person{}
	for _, base := range o.Base {
		entries, err := c.few(ctx, &query{base: base, scope: ldap.ScopeWholeSubtree, filter: filter, attributes: personAttributes}, 2)
		if classOf(err) == ClassSizeLimit {
			return nil, &LoginError{Code: CodeNotOne}
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			p, err := personOf(e)
			if err != nil {
				return nil, err
			}
			if p != nil {
				p.DN = e.DN // as it came: this is what is bound
				found[p.GUID] = p
			}
		}
	}
	return theOne(found, name)
}

// theOne returns the only one of those who were found, if the name is really
// that person's: Active Directory overlooks accents and blanks when it compares.
func theOne(found map[people.GUID]*people.Person, name string) (*people.Person, error) {
	if len(found) == 1 {
		for _, p := range found {
			if strings.EqualFold(p.UPN, name) || strings.EqualFold(p.Account, name) {
				return p, nil
			}
		}
	}
	return nil, &LoginError{Code: CodeNotOne}
}

// refused makes what became of the person's bind final: whatever it was, the
// password may have been counted, and it is not sent again.
func refused(err error) *LoginError {
	var l *ldap.Error
	if errors.As(err, &l) && l.ResultCode == ldap.LDAPResultInvalidCredentials {
		code := CodeUnknown
		if l.Err != nil {
			if c := subCode(l.Err.Error()); c != "" {
				code = c
			}
		}
		return &LoginError{Code: code}
	}
	return &LoginError{Code: string(classOf(err)), Err: failed("log in", err)}
}

// groupsOf reads tokenGroups: the SIDs of every group that a token of the person
// would hold now (MS-ADTS 3.1.1.4.5.19). Active Directory computes it only for
// a search of the entry itself.
func (s *Syncer) groupsOf(ctx context.Context, c *conn, p *people.Person) ([]people.GUID, error) {
	q := &query{base: p.DN, scope: ldap.ScopeBaseObject, filter: "(objectClass=*)", attributes: []string{"objectGUID", "tokenGroups"}}
	entries, err := c.few(ctx, q, 1)
	if err != nil {
		return nil, err
	}
	if len(entries) != 1 {
		return nil, malformed(p.GUID, errMissing)
	}
	if g, err := guidOf(entries[0].GetEqualFoldRawAttributeValue("objectGUID")); err != nil || g != p.GUID {
		return nil, malformed(p.GUID, errGUID) // somebody else has that DN by now
	}
	raw := entries[0].GetEqualFoldRawAttributeValues("tokenGroups")
	if len(raw) == 0 {
		return nil, malformed(p.GUID, errMissing) // everybody has a primary group
	}
	sids := make([]string, len(raw))
	for i, b := range raw {
		if sids[i], err = sidOf(b); err != nil {
			return nil, malformed(p.GUID, err)
		}
	}
	if err := s.catchUp(ctx); err != nil {
		return nil, err
	}
	return s.o.History.GroupsOfSIDs(sids), nil
}
