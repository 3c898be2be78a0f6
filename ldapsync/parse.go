package ldapsync

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"holdfast/archive/people"
)

var (
	errGUID    = errors.New("an entry without its objectGUID")
	errSID     = errors.New("a SID that is none")
	errNumber  = errors.New("an attribute that is no number")
	errRange   = errors.New("a range that does not continue the one before")
	errMissing = errors.New("an attribute that the account may not read")
)

// The bits of userAccountControl (MS-ADTS 2.2.16).
const (
	uacDisabled = 0x2
	// Trusts between domains, workstations and servers: accounts, but nobody's.
	uacMachines = 0x800 | 0x1000 | 0x2000
)

func guidOf(raw []byte) (people.GUID, error) {
	if len(raw) != 16 {
		return "", errGUID
	}
	g := people.GUIDOf([16]byte(raw))
	if !g.Valid() {
		return "", errGUID
	}
	return g, nil
}

// sidOf writes a SID (MS-DTYP 2.4.2.2) as tools show it (2.4.2.1).
func sidOf(raw []byte) (string, error) {
	if len(raw) < 8 || raw[0] != 1 || raw[1] > 15 || len(raw) != 8+4*int(raw[1]) {
		return "", errSID
	}
	var authority uint64
	for _, b := range raw[2:8] {
		authority = authority<<8 | uint64(b)
	}
	s := "S-1-" + strconv.FormatUint(authority, 10)
	for i := 8; i < len(raw); i += 4 {
		s += "-" + strconv.FormatUint(uint64(binary.LittleEndian.Uint32(raw[i:])), 10)
	}
	return s, nil
}

// primarySID is the SID of a person's primary group: the domain's, which is the
// person's without the last part, and the group's number in it. It is "" when
// the account does not show it.
func primarySID(sid, id string) (string, error) {
	if id == "" || sid == "" {
		return "", nil
	}
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return "", errNumber
	}
	i := strings.LastIndexByte(sid, '-')
	if i < 0 {
		return "", errSID
	}
	return sid[:i+1] + strconv.FormatUint(n, 10), nil
}

// The count of accountExpires (MS-ADTS 2.2.12): 100 ns since 1601, UTC.
const (
	expiresTick  = 10_000_000    // a second
	expiresEpoch = 11644473600   // seconds from 1601 to 1970
	expiresNever = math.MaxInt64 //
)

// expiresAt reads accountExpires: nil means never, which is written as nothing,
// 0 or 2^63-1. A day after the year 9999 is never, too.
func expiresAt(s string) (*time.Time, error) {
	if s == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return nil, errNumber
	}
	if n == 0 || n == expiresNever {
		return nil, nil
	}
	t := time.Unix(n/expiresTick-expiresEpoch, n%expiresTick*100).UTC()
	if t.Year() > 9999 {
		return nil, nil
	}
	return &t, nil
}

// account reads userAccountControl. An entry that does not show it may be one
// that is disabled, and is not taken for one that is not.
func account(s string) (disabled, machine bool, err error) {
	if s == "" {
		return false, false, errMissing
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return false, false, errNumber
	}
	return n&uacDisabled != 0, n&uacMachines != 0, nil
}

// span is the part of an attribute's values that an answer holds
// (MS-ADTS 3.1.1.3.1.3.3): those from low to high, counted from 0.
type span struct {
	low, high int
	last      bool // high was written as *, and there is no more
}

// rangeOf reads the option of an attribute's name: member;range=0-1499. False
// means that it has none.
func rangeOf(name, attribute string) (span, bool, error) {
	base, option, ok := strings.Cut(name, ";")
	if !ok || !strings.EqualFold(base, attribute) {
		return span{}, false, nil
	}
	option, ok = cutFold(option, "range=")
	low, high, dash := strings.Cut(option, "-")
	if !ok || !dash {
		return span{}, true, errRange
	}
	var s span
	var err error
	if s.low, err = place(low); err != nil {
		return span{}, true, err
	}
	if high == "*" {
		s.last = true
		return s, true, nil
	}
	if s.high, err = place(high); err != nil || s.high < s.low {
		return span{}, true, errRange
	}
	return s, true, nil
}

func place(s string) (int, error) {
	if s == "" || len(s) > 9 || strings.Trim(s, "0123456789") != "" || len(s) > 1 && s[0] == '0' {
		return 0, errRange
	}
	return strconv.Atoi(s)
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// named is a DN as an answer writes it, and the objectGUID of what it names
// where the answer tells it (oidExtendedDN).
type named struct {
	guid people.GUID
	dn   string
}

// nameOf takes the parts of an extended DN apart: <GUID=…>;<SID=…>;DN.
func nameOf(s string) named {
	var n named
	for strings.HasPrefix(s, "<") {
		part, rest, ok := strings.Cut(s, ">;")
		if !ok {
			break
		}
		if text, is := cutFold(part, "<GUID="); is {
			if g, err := people.ParseGUID(text); err == nil {
				n.guid = g
			}
		}
		s = rest
	}
	n.dn = s
	return n
}

// subCode finds the sub-code in what Active Directory says of a refused bind,
// "80090308: LdapErr: DSID-0C090449, comment: AcceptSecurityContext error, data
// 52e, v4563": lower-case hexadecimal, at most 8 digits, "" if there is none.
func subCode(diagnostic string) string {
	_, rest, ok := strings.Cut(diagnostic, ", data ")
	if !ok {
		return ""
	}
	code, _, ok := strings.Cut(rest, ",")
	if !ok || code == "" || len(code) > 8 {
		return ""
	}
	code = strings.ToLower(code)
	if strings.Trim(code, "0123456789abcdef") != "" {
		return ""
	}
	return code
}

// text returns an attribute's only value, as entries may hold it.
func text(e *ldap.Entry, attribute string) string {
	return people.Clean(e.GetEqualFoldAttributeValue(attribute))
}

// octets writes bytes for a filter (RFC 4515, section 3).
func octets(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteByte('\\')
		s.WriteString(hex.EncodeToString([]byte{c}))
	}
	return s.String()
}

// malformed says which entry could not be understood, by its objectGUID: the
// one thing about it that is no name.
func malformed(g people.GUID, err error) error {
	class := ClassPartial
	if errors.Is(err, errMissing) {
		class = ClassDenied
	}
	if g == "" {
		return fail(class, "read an entry", err)
	}
	return fail(class, fmt.Sprintf("read the entry with objectGUID %s (%v)", g, err), err)
}

// foldDN makes the DNs of one server's answers comparable: it writes a DN in one
// way, but not always in one case.
func foldDN(dn string) string { return strings.ToLower(dn) }
