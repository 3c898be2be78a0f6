package daemon

import (
	"bytes"
	"encoding/base64"
	"slices"
)

// canaryMark begins every canary and stands nowhere else; a canary is a word
// of lower-case letters, so that the index has it as a term.
const (
	canaryMark   = "zqxjvk"
	canaryLength = len(canaryMark) + 14
)

// runs yields the stretches of b, at least size bytes long, whose bytes are all
// of an alphabet.
func runs(b []byte, size int, alphabet string, f func(run []byte)) {
	var in [256]bool
	for i := range len(alphabet) {
		in[alphabet[i]] = true
	}
	for at := 0; at+size <= len(b); {
		// A stretch that begins in the next size bytes holds the last of them.
		if !in[b[at+size-1]] {
			at += size
			continue
		}
		from, to := at+size-1, at+size
		for from > at && in[b[from-1]] {
			from--
		}
		for to < len(b) && in[b[to]] {
			to++
		}
		if to-from >= size {
			f(b[from:to])
		}
		at = to
	}
}

const (
	hexDigits   = "0123456789abcdef"
	base64Chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// canariesIn returns the canaries in b, also those in a JWS's parts.
func canariesIn(b []byte) (out []string) {
	add := func(b []byte) {
		for {
			i := bytes.Index(b, []byte(canaryMark))
			if i < 0 {
				return
			}
			if len(b) >= i+canaryLength && !slices.Contains(out, string(b[i:i+canaryLength])) {
				out = append(out, string(b[i:i+canaryLength]))
			}
			b = b[i+1:]
		}
	}
	add(b)
	runs(b, canaryLength, base64Chars, func(run []byte) {
		for from := range 4 {
			part := run[from:]
			plain := make([]byte, base64.RawURLEncoding.DecodedLen(len(part)))
			n, _ := base64.RawURLEncoding.Decode(plain, part) // what precedes a fault is decoded
			add(plain[:n])
		}
	})
	return out
}
