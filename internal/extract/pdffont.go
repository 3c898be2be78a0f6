package extract

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/ledongthuc/pdf"
	"golang.org/x/text/encoding/charmap"
)

// font is what tells a string's characters and their widths (ISO 32000-1
// sections 9.6 to 9.10).
type font struct {
	wide  bool // codes of two bytes
	uni   bool // which are UTF-16
	chars *charMap
	bytes *[256]string // of a simple font, where the character map says nothing; "" is unknown

	widths map[uint32]float64
	usual  float64 // of a code without one; 0: by its character
}

// Bounds of fonts.
const (
	maxMap    = 4 << 20 // bytes of a character map
	maxWidths = 1 << 16
)

func newFont(v pdf.Value) *font {
	f := &font{widths: map[uint32]float64{}}
	if to := v.Key("ToUnicode"); to.Kind() == pdf.Stream {
		b, err := io.ReadAll(io.LimitReader(to.Reader(), maxMap))
		if err == nil || len(b) > 0 {
			f.chars = newCharMap(b)
		}
	}
	if v.Key("Subtype").Name() == "Type0" {
		f.wide, f.usual = true, 1000
		encoding := v.Key("Encoding").Name()
		f.uni = strings.Contains(encoding, "-UCS2-") || strings.Contains(encoding, "-UTF16-")
		descendant := v.Key("DescendantFonts").Index(0)
		if w := descendant.Key("DW"); !w.IsNull() {
			f.usual = w.Float64()
		}
		f.wideWidths(descendant.Key("W"))
		return f
	}
	f.bytes = simpleBytes(v)
	first, list := v.Key("FirstChar").Int64(), v.Key("Widths")
	for i := range min(list.Len(), 256) {
		f.widths[uint32(first)+uint32(i)] = list.Index(i).Float64() // #nosec G115 -- a code that no string has does no harm
	}
	if v.Key("Subtype").Name() == "Type3" {
		// Its glyphs are in a space of its own, mostly of a thousandth, and its names say nothing.
		if scale := v.Key("FontMatrix").Index(0).Float64(); scale > 0 {
			for code := range f.widths {
				f.widths[code] *= scale * 1000
			}
		}
		f.bytes = nil
	}
	return f
}

// wideWidths reads the widths of a composite font (section 9.7.4.3).
func (f *font) wideWidths(list pdf.Value) {
	for i := 0; i+1 < min(list.Len(), maxWidths); {
		first := list.Index(i).Int64()
		if each := list.Index(i + 1); each.Kind() == pdf.Array {
			for j := range min(each.Len(), maxWidths) {
				f.widths[uint32(first)+uint32(j)] = each.Index(j).Float64() // #nosec G115 -- as above
			}
			i += 2
			continue
		}
		last, width := list.Index(i+1).Int64(), list.Index(i+2).Float64()
		for code := max(first, 0); code <= min(last, 0xffff); code++ {
			f.widths[uint32(code)] = width // #nosec G115 -- of two bytes
		}
		i += 3
	}
}

// code takes the next code off a string and returns its length in bytes. Only a
// composite font's character map says how long codes are.
func (f *font) code(s string) (code uint32, n int) {
	n = min(len(s), f.plain())
	if f.wide && f.chars != nil {
		for k := 1; k <= min(4, len(s)); k++ {
			if f.chars.spans(s[:k]) {
				n = k
				break
			}
		}
	}
	return number(s[:n]), n
}

func (f *font) plain() int {
	if f.wide {
		return 2
	}
	return 1
}

// text returns the characters of one code; false when nobody knows them.
func (f *font) text(code string) (string, bool) {
	if f.chars != nil {
		if s, ok := f.chars.text(number(code)); ok {
			return s, true
		}
	}
	switch {
	case f.uni && len(code) == 2:
		return utf16Text([]byte(code)), true // half a pair gives a replacement character: such letters are rare
	case f.bytes != nil && len(code) == 1:
		s := f.bytes[code[0]]
		return s, s != ""
	}
	return string(utf8.RuneError), false
}

// width returns a code's width in thousandths of the font's size.
func (f *font) width(code uint32) float64 {
	if w, ok := f.widths[code]; ok && w >= 0 {
		return w
	}
	if f.usual > 0 {
		return f.usual
	}
	// The standard fonts come without widths; these are about Helvetica's.
	switch c := rune(code); { // #nosec G115 -- at most four bytes, and compared only
	case strings.ContainsRune("iljtf.,:;'|! ", c):
		return 278
	case strings.ContainsRune("mwMW", c):
		return 833
	case 'A' <= c && c <= 'Z':
		return 667
	}
	return 556
}

