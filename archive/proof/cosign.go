package proof

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// algCosignature is the signature type of C2SP tlog-cosignature for Ed25519,
// cosignature/v1: the byte before the key in a vkey and in what its hash is of.
const algCosignature = 0x04

// maxCosigned bounds the time of a cosignature, in seconds since 1970: the end
// of the year 9999, so that every one can be written out.
const maxCosigned = 253402300799

// MaxWitnessKey bounds a file with a witness's key, in bytes.
const MaxWitnessKey = 4 << 10

// ErrWitnessKey is returned for what is no witness's key.
var ErrWitnessKey = errors.New("not a witness's key")

// A Witness is the public key of a witness: somebody on another machine who
// cosigns checkpoints of logs that only ever grew in front of them (C2SP
// tlog-witness). It implements note.Verifier.
type Witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

// ParseWitnessKey reads the file with a witness's key: its vkey alone,
// NAME+HASH+BASE64(0x04 ‖ Ed25519 key) (C2SP signed-note, tlog-cosignature).
func ParseWitnessKey(b []byte) (*Witness, error) {
	bad := func(why string) error { return fmt.Errorf("%w: %s", ErrWitnessKey, why) }
	if len(b) > MaxWitnessKey {
		return nil, bad("the file is larger than one")
	}
	text := strings.TrimRight(string(b), "\r\n")
	name, rest, _ := strings.Cut(text, "+")
	stated, encoded, ok := strings.Cut(rest, "+")
	if !ok || name == "" || len(stated) != 8 || !validWitnessName(name) {
		return nil, bad("it has not the form NAME+HASH+KEY")
	}
	hash, err := strconv.ParseUint(stated, 16, 32)
	if err != nil {
		return nil, bad("its hash is no number")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	switch {
	case err != nil:
		return nil, bad("its key is not base64")
	case len(raw) != 1+ed25519.PublicKeySize || raw[0] != algCosignature:
		return nil, bad("it is not of cosignature/v1: the type byte is 4, and an Ed25519 key follows")
	case witnessHash(name, raw) != uint32(hash):
		return nil, bad("its hash is not that of its name and key: it was changed or cut off")
	}
	return &Witness{name: name, hash: uint32(hash), key: ed25519.PublicKey(raw[1:])}, nil
}

// validWitnessName refuses what no name of a key may hold: a terminal is shown
// it, and a note's lines are parted by it.
func validWitnessName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '+' || r >= 0x7f })
}

func witnessHash(name string, typed []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), typed...))
	return binary.BigEndian.Uint32(sum[:4])
}

// Name implements note.Verifier.
func (w *Witness) Name() string { return w.name }

// KeyHash implements note.Verifier.
func (w *Witness) KeyHash() uint32 { return w.hash }

// Verify implements note.Verifier: sig is the time as eight bytes, big endian,
// and the Ed25519 signature over
//
//	cosignature/v1
//	time SECONDS
//
// and the note's text.
func (w *Witness) Verify(text, sig []byte) bool {
	at, ok := cosignedAt(sig)
	if !ok {
		return false
	}
	msg := fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at)
	return ed25519.Verify(w.key, append(msg, text...), sig[8:])
}

func cosignedAt(sig []byte) (seconds uint64, ok bool) {
	if len(sig) != 8+ed25519.SignatureSize {
		return 0, false
	}
	seconds = binary.BigEndian.Uint64(sig)
	return seconds, seconds <= maxCosigned
}

// Cosigned looks for the witness's cosignature on a signed checkpoint, whose
// log signature was checked before. It returns when the witness says it saw the
// checkpoint; ok is false where there is no line of the witness. A line that is
// the witness's by name and hash, and is no signature of the witness, is an
// error.
func (w *Witness) Cosigned(signed []byte) (at time.Time, ok bool, err error) {
	if len(signed) > MaxCheckpoint {
		return time.Time{}, false, fmt.Errorf("%w: larger than %d bytes", ErrCheckpoint, MaxCheckpoint)
	}
	n, err := note.Open(signed, note.VerifierList(w))
	var none *note.UnverifiedNoteError
	var wrong *note.InvalidSignatureError
	switch {
	case errors.As(err, &none):
		return time.Time{}, false, nil
	case errors.As(err, &wrong):
		return time.Time{}, false, errors.New("its cosignature is not the witness's over this checkpoint")
	case err != nil:
		return time.Time{}, false, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	for _, s := range n.Sigs {
		raw, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil || len(raw) < 4 {
			continue
		}
		if seconds, ok := cosignedAt(raw[4:]); ok {
			return time.Unix(int64(seconds), 0).UTC(), true, nil // #nosec G115 -- bounded in cosignedAt
		}
	}
	return time.Time{}, false, nil
}
