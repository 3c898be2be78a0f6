package render

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// userDomain is the domain of the addresses that are made for people of whom
// the directory has no mail address. Nothing is ever delivered there (RFC 6761
// section 6.4).
const userDomain = "relay-user.invalid"

// Called is what the person is called: the directory's name, else the UPN, else
// the relay user id. As it was said: hostile until escaped.
func (p *Person) Called() string { return cmp.Or(p.Name, p.UPN, p.Usr) }

// Label is Called as one line that is safe to show.
func (p *Person) Label() string { return Visible(p.Called()) }

// Address returns the person's mail address as an addr-spec of ASCII (RFC 5322
// section 3.4.1, dot-atom on both sides, at most 64 and 255 octets): the
// directory's where it is one, else one made of the relay user id, to which no
// mail can be delivered. The same user has the same, another another.
func (p *Person) Address() string {
	if at := strings.LastIndexByte(p.Mail, '@'); at > 0 && len(p.Mail) < 255 {
		local, domain := p.Mail[:at], p.Mail[at+1:]
		if len(local) <= 64 && dotAtom(local) && hostName(domain) && !strings.EqualFold(domain, userDomain) {
			return p.Mail
		}
	}
	return token(p.Usr, 64) + "@" + userDomain
}

// Token returns s where it is a dot-atom of letters, digits and -_+=/ (RFC 5322
// section 3.2.3) of at most 255 octets, else one made of its hash: a name that
// any header takes, another for another s.
func Token(s string) string { return token(s, 255) }

func token(s string, most int) string {
	const hashed = "sha256."
	if len(s) <= most && dotAtom(s) && !strings.HasPrefix(s, hashed) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return hashed + hex.EncodeToString(sum[:16])
}

// dotAtom reports whether s is a dot-atom-text of letters and digits and the
// signs that no parser takes for anything else.
func dotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.Trim(atom, letters+digits+"-_+=/") != "" {
			return false
		}
	}
	return true
}

func hostName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, letters+digits+"-") != "" {
			return false
		}
	}
	return len(s) <= 253
}

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)
