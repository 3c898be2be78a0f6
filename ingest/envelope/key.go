package envelope

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"holdfast/internal/jws"
)

// A KEM is an HPKE key encapsulation mechanism by its registered number (RFC 9180 §7.1).
type KEM uint16

// The three mechanisms of AMX/1.
const (
	XWing  KEM = 0x647a // MLKEM768-X25519, the default; public key 1,216 bytes, enc 1,120
	P256   KEM = 0x0010 // DHKEM(P-256, HKDF-SHA256); 65 and 65
	X25519 KEM = 0x0020 // DHKEM(X25519, HKDF-SHA256), where a site opts in; 32 and 32
)

func (k KEM) String() string {
	switch k {
	case XWing:
		return "X-Wing"
	case P256:
		return "P-256"
	case X25519:
		return "X25519"
	}
	return fmt.Sprintf("KEM %#04x", uint16(k))
}

func (k KEM) hpke() (hpke.KEM, error) {
	switch k {
	case XWing:
		return hpke.MLKEM768X25519(), nil
	case P256:
		return hpke.DHKEM(ecdh.P256()), nil
	case X25519:
		return hpke.DHKEM(ecdh.X25519()), nil
	}
	return nil, fmt.Errorf("%v is not a mechanism of AMX/1", k)
}

// encSize is the length of the encapsulated key in bytes, 0 for a mechanism that AMX/1 does not have.
func (k KEM) encSize() int {
	switch k {
	case XWing:
		return 1120
	case P256:
		return 65
	case X25519:
		return 32
	}
	return 0
}

// PublicKey is an archive's public key as the keyset publishes it.
type PublicKey struct {
	KEM   KEM
	Bytes []byte // RFC 9180 SerializePublicKey
}

// KID returns the key's id: base64url of the first 16 bytes of SHA-256("AMX1 kid\0" || KEM as u16 big-endian || public key).
func (p PublicKey) KID() string {
	h := sha256.New()
	h.Write([]byte("AMX1 kid\x00"))
	h.Write(binary.BigEndian.AppendUint16(nil, uint16(p.KEM)))
	h.Write(p.Bytes)
	return jws.EncodeB64(h.Sum(nil)[:16])
}

func (p PublicKey) hpkeKey() (hpke.PublicKey, error) {
	kem, err := p.KEM.hpke()
	if err != nil {
		return nil, err
	}
	key, err := kem.NewPublicKey(p.Bytes)
	if err != nil {
		return nil, fmt.Errorf("not a public key of %v: %w", p.KEM, err)
	}
	return key, nil
}

// PrivateKey is an archive's HPKE key. It is immutable and safe for concurrent use.
type PrivateKey struct {
	kem KEM
	key hpke.PrivateKey
	pub PublicKey
	kid string
}

// GenerateKey makes a new key.
func GenerateKey(kem KEM) (*PrivateKey, error) {
	k, err := kem.hpke()
	if err != nil {
		return nil, err
	}
	key, err := k.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("generate a key of %v: %w", kem, err)
	}
	return wrapKey(kem, key), nil
}

// NewPrivateKey reads a key as PrivateKey.Bytes wrote it (RFC 9180 SerializePrivateKey: 32 bytes for each mechanism, the seed for X-Wing).
func NewPrivateKey(kem KEM, b []byte) (*PrivateKey, error) {
	k, err := kem.hpke()
	if err != nil {
		return nil, err
	}
	key, err := k.NewPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("read a key of %v: %w", kem, err)
	}
	return wrapKey(kem, key), nil
}

func wrapKey(kem KEM, key hpke.PrivateKey) *PrivateKey {
	p := &PrivateKey{kem: kem, key: key, pub: PublicKey{KEM: kem, Bytes: key.PublicKey().Bytes()}}
	p.kid = p.pub.KID()
	return p
}

// Bytes returns the secret key for NewPrivateKey.
func (p *PrivateKey) Bytes() ([]byte, error) { return p.key.Bytes() }

// Public returns the public key; the caller must not change its bytes.
func (p *PrivateKey) Public() PublicKey { return p.pub }

// KID returns the public key's id.
func (p *PrivateKey) KID() string { return p.kid }

// KEM returns the key's mechanism.
func (p *PrivateKey) KEM() KEM { return p.kem }
