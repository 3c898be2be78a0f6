package proof

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrCheckpoint is returned for a note that is not a checkpoint of this log.
var ErrCheckpoint = errors.New("not a checkpoint of this log")

// MaxCheckpoint bounds a signed checkpoint, in bytes.
const MaxCheckpoint = 16 << 10

// MaxRestored bounds how often a log can go on from a restored, older one.
const MaxRestored = 999

// A Checkpoint states how long the log is and what its tree's root hash is.
// Its text is that of C2SP tlog-checkpoint: origin, size, root in base64, a
// line each.
//
// A log that was restored from a backup and goes on from there is another log
// than the one that was lost, as far as they differ: its checkpoints beyond
// what the backup held have the suffix "/r1" on their origin line, after
// another restore "/r2", and so on. They are signed under the same key, whose
// name never has the suffix.
type Checkpoint struct {
	Origin   string // without the suffix
	Restored uint32 // N of the suffix "/rN"; 0 without one
	Size     uint64 // leaves
	Root     Hash   // RFC 6962 tree hash of the first Size leaves
}

// Line returns the checkpoint's first line: the origin and, of a log that goes
// on from a restored one, "/rN".
func (c Checkpoint) Line() string {
	if c.Restored == 0 {
		return c.Origin
	}
	return c.Origin + restoredSuffix + strconv.FormatUint(uint64(c.Restored), 10)
}

const restoredSuffix = "/r"

// Text returns the bytes that a checkpoint's signatures cover.
func (c Checkpoint) Text() string {
	return c.Line() + "\n" + strconv.FormatUint(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// SignCheckpoint returns c as a C2SP signed note under the given signers.
func SignCheckpoint(c Checkpoint, signers ...note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.Text()}, signers...)
}

// OpenCheckpoint checks that signed is a note under the log's key and that it
// is in the key's name, with or without the suffix of a restored log: a note
// with another origin is refused.
func OpenCheckpoint(signed []byte, key note.Verifier) (Checkpoint, error) {
	if len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: larger than %d bytes", ErrCheckpoint, MaxCheckpoint)
	}
	n, err := note.Open(signed, note.VerifierList(key))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return parseCheckpoint(n.Text, key.Name())
}

// parseRestored reads the origin line of a log with the given origin.
func parseRestored(line, origin string) (restored uint32, ok bool) {
	if line == origin {
		return 0, true
	}
	rest, ok := strings.CutPrefix(line, origin+restoredSuffix)
	n, err := strconv.ParseUint(rest, 10, 32)
	if !ok || err != nil || n > MaxRestored {
		return 0, false
	}
	return uint32(n), true // its form is checked with the whole text's
}

func parseCheckpoint(text, origin string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, fmt.Errorf("%w: it has not three lines", ErrCheckpoint)
	}
	restored, ok := parseRestored(lines[0], origin)
	if !ok {
		return Checkpoint{}, fmt.Errorf("%w: it has another origin", ErrCheckpoint)
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: its size is no number", ErrCheckpoint)
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != len(Hash{}) {
		return Checkpoint{}, fmt.Errorf("%w: its root is no hash", ErrCheckpoint)
	}
	c := Checkpoint{Origin: origin, Restored: restored, Size: size, Root: Hash(root)}
	if c.Text() != text {
		return Checkpoint{}, fmt.Errorf("%w: it is not in canonical form", ErrCheckpoint)
	}
	return c, nil
}

// CheckInclusion verifies that a leaf with the given hash stands at index seq
// of the tree that c states (RFC 9162 section 2.1.3.2). path runs from the
// leaf up.
func CheckInclusion(path []Hash, c Checkpoint, seq uint64, leaf Hash) error {
	if seq >= c.Size || c.Size > 1<<62 {
		return fmt.Errorf("seq %d is not in a log of %d entries", seq, c.Size)
	}
	return tlog.CheckRecord(path, int64(c.Size), c.Root, int64(seq), leaf) // #nosec G115 -- bounded above
}

// CheckConsistency verifies that newer extends older: the first older.Size
// leaves are the same (RFC 9162 section 2.1.4.2).
func CheckConsistency(path []Hash, older, newer Checkpoint) error {
	if older.Size == 0 || older.Size > newer.Size || newer.Size > 1<<62 {
		return fmt.Errorf("a log of %d entries cannot have grown from one of %d", newer.Size, older.Size)
	}
	return tlog.CheckTree(path, int64(newer.Size), newer.Root, int64(older.Size), older.Root) // #nosec G115 -- bounded above
}
