// Package jws makes and checks the one kind of JSON Web Signature that Holdfast knows: compact (RFC 7515 §7.1), signed by Ed25519
// (RFC 8037) or by ECDSA on P-256 with SHA-256 (RFC 7518 §3.4), with a protected header of exactly alg, kid and typ, where kid is the
// RFC 7638 thumbprint of the signing key. The format is specified in ingest/AMX.md §1.
//
// A general JOSE library accepts much more (other algorithms, embedded keys, crit, JSON serialisation, line breaks in base64url). Here
// the strict reading comes first and the signature check goes straight to the standard library; the tests hold the result against
// go-jose as an independent peer.
//
// It is ground: every package may import it; it imports internal/ijson alone.
package jws

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"

	"holdfast/internal/ijson"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The two algorithms.
const (
	EdDSA = "EdDSA" // RFC 8037, Ed25519 only
	ES256 = "ES256" // RFC 7518 §3.4
)

// MaxHeader is the largest protected header that is read, in bytes before base64url.
const MaxHeader = 1024

var (
	// ErrMalformed: not a compact JWS of this kind. Parse and the JWK functions wrap it.
	ErrMalformed = errors.New("malformed JWS")
	// ErrSignature: well formed, but not signed by this key.
	ErrSignature = errors.New("the signature does not verify")
	// ErrKey: a key that this package does not use: another type, another curve, or a point of low order.
	ErrKey = errors.New("not an Ed25519 or P-256 key that may be used")
)

// Header is the protected header; it has no other members.
type Header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
}

// Compact is a parsed compact JWS. Its signature has not been checked until Verify returns nil.
type Compact struct {
	Header       Header
	Payload      []byte
	SigningInput []byte // header.payload as received, a part of what Parse was given
	Signature    []byte
}

// Parse reads a compact JWS whose header says typ. It keeps a reference to compact.
func Parse(compact []byte, typ string) (*Compact, error) {
	dot1 := bytes.IndexByte(compact, '.')
	dot2 := bytes.LastIndexByte(compact, '.')
	if dot1 < 1 || dot2 < dot1+2 || dot2 == len(compact)-1 {
		return nil, fmt.Errorf("%w: not three parts", ErrMalformed)
	}
	if dot1 > base64.RawURLEncoding.EncodedLen(MaxHeader) {
		return nil, fmt.Errorf("%w: the header is larger than %d bytes", ErrMalformed, MaxHeader)
	}
	header, err := DecodeBytes(compact[:dot1])
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	c := &Compact{SigningInput: compact[:dot2:dot2]}
	if !c.Header.readUsual(header, typ) {
		if err := ijson.UnmarshalStrict(header, &c.Header); err != nil {
			return nil, fmt.Errorf("%w: header: %w", ErrMalformed, err)
		}
	}
	switch {
	case c.Header.Alg != EdDSA && c.Header.Alg != ES256:
		return nil, fmt.Errorf("%w: alg is neither EdDSA nor ES256", ErrMalformed)
	case c.Header.Typ != typ:
		return nil, fmt.Errorf("%w: typ is not %q", ErrMalformed, typ)
	}
	if !ValidB64(c.Header.Kid, sha256.Size) {
		return nil, fmt.Errorf("%w: kid is not a key thumbprint", ErrMalformed)
	}
	if c.Payload, err = DecodeBytes(compact[dot1+1 : dot2]); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if c.Signature, err = DecodeBytes(compact[dot2+1:]); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	return c, nil
}

// readUsual reads the header if it is spelt the way that Sign and most clients spell it: these three members in this order without white
// space. It says false for any other spelling, which is for the JSON parser to judge; whatever it accepts, the parser reads the same.
func (h *Header) readUsual(b []byte, typ string) bool {
	const kidLen = 43
	for _, usual := range [2]struct{ alg, head string }{{EdDSA, `{"alg":"EdDSA","kid":"`}, {ES256, `{"alg":"ES256","kid":"`}} {
		rest, ok := bytes.CutPrefix(b, []byte(usual.head))
		if !ok || len(rest) < kidLen {
			continue
		}
		kid := string(rest[:kidLen])
		tail, ok := bytes.CutPrefix(rest[kidLen:], []byte(`","typ":"`))
		if !ok || !ValidB64(kid, sha256.Size) || len(tail) != len(typ)+2 || string(tail[:len(typ)]) != typ || string(tail[len(typ):]) != `"}` {
			return false
		}
		*h = Header{Alg: usual.alg, Kid: kid, Typ: typ}
		return true
	}
	return false
}

