package wire

import (
	"crypto"
	"encoding/json"
	"fmt"
	"time"

	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// TypProvision is the typ of the JWS by which the archive asks the relay to act on an account or a device.
const TypProvision = "amx+provision"

// What the archive may ask for, ingest/AMX.md §8.
const (
	OpUserDisable  = "user.disable"  // take no submission of any device of the usr any more
	OpDeviceRevoke = "device.revoke" // take none of this device, and say so by a dir event
	OpDeviceWipe   = "device.wipe"   // have the device's app delete what it holds, and say so by a relay.wipe event
)

// MaxProvision is the largest compact JWS of a provision request, in bytes.
const MaxProvision = 16 << 10

// maxProvisionName bounds usr and dev, in bytes, as in a message's payload.
const maxProvisionName = 256

// Provision is one request. Its ID is the idempotency key: the same ID with the same content is the same request, whenever it was signed.
type Provision struct {
	Arc  string
	ID   string // opaque, 1 to 64 bytes
	Op   string
	Usr  string
	Dev  string // of a device's op, else empty
	Kid  string // RFC 7638 thumbprint of the device's key; of a device's op, else empty
	Time time.Time
}

// provisionClaims is the payload. dev and kid are left out where there is none.
type provisionClaims struct {
	Arc  string `json:"arc"`
	ID   string `json:"id"`
	Op   string `json:"op"`
	Usr  string `json:"usr"`
	Dev  string `json:"dev,omitempty"`
	Kid  string `json:"kid,omitempty"`
	Time string `json:"time"`
}

// Same reports whether p and q ask for the same under the same ID. When they were signed does not matter: a request that had no answer is
// signed anew.
func (p *Provision) Same(q *Provision) bool {
	return p.Arc == q.Arc && p.ID == q.ID && p.Op == q.Op && p.Usr == q.Usr && p.Dev == q.Dev && p.Kid == q.Kid
}

// Check refuses a request that the relay would have to refuse. Its error wraps ErrMalformed.
func (p *Provision) Check() error {
	fail := func(what string) error { return fmt.Errorf("provision: %w: %s", ErrMalformed, what) }
	device := false
	switch p.Op {
	case OpUserDisable:
	case OpDeviceRevoke, OpDeviceWipe:
		device = true
	default:
		return fail("an op that AMX/1 does not have")
	}
	kid, err := jws.DecodeB64(p.Kid)
	switch {
	case p.ID == "" || len(p.ID) > MaxID:
		return fail("id is empty or too long")
	case p.Usr == "" || len(p.Usr) > maxProvisionName || len(p.Dev) > maxProvisionName:
		return fail("usr or dev is empty or too long")
	case device != (p.Dev != ""), device != (p.Kid != ""):
		return fail("dev and kid stand in a device's op, and in no other")
	case device && (err != nil || len(kid) != 32):
		return fail("kid is not a thumbprint")
	}
	return nil
}

// Sign returns the compact JWS of p by the archive's identity key.
func (p *Provision) Sign(key crypto.Signer) ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(provisionClaims{p.Arc, p.ID, p.Op, p.Usr, p.Dev, p.Kid, formatTime(p.Time)})
	if err != nil {
		return nil, fmt.Errorf("sign provision: %w", err)
	}
	return jws.Sign(TypProvision, key, payload)
}

// ParseProvision verifies compact by the archive's pinned identity key and returns its claims. The errors wrap ErrIdentity, ErrMalformed or
// ErrTooLarge. Another member than the specified ones is malformed: what the relay does not know it must not seem to have accepted.
func ParseProvision(compact []byte, pub crypto.PublicKey) (*Provision, error) {
	if len(compact) > MaxProvision {
		return nil, fmt.Errorf("provision: %w", ErrTooLarge)
	}
	payload, err := open(compact, TypProvision, pub)
	if err != nil {
		return nil, err
	}
	var c provisionClaims
	if err := ijson.UnmarshalStrict(payload, &c); err != nil {
		return nil, fmt.Errorf("provision: %w: %w", ErrMalformed, err)
	}
	at, err := parseTime(c.Time)
	if err != nil {
		return nil, fmt.Errorf("provision: %w: %w", ErrMalformed, err)
	}
	p := &Provision{c.Arc, c.ID, c.Op, c.Usr, c.Dev, c.Kid, at}
	if err := p.Check(); err != nil {
		return nil, err
	}
	return p, nil
}

// AppendAccepted appends the answer to a request that was accepted.
func AppendAccepted(b []byte, id string) ([]byte, error) {
	text, err := json.Marshal(accepted{id})
	if err != nil {
		return nil, fmt.Errorf("provision: %w", err)
	}
	return append(b, text...), nil
}

// CheckAccepted reads the answer to the request id, and refuses one to another. Its error wraps ErrMalformed.
func CheckAccepted(b []byte, id string) error {
	var a accepted
	if err := ijson.Unmarshal(b, &a); err != nil {
		return fmt.Errorf("provision: %w: %w", ErrMalformed, err)
	}
	if a.Accepted != id {
		return fmt.Errorf("provision: %w: the answer is to another request", ErrMalformed)
	}
	return nil
}

type accepted struct {
	Accepted string `json:"accepted"`
}
