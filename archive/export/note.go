package export

import (
	"bytes"
	"strconv"

	"holdfast/archive"
	"holdfast/internal/ijson"
)

// readNote reads a message's note. Nearly all are spelt as the archive spells
// them and have no flags and no attachments: those are read here. Whatever is
// spelt otherwise is for the JSON parser to judge, which reads the same in what
// is read here.
func readNote(b []byte) (archive.MessageNote, error) {
	if n, ok := readUsualNote(b); ok {
		return n, nil
	}
	var n archive.MessageNote
	err := ijson.Unmarshal(b, &n)
	return n, err
}

func readUsualNote(b []byte) (n archive.MessageNote, ok bool) {
	for _, m := range []struct {
		head string
		to   *string
	}{{`{"id":"`, &n.ID}, {`,"time":"`, &n.Time}, {`,"assurance":"`, &n.Assurance}, {`,"device":"`, &n.Device}} {
		if b, ok = usualString(b, m.head, m.to); !ok {
			return n, false
		}
	}
	if string(b) == "}" {
		return n, true
	}
	n.Class = new(archive.ClassNote)
	if b, ok = bytes.CutPrefix(b, []byte(`,"class":{`)); !ok {
		return n, false
	}
	if b, ok = usualString(b, `"rule":"`, &n.Class.Rule); !ok {
		return n, false
	}
	for _, m := range []struct {
		head string
		to   *uint64
	}{{`,"schedule":`, &n.Class.Schedule}, {`,"directory":`, &n.Class.Directory}} {
		if rest, has := bytes.CutPrefix(b, []byte(m.head)); has {
			digits := 0
			for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
				digits++
			}
			// A number of 15 digits is below 2^53.
			if digits == 0 || digits > 15 || rest[0] == '0' {
				return n, false
			}
			*m.to, _ = strconv.ParseUint(string(rest[:digits]), 10, 64)
			b = rest[digits:]
		}
	}
	return n, string(b) == "}}"
}

// usualString reads a string without escapes of printable ASCII behind head.
func usualString(b []byte, head string, to *string) (rest []byte, ok bool) {
	if b, ok = bytes.CutPrefix(b, []byte(head)); !ok {
		return nil, false
	}
	for i, c := range b {
		switch {
		case c == '"':
			*to = string(b[:i])
			return b[i+1:], true
		case c < 0x20 || c > 0x7e || c == '\\':
			return nil, false
		}
	}
	return nil, false
}
