package adtest

import (
	"encoding/hex"
	"strings"
)

// fold is a DN in the one form in which two of them are compared: names in
// lower case, escapes resolved, no space around the separators (RFC 4514).
func fold(dn string) string {
	rdns := splitDN(dn)
	for i, r := range rdns {
		name, value, _ := strings.Cut(r, "=")
		rdns[i] = strings.ToLower(strings.TrimSpace(name)) + "=" + strings.ToLower(unescape(strings.TrimSpace(value)))
	}
	return strings.Join(rdns, "\x00")
}

// below says whether a DN lies below base, or is base itself. Both are folded.
func below(dn, base string) bool {
	return dn == base || base == "" || strings.HasSuffix(dn, "\x00"+base)
}

// parentOf is a DN without its first part.
func parentOf(dn string) string {
	rdns := splitDN(dn)
	return strings.Join(rdns[min(1, len(rdns)):], ",")
}

// splitDN splits a DN at the commas that are not escaped.
func splitDN(dn string) []string {
	var out []string
	from := 0
	for i := 0; i < len(dn); i++ {
		switch dn[i] {
		case '\\':
			i++
		case ',':
			out = append(out, strings.TrimSpace(dn[from:i]))
			from = i + 1
		}
	}
	if strings.TrimSpace(dn) == "" {
		return nil
	}
	return append(out, strings.TrimSpace(dn[from:]))
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if i+2 < len(s) {
			if raw, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.Write(raw)
				i += 2
				continue
			}
		}
		i++
		b.WriteByte(s[i])
	}
	return b.String()
}

// escape writes a value so that it may stand in a DN.
func escape(value string) string {
	var b strings.Builder
	for i, r := range value {
		edge := i == 0 || i == len(value)-1
		switch {
		case strings.ContainsRune(`,+"\<>;=`, r), edge && r == ' ', i == 0 && r == '#':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ':
			b.WriteString(`\` + hex.EncodeToString([]byte{byte(r)}))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
