package render

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Unsafe reports whether r can change how the text around it is shown:
// controls, line and paragraph separators, the byte order mark, and the marks,
// embeddings, overrides and isolates of the bidirectional algorithm (Unicode
// UAX #9). All of them lie in the first plane.
func Unsafe(r rune) bool {
	switch {
	case r < 0x20, 0x7f <= r && r <= 0x9f:
		return true
	case r == 0x061c, r == 0x200e, r == 0x200f, 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
		return true
	}
	return r == 0x2028 || r == 0x2029 || r == 0xfeff
}

// Visible returns s as one line in which nothing steers what shows it and
// nothing hides: an unsafe rune, and one that leaves no mark where it stands
// (a zero-width space, a tag character, a joiner between Latin letters), reads
// \uXXXX, beyond the first plane \UXXXXXXXX; a byte that is no UTF-8 reads
// \xXX. A backslash before what looks like such an escape reads \u005c, so
// that different strings stay different. Joiners and variation selectors are
// kept where emoji and scripts need them.
func Visible(s string) string { return escaped(s, oneLine) }

// Lines is Visible for text that is shown in lines: LF and TAB stay, and CR LF
// is one line break as LF is.
func Lines(s string) string { return escaped(s, inLines) }

// Cell returns s as a CSV cell of one line: Visible, with a line break (LF or
// CR LF) as ⏎, and a ' before what a spreadsheet could take for a formula. A
// cell of ' before such a beginning gets one more, and ⏎ itself reads \u23ce,
// so that different strings stay different.
func Cell(s string) string {
	cell := escaped(s, marked)
	if begins(s) {
		return "'" + cell
	}
	return cell
}

// Cells returns several values as one Cell: separated by ; and with a ; inside
// a value as \u003b, so that they can be told apart again.
func Cells(values []string) string {
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = Item(escaped(v, marked))
	}
	cell := strings.Join(cells, ";")
	if len(values) > 0 && begins(values[0]) {
		return "'" + cell
	}
	return cell
}

// Item returns an escaped value as one of a list that is separated by ;.
func Item(visible string) string { return strings.ReplaceAll(visible, ";", `\u003b`) }

// begins reports whether a spreadsheet could take s for a formula: by its
// first rune that is neither a space nor a ', also in its wide form.
func begins(s string) bool {
	rest := strings.TrimLeft(s, "' \u00a0\u3000")
	r, _ := utf8.DecodeRuneInString(rest)
	return rest != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", r)
}

// How a line break and a TAB are shown.
type breaks int

const (
	oneLine breaks = iota // escaped as any control
	inLines               // kept
	marked                // a line break as lineMark, TAB escaped
)

const lineMark = '⏎'

func escaped(s string, b breaks) string {
	if plain(s) {
		return s
	}
	out := make([]byte, 0, len(s)+len(s)/8+16)
	before := rune(-1)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		rest := s[i+n:]
		switch {
		case r == utf8.RuneError && n == 1:
			const hex = "0123456789abcdef"
			out = append(out, '\\', 'x', hex[s[i]>>4], hex[s[i]&15])
		case r == '\r' && b != oneLine && strings.HasPrefix(rest, "\n"):
			// Its LF follows and says it.
		case r == '\n' && b == marked:
			out = utf8.AppendRune(out, lineMark)
		case (r == '\n' || r == '\t') && b == inLines:
			out = append(out, byte(r))
		case Unsafe(r), hidden(r) && !needed(before, r, rest), r == lineMark && b == marked, r == '\\' && likeEscape(rest):
			out = appendEscape(out, r)
		default:
			out = append(out, s[i:i+n]...)
		}
		before = r
		i += n
	}
	return string(out)
}

// plain reports whether s has nothing in it that any of the escapes touches.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f || s[i] == '\\' {
			return false
		}
	}
	return true
}

// likeEscape reports whether a backslash before s would be read as an escape
// of ours.
func likeEscape(s string) bool {
	if s == "" {
		return false
	}
	digits := map[byte]int{'u': 4, 'U': 8, 'x': 2}[s[0]]
	if digits == 0 || len(s) <= digits {
		return false
	}
	return strings.Trim(s[1:1+digits], "0123456789abcdefABCDEF") == ""
}

// appendEscape appends \uXXXX, beyond the first plane \UXXXXXXXX.
func appendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	letter, from := byte('u'), 12
	if r > 0xffff {
		letter, from = 'U', 28
	}
	b = append(b, '\\', letter)
	for ; from >= 0; from -= 4 {
		b = append(b, hex[r>>from&15])
	}
	return b
}

// hidden reports whether r leaves no mark of its own where it stands: the
// default-ignorable code points (Unicode DerivedCoreProperties), fillers that
// are drawn as nothing, spaces that are not told from others, private use and
// what is no character.
func hidden(r rune) bool {
	switch {
	case r < 0xa0:
		return false
	case r == 0xad, r == 0x34f, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xffa0, r == 0x2800:
		return true
	case 0x180b <= r && r <= 0x180f, 0x2000 <= r && r <= 0x200d, 0x2060 <= r && r <= 0x206f, variation(r):
		return true
	case 0xfff0 <= r && r <= 0xfffb, 0x1bca0 <= r && r <= 0x1bca3, 0x1d173 <= r && r <= 0x1d17a:
		return true
	case 0xe0000 <= r && r <= 0xe0fff, r&0xfffe == 0xfffe, 0xfdd0 <= r && r <= 0xfdef:
		return true
	}
	return unicode.Is(unicode.Co, r)
}

const (
	nonJoiner, joiner = 0x200c, 0x200d
	keycap            = 0x20e3
)

// needed reports whether the hidden rune r does its work where it stands,
// after the rune before and in front of rest: a joiner between the letters of
// a script that is written with joiners, or between emoji; a variation selector
// behind what has variants.
func needed(before, r rune, rest string) bool {
	after, _ := utf8.DecodeRuneInString(rest)
	switch {
	case r == joiner || r == nonJoiner:
		return rest != "" && (joins(before) && joins(after) || r == joiner && pictorial(before) && pictorial(after))
	case variation(r):
		return pictorial(before) && !variation(before) || unicode.Is(unicode.Han, before) || strings.ContainsRune("‼⁉〰", before) || after == keycap
	case 0xe0100 <= r && r <= 0xe01ef:
		return unicode.Is(unicode.Han, before)
	case 0x180b <= r && r <= 0x180f:
		return unicode.Is(unicode.Mongolian, before)
	}
	return false
}

// variation reports whether r is a variation selector of the first sixteen.
func variation(r rune) bool { return 0xfe00 <= r && r <= 0xfe0f }

// pictorial reports whether r can be part of an emoji that is joined of
// several.
func pictorial(r rune) bool {
	return r > 0x7f && unicode.In(r, unicode.So, unicode.Sk, unicode.Sm) || r == 0xfe0f
}

// joins reports whether r is of a script in which joiners change how letters
// are written.
func joins(r rune) bool {
	return unicode.In(r, unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati,
		unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer, unicode.Myanmar) && !unicode.Is(unicode.Cf, r)
}
