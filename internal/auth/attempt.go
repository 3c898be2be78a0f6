package auth

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Attempt is somebody's attempt to log in, as typed.
type Attempt struct {
	Name     string // account or UPN
	Password string
	Code     string // TOTP code, two consecutive ones typed as one, or a recovery code
	Ticket   string // from an administrator: shown once instead of a code, to enrol a second factor
	Address  string // IP address of the other end
}

// Limits of an attempt, in bytes. Active Directory's own are 256 characters for
// a UPN and for a password.
const (
	maxLoginName = 256
	maxPassword  = 1024
	maxCode      = 64
)

// codeKind says which second factor was typed.
type codeKind int

const (
	codeNone codeKind = iota
	codeTOTP
	codePair     // two consecutive TOTP codes
	codeRecovery // a recovery code
)

// try is an attempt in its one form.
type try struct {
	name     string
	password string
	kind     codeKind
	code     string
	ticket   string // "" when none was typed
	address  string // canonical; "" when unknown
	from     netip.Prefix
}

// normalise brings an attempt into its one form; false when no person, code or
// ticket can be meant by it. Spaces and dashes within codes and tickets, and
// their case, say nothing: people type them from paper.
func normalise(a Attempt) (try, bool) {
	t := try{password: a.Password}
	t.address, t.from = place(a.Address)
	if t.name = strings.TrimSpace(a.Name); t.name == "" || len(t.name) > maxLoginName || !printable(t.name) {
		return t, false
	}
	if len(a.Password) > maxPassword || !utf8.ValidString(a.Password) || strings.ContainsRune(a.Password, 0) {
		return t, false
	}
	if len(a.Code) > maxCode || len(a.Ticket) > maxCode {
		return t, false
	}
	t.code = compact(a.Code)
	switch {
	case t.code == "":
	case digits(t.code) && len(t.code) == totpDigits:
		t.kind = codeTOTP
	case digits(t.code) && len(t.code) == 2*totpDigits:
		t.kind = codePair
	default:
		if t.code = legible(t.code); len(t.code) != recoveryText || !base32Text(t.code) {
			return t, false
		}
		t.kind = codeRecovery
	}
	if t.ticket = legible(compact(a.Ticket)); t.ticket != "" && (len(t.ticket) != ticketText || !base32Text(t.ticket)) {
		return t, false
	}
	return t, true
}

// place returns an address in canonical form and the block that guesses from it
// are counted under: the address itself, or the /64 of an IPv6 address, which
// one machine has to itself.
func place(s string) (string, netip.Prefix) {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return "", netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	from, err := ip.Prefix(bits)
	if err != nil {
		return "", netip.Prefix{}
	}
	return ip.String(), from
}

// compact drops the spaces and dashes of a code.
func compact(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

// legible undoes what people make of a base32 code (RFC 4648 section 6) when
// they read it: the alphabet has no 0, 1 and 8 for that reason.
func legible(s string) string {
	return strings.NewReplacer("0", "O", "1", "I", "8", "B").Replace(strings.ToUpper(s))
}

func digits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

func base32Text(s string) bool {
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
