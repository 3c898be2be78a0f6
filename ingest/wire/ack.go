package wire

import (
	"crypto"
	"encoding/json"
	"fmt"

	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// TypAck and TypKeyset are the typ members of the two JWS that the archive's identity key signs for the relay.
const (
	TypAck    = "amx+ack"
	TypKeyset = "amx+keyset"
)

// Ack says what the archive holds durably: every event of the epoch up to Seq. It is cumulative.
type Ack struct {
	Arc         string
	Epoch       string
	Seq         uint64
	Head        Head // head after Seq
	BackedUp    uint64
	Quarantined []Quarantined
	Checkpoint  string // the archive's newest signed note, or empty
}

// Quarantined names an event that the archive keeps but could not open or trust, with its code of ingest/AMX.md §5.
type Quarantined struct {
	Seq  uint64 `json:"seq"`
	Code string `json:"code"`
}

// ackClaims is the payload; a pointer tells an absent member from a zero.
type ackClaims struct {
	Arc         *string        `json:"arc"`
	Epoch       *string        `json:"epoch"`
	Seq         *uint64        `json:"seq"`
	Head        *string        `json:"head"`
	BackedUp    *uint64        `json:"backed_up"`
	Quarantined *[]Quarantined `json:"quarantined"`
	Checkpoint  *string        `json:"checkpoint"`
}

// Sign returns the compact JWS of a by the archive's identity key.
func (a *Ack) Sign(key crypto.Signer) ([]byte, error) {
	head, quarantined := jws.EncodeB64(a.Head[:]), a.Quarantined
	if quarantined == nil {
		quarantined = []Quarantined{}
	}
	payload, err := json.Marshal(ackClaims{&a.Arc, &a.Epoch, &a.Seq, &head, &a.BackedUp, &quarantined, &a.Checkpoint})
	if err != nil {
		return nil, fmt.Errorf("sign ack: %w", err)
	}
	return jws.Sign(TypAck, key, payload)
}

// ParseAck verifies compact by the archive's pinned identity key and returns its claims. The errors wrap ErrIdentity,
// ErrMalformed or ErrTooLarge.
func ParseAck(compact []byte, pub crypto.PublicKey) (*Ack, error) {
	payload, err := open(compact, TypAck, pub)
	if err != nil {
		return nil, err
	}
	var c ackClaims
	if err := ijson.Unmarshal(payload, &c); err != nil {
		return nil, fmt.Errorf("ack: %w: %w", ErrMalformed, err)
	}
	if c.Arc == nil || c.Epoch == nil || c.Seq == nil || c.Head == nil || c.BackedUp == nil || c.Quarantined == nil || c.Checkpoint == nil {
		return nil, fmt.Errorf("ack: %w: a member is missing", ErrMalformed)
	}
	head, err := parseHead(*c.Head)
	if err != nil {
		return nil, fmt.Errorf("ack: %w", err)
	}
	return &Ack{*c.Arc, *c.Epoch, *c.Seq, head, *c.BackedUp, *c.Quarantined, *c.Checkpoint}, nil
}

// open verifies a compact JWS of the given typ and returns its payload.
func open(compact []byte, typ string, pub crypto.PublicKey) ([]byte, error) {
	if len(compact) > MaxEnvelope {
		return nil, fmt.Errorf("%s: %w", typ, ErrTooLarge)
	}
	c, err := jws.Parse(compact, typ)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", typ, ErrMalformed, err)
	}
	kid, err := jws.Thumbprint(pub)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", typ, ErrIdentity, err)
	}
	if c.Header.Kid != kid {
		return nil, fmt.Errorf("%s: %w: it names another key", typ, ErrIdentity)
	}
	if err := c.Verify(pub); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", typ, ErrIdentity, err)
	}
	return c.Payload, nil
}
