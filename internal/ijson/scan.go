package ijson

import (
	"bytes"
	"strconv"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A scanner walks one JSON text once. names is a stack of the folded member names of all open objects, one after the other in arena.
type scanner struct {
	b       []byte
	i       int
	strict  bool
	arena   []byte
	names   []span
	scratch []byte
}

type span struct{ from, to int }

// manyMembers is the number of members from which an object's names are looked up in a map: below it a walk is faster, above it a
// walk would let a sender make the archive work for the square of what he sent.
const manyMembers = 24

const tooBig = 1 << 53

var scanners = sync.Pool{New: func() any { return new(scanner) }}

func check(b []byte, sh *shape, strict bool) error {
	s := scanners.Get().(*scanner)
	s.b, s.i, s.strict, s.arena, s.names = b, 0, strict, s.arena[:0], s.names[:0]
	err := s.document(sh)
	s.b = nil
	// Names and scratch bytes may be message content; a pooled scanner must not carry them around.
	clear(s.arena[:cap(s.arena)])
	clear(s.scratch[:cap(s.scratch)])
	if cap(s.arena) > 1<<14 || cap(s.scratch) > 1<<14 {
		s.arena, s.scratch = nil, nil
	}
	scanners.Put(s)
	return err
}

func (s *scanner) fail(reason string) error { return &Error{Offset: s.i, Reason: reason} }

func (s *scanner) document(sh *shape) error {
	s.space()
	if err := s.value(sh, 0); err != nil {
		return err
	}
	s.space()
	if s.i != len(s.b) {
		return s.fail("bytes after the value")
	}
	return nil
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) value(sh *shape, depth int) error {
	if s.i >= len(s.b) {
		return s.fail("the text ends where a value should be")
	}
	switch c := s.b[s.i]; {
	case c == '{':
		return s.object(sh, depth+1)
	case c == '[':
		return s.array(sh, depth+1)
	case c == '"':
		_, err := s.text(false)
		return err
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		if sh != nil && !sh.nullable {
			return s.fail("null where a value is needed")
		}
		return s.literal("null")
	default:
		return s.number()
	}
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.b[s.i:], []byte(word)) {
		return s.fail("not a JSON value")
	}
	s.i += len(word)
	return nil
}

func (s *scanner) array(sh *shape, depth int) error {
	if depth > MaxDepth {
		return s.fail("nested deeper than 32")
	}
	var elem *shape
	if sh != nil {
		elem = sh.elem
	}
	s.i++
	s.space()
	if s.i < len(s.b) && s.b[s.i] == ']' {
		s.i++
		return nil
	}
	for {
		s.space()
		if err := s.value(elem, depth); err != nil {
			return err
		}
		s.space()
		if s.i >= len(s.b) {
			return s.fail("the text ends within an array")
		}
		switch s.b[s.i] {
		case ',':
			s.i++
		case ']':
			s.i++
			return nil
		default:
			return s.fail("neither a comma nor the end of an array")
		}
	}
}

func (s *scanner) object(sh *shape, depth int) error {
	if depth > MaxDepth {
		return s.fail("nested deeper than 32")
	}
	s.i++
	s.space()
	if s.i < len(s.b) && s.b[s.i] == '}' {
		s.i++
		return nil
	}
	first, arena := len(s.names), len(s.arena)
	defer func() { s.names, s.arena = s.names[:first], s.arena[:arena] }()
	var seen map[string]struct{}
	for {
		s.space()
		member, err := s.member(sh, first, &seen)
		if err != nil {
			return err
		}
		s.space()
		if s.i >= len(s.b) || s.b[s.i] != ':' {
			return s.fail("no colon after a member name")
		}
		s.i++
		s.space()
		if err := s.value(member, depth); err != nil {
			return err
		}
		s.space()
		if s.i >= len(s.b) {
			return s.fail("the text ends within an object")
		}
		switch s.b[s.i] {
		case ',':
			s.i++
		case '}':
			s.i++
			return nil
		default:
			return s.fail("neither a comma nor the end of an object")
		}
	}
}

// member reads one member name, refuses it if it was there before in any case, and returns the shape of its value.
func (s *scanner) member(sh *shape, first int, seen *map[string]struct{}) (*shape, error) {
	if s.i >= len(s.b) || s.b[s.i] != '"' {
		return nil, s.fail("no member name")
	}
	name, err := s.text(true)
	if err != nil {
		return nil, err
	}
	from := len(s.arena)
	s.arena = appendFolded(s.arena, name)
	folded := s.arena[from:]
	if *seen == nil && len(s.names)-first == manyMembers {
		*seen = make(map[string]struct{}, 2*manyMembers)
		for _, n := range s.names[first:] {
			(*seen)[string(s.arena[n.from:n.to])] = struct{}{}
		}
	}
	if *seen != nil {
		if _, ok := (*seen)[string(folded)]; ok {
			return nil, s.fail("a member name that is there twice")
		}
		(*seen)[string(folded)] = struct{}{}
	} else {
		for _, n := range s.names[first:] {
			if bytes.Equal(s.arena[n.from:n.to], folded) {
				return nil, s.fail("a member name that is there twice")
			}
		}
		s.names = append(s.names, span{from, len(s.arena)})
	}
	return s.known(sh, name, folded)
}

func (s *scanner) known(sh *shape, name, folded []byte) (*shape, error) {
	if sh == nil {
		return nil, nil
	}
	if sh.fields == nil {
		return sh.elem, nil
	}
	if member, ok := sh.fields[string(name)]; ok {
		return member, nil
	}
	if sh.folded[string(folded)] {
		return nil, s.fail("a known member name in another case")
	}
	if s.strict && !sh.open {
		return nil, s.fail("an unknown member")
	}
	return nil, nil
}

// appendFolded appends name with every rune replaced by the representative of its case variants (Unicode simple folding).
func appendFolded(dst, name []byte) []byte {
	for i := 0; i < len(name); {
		c := name[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(name[i:])
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		if 'A' <= least && least <= 'Z' {
			least += 'a' - 'A' // the Kelvin sign is a k, the long s an s
		}
		dst = utf8.AppendRune(dst, least)
		i += n
	}
	return dst
}

func (s *scanner) number() error {
	start, integer := s.i, true
	if s.i < len(s.b) && s.b[s.i] == '-' {
		s.i++
	}
	whole := s.digits()
	if whole == 0 {
		return s.fail("not a JSON value")
	}
	if whole > 1 && s.b[s.i-whole] == '0' {
		return s.fail("a number with a leading zero")
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		integer = false
		s.i++
		if s.digits() == 0 {
			return s.fail("a number without digits after its point")
		}
	}
	if s.i < len(s.b) && (s.b[s.i] == 'e' || s.b[s.i] == 'E') {
		integer = false
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if s.digits() == 0 {
			return s.fail("a number without digits in its exponent")
		}
	}
	if integer && whole < 16 {
		return nil
	}
	// Every float64 of magnitude 2^53 or more is an integer, so the bound holds for every way of writing a number.
	f, err := strconv.ParseFloat(string(s.b[start:s.i]), 64)
	if err != nil || f >= tooBig || f <= -tooBig {
		return s.fail("a number of magnitude 2^53 or more")
	}
	return nil
}

func (s *scanner) digits() int {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i - start
}
