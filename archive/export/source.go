package export

import (
	"context"
	"crypto"
	"errors"
	"io"
	"iter"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// ErrRequest is returned for a request that cannot be produced as it stands.
var ErrRequest = errors.New("this production cannot be made")

// ErrChanged is returned when the entries read differently the second time:
// nothing whole was produced, and the request can be repeated.
var ErrChanged = errors.New("the entries changed while they were being produced; export again")

// Log is what a production reads of the archive.
type Log interface {
	// Size returns the number of entries in the log.
	Size() uint64
	// Record returns one entry. archive.ErrNoBody says that its body is gone,
	// archive.ErrDamaged that it is not what the leaf commits to.
	Record(ctx context.Context, seq uint64) (archive.Record, error)
	// RecordOf is Record for who has the leaf from Scan.
	RecordOf(ctx context.Context, leaf proof.Leaf) (archive.Record, error)
	// Scan yields the leaves from seq from up to, not including, to.
	Scan(ctx context.Context, from, to uint64) iter.Seq2[proof.Leaf, error]
	// Checkpoint returns a signed checkpoint of the present size.
	Checkpoint(ctx context.Context) ([]byte, error)
	// Prove returns the inclusion path of seq in the tree of the given size.
	Prove(ctx context.Context, seq, size uint64) ([]proof.Hash, error)
	// IdentityJSON returns identity.json, the body of leaf 0.
	IdentityJSON() []byte
	// IdentitySigner returns the identity key, Ed25519.
	IdentitySigner() crypto.Signer
}

// Places says which entries of the log tell something about another entry, as
// of that entry's place: what came later has no say. All answers are seqs.
type Places interface {
	// UserEntry returns the accepted user.upsert entry that was in force for
	// the relay user usr at the place of the message at.
	UserEntry(usr string, at proof.Leaf) (seq uint64, ok bool)
	// DeviceEntry returns the accepted device.add entry of the key with RFC
	// 7638 thumbprint kid that stands before at.
	DeviceEntry(kid string, at proof.Leaf) (seq uint64, ok bool)
	// BlobEntry returns the last blob entry below seq below that says what
	// became of attachment bid of the message at; false if there is none.
	BlobEntry(at proof.Leaf, bid string, below uint64) (seq uint64, ok bool)
}

// Source is where a production comes from: the archive, and the directory of
// its entries that the floor above keeps.
type Source struct {
	Log    Log
	Places Places
}

// Sink takes the files of a production, one at a time: each is closed before
// the next is created. manifest.json comes last, so what has none is not a
// production. Names are slash-separated and known in advance (Names).
type Sink interface {
	Create(name string) (io.WriteCloser, error)
}

// clock is the one reading of the time for a production, in UTC.
func clock() time.Time { return time.Now().UTC() }
