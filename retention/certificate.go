package retention

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
	"holdfast/internal/role"
)

// Method is how keys are destroyed, as certificates state it.
const Method = "cryptographic erase (NIST SP 800-88 Rev. 1)"

// Statement is what a certificate says, and its JWS signs. Times are received
// times.
type Statement struct {
	V            int             `json:"v"` // 1
	Archive      string          `json:"archive"`
	Origin       string          `json:"origin"`
	Class        string          `json:"class"` // the class-month as its file is named
	Month        string          `json:"month"`
	Kind         PlanKind        `json:"kind"`
	First        uint64          `json:"first"` // seqs
	Last         uint64          `json:"last"`
	Count        uint64          `json:"count"`         // entries destroyed
	Ranges       string          `json:"ranges"`        // which: canonical bytes, base64url
	RangesDigest string          `json:"ranges_digest"` // SHA-256 of those bytes, hex
	LeafRange    LeafRange       `json:"leaf_range"`
	Keys         []archive.KeyID `json:"keys"`
	Method       string          `json:"method"`
	Schedule     uint64          `json:"schedule_seq"`
	Plan         uint64          `json:"plan"`
	Request      uint64          `json:"request"`
	Intent       uint64          `json:"intent"`
	Of           uint64          `json:"of,omitempty"` // the certificate that this one continues
	Planner      role.Principal  `json:"planner"`
	Approver     role.Principal  `json:"approver"`
	Runner       role.Principal  `json:"runner"`
	Before       string          `json:"checkpoint_before"` // C2SP signed notes
	After        string          `json:"checkpoint_after"`
	Survivors    uint64          `json:"survivors"` // entries of the class-month that stayed
	Files        uint64          `json:"files"`     // body files and
	Blobs        uint64          `json:"blobs"`     // attachments unlinked by the same run
	Keyring      uint64          `json:"keyring"`   // generation from which on the keys are not in it
	Copies       []Remaining     `json:"copies"`
	Media        string          `json:"media"`
	Complete     bool            `json:"complete"` // no known copy could still open it
	At           string          `json:"at"`       // RFC 3339, UTC
	Tool         string          `json:"tool"`
}

// LeafRange is the part of the log in which the destroyed entries lie. Their
// leaves stay.
type LeafRange struct {
	From uint64 `json:"from"` // From ≤ seq < To: everything received in the month so far
	To   uint64 `json:"to"`
}

// Remaining is one known copy that could still open what a certificate is
// about.
type Remaining struct {
	What  string     `json:"what"` // as Copy.What, or "recipient": an HPKE key to which it came sealed
	Where string     `json:"where,omitempty"`
	ID    string     `json:"id"`
	Until *time.Time `json:"until,omitempty"` // when it goes by itself
}

// Certificate is a certificate's entry.
type Certificate struct {
	Seq uint64 `json:"seq"`
	Statement
	JWS       string `json:"jws"`                 // compact, typ "holdfast+certificate", by the identity key
	Continued uint64 `json:"continued,omitempty"` // seq of the newest certificate about the same, when that is another
}

// CertificateType is the typ of a certificate's JWS.
const CertificateType = "holdfast+certificate"

// media is what a certificate says about what it rests on.
const media = "The keys were destroyed by replacing the keyring, which is wrapped by the master key, and overwriting the file that it replaced. " +
	"On flash and on copy-on-write media the replaced keyring may last until its blocks are used again; the master key was not changed."

// ErrCertificate is returned for what is not a certificate of the archive that
// it is checked against.
var ErrCertificate = errors.New("not a certificate of this archive")

// parseCertificate reads a certificate without checking its signature: the
// archive's own, as the log vouches for them.
func parseCertificate(compact []byte) (*Statement, error) {
	if len(compact) > 2*archive.MaxBody {
		return nil, fmt.Errorf("%w: too long", ErrCertificate)
	}
	c, err := jws.Parse(compact, CertificateType)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	var s Statement
	if err := ijson.UnmarshalStrict(c.Payload, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if s.V != 1 {
		return nil, fmt.Errorf("%w: version %d; this program knows version 1", ErrCertificate, s.V)
	}
	return &s, s.check()
}

// check refuses a statement whose parts contradict one another.
func (s *Statement) check() error {
	ranges, err := parseSpansText(s.Ranges)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	case len(ranges) == 0 || ranges[0].from != s.First || ranges[len(ranges)-1].to != s.Last || ranges.digest() != s.RangesDigest:
		return fmt.Errorf("%w: its ranges are not those that it states", ErrCertificate)
	case s.Count == 0 || s.Count > s.Last-s.First+1 || s.First < s.LeafRange.From || s.Last >= s.LeafRange.To:
		return fmt.Errorf("%w: its count or its leaf range contradict its ranges", ErrCertificate)
	case s.Complete != (len(s.Copies) == 0):
		return fmt.Errorf("%w: it names copies and says that none is left, or the other way round", ErrCertificate)
	}
	return nil
}

// VerifyCertificate checks a certificate (a compact JWS, white space around it
// allowed) against the identity of the archive that is said to have issued it:
// the signature, the two checkpoints, and that its parts agree. It needs
// neither the archive nor its keys.
func VerifyCertificate(compact []byte, id *proof.Identity) (*Statement, error) {
	compact = bytes.TrimSpace(compact)
	s, err := parseCertificate(compact)
	if err != nil {
		return nil, err
	}
	key, err := id.Key()
	if err != nil {
		return nil, err
	}
	c, err := jws.Parse(compact, CertificateType)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	kid, err := jws.Thumbprint(key)
	if err != nil {
		return nil, err
	}
	if c.Header.Kid != kid || s.Archive != id.ArchiveID || s.Origin != id.Origin {
		return nil, fmt.Errorf("%w: it is of another archive", ErrCertificate)
	}
	if err := c.Verify(key); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	verifier, err := id.LogVerifier()
	if err != nil {
		return nil, err
	}
	before, err := proof.OpenCheckpoint([]byte(s.Before), verifier)
	if err != nil {
		return nil, fmt.Errorf("%w: the checkpoint before: %w", ErrCertificate, err)
	}
	after, err := proof.OpenCheckpoint([]byte(s.After), verifier)
	if err != nil {
		return nil, fmt.Errorf("%w: the checkpoint after: %w", ErrCertificate, err)
	}
	if before.Size > s.Intent || after.Size <= s.Intent || s.Last >= before.Size || s.Plan >= s.Intent {
		return nil, fmt.Errorf("%w: its checkpoints do not enclose its intent", ErrCertificate)
	}
	return s, nil
}
