// Package coverage says how far the archive holds what a custodian sent and was
// sent in a period: which numbers of the relay's stream and of the devices'
// counters are there, which are missing, quarantined or disposed of, and what
// nobody can know. What it says is a statement signed by the archive's identity
// key, which Verify checks without the archive.
//
// It never says "complete": a device's counters tell what came before its last
// sealed checkpoint, and nothing of what came after.
//
// Floors 3 and up may import it. The statement is specified in
// archive/coverage/FORMAT.md.
package coverage

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"iter"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// ErrRequest is returned for a statement that cannot be made as it is asked for.
var ErrRequest = errors.New("this cannot be certified")

// Log is what a statement rests on. *archive.Archive is one.
type Log interface {
	Size() uint64
	Scan(ctx context.Context, from, to uint64) iter.Seq2[proof.Leaf, error]
	RecordOf(ctx context.Context, leaf proof.Leaf) (archive.Record, error)
	// Delivered returns the seq of a device's message by its number, also of one
	// that was disposed of.
	Delivered(device string, n uint64) (seq uint64, ok bool, err error)
	Checkpoint(ctx context.Context) ([]byte, error)
	IdentityJSON() []byte
	IdentitySigner() crypto.Signer
}

// Key is a device's key as the relay's directory names it.
type Key struct {
	Usr, Dev, Kid string
	Added         uint64 // seq of the entry that added it
	Assurance     string
	Revoked       bool
}

// Request says about whom and when. A message belongs to the period by the
// archive's received time.
type Request struct {
	Person string   // objectGUID; "" where the directory knows none
	Name   string   // of the custodian
	Usrs   []string // relay users that were ever the custodian's
	Keys   []Key    // of those users' devices, from the relay's directory
	From   time.Time
	To     time.Time // the first moment after
	By     string    // who asks
	Tool   string    // name and version of the program
	// Certificates returns the seqs of the certificates by which an entry was
	// disposed of; may be nil.
	Certificates func(seq uint64) []uint64
	Progress     func(done, total uint64) // in entries; may be nil
}

func (r *Request) check() error {
	switch {
	case len(r.Usrs) == 0:
		return fmt.Errorf("%w: no relay user was ever matched to this custodian; `holdfast directory matches` shows who is", ErrRequest)
	case !r.From.Before(r.To):
		return fmt.Errorf("%w: the period ends before it begins", ErrRequest)
	}
	return nil
}

// Certify examines the log and returns the statement and its signature, a
// compact JWS of typ StatementType.
func Certify(ctx context.Context, log Log, r Request) (*Statement, []byte, error) {
	if err := r.check(); err != nil {
		return nil, nil, err
	}
	signed, err := log.Checkpoint(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("checkpoint for the certificate: %w", err)
	}
	id, err := proof.ParseIdentity(log.IdentityJSON())
	if err != nil {
		return nil, nil, err
	}
	verifier, err := id.LogVerifier()
	if err != nil {
		return nil, nil, err
	}
	point, err := proof.OpenCheckpoint(signed, verifier)
	if err != nil {
		return nil, nil, err
	}
	v := newSurvey(log, &r, point.Size)
	if err := v.read(ctx); err != nil {
		return nil, nil, err
	}
	s := &Statement{
		V: 1, Archive: id.ArchiveID, Origin: id.Origin, Checkpoint: string(signed), Size: point.Size, Made: envelope.FormatTime(time.Now().UTC()),
		Tool: r.Tool, By: r.By, Custodian: Custodian{Person: r.Person, Name: r.Name, Usrs: r.Usrs},
		From: envelope.FormatTime(r.From.UTC()), To: envelope.FormatTime(r.To.UTC()), First: v.first, Next: v.next,
	}
	if err := v.conclude(s); err != nil {
		return nil, nil, err
	}
	payload, err := marshal(s)
	if err != nil {
		return nil, nil, err
	}
	compact, err := jws.Sign(StatementType, log.IdentitySigner(), payload)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the certificate: %w", err)
	}
	return s, compact, nil
}
