package export

import (
	"errors"
	"fmt"

	"holdfast/archive"
	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// Limits of what a production can make its reader hold.
const (
	maxEvidence      = 1 << 20   // entries
	maxEvidenceBytes = 256 << 20 // as evidence.bytes counts
)

// A book holds the evidence of a production that was proven so far.
type book struct {
	v     *verifier
	seen  map[uint64]*evidence
	bytes int
}

func newBook(v *verifier) book { return book{v: v, seen: map[uint64]*evidence{}} }

// take checks one entry that records rest on and keeps what it says.
func (b *book) take(e *proofEntry) error {
	if _, ok := b.seen[e.Seq]; ok {
		return errors.New("it is there twice")
	}
	rec, err := e.openEvidence(b.v.point)
	if err != nil {
		return err
	}
	ev, err := readEvidence(rec, b.v.id.ArchiveID)
	if err != nil {
		return err
	}
	b.bytes += ev.bytes()
	if len(b.seen) >= maxEvidence || b.bytes > maxEvidenceBytes {
		return errors.New("there is more evidence than a production may have")
	}
	b.seen[e.Seq] = ev
	return nil
}

// signed checks a message's signature by the device that the log names.
// approved is the entry by which a person approved that; 0: the row names none.
func (b *book) signed(rec archive.Record, kid string, approved, device uint64) error {
	c, err := jws.Parse(rec.Body, envelope.TypMessage)
	if err != nil {
		return err
	}
	d := b.seen[device].asDevice(c.Header.Kid, rec.Leaf)
	if d == nil {
		return &proofFault{errors.New("the entry that added the key which signed it is not there")}
	}
	if err := c.Verify(d.Key); err != nil {
		return fmt.Errorf("its sender's signature: %w", err)
	}
	payload, err := envelope.ParsePayload(c.Payload)
	if err != nil {
		return err
	}
	if a := b.seen[approved].asApproval(c.Header.Kid, rec.Leaf); approved != 0 &&
		(a == nil || a.Usr != d.Usr || a.Dev != d.Dev || a.Added != device) {
		return errors.New("the entry that it names is no person's approval of its device")
	}
	if c.Header.Kid != kid || payload.Arc != b.v.id.ArchiveID || payload.Usr != d.Usr || payload.Dev != d.Dev {
		return errors.New("its sender's signature is for another archive, person or device")
	}
	return nil
}
