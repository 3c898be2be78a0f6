package ldapsync

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-ldap/ldap/v3"

	"holdfast/archive"
)

// Class says what kind of failure kept a synchronisation or a login from the
// directory. The values are stable, for scripts and metrics.
type Class string

// The classes of failures.
const (
	ClassUnreachable Class = "unreachable" // no connection, or it ended
	ClassTimeout     Class = "timeout"     // no answer in time
	ClassTLS         Class = "tls"         // the certificate or the handshake
	ClassBind        Class = "bind"        // the reading account's name or password
	ClassCredential  Class = "credential"  // its password could not be read
	ClassBusy        Class = "busy"        // LDAP codes 51 and 52
	ClassSizeLimit   Class = "size_limit"  // LDAP codes 4 and 11
	ClassTimeLimit   Class = "time_limit"  // LDAP code 3
	ClassReferral    Class = "referral"    // LDAP code 10: another server has it
	ClassBase        Class = "base"        // LDAP code 32: the base does not exist
	ClassDenied      Class = "denied"      // LDAP codes 8, 13, 48, 50: not allowed
	ClassPartial     Class = "partial"     // an answer that is not whole
	ClassLimit       Class = "limit"       // more than this archive takes
	ClassRefused     Class = "refused"     // the rails
	ClassLog         Class = "log"         // the log does not take or give entries
	ClassStopped     Class = "stopped"     // the caller gave up
	ClassOther       Class = "other"
)

// fixes says what to do about each class.
var fixes = map[Class]string{
	ClassUnreachable: "check the network, the firewall (TCP 636 or 389 outbound) and [directory] urls",
	ClassTimeout:     "check the domain controller's load, or raise [directory] timeout",
	ClassTLS:         "check that [directory] ca holds the authority that issued the domain controller's certificate, and that urls names it as the certificate does",
	ClassBind:        "check [directory] bind and the credential holdfast.directory, and that the account is not locked",
	ClassCredential:  "put the reading account's password into the credential holdfast.directory",
	ClassBusy:        "the domain controller is overloaded or stopping; name another one in [directory] urls",
	ClassSizeLimit:   "the domain controller refuses searches of this size; check its query policy (MaxPageSize, MaxResultSetSize)",
	ClassTimeLimit:   "the domain controller's query policy ends searches too early (MaxQueryDuration)",
	ClassReferral:    "[directory] base or group_base lies in another domain; name a domain controller of that one",
	ClassBase:        "check [directory] base and group_base: one of them does not exist, or the account may not see it",
	ClassDenied:      "give the account of [directory] bind the right to read people and groups",
	ClassPartial:     "nothing was taken; if it goes on, check the account's rights and whether something between here and the domain controller cuts answers",
	ClassLimit:       "narrow [directory] base, group_base or filter",
	ClassRefused:     "see `holdfast directory diff`; if it is right, have it approved with `holdfast directory approve`",
	ClassLog:         "see `holdfast status`",
	ClassOther:       "see the domain controller's own log",
}

// Failure is why the directory could not be asked. Its text has no names in it.
type Failure struct {
	Class Class
	Code  int    // LDAP result code, 0 if there was none
	What  string // what was being done
	Err   error  // for errors.Is; its text may quote the directory and is not shown
}

// Error tells the class, and what to do about it.
func (f *Failure) Error() string {
	s := "directory: " + f.What + ": " + string(f.Class)
	if f.Code > 0 {
		s += fmt.Sprintf(" (LDAP code %d)", f.Code)
	}
	if fix := fixes[f.Class]; fix != "" {
		s += "; " + fix
	}
	return s
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Is lets every failure but a refusal and those of the log match ErrUnavailable.
func (f *Failure) Is(target error) bool {
	return target == ErrUnavailable && f.Class != ClassRefused && f.Class != ClassLog && f.Class != ClassStopped
}

// ErrUnavailable is matched when no domain controller gives an answer.
var ErrUnavailable = errors.New("the directory gives no answer")

// ErrRefused is matched when the rails refuse what a synchronisation would change.
var ErrRefused = errors.New("the rails refuse it")

func fail(class Class, what string, err error) error {
	var f *Failure
	if errors.As(err, &f) {
		return err
	}
	return &Failure{Class: class, What: what, Err: err}
}

// failed classifies what a request to a domain controller returned.
func failed(what string, err error) error {
	var f *Failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	return &Failure{Class: classOf(err), Code: answerCode(err), What: what, Err: err}
}

// answerCode returns the result code with which a server answered, 0 if it did
// not or if the failure is this program's own finding.
func answerCode(err error) int {
	var l *ldap.Error
	if errors.As(err, &l) && l.ResultCode < ldap.ErrorNetwork {
		return int(l.ResultCode)
	}
	return 0
}

func classOf(err error) Class {
	var f *Failure
	var l *ldap.Error
	var n net.Error
	switch {
	case errors.As(err, &f):
		return f.Class
	case errors.Is(err, ErrRefused):
		return ClassRefused
	case errors.Is(err, context.Canceled):
		return ClassStopped
	case errors.Is(err, context.DeadlineExceeded):
		return ClassTimeout
	case errors.Is(err, archive.ErrFailed), errors.Is(err, archive.ErrClosed), errors.Is(err, archive.ErrInvalid):
		return ClassLog
	case isTLS(err):
		return ClassTLS
	case errors.As(err, &n) && n.Timeout():
		return ClassTimeout
	case errors.As(err, &l):
		return classOfCode(l.ResultCode)
	case errors.As(err, &n), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return ClassUnreachable
	}
	return ClassOther
}

func classOfCode(code uint16) Class {
	switch code {
	case ldap.LDAPResultBusy, ldap.LDAPResultUnavailable:
		return ClassBusy
	case ldap.LDAPResultInvalidCredentials:
		return ClassBind
	case ldap.LDAPResultTimeLimitExceeded:
		return ClassTimeLimit
	case ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultAdminLimitExceeded:
		return ClassSizeLimit
	case ldap.LDAPResultReferral:
		return ClassReferral
	case ldap.LDAPResultNoSuchObject:
		return ClassBase
	case ldap.LDAPResultStrongAuthRequired, ldap.LDAPResultConfidentialityRequired,
		ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInsufficientAccessRights:
		return ClassDenied
	case ldap.ErrorNetwork:
		return ClassUnreachable
	}
	return ClassOther
}

func isTLS(err error) bool {
	var (
		unknown  x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		hostname x509.HostnameError
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		alert    tls.AlertError
	)
	return errors.As(err, &unknown) || errors.As(err, &invalid) || errors.As(err, &hostname) ||
		errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert) || errors.Is(err, errHandshake)
}

// elsewhere reports whether another domain controller may do better: after
// network errors and codes 51 and 52. A wrong password is wrong everywhere, and
// trying it elsewhere only locks the account sooner. A LoginError is final,
// whatever is behind it: a person's password has been sent.
func elsewhere(err error) bool {
	var l *LoginError
	if errors.As(err, &l) {
		return false
	}
	switch classOf(err) {
	case ClassUnreachable, ClassTimeout, ClassTLS, ClassBusy:
		return true
	}
	return false
}
