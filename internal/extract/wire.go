package extract

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

const magic = "HFX1"

const (
	requestSize = len(magic) + 1 + 4 + 8 + 4
	answerHead  = len(magic) + 1 + 4
)

// request is what stands before a file's content.
type request struct {
	kind    byte
	seconds uint32 // of CPU time
	memory  uint64 // bytes
	text    uint32 // the most bytes of text
}

func (q request) bytes() []byte {
	b := make([]byte, 0, requestSize)
	b = append(append(b, magic...), q.kind)
	b = binary.BigEndian.AppendUint32(b, q.seconds)
	b = binary.BigEndian.AppendUint64(b, q.memory)
	return binary.BigEndian.AppendUint32(b, q.text)
}

var errRequest = errors.New("this command is the daemon's own and reads no request from anybody else")

func readRequest(in io.Reader) (request, error) {
	b := make([]byte, requestSize)
	if _, err := io.ReadFull(in, b); err != nil || string(b[:len(magic)]) != magic {
		return request{}, errRequest
	}
	b = b[len(magic):]
	q := request{
		kind: b[0], seconds: binary.BigEndian.Uint32(b[1:]), memory: binary.BigEndian.Uint64(b[5:]),
		text: binary.BigEndian.Uint32(b[13:]),
	}
	if q.memory > 1<<40 || q.text > 1<<30 || q.seconds > 1<<16 {
		return request{}, errRequest
	}
	return q, nil
}

// statuses are the answer's codes.
var statuses = []string{StatusText, StatusPartial, StatusNone, StatusUnreadable, StatusEncrypted, StatusTooLarge, StatusTimeout}

func writeAnswer(out io.Writer, t Text) error {
	for code, status := range statuses {
		if status != t.Status {
			continue
		}
		b := append([]byte(magic), byte(code))
		b = binary.BigEndian.AppendUint32(b, uint32(len(t.Text))) // #nosec G115 -- bounded by the request
		_, err := out.Write(append(b, t.Text...))
		return err
	}
	return fmt.Errorf("no code for a status of %d bytes", len(t.Status))
}

// parseAnswer reads an answer, false when it is not exactly one.
func parseAnswer(b []byte, most int) (Text, bool) {
	if len(b) < answerHead || !bytes.HasPrefix(b, []byte(magic)) || int(b[len(magic)]) >= len(statuses) {
		return Text{}, false
	}
	t := Text{Status: statuses[b[len(magic)]], Tool: Tool}
	n, text := binary.BigEndian.Uint32(b[len(magic)+1:]), b[answerHead:]
	if uint64(n) != uint64(len(text)) || len(text) > most || !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return Text{}, false
	}
	t.Text = string(text)
	switch t.Status {
	case StatusText, StatusPartial, StatusTooLarge:
		return t, true
	}
	return t, len(text) == 0
}
