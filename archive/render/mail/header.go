package mail

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"holdfast/archive/render"
)

// Signs that stand in quotes as they are.
const (
	alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	inName       = alphanumeric + " .,'-()_"
	inFileName   = alphanumeric + " ._-()"
	inExtended   = alphanumeric + "._-" // unquoted in an extended value (RFC 2231)
)

const (
	// lineLength is how long a line gets where nothing forbids to break it, its
	// CR LF apart (RFC 5322 section 2.1.1, RFC 2047 section 2).
	lineLength = 76
	// wordText is how many octets of text one encoded word holds: in base64 and
	// with its frame it has at most 75 octets (RFC 2047 section 2).
	wordText = 45
	// nameText is how many octets of a display name are shown: an encoded word of
	// them stands behind the field's name. What is longer ends in cutOff.
	nameText = 42
	cutOff   = "…"
	// longWord is the longest run of signs without a space that stands as it is.
	longWord = 200
)

// header writes one field with an unstructured value, which may be hostile.
// Without a value it writes nothing.
func header(b *strings.Builder, name, value string) {
	if value != "" {
		field(b, name, words(render.Visible(value)))
	}
}

// headers writes one field with a list of values, separated by semicolons; one
// in a value reads \u003b. Without a value it writes nothing.
func headers(b *strings.Builder, name string, values []string) {
	if len(values) == 0 {
		return
	}
	items := make([]string, len(values))
	for i, v := range values {
		items[i] = render.Item(render.Visible(v))
	}
	field(b, name, words(strings.Join(items, "; ")))
}

// words returns a value as the words of a field: its own, or encoded ones.
func words(value string) []string {
	if literal(value) {
		return strings.Split(value, " ")
	}
	return encoded(value)
}

// field writes a field of words, with a space before each, folded before a
// word that the line has no room for (RFC 5322 section 2.2.3).
func field(b *strings.Builder, name string, all []string) {
	b.WriteString(name + ":")
	length := len(name) + 1
	for i, word := range all {
		// A line of nothing but the field's name reads badly in some programs.
		if i > 0 && length+1+len(word) > lineLength {
			b.WriteString("\r\n")
			length = 0
		}
		b.WriteString(" " + word)
		length += 1 + len(word)
	}
	b.WriteString("\r\n")
}

// literal reports whether a value can stand as it is: ASCII words separated by
// single spaces, none too long for a line or read as an encoded word.
func literal(value string) bool {
	for word := range strings.SplitSeq(value, " ") {
		if word == "" || len(word) > longWord || strings.Contains(word, "=?") {
			return false
		}
	}
	for i := range len(value) {
		if value[i] < 0x20 || value[i] > 0x7e {
			return false
		}
	}
	return true
}

// encoded returns a value as encoded words (RFC 2047 section 4.1). None ends
// within a character. The first is short enough to stand behind a field's name.
func encoded(value string) []string {
	var all []string
	for most := wordText / 3; value != ""; most = wordText {
		n := whole(value, most)
		all = append(all, encodedWord(value[:n]))
		value = value[n:]
	}
	return all
}

func encodedWord(s string) string {
	return "=?utf-8?B?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?="
}

// whole returns how many octets of s, at most so many, end with a character.
func whole(s string, most int) int {
	n := min(len(s), most)
	for n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}

// mailbox returns a person as the words of a mailbox (RFC 5322 section 3.4):
// the display name, quoted or encoded, and the address. A name that is too long
// for one word is cut: there are readers that put spaces between the encoded
// words of a display name, though RFC 2047 section 6.2 forbids it.
func mailbox(p *render.Person) []string {
	address := "<" + p.Address() + ">"
	name := p.Label()
	if len(name) > nameText {
		name = name[:whole(name, nameText-len(cutOff))] + cutOff
	}
	switch {
	case name == "":
		return []string{address}
	case strings.Trim(name, inName) == "":
		return []string{`"` + name + `"`, address}
	}
	return []string{encodedWord(name), address}
}

// mailboxes writes a field of people.
func mailboxes(b *strings.Builder, name string, people []render.Person) {
	var all []string
	for i := range people {
		all = append(all, mailbox(&people[i])...)
		if i < len(people)-1 {
			all[len(all)-1] += ","
		}
	}
	field(b, name, all)
}

// disposition writes the Content-Disposition (RFC 2183) of a file with that
// name, by RFC 2231 where it is not plain or long: in pieces, none of them
// broken within an octet.
func disposition(b *strings.Builder, kind, name string) {
	b.WriteString("Content-Disposition: " + kind + ";")
	if len(name) <= wordText && strings.Trim(name, inFileName) == "" {
		b.WriteString("\r\n filename=\"" + name + "\"\r\n")
		return
	}
	var pieces []string
	piece := "utf-8''"
	for _, r := range name {
		sign := string(r)
		if !strings.Contains(inExtended, sign) {
			sign = percent(sign)
		}
		if len(piece)+len(sign) > wordText {
			pieces = append(pieces, piece)
			piece = ""
		}
		piece += sign
	}
	if pieces == nil {
		b.WriteString("\r\n filename*=" + piece + "\r\n")
		return
	}
	for i, p := range append(pieces, piece) {
		if i > 0 {
			b.WriteByte(';')
		}
		fmt.Fprintf(b, "\r\n filename*%d*=%s", i, p)
	}
	b.WriteString("\r\n")
}

// percent returns the octets of s as an extended value has them.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}
