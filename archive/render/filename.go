package render

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFileName is how long a name of FileName gets, in octets: file systems
// take 255, and who saves a file may number it.
const maxFileName = 200

// FileName returns a sender's name for a file as a name that every file system
// takes and that leads nowhere: one path element, in which separators, signs
// that are special on some system, unsafe and hidden runes, a leading dot or
// minus and a trailing dot or space stand as %XX, octet by octet as in a URL;
// so does the first letter of a device's name, and a % before two hexadecimal
// digits. A longer name is cut before its extension and gets its hash. The
// name of nothing is "unnamed". Different names stay different.
func FileName(s string) string {
	if s == "" {
		return "unnamed"
	}
	var b strings.Builder
	before := rune(-1)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		rest := s[i+n:]
		if special(s, i, before, r, n, rest) {
			for _, c := range []byte(s[i : i+n]) {
				b.WriteByte('%')
				b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{c})))
			}
		} else {
			b.WriteString(s[i : i+n])
		}
		before = r
		i += n
	}
	return short(b.String(), s)
}

func special(s string, i int, before, r rune, n int, rest string) bool {
	switch {
	case r == utf8.RuneError && n == 1, Unsafe(r), hidden(r) && !needed(before, r, rest), strings.ContainsRune(`/\:*?"<>|`, r):
		return true
	case (i == 0 || rest == "") && unicode.IsSpace(r):
		return true
	case i == 0 && (strings.ContainsRune(".-~", r) || device(s) || s == "unnamed"):
		return true
	case rest == "" && r == '.':
		return true
	}
	return r == '%' && len(rest) >= 2 && strings.Trim(rest[:2], "0123456789abcdefABCDEF") == ""
}

// device reports whether Windows takes the name for a device, whatever its
// extension.
func device(s string) bool {
	stem, _, _ := strings.Cut(s, ".")
	stem = strings.ToLower(strings.TrimRight(stem, " "))
	switch stem {
	case "con", "prn", "aux", "nul", "conin$", "conout$":
		return true
	}
	for _, port := range []string{"com", "lpt"} {
		if number, ok := strings.CutPrefix(stem, port); ok && utf8.RuneCountInString(number) == 1 && strings.ContainsAny(number, "0123456789¹²³") {
			return true
		}
	}
	return false
}

// short cuts name, made of s, to maxFileName octets.
func short(name, s string) string {
	if len(name) <= maxFileName {
		return name
	}
	sum := sha256.Sum256([]byte(s))
	tail := "~" + hex.EncodeToString(sum[:8])
	if ext := Extension(s); ext != "" {
		tail += "." + ext
	}
	name = name[:maxFileName-len(tail)]
	for !utf8.ValidString(name) {
		name = name[:len(name)-1]
	}
	// Half an escape would be none.
	if at := strings.LastIndexByte(name, '%'); at >= len(name)-2 && at >= 0 {
		name = name[:at]
	}
	return name + tail
}

// Extension returns the extension of a sender's name for a file in lower case,
// without its dot: 1 to 10 letters and digits of ASCII, else "".
func Extension(s string) string {
	at := strings.LastIndexByte(s, '.')
	if at < 0 {
		return ""
	}
	ext := s[at+1:]
	if ext == "" || len(ext) > 10 || strings.Trim(ext, letters+digits) != "" {
		return ""
	}
	return strings.ToLower(ext)
}
