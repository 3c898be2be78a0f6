package anchor

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"holdfast/archive/proof"
	"holdfast/internal/durable"
	"holdfast/internal/ijson"
	"holdfast/internal/regular"
)

// maxLine bounds one line of an anchor file, in bytes: a checkpoint, escaped,
// and what stands around it.
const maxLine = 2*proof.MaxCheckpoint + 512

// tailRead is how much of a file's end is read to find its last line: a
// machine that crashed in the middle of several lines has left no more.
const tailRead = 8 * maxLine

var (
	// ErrLine is returned for a line of an anchor file that is not one.
	ErrLine = errors.New("not a line of an anchor file")

	// ErrNoLine is returned for an anchor file in which no anchor stands.
	ErrNoLine = errors.New("no anchor stands in the file")
)

// Line is one line of an anchor file: a checkpoint and when it was put there.
type Line struct {
	Version    int       `json:"v"`          // 1
	At         time.Time `json:"at"`         // UTC, whole seconds, by the daemon's clock
	Size       uint64    `json:"size"`       // the checkpoint's
	Root       string    `json:"root"`       // the checkpoint's, standard base64
	Checkpoint string    `json:"checkpoint"` // the signed note, verbatim
}

// NewLine returns the line of a signed checkpoint, whose signature the caller
// has from the log itself.
func NewLine(at time.Time, c proof.Checkpoint, signed []byte) *Line {
	return &Line{Version: 1, At: at.UTC().Truncate(time.Second), Size: c.Size, Root: base64.StdEncoding.EncodeToString(c.Root[:]), Checkpoint: string(signed)}
}

// Marshal returns the line without its line feed.
func (l *Line) Marshal() ([]byte, error) { return json.Marshal(l) }

// ParseLine reads one, without its line feed. It reads no other bytes than
// those that Marshal writes. The checkpoint's signature is not checked: Open
// does that.
func ParseLine(b []byte) (*Line, error) {
	bad := func(why string) (*Line, error) { return nil, fmt.Errorf("%w: %s", ErrLine, why) }
	if len(b) > maxLine {
		return bad("it is longer than one")
	}
	var l Line
	if err := ijson.UnmarshalStrict(b, &l); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLine, err)
	}
	if l.Version != 1 {
		return bad("it is of version " + strconv.Itoa(l.Version) + "; this program knows version 1")
	}
	if again, err := l.Marshal(); err != nil || !bytes.Equal(again, b) {
		return bad("it is not in canonical form")
	}
	lines := strings.SplitN(l.Checkpoint, "\n", 4)
	if len(lines) != 4 || lines[1] != strconv.FormatUint(l.Size, 10) || lines[2] != l.Root {
		return bad("its size and root are not those of its checkpoint")
	}
	return &l, nil
}

// Open checks the line's checkpoint under the log's key and returns it.
func (l *Line) Open(key note.Verifier) (proof.Checkpoint, error) {
	return proof.OpenCheckpoint([]byte(l.Checkpoint), key)
}

// Last returns the last line of the anchor file at path. ErrNoLine says that
// there is none; a missing file is fs.ErrNotExist.
//
// What a crash left in the middle of being appended is passed over: it does
// not end in "}", in which every whole line ends and which no part of one
// holds. Any other last line that is not well formed is ErrLine.
func Last(path string) (*Line, error) {
	tail, whole, err := readTail(path)
	if err != nil {
		return nil, err
	}
	lines := bytes.Split(tail, []byte{'\n'})
	// What follows the last line feed is empty, or was not finished.
	for i := len(lines) - 2; i >= 0; i-- {
		if i == 0 && !whole {
			break // its beginning was not read
		}
		if !bytes.HasSuffix(lines[i], []byte{'}'}) {
			continue
		}
		l, err := ParseLine(lines[i])
		if err != nil {
			return nil, fmt.Errorf("the last line of %s: %w", path, err)
		}
		return l, nil
	}
	if !whole {
		return nil, fmt.Errorf("%s: %w: there is none near its end", path, ErrLine)
	}
	return nil, fmt.Errorf("%s: %w", path, ErrNoLine)
}

// readTail reads the end of a file; whole says that it was all of it.
func readTail(path string) (tail []byte, whole bool, err error) {
	f, err := regular.Open(path)
	if errors.Is(err, regular.ErrIrregular) {
		return nil, false, fmt.Errorf("%w: %w", ErrLine, err)
	}
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	from := max(0, info.Size()-tailRead)
	tail = make([]byte, info.Size()-from)
	if _, err := f.ReadAt(tail, from); err != nil {
		return nil, false, err
	}
	return tail, from == 0, nil
}

// appendLine puts a line at the end of the anchor file, durable once it
// returns.
func appendLine(path string, l *Line) error {
	b, err := l.Marshal()
	if err != nil {
		return err
	}
	return durable.AppendLine(path, b, 0o644) // it is public: whoever keeps it may read it
}

// missing reports whether err says that an anchor file holds no line yet.
func missing(err error) bool { return errors.Is(err, ErrNoLine) || errors.Is(err, fs.ErrNotExist) }
