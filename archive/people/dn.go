package people

import (
	"slices"
	"strings"
)

// SameDN reports whether a and b are the same DN whatever their case, their
// escapes and the spaces around their separators.
func SameDN(a, b string) bool { return a == b || slices.Equal(splitDN(a), splitDN(b)) }

// below reports whether a DN, split, is another or lies below it. Whole RDNs
// are compared, so nobody gets below an organisational unit by a name that
// ends like its DN.
func below(dn, of []string) bool {
	return len(of) > 0 && len(dn) >= len(of) && slices.Equal(dn[len(dn)-len(of):], of)
}

// splitDN returns a DN's RDNs (RFC 4514), each unescaped and folded, so that
// two that name the same thing are equal. It takes any text; what has no form
// of a DN is equal to little else. In an RDN the separators = and + come after
// a zero byte, and a zero byte of a value is doubled, so that what was escaped
// differs from what was not.
func splitDN(s string) []string {
	var rdns []string
	var r rdn
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			r.literal(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		case c == '\\' && i+1 < len(s):
			r.literal(s[i+1])
			i++
		case c == ',':
			rdns = append(rdns, r.end())
		case c == '+' || c == '=' && !r.typed:
			r.separator(c)
		case c == ' ':
			r.space()
		default:
			r.literal(c)
		}
	}
	if last := r.end(); last != "" || len(rdns) > 0 {
		rdns = append(rdns, last)
	}
	return rdns
}

// rdn is an RDN that is being read.
type rdn struct {
	b     []byte
	typed bool // the = after the type was met
	begun bool // something stands after the last separator
	keep  int  // length of b without the spaces at its end that nothing escaped
}

func (r *rdn) literal(c byte) {
	r.b = append(r.b, c)
	if c == 0 {
		r.b = append(r.b, c)
	}
	r.begun, r.keep = true, len(r.b)
}

func (r *rdn) space() {
	if r.begun {
		r.b = append(r.b, ' ')
	}
}

func (r *rdn) separator(c byte) {
	r.b = append(r.b[:r.keep], 0, c)
	r.typed, r.begun, r.keep = c == '=', false, len(r.b)
}

func (r *rdn) end() string {
	s := fold(string(r.b[:r.keep]))
	*r = rdn{}
	return s
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte { return byte(strings.IndexByte("0123456789abcdef", c|0x20)) } // #nosec G115 -- isHex was asked before
