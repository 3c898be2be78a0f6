package anchor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"holdfast/archive/proof"
)

// The kinds of places, as metrics and entries name them.
const (
	KindFile      = "file"
	KindWitness   = "witness"
	KindTimestamp = "timestamp"
	KindRelay     = "relay" // no Place: ingest anchors there with each ack
)

var (
	// ErrRefused is what a place says that saw another log than this one, or a
	// longer one: somebody rewrote it, or put an older one back.
	ErrRefused = errors.New("it holds an anchor of another log")

	// ErrUnknown is what a witness says that was not told of this log.
	ErrUnknown = errors.New("the witness does not know this log, or not its key: give its administrator the origin and the log key")

	// ErrAnswer is returned for an answer that is none.
	ErrAnswer = errors.New("its answer is not one of the protocol")
)

// Ask is a checkpoint to be anchored.
type Ask struct {
	Checkpoint proof.Checkpoint
	Signed     []byte // the signed note
	At         time.Time
	// Root returns the log's tree hash at a size up to the checkpoint's.
	Root func(size uint64) (proof.Hash, error)
	// Consistency proves that the checkpoint extends the first older entries (RFC
	// 9162 section 2.1.4).
	Consistency func(ctx context.Context, older uint64) ([]proof.Hash, error)
}

// A Place keeps checkpoints outside the machine.
type Place interface {
	// Kind returns one of the constants above.
	Kind() string
	// Name tells places of one kind apart. It names a machine or a key, no person.
	Name() string
	// Anchor puts the checkpoint there and returns the place's own proof of it: a
	// cosignature line, a time-stamp token, or nothing. ErrRefused says that the
	// place knows better; any other error, that it did not answer, or nothing that
	// counts. It may go on for a while after ctx ends.
	Anchor(ctx context.Context, a Ask) ([]byte, error)
}

// File is a place in a file.
type File struct {
	path string
	key  note.Verifier
}

// NewFile returns the file at path. key is the log's: the line before is held
// against the log.
func NewFile(path string, key note.Verifier) *File { return &File{path: path, key: key} }

// Kind implements Place.
func (f *File) Kind() string { return KindFile }

// Name implements Place: there is one file.
func (f *File) Name() string { return "" }

// Anchor implements Place. A file server that hangs holds up this call alone,
// until it answers.
func (f *File) Anchor(_ context.Context, a Ask) ([]byte, error) {
	last, err := Last(f.path)
	switch {
	case err == nil:
		if err := f.follows(last, a); err != nil {
			return nil, err
		}
		if last.Size == a.Checkpoint.Size && last.Checkpoint == string(a.Signed) {
			return nil, nil // nothing came in between: the line stands
		}
	case missing(err):
	default:
		return nil, err
	}
	return nil, appendLine(f.path, NewLine(a.At, a.Checkpoint, a.Signed))
}

// follows checks that the log which the checkpoint states is the one of the
// line before, or one that has grown from it.
func (f *File) follows(last *Line, a Ask) error {
	before, err := last.Open(f.key)
	if err != nil {
		return fmt.Errorf("%w: its last line is of another archive: %w", ErrRefused, err)
	}
	switch {
	case before.Restored < a.Checkpoint.Restored:
		return nil // two people approved that the log goes on from a restored one: that is an entry
	case before.Restored > a.Checkpoint.Restored:
		return fmt.Errorf("%w: the log has gone on from a restored one, and this is one from before that", ErrRefused)
	}
	if before.Size > a.Checkpoint.Size {
		return fmt.Errorf("%w: %d entries were anchored, and the log has %d", ErrRefused, before.Size, a.Checkpoint.Size)
	}
	root, err := a.Root(before.Size)
	if err != nil {
		return err
	}
	if root != before.Root {
		return fmt.Errorf("%w: its first %d entries have another root", ErrRefused, before.Size)
	}
	return nil
}
