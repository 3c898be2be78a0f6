package export

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"holdfast/archive/render"
)

// marshalLine returns v as JSON without a line break, in which every unsafe
// rune is escaped: a JSON reader gets the same value back, a terminal is not
// steered by it.
func marshalLine(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	b := bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})
	if !hasUnsafe(b) {
		return b, nil
	}
	// Outside of strings there is nothing but ASCII, so that every unsafe rune
	// found stands in a string.
	out := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if render.Unsafe(r) {
			out = appendEscape(out, r)
		} else {
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return out, nil
}

// hasUnsafe reports whether JSON text holds an unsafe rune. Controls below
// 0x20 are escaped in it already.
func hasUnsafe(b []byte) bool {
	for i := 0; i < len(b); {
		if b[i] < 0x7f {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if render.Unsafe(r) {
			return true
		}
		i += n
	}
	return false
}

// appendEscape appends \uXXXX; every unsafe rune lies in the first plane.
func appendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
