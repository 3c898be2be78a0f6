// Package envelope is the sender's half of AMX/1: the sealed envelope, the signed message in it, the device directory that says whose
// signature it is, and the attachment stream. The format is specified in ingest/AMX.md §0, §1, §2, §4 and §5.
//
// The way of one envelope is Open (header, HPKE, padding), then Directory.Verify (the device as of the message's place in the relay's
// stream, signature, payload, bindings). Both fail with an *Error whose Code is the quarantine code; nothing is accepted in part.
//
// Floor 0: the packages above import it; of this module it imports internal/ijson and internal/jws alone. Nothing here logs, and no error
// holds message content, names or keys.
package envelope

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// Limits of AMX/1 §0, in bytes.
const (
	MaxEnvelope = 1 << 20
	MaxHeader   = 1024 // before base64url
)

const (
	magic     = "AMX1."
	infoLabel = "AMX1\x00"
	kdfID     = 1 // HKDF-SHA256 (RFC 9180 §7.2)
	aeadID    = 2 // AES-256-GCM (RFC 9180 §7.3)
	gcmTag    = 16
	// TypMessage is the typ of the signed message.
	TypMessage = "amx+jws"
)

// Header is the envelope's header; it has no other members.
type Header struct {
	V    int64  `json:"v"`
	KEM  int64  `json:"kem"`
	KDF  int64  `json:"kdf"`
	AEAD int64  `json:"aead"`
	Kid  string `json:"kid"`
	Arc  string `json:"arc"`
	Mid  string `json:"mid"`
}

// Opened is an envelope after HPKE. Nothing is known of its sender yet: HPKE base mode authenticates nobody.
type Opened struct {
	Header    Header
	Plaintext []byte   // the compact JWS without padding
	Hash      [32]byte // SHA-256 of the envelope as received
	padded    []byte   // as HPKE gave it: what a quarantine entry keeps
}

// An Opener opens the envelopes of one archive. It is safe for concurrent use if Key is.
type Opener struct {
	Arc         string // the archive's id
	AllowX25519 bool   // whether the site opted in to suite 0x0020
	Key         func(kid string) (*PrivateKey, bool)
}

// Seal returns the envelope, text ready for the relay, of a compact JWS for the archive arc.
func Seal(pub PublicKey, arc, mid string, compact []byte) ([]byte, error) {
	switch {
	case !ValidArc(arc):
		return nil, errors.New("seal: the archive id does not match [a-z0-9.-]{1,64}")
	case !ValidID16(mid):
		return nil, errors.New("seal: mid is not 16 bytes in base64url")
	case !compactForm(compact):
		return nil, errors.New("seal: the message is not a compact JWS")
	}
	key, err := pub.hpkeKey()
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	header := fmt.Appendf(nil, `{"v":1,"kem":%d,"kdf":%d,"aead":%d,"kid":"%s","arc":"%s","mid":"%s"}`,
		pub.KEM, kdfID, aeadID, pub.KID(), arc, mid)
	sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info(header), pad(compact))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	enc := base64.RawURLEncoding
	out := make([]byte, 0, len(magic)+enc.EncodedLen(len(header))+1+enc.EncodedLen(len(sealed)))
	out = enc.AppendEncode(append(out, magic...), header)
	out = enc.AppendEncode(append(out, '.'), sealed)
	if len(out) > MaxEnvelope {
		return nil, fmt.Errorf("seal: the envelope would have %d bytes; the limit is %d, send large content as an attachment", len(out), MaxEnvelope)
	}
	return out, nil
}

// Open opens an envelope. Every failure is an *Error.
func (o *Opener) Open(envelope []byte) (*Opened, error) {
	if len(envelope) > MaxEnvelope {
		return nil, refuse(TooLarge, "the envelope is larger than 1 MiB")
	}
	headerText, body, err := split(envelope)
	if err != nil {
		return nil, err
	}
	headerJSON, err := decode(headerText)
	if err != nil {
		return nil, refuse(Malformed, "header: not base64url")
	}
	header, err := o.readHeader(headerJSON)
	if err != nil {
		return nil, err
	}
	key, ok := o.Key(header.Kid)
	if !ok || key == nil || int64(key.kem) != header.KEM {
		return nil, refuse(UnknownArchiveKey, "the archive has no key of this kid and KEM")
	}
	sealed, err := decode(body)
	if err != nil {
		return nil, refuse(Malformed, "body: not base64url")
	}
	if len(sealed) < key.kem.encSize()+gcmTag {
		return nil, refuse(Malformed, "body: shorter than an encapsulated key and a tag")
	}
	plaintext, err := hpke.Open(key.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info(headerJSON), sealed)
	if err != nil {
		return nil, &Error{Code: DecryptFailed, Err: errors.New("HPKE does not open it: altered on the way, or sealed otherwise than its header says")}
	}
	compact, err := unpad(plaintext)
	if err != nil {
		return nil, &Error{Code: Malformed, Opened: plaintext, Err: err}
	}
	return &Opened{Header: header, Plaintext: compact, Hash: sha256.Sum256(envelope), padded: plaintext}, nil
}

