package jws

import (
	"bytes"
	"encoding/base64"
	"fmt"
)

// EncodeB64 returns unpadded base64url (RFC 4648 §5).
func EncodeB64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// DecodeB64 decodes unpadded base64url. Only the bytes that EncodeB64 makes are accepted: no line breaks, no loose trailing bits.
func DecodeB64(s string) ([]byte, error) {
	return DecodeBytes([]byte(s))
}

// b64Value maps a character of base64url to its six bits, any other to 0xff.
var b64Value = func() (table [256]byte) {
	for i := range table {
		table[i] = 0xff
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		table[c] = byte(i)
	}
	return table
}()

// InB64Alphabet reports whether c is a character of base64url.
func InB64Alphabet(c byte) bool { return b64Value[c] != 0xff }

// ValidB64 reports whether DecodeB64 would give n bytes, without decoding.
func ValidB64(s string, n int) bool {
	chars := (n*8 + 5) / 6
	if len(s) != chars {
		return false
	}
	for i := range chars {
		if b64Value[s[i]] == 0xff {
			return false
		}
	}
	loose := chars*6 - n*8
	return n == 0 || b64Value[s[chars-1]]&(1<<loose-1) == 0
}

var strictB64 = base64.RawURLEncoding.Strict()

// DecodeBytes is DecodeB64 of bytes.
func DecodeBytes(src []byte) ([]byte, error) {
	// The standard decoder skips CR and LF even when it is strict.
	if bytes.IndexByte(src, '\n') >= 0 || bytes.IndexByte(src, '\r') >= 0 {
		return nil, fmt.Errorf("%w: a line break in base64url", ErrMalformed)
	}
	out := make([]byte, strictB64.DecodedLen(len(src)))
	n, err := strictB64.Decode(out, src)
	if err != nil {
		return nil, fmt.Errorf("%w: not unpadded base64url", ErrMalformed)
	}
	return out[:n], nil
}
