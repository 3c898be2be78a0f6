package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	"holdfast/internal/ijson"
)

// maxJWK is the largest JWK that is read; one with a certificate chain is not for us.
const maxJWK = 4096

type jwk struct {
	Kty string           `json:"kty"`
	Crv string           `json:"crv"`
	X   string           `json:"x"`
	Y   *string          `json:"y"`
	Alg *string          `json:"alg"`
	D   *json.RawMessage `json:"d"`
}

// ParseJWK reads a public key in JWK form (RFC 7517; RFC 8037 §2 for Ed25519, RFC 7518 §6.2 for P-256). Members that do not belong to
// the key itself (use, key_ops, kid and the like) are not looked at, except an alg that contradicts the key; a private key is refused.
func ParseJWK(b []byte) (crypto.PublicKey, error) {
	if len(b) > maxJWK {
		return nil, fmt.Errorf("%w: JWK larger than %d bytes", ErrMalformed, maxJWK)
	}
	var k jwk
	if err := ijson.Unmarshal(b, &k); err != nil {
		return nil, fmt.Errorf("%w: JWK: %w", ErrMalformed, err)
	}
	if k.D != nil {
		return nil, fmt.Errorf("%w: the JWK holds a private key; publish the public one only", ErrMalformed)
	}
	x, err := DecodeB64(k.X)
	if err != nil {
		return nil, fmt.Errorf("JWK x: %w", err)
	}
	switch {
	case k.Kty == "OKP" && k.Crv == "Ed25519" && k.Y == nil && (k.Alg == nil || *k.Alg == EdDSA || *k.Alg == "Ed25519"):
		pub := ed25519.PublicKey(x)
		return pub, checkEd25519(pub)
	case k.Kty == "EC" && k.Crv == "P-256" && k.Y != nil && (k.Alg == nil || *k.Alg == ES256):
		y, err := DecodeB64(*k.Y)
		if err != nil {
			return nil, fmt.Errorf("JWK y: %w", err)
		}
		if len(x) != 32 || len(y) != 32 {
			return nil, fmt.Errorf("%w: a P-256 coordinate is not 32 bytes", ErrMalformed)
		}
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			return nil, fmt.Errorf("%w: not a point of P-256", ErrKey)
		}
		return pub, nil
	default:
		return nil, fmt.Errorf("%w: JWK of another kind", ErrKey)
	}
}

// MarshalJWK returns pub in the canonical form that RFC 7638 §3.2 hashes: required members only, in lexicographic order, no white space.
func MarshalJWK(pub crypto.PublicKey) ([]byte, error) {
	switch pub := pub.(type) {
	case ed25519.PublicKey:
		if err := checkEd25519(pub); err != nil {
			return nil, err
		}
		return fmt.Appendf(nil, `{"crv":"Ed25519","kty":"OKP","x":"%s"}`, EncodeB64(pub)), nil
	case *ecdsa.PublicKey:
		if err := checkP256(pub); err != nil {
			return nil, err
		}
		point, err := pub.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		return fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, EncodeB64(point[1:33]), EncodeB64(point[33:])), nil
	default:
		return nil, ErrKey
	}
}

// Thumbprint returns the RFC 7638 thumbprint of pub with SHA-256, in base64url: 43 characters.
func Thumbprint(pub crypto.PublicKey) (string, error) {
	b, err := MarshalJWK(pub)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return EncodeB64(sum[:]), nil
}

func checkP256(pub *ecdsa.PublicKey) error {
	if pub == nil || pub.Curve != elliptic.P256() {
		return ErrKey
	}
	return nil
}

// lowOrder lists the y coordinates (little-endian, sign bit clear) of the Ed25519 points whose order divides 8. For such a key one
// signature fits many messages, so it proves nothing (RFC 8032 §8.4 leaves the refusal to the application).
var lowOrder = [5][32]byte{
	{},  // y = 0, order 4
	{1}, // y = 1, the neutral element
	{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, // y = -1, order 2
	{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05}, // order 8
	{0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a}, // order 8
}

// checkEd25519 refuses keys of the wrong length, of low order, and with a y that is not reduced modulo 2^255-19: the same point under
// two encodings would have two thumbprints.
func checkEd25519(pub ed25519.PublicKey) error {
	if len(pub) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: an Ed25519 key has 32 bytes", ErrKey)
	}
	y := [32]byte(pub)
	y[31] &= 0x7f
	for i := range lowOrder {
		if y == lowOrder[i] {
			return fmt.Errorf("%w: Ed25519 point of low order", ErrKey)
		}
	}
	// y ≥ 2^255-19 means: all bytes from the top down to the second are ones, and the lowest is 0xed or more.
	if y[31] == 0x7f && y[0] >= 0xed && !slices.ContainsFunc(y[1:31], func(b byte) bool { return b != 0xff }) {
		return fmt.Errorf("%w: Ed25519 key that is not canonical", ErrKey)
	}
	return nil
}
