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

// A Checkpoint states how long the log is and what its tree's root hash is.
// Its text is that of C2SP tlog-checkpoint: origin, size, root in base64, a
// line each.
type Checkpoint struct {
	Origin string
	Size   uint64 // leaves
	Root   Hash   // RFC 6962 tree hash of the first Size leaves
}

// Text returns the bytes that a checkpoint's signatures cover.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatUint(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// SignCheckpoint returns c as a C2SP signed note under the given signers.
func SignCheckpoint(c Checkpoint, signers ...note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.Text()}, signers...)
}

// OpenCheckpoint checks that signed is a note under the log's key and that it
// is in the key's name: a note with another origin is refused.
func OpenCheckpoint(signed []byte, key note.Verifier) (Checkpoint, error) {
	if len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: larger than %d bytes", ErrCheckpoint, MaxCheckpoint)
	}
	n, err := note.Open(signed, note.VerifierList(key))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != key.Name() {
		return Checkpoint{}, fmt.Errorf("%w: it has another origin", ErrCheckpoint)
	}
	return c, nil
}

func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, fmt.Errorf("%w: it has not three lines", ErrCheckpoint)
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: its size is no number", ErrCheckpoint)
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != len(Hash{}) {
		return Checkpoint{}, fmt.Errorf("%w: its root is no hash", ErrCheckpoint)
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: Hash(root)}
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
