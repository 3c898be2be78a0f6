package ijson

import (
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a JSON string. With want it returns the unescaped bytes, valid until the next call.
func (s *scanner) text(want bool) ([]byte, error) {
	s.i++
	start, escaped := s.i, false
	if want {
		s.scratch = s.scratch[:0]
	}
	run := s.i // start of the stretch not yet copied to scratch
	for s.i < len(s.b) {
		c := s.b[s.i]
		switch {
		case c == '"':
			end := s.i
			s.i++
			if !want || !escaped {
				return s.b[start:end], nil
			}
			s.scratch = append(s.scratch, s.b[run:end]...)
			return s.scratch, nil
		case c == '\\':
			from := s.i
			r, err := s.escape()
			if err != nil {
				return nil, err
			}
			if want {
				s.scratch = append(s.scratch, s.b[run:from]...)
				s.scratch = utf8.AppendRune(s.scratch, r)
			}
			escaped, run = true, s.i
		case c < 0x20:
			return nil, s.fail("a control character in a string")
		case c < utf8.RuneSelf:
			s.i++
		default:
			r, n := utf8.DecodeRune(s.b[s.i:])
			if r == utf8.RuneError && n == 1 {
				return nil, s.fail("invalid UTF-8")
			}
			s.i += n
		}
	}
	return nil, s.fail("the text ends within a string")
}

// escape reads one escape sequence, or two that make one surrogate pair.
func (s *scanner) escape() (rune, error) {
	s.i++
	if s.i >= len(s.b) {
		return 0, s.fail("the text ends within a string")
	}
	c := s.b[s.i]
	s.i++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
	default:
		return 0, s.fail("an escape that JSON does not have")
	}
	r, err := s.hex4()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if s.i+1 >= len(s.b) || s.b[s.i] != '\\' || s.b[s.i+1] != 'u' {
		return 0, s.fail("an unpaired surrogate")
	}
	s.i += 2
	low, err := s.hex4()
	if err != nil {
		return 0, err
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, s.fail("an unpaired surrogate")
	}
	return r, nil
}

func (s *scanner) hex4() (rune, error) {
	var r rune
	for range 4 {
		if s.i >= len(s.b) {
			return 0, s.fail("the text ends within a string")
		}
		c := s.b[s.i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, s.fail("an escape that JSON does not have")
		}
		r = r<<4 | rune(c)
		s.i++
	}
	return r, nil
}
