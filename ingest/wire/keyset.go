package wire

import (
	"crypto"
	"encoding/json"
	"fmt"
	"time"

	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// maxKeys bounds a keyset: an archive publishes one key a suite, and the next one beside it while it is being changed.
const maxKeys = 64

// Keyset is the archive's current public keys, signed by its identity key. Version rises strictly, and Expires lies within
// MaxKeysetLife of Time; a client refuses a lower version and an expired set.
type Keyset struct {
	Arc     string
	Version uint64
	Expires time.Time
	Keys    []KeysetKey
	Time    time.Time
}

// KeysetKey is one HPKE public key. Whether Kid fits KEM and PK is for the caller to check: the rule belongs to ingest/envelope.
type KeysetKey struct {
	Kid      string
	KEM      uint16
	PK       []byte
	NotAfter time.Time // the relay refuses an envelope under this key from then on
}

type keysetClaims struct {
	Arc     *string      `json:"arc"`
	Version *uint64      `json:"version"`
	Expires *string      `json:"expires"`
	Keys    *[]keyClaims `json:"keys"`
	Time    *string      `json:"time"`
}

type keyClaims struct {
	Kid      *string `json:"kid"`
	KEM      *uint16 `json:"kem"`
	PK       *string `json:"pk"`
	NotAfter *string `json:"not_after"`
}

// Sign returns the compact JWS of k by the archive's identity key. Times are cut to the millisecond.
func (k *Keyset) Sign(key crypto.Signer) ([]byte, error) {
	keys := make([]keyClaims, 0, len(k.Keys))
	for i := range k.Keys {
		pk, notAfter := jws.EncodeB64(k.Keys[i].PK), formatTime(k.Keys[i].NotAfter)
		keys = append(keys, keyClaims{&k.Keys[i].Kid, &k.Keys[i].KEM, &pk, &notAfter})
	}
	expires, at := formatTime(k.Expires), formatTime(k.Time)
	payload, err := json.Marshal(keysetClaims{&k.Arc, &k.Version, &expires, &keys, &at})
	if err != nil {
		return nil, fmt.Errorf("sign keyset: %w", err)
	}
	return jws.Sign(TypKeyset, key, payload)
}

// ParseKeyset verifies compact by the archive's pinned identity key and returns its claims, whose life is checked to be at most
// MaxKeysetLife. Whether it has expired, and whether its version rises, is for the caller: it knows the clock and the version before.
func ParseKeyset(compact []byte, pub crypto.PublicKey) (*Keyset, error) {
	payload, err := open(compact, TypKeyset, pub)
	if err != nil {
		return nil, err
	}
	var c keysetClaims
	if err := ijson.Unmarshal(payload, &c); err != nil {
		return nil, fmt.Errorf("keyset: %w: %w", ErrMalformed, err)
	}
	if c.Arc == nil || c.Version == nil || c.Expires == nil || c.Keys == nil || c.Time == nil || len(*c.Keys) > maxKeys {
		return nil, fmt.Errorf("keyset: %w: a member is missing, or too many keys", ErrMalformed)
	}
	k := &Keyset{Arc: *c.Arc, Version: *c.Version}
	if k.Expires, err = parseTime(*c.Expires); err != nil {
		return nil, fmt.Errorf("keyset: %w: expires: %w", ErrMalformed, err)
	}
	if k.Time, err = parseTime(*c.Time); err != nil {
		return nil, fmt.Errorf("keyset: %w: time: %w", ErrMalformed, err)
	}
	if life := k.Expires.Sub(k.Time); life <= 0 || life > MaxKeysetLife {
		return nil, fmt.Errorf("keyset: %w: it does not expire within 7 days of its time", ErrMalformed)
	}
	for _, kc := range *c.Keys {
		key, err := kc.key()
		if err != nil {
			return nil, err
		}
		k.Keys = append(k.Keys, key)
	}
	return k, nil
}

func (c keyClaims) key() (KeysetKey, error) {
	if c.Kid == nil || c.KEM == nil || c.PK == nil || c.NotAfter == nil {
		return KeysetKey{}, fmt.Errorf("keyset: %w: a key lacks a member", ErrMalformed)
	}
	pk, err := jws.DecodeB64(*c.PK)
	if err != nil {
		return KeysetKey{}, fmt.Errorf("keyset: %w: pk: %w", ErrMalformed, err)
	}
	notAfter, err := parseTime(*c.NotAfter)
	if err != nil {
		return KeysetKey{}, fmt.Errorf("keyset: %w: not_after: %w", ErrMalformed, err)
	}
	return KeysetKey{Kid: *c.Kid, KEM: *c.KEM, PK: pk, NotAfter: notAfter}, nil
}
