package people

import (
	"encoding/hex"
	"errors"
	"strings"
)

// GUID is an objectGUID as directory tools show it: 32 lower-case hexadecimal
// digits in groups of 8-4-4-4-12 (MS-DTYP section 2.3.4.3, without the braces).
type GUID string

// ErrGUID is returned for text that is not a GUID.
var ErrGUID = errors.New("not an objectGUID such as 3e4385bb-7c43-4feb-8ea2-97c65cc06abf")

const nilGUID GUID = "00000000-0000-0000-0000-000000000000"

// ParseGUID reads a GUID in either case, with or without braces. The GUID of
// zeroes, which belongs to nothing, is refused.
func ParseGUID(s string) (GUID, error) {
	if len(s) == 38 && s[0] == '{' && s[37] == '}' {
		s = s[1:37]
	}
	g := GUID(strings.ToLower(s))
	if !g.Valid() {
		return "", ErrGUID
	}
	return g, nil
}

// GUIDOf returns the GUID of an objectGUID's 16 bytes as the directory stores
// them: the first three fields little-endian, the rest in order (MS-DTYP
// section 2.3.4.2).
func GUIDOf(raw [16]byte) GUID {
	b := swap(raw)
	digits := hex.EncodeToString(b[:])
	return GUID(digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:])
}

// Bytes returns the 16 bytes of g as the directory stores them; it undoes GUIDOf.
func (g GUID) Bytes() ([16]byte, error) {
	var b [16]byte
	if !g.Valid() {
		return b, ErrGUID
	}
	if _, err := hex.Decode(b[:], []byte(strings.ReplaceAll(string(g), "-", ""))); err != nil {
		return b, ErrGUID
	}
	return swap(b), nil
}

// Valid reports whether g is a GUID in canonical form.
func (g GUID) Valid() bool {
	if len(g) != 36 || g == nilGUID {
		return false
	}
	for i := range len(g) {
		c := g[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
				return false
			}
		}
	}
	return true
}

// swap turns the byte order of a GUID's first three fields round.
func swap(b [16]byte) [16]byte {
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5] = b[5], b[4]
	b[6], b[7] = b[7], b[6]
	return b
}