// simpleBytes returns the characters of a simple font's codes by its encoding
// (section 9.6.6).
func simpleBytes(v pdf.Value) *[256]string {
	out := &[256]string{}
	encoding := v.Key("Encoding")
	base := encoding.Name()
	if encoding.Kind() == pdf.Dict {
		base = encoding.Key("BaseEncoding").Name()
	}
	for c := range out {
		r := charmap.Windows1252.DecodeByte(byte(c)) // #nosec G115 -- below 256
		if base == "MacRomanEncoding" {
			r = charmap.Macintosh.DecodeByte(byte(c)) // #nosec G115 -- below 256
		}
		if c >= 0x20 && r != utf8.RuneError {
			out[c] = string(r)
		}
	}
	if encoding.Kind() != pdf.Dict {
		return out
	}
	library := pdf.Font{V: v}
	listed := library.Encoder() // knows the standard names, and gives a code itself for a name that it does not know
	names, at := encoding.Key("Differences"), -1
	for i := range min(names.Len(), maxWidths) {
		switch x := names.Index(i); x.Kind() {
		case pdf.Integer:
			at = int(x.Int64())
		case pdf.Name:
			if at >= 0 && at < len(out) {
				out[at] = glyphText(x.Name(), byte(at), listed)
			}
			at++
		}
	}
	return out
}

// glyphText returns the characters that a glyph's name stands for (Adobe Glyph
// List Specification section 2), "" for a name that says nothing.
func glyphText(name string, code byte, listed pdf.TextEncoding) string {
	base, _, _ := strings.Cut(name, ".")
	var out strings.Builder
	for part := range strings.SplitSeq(base, "_") {
		s := partText(part)
		if s == "" {
			out.Reset()
			break
		}
		out.WriteString(s)
	}
	if out.Len() > 0 {
		return out.String()
	}
	own := string(rune(code))
	s := listed.Decode(string([]byte{code}))
	if s == own && strings.ContainsAny(name, "._0123456789") {
		return ""
	}
	return s
}

// partText reads a part of a glyph's name: a letter, or a code point.
func partText(part string) string {
	if len(part) == 1 && letter(part[0]) {
		return part
	}
	if hex, ok := strings.CutPrefix(part, "uni"); ok && len(hex) >= 4 && len(hex)%4 == 0 {
		var b []byte
		for four := range slices.Chunk([]byte(hex), 4) {
			n, err := strconv.ParseUint(string(four), 16, 16)
			if err != nil {
				return ""
			}
			b = binary.BigEndian.AppendUint16(b, uint16(n))
		}
		return utf16Text(b)
	}
	if hex, ok := strings.CutPrefix(part, "u"); ok && len(hex) >= 4 && len(hex) <= 6 {
		if n, err := strconv.ParseUint(hex, 16, 21); err == nil {
			return string(rune(n)) // #nosec G115 -- 21 bits
		}
	}
	return ""
}

func utf16Text(b []byte) string {
	u := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		u = append(u, binary.BigEndian.Uint16(b[i:]))
	}
	return string(utf16.Decode(u))
}

// charMap is a ToUnicode character map (section 9.10.3). Makers do not agree on
// how long a simple font's codes are in one, so codes are taken as numbers.
type charMap struct {
	spaces []span
	chars  map[uint32]string
	ranges []span
}

// span is a range of codes, and where it leads.
type span struct {
	from, to uint32
	length   int      // of a code, bytes
	first    []byte   // UTF-16 of from's characters, of which the last unit rises
	each     []string // or of each one
}

func newCharMap(b []byte) *charMap {
	m := &charMap{chars: map[uint32]string{}}
	lex(b, func(op string, args []operand) {
		switch op {
		case "endcodespacerange":
			for i := 0; i+1 < len(args); i += 2 {
				if s, ok := newSpan(args[i].str, args[i+1].str); ok {
					m.spaces = append(m.spaces, s)
				}
			}
		case "endbfchar":
			for i := 0; i+1 < len(args); i += 2 {
				m.chars[number(args[i].str)] = utf16Text([]byte(args[i+1].str))
			}
		case "endbfrange":
			for i := 0; i+2 < len(args); i += 3 {
				s, ok := newSpan(args[i].str, args[i+1].str)
				if !ok {
					continue
				}
				s.first = []byte(args[i+2].str)
				for _, one := range args[i+2].list {
					s.each = append(s.each, utf16Text([]byte(one.str)))
				}
				m.ranges = append(m.ranges, s)
			}
		}
	})
	return m
}

func newSpan(from, to string) (span, bool) {
	if len(from) != len(to) || len(from) == 0 || len(from) > 4 {
		return span{}, false
	}
	return span{from: number(from), to: number(to), length: len(from)}, true
}

func number(s string) (n uint32) {
	for i := range len(s) {
		n = n<<8 | uint32(s[i])
	}
	return n
}

// spans reports whether so many bytes are a whole code.
func (m *charMap) spans(code string) bool {
	n := number(code)
	return slices.ContainsFunc(m.spaces, func(s span) bool { return s.length == len(code) && s.from <= n && n <= s.to })
}

func (m *charMap) text(code uint32) (string, bool) {
	if s, ok := m.chars[code]; ok {
		return s, s != ""
	}
	for i := range m.ranges {
		s := &m.ranges[i]
		if code < s.from || code > s.to {
			continue
		}
		if up := code - s.from; s.each != nil {
			if uint64(up) < uint64(len(s.each)) {
				return s.each[up], s.each[up] != ""
			}
		} else if len(s.first) >= 2 {
			b := bytes.Clone(s.first)
			unit := b[len(b)&^1-2 : len(b)&^1]
			binary.BigEndian.PutUint16(unit, binary.BigEndian.Uint16(unit)+uint16(up)) // #nosec G115 -- units wrap round
			return utf16Text(b), true
		}
	}
	return "", false
}
