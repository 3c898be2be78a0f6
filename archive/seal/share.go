package seal

import (
	"crypto/subtle"
	"encoding/hex"
)

// Share is one share of a recovery kit, as a person typed it. It is a secret.
type Share struct {
	Set    string // id of the kit's set, eight hexadecimal digits; no secret
	Needed int    // shares of the set that recover the key
	Index  int    // from 1
	bytes  []byte
}

// ReadShare reads a share that a person typed; ErrShare says what is wrong with
// it. Case, blanks and dashes do not matter.
func ReadShare(text string) (Share, error) {
	b, err := parseShare(text)
	if err != nil {
		return Share{}, err
	}
	return Share{Set: hex.EncodeToString(b[:4]), Needed: int(b[4]), Index: int(b[5]), bytes: b}, nil
}

// Equal reports whether two shares are the same.
func (s Share) Equal(other Share) bool { return subtle.ConstantTimeCompare(s.bytes, other.bytes) == 1 }

// String returns the share as it is printed.
func (s Share) String() string { return groups(s.bytes) }
