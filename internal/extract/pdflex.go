package extract

import "strconv"

// operand is what stands before an operator of a content stream (ISO 32000-1
// section 7.8.2), or of a character map.
type operand struct {
	kind byte // one of the below
	num  float64
	str  string
	list []operand
}

const (
	isNumber = 'n'
	isName   = '/'
	isString = 's'
	isList   = '['
	isDict   = '<' // a list of its keys and values
	isOther  = 'o' // true, null
)

const (
	maxOperands = 1 << 16
	maxLists    = 32 // within each other
)

// lex reads a content stream and calls do for each operator with the operands
// before it. It takes any bytes, and skips what it cannot read.
func lex(b []byte, do func(operator string, args []operand)) {
	l := lexer{b: b}
	var args []operand
	for {
		o, operator, ok := l.next(0)
		switch {
		case !ok:
			return
		case operator == "ID":
			l.image()
			do("EI", nil)
			args = args[:0]
		case operator != "":
			do(operator, args)
			args = args[:0]
		case len(args) < maxOperands:
			args = append(args, o)
		}
	}
}

type lexer struct {
	b  []byte
	at int
}

// next returns an operand or an operator; false at the end.
func (l *lexer) next(depth int) (o operand, operator string, ok bool) {
	l.blank()
	if l.at >= len(l.b) {
		return operand{}, "", false
	}
	switch c := l.b[l.at]; c {
	case '(':
		return operand{kind: isString, str: l.literal()}, "", true
	case '<':
		if l.at+1 < len(l.b) && l.b[l.at+1] == '<' {
			l.at += 2
			return operand{kind: isDict, list: l.list(depth, '>')}, "", true
		}
		return operand{kind: isString, str: l.hex()}, "", true
	case '[':
		l.at++
		return operand{kind: isList, list: l.list(depth, ']')}, "", true
	case '/':
		l.at++
		return operand{kind: isName, str: unescaped(l.word())}, "", true
	case ')', '>', ']', '{', '}':
		l.at++
		return operand{kind: isOther}, "", true
	default:
		word := l.word()
		if n, err := strconv.ParseFloat(word, 64); err == nil && c != 'i' && c != 'I' && c != 'n' && c != 'N' {
			return operand{kind: isNumber, num: n}, "", true
		}
		if word == "true" || word == "false" || word == "null" {
			return operand{kind: isOther}, "", true
		}
		return operand{}, word, true
	}
}

// list reads up to the closing bracket; the keys and values of a dictionary
// likewise.
func (l *lexer) list(depth int, closing byte) []operand {
	var out []operand
	for depth < maxLists {
		l.blank()
		if l.at >= len(l.b) {
			return out
		}
		if l.b[l.at] == closing {
			l.at++
			if closing == '>' && l.at < len(l.b) && l.b[l.at] == '>' {
				l.at++
			}
			return out
		}
		o, operator, ok := l.next(depth + 1)
		if !ok {
			return out
		}
		if operator == "" && len(out) < maxOperands {
			out = append(out, o)
		}
	}
	return out
}

// blank skips white space and comments (section 7.2).
func (l *lexer) blank() {
	for ; l.at < len(l.b); l.at++ {
		switch c := l.b[l.at]; {
		case white(c):
		case c == '%':
			for l.at < len(l.b) && l.b[l.at] != '\n' && l.b[l.at] != '\r' {
				l.at++
			}
			l.at--
		default:
			return
		}
	}
}

func white(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

// word reads up to white space or a delimiter; at least one byte of anything
// else.
func (l *lexer) word() string {
	from := l.at
	for ; l.at < len(l.b); l.at++ {
		switch c := l.b[l.at]; c {
		case '(', ')', '<', '>', '[', ']', '{', '}', '/', '%':
			return string(l.b[from:l.at])
		default:
			if white(c) {
				return string(l.b[from:l.at])
			}
		}
	}
	return string(l.b[from:l.at])
}

// literal reads a string in parentheses (section 7.3.4.2).
func (l *lexer) literal() string {
	var out []byte
	depth := 0
	for ; l.at < len(l.b); l.at++ {
		switch c := l.b[l.at]; c {
		case '(':
			if depth++; depth == 1 {
				continue
			}
		case ')':
			if depth--; depth == 0 {
				l.at++
				return string(out)
			}
		case '\\':
			l.at++
			out = l.escape(out)
			continue
		}
		out = append(out, l.b[l.at])
	}
	return string(out)
}

// escape reads what a backslash stands for.
func (l *lexer) escape(out []byte) []byte {
	if l.at >= len(l.b) {
		return out
	}
	switch c := l.b[l.at]; c {
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case '\n':
		return out // the string goes on
	case '\r':
		if l.at+1 < len(l.b) && l.b[l.at+1] == '\n' {
			l.at++
		}
		return out
	case '0', '1', '2', '3', '4', '5', '6', '7':
		n := 0
		for range 3 {
			if l.at >= len(l.b) || l.b[l.at] < '0' || l.b[l.at] > '7' {
				break
			}
			n = n<<3 | int(l.b[l.at]-'0')
			l.at++
		}
		l.at--
		return append(out, byte(n))
	default:
		return append(out, c)
	}
}

// hex reads a string in angle brackets (section 7.3.4.3).
func (l *lexer) hex() string {
	var out []byte
	high, half := byte(0), false
	for l.at++; l.at < len(l.b); l.at++ {
		c := l.b[l.at]
		if c == '>' {
			l.at++
			break
		}
		n, ok := nibble(c)
		switch {
		case !ok:
		case half:
			out, half = append(out, high<<4|n), false
		default:
			high, half = n, true
		}
	}
	if half {
		out = append(out, high<<4)
	}
	return string(out)
}

func nibble(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// image skips an inline image's bytes (section 8.9.7): up to an EI that stands
// alone.
func (l *lexer) image() {
	for l.at++; l.at+1 < len(l.b); l.at++ {
		if l.b[l.at] == 'E' && l.b[l.at+1] == 'I' && white(l.b[l.at-1]) && (l.at+2 == len(l.b) || white(l.b[l.at+2])) {
			l.at += 2
			return
		}
	}
	l.at = len(l.b)
}

// unescaped reads a name's #xx (section 7.3.5).
func unescaped(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '#' && i+2 < len(s) {
			a, ok := nibble(s[i+1])
			b, also := nibble(s[i+2])
			if ok && also {
				out = append(out, a<<4|b)
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}
