package seal

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"holdfast/internal/ijson"
)

// MasterSize is the size of the master key, in bytes.
const MasterSize = 32

// MaxKeyring bounds a keyring file, in bytes: room for some 100,000 body files.
const MaxKeyring = 32 << 20

const (
	keyringLabel  = "holdfast keyring v1\x00"
	recoveryLabel = "holdfast keyring recovery v1\x00"
)

// Keyring is every secret that the archive holds, as JSON under the master
// key. Byte values are base64 in JSON.
type Keyring struct {
	Version    int               `json:"v"`          // 1
	Generation uint64            `json:"generation"` // rises with each replacement
	Identity   []byte            `json:"identity"`   // Ed25519 seed
	Log        string            `json:"log"`        // C2SP note signer key of the checkpoints
	Dedupe     []byte            `json:"dedupe"`     // HMAC key over device ids and message digests
	State      []byte            `json:"state"`      // key of state.db
	Recipients []Recipient       `json:"recipients"` // HPKE keys that envelopes are sealed to
	Bodies     map[string][]byte `json:"bodies"`     // by body file name
	Index      map[string][]byte `json:"index"`      // by log file number, as six digits
}

// Recipient is one HPKE key of the archive.
type Recipient struct {
	KID      string    `json:"kid"`
	KEM      uint16    `json:"kem"`
	Private  []byte    `json:"private"`
	NotAfter time.Time `json:"not_after"`
}

// Clone returns a copy of k that shares no map with it.
func (k *Keyring) Clone() *Keyring {
	c := *k
	c.Recipients = slices.Clone(k.Recipients)
	c.Bodies = maps.Clone(k.Bodies)
	c.Index = maps.Clone(k.Index)
	return &c
}

// IdentityKey returns the archive's Ed25519 identity key.
func (k *Keyring) IdentityKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(k.Identity) }

// NewKey returns a fresh random key.
func NewKey() [KeySize]byte {
	var k [KeySize]byte
	rand.Read(k[:]) // never fails (crypto/rand)
	return k
}

// Wrap seals k under the master key: AES-256-GCM with a random nonce, the key
// HKDF-SHA256(master, info = label), associated data label ‖ origin.
func (k *Keyring) Wrap(master [MasterSize]byte, origin string) ([]byte, error) {
	plain, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, master[:], nil, keyringLabel, KeySize)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, []byte(keyringLabel+origin)), nil
}

// Unwrap opens a keyring that Wrap made.
func Unwrap(wrapped []byte, master [MasterSize]byte, origin string) (*Keyring, error) {
	if len(wrapped) > MaxKeyring {
		return nil, fmt.Errorf("keyring larger than %d bytes", MaxKeyring)
	}
	key, err := hkdf.Key(sha256.New, master[:], nil, keyringLabel, KeySize)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, wrapped, []byte(keyringLabel+origin))
	if err != nil {
		return nil, ErrKey
	}
	return parseKeyring(plain)
}

func parseKeyring(plain []byte) (*Keyring, error) {
	var k Keyring
	if err := ijson.UnmarshalStrict(plain, &k); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	if k.Version != 1 {
		return nil, fmt.Errorf("keyring version %d; this program knows version 1", k.Version)
	}
	if len(k.Identity) != ed25519.SeedSize || len(k.Dedupe) != KeySize || len(k.State) != KeySize {
		return nil, fmt.Errorf("keyring: a key has the wrong size")
	}
	for _, m := range []map[string][]byte{k.Bodies, k.Index} {
		for _, key := range m {
			if len(key) != KeySize {
				return nil, fmt.Errorf("keyring: a key has the wrong size")
			}
		}
	}
	return &k, nil
}

// SealForRecovery seals k to the recovery public key: HPKE base mode, X-Wing,
// HKDF-SHA256, AES-256-GCM, info label ‖ origin; encapsulated key first.
func (k *Keyring) SealForRecovery(recovery []byte, origin string) ([]byte, error) {
	plain, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	pub, err := hpke.MLKEM768X25519().NewPublicKey(recovery)
	if err != nil {
		return nil, fmt.Errorf("recovery key: %w", err)
	}
	return hpke.Seal(pub, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(recoveryLabel+origin), plain)
}

// Recover opens keyring.recovery with the recovery key.
func Recover(sealed []byte, key *RecoveryKey, origin string) (*Keyring, error) {
	if len(sealed) > MaxKeyring {
		return nil, fmt.Errorf("keyring larger than %d bytes", MaxKeyring)
	}
	plain, err := hpke.Open(key.private, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(recoveryLabel+origin), sealed)
	if err != nil {
		return nil, ErrKey
	}
	return parseKeyring(plain)
}