// split cuts an envelope into the base64url of its header and of its body.
func split(envelope []byte) (header, body []byte, err error) {
	dot := bytes.IndexByte(envelope, '.')
	if dot < 4 || dot > 8 || string(envelope[:3]) != "AMX" || !digits(envelope[3:dot]) {
		return nil, nil, refuse(Malformed, "not an AMX envelope")
	}
	if string(envelope[:dot+1]) != magic {
		return nil, nil, refuse(UnsupportedVersion, "an AMX version other than 1")
	}
	header, body, ok := bytes.Cut(envelope[len(magic):], []byte{'.'})
	switch {
	case !ok:
		return nil, nil, refuse(Malformed, "no body")
	case len(header) > base64.RawURLEncoding.EncodedLen(MaxHeader):
		return nil, nil, refuse(TooLarge, "the header is larger than 1,024 bytes")
	}
	return header, body, nil
}

// readHeader checks the header in the order version, form, suite, archive: a later version may have other members, and a foreign
// archive's suite is none of our business but names the fault better.
func (o *Opener) readHeader(headerJSON []byte) (Header, error) {
	h := Header{V: -1, KEM: -1, KDF: -1, AEAD: -1}
	if h.readUsual(headerJSON) {
		return h, o.checkHeader(&h)
	}
	if err := ijson.UnmarshalStrict(headerJSON, &h); err != nil {
		var version struct {
			V int64 `json:"v"`
		}
		version.V = 1
		if ijson.Unmarshal(headerJSON, &version) == nil && version.V != 1 {
			return h, refuse(UnsupportedVersion, "a header of another version")
		}
		return h, &Error{Code: Malformed, Err: fmt.Errorf("header: %w", err)}
	}
	return h, o.checkHeader(&h)
}

func (o *Opener) checkHeader(h *Header) error {
	switch {
	case h.V == -1, h.KEM == -1, h.KDF == -1, h.AEAD == -1:
		return refuse(Malformed, "header: a member is missing")
	case h.V != 1:
		return refuse(UnsupportedVersion, "a header of another version")
	case !ValidID16(h.Kid), !ValidID16(h.Mid), !ValidArc(h.Arc):
		return refuse(Malformed, "header: kid, arc or mid has not its form")
	case h.KDF != kdfID, h.AEAD != aeadID, !slices.Contains([]int64{int64(XWing), int64(P256), int64(X25519)}, h.KEM):
		return refuse(UnsupportedSuite, "a suite that AMX/1 does not have")
	case h.KEM == int64(X25519) && !o.AllowX25519:
		return refuse(UnsupportedSuite, "suite X25519, which this site has not opted in to")
	case h.Arc != o.Arc:
		return refuse(WrongArchive, "sealed for another archive")
	}
	return nil
}

// readUsual reads a header that is spelt as Seal spells it: these members in this order without white space. It says false for any other
// spelling, which is for the JSON parser to judge; whatever it accepts, the parser reads the same.
func (h *Header) readUsual(b []byte) bool {
	for _, kem := range [3]KEM{XWing, P256, X25519} {
		rest, ok := bytes.CutPrefix(b, []byte(usualHead(kem)))
		if !ok || len(rest) < 22 {
			continue
		}
		kid := string(rest[:22])
		rest, ok = bytes.CutPrefix(rest[22:], []byte(`","arc":"`))
		arc, rest, ok2 := bytes.Cut(rest, []byte(`","mid":"`))
		if !ok || !ok2 || len(rest) != 24 || string(rest[22:]) != `"}` {
			return false
		}
		usual := Header{V: 1, KEM: int64(kem), KDF: kdfID, AEAD: aeadID, Kid: kid, Arc: string(arc), Mid: string(rest[:22])}
		// These forms hold no character that JSON would escape. Otherwise h stays as it was: the parser must not find half a reading in it.
		if !ValidID16(usual.Kid) || !ValidArc(usual.Arc) || !ValidID16(usual.Mid) {
			return false
		}
		*h = usual
		return true
	}
	return false
}

func usualHead(kem KEM) string {
	switch kem {
	case XWing:
		return `{"v":1,"kem":25722,"kdf":1,"aead":2,"kid":"`
	case P256:
		return `{"v":1,"kem":16,"kdf":1,"aead":2,"kid":"`
	default:
		return `{"v":1,"kem":32,"kdf":1,"aead":2,"kid":"`
	}
}

func info(header []byte) []byte { return slices.Concat([]byte(infoLabel), header) }

// decode is the strict base64url of AMX/1 §0: it refuses CR and LF, which the standard decoder skips, and loose trailing bits.
func decode(src []byte) ([]byte, error) { return jws.DecodeBytes(src) }

func digits(b []byte) bool {
	return len(b) > 0 && !slices.ContainsFunc(b, func(c byte) bool { return c < '0' || c > '9' })
}

// paddedLen returns the length that a message of n bytes is padded to: the smallest multiple of 256, of 1,024 above 4,096.
func paddedLen(n int) int {
	if n <= 4096 {
		return (n + 255) / 256 * 256
	}
	return (n + 1023) / 1024 * 1024
}

func pad(compact []byte) []byte {
	out := bytes.Repeat([]byte{' '}, paddedLen(len(compact)))
	copy(out, compact)
	return out
}

func unpad(padded []byte) ([]byte, error) {
	compact := bytes.TrimRight(padded, " ")
	if !compactForm(compact) {
		return nil, errors.New("the opened bytes are not a padded compact JWS")
	}
	if len(padded) != paddedLen(len(compact)) {
		return nil, errors.New("the padding is not the smallest one")
	}
	return compact, nil
}

// compactForm reports whether b matches [A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+ as a whole.
func compactForm(b []byte) bool {
	dots, run := 0, 0
	for _, c := range b {
		switch {
		case jws.InB64Alphabet(c):
			run++
		case c == '.' && run > 0:
			dots, run = dots+1, 0
		default:
			return false
		}
	}
	return dots == 2 && run > 0
}