// Digest returns the SHA-256 of the signing input. It names the message: the signature is left out because a stranger could vary it.
func (c *Compact) Digest() [32]byte { return sha256.Sum256(c.SigningInput) }

// Verify checks the signature against pub, an ed25519.PublicKey or an *ecdsa.PublicKey on P-256, which must fit the header's alg. That
// the header's kid names pub is the caller's lookup. An ES256 signature with a high s is accepted: phones make them.
func (c *Compact) Verify(pub crypto.PublicKey) error {
	switch pub := pub.(type) {
	case ed25519.PublicKey:
		if err := checkEd25519(pub); err != nil {
			return err
		}
		if c.Header.Alg != EdDSA {
			return fmt.Errorf("%w: alg %s does not fit the key", ErrSignature, c.Header.Alg)
		}
		if !ed25519.Verify(pub, c.SigningInput, c.Signature) {
			return ErrSignature
		}
		return nil
	case *ecdsa.PublicKey:
		if err := checkP256(pub); err != nil {
			return err
		}
		if c.Header.Alg != ES256 {
			return fmt.Errorf("%w: alg %s does not fit the key", ErrSignature, c.Header.Alg)
		}
		if len(c.Signature) != 64 {
			return fmt.Errorf("%w: it is not 64 bytes", ErrSignature)
		}
		digest := c.Digest()
		r, s := new(big.Int).SetBytes(c.Signature[:32]), new(big.Int).SetBytes(c.Signature[32:])
		if !ecdsa.Verify(pub, digest[:], r, s) {
			return ErrSignature
		}
		return nil
	default:
		return ErrKey
	}
}

// Sign returns the compact JWS over payload with the header {alg, kid, typ} of key, an Ed25519 or P-256 signer.
func Sign(typ string, key crypto.Signer, payload []byte) ([]byte, error) {
	kid, err := Thumbprint(key.Public())
	if err != nil {
		return nil, err
	}
	alg := EdDSA
	if _, ok := key.Public().(*ecdsa.PublicKey); ok {
		alg = ES256
	}
	var header bytes.Buffer
	fmt.Fprintf(&header, `{"alg":"%s","kid":"%s","typ":"%s"}`, alg, kid, typ)
	enc := base64.RawURLEncoding
	out := make([]byte, 0, enc.EncodedLen(header.Len())+enc.EncodedLen(len(payload))+enc.EncodedLen(64)+2)
	out = enc.AppendEncode(out, header.Bytes())
	out = append(out, '.')
	out = enc.AppendEncode(out, payload)
	sig, err := signRaw(alg, key, out)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", typ, err)
	}
	return enc.AppendEncode(append(out, '.'), sig), nil
}

// signRaw returns the 64-byte signature of RFC 7518 §3.4 or RFC 8032.
func signRaw(alg string, key crypto.Signer, input []byte) ([]byte, error) {
	if alg == EdDSA {
		return key.Sign(rand.Reader, input, crypto.Hash(0))
	}
	digest := sha256.Sum256(input)
	der, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var seq cryptobyte.String
	r, s := new(big.Int), new(big.Int)
	in := cryptobyte.String(der)
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(r) || !seq.ReadASN1Integer(s) || !seq.Empty() {
		return nil, errors.New("the key's signature is not the DER of two integers")
	}
	if r.Sign() < 0 || s.Sign() < 0 || r.BitLen() > 256 || s.BitLen() > 256 {
		return nil, errors.New("the key's signature is out of range")
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig, nil
}
