package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// KeySize is the size of every symmetric key, in bytes (AES-256).
const KeySize = 32

// IDSize is the size of a sealed file's id, in bytes.
const IDSize = 16

// Overhead is what sealing adds to a record, in bytes: nonce and tag.
const Overhead = 12 + 16

// MaxRecords is how many records one file key may seal: random 96-bit nonces
// stay below a collision risk of 2^-41 (NIST SP 800-38D section 8.3 allows 2^32
// at 2^-32).
const MaxRecords = 1 << 28

// A FileKey seals the records of one file: AES-256-GCM with a random nonce
// before the ciphertext, and as associated data a label, the file's id and the
// record's seq. The nonce is random, never the seq: a retry after a crash seals
// another body under the same seq.
type FileKey struct {
	aead cipher.AEAD
	aad  [aadSize]byte
}

const (
	recordLabel = "holdfast record v1\x00"
	aadSize     = len(recordLabel) + IDSize + 8
)

// NewFileKey returns the key of the file with the given id.
func NewFileKey(key [KeySize]byte, id [IDSize]byte) (*FileKey, error) {
	aead, err := newAEAD(key[:])
	if err != nil {
		return nil, err
	}
	k := &FileKey{aead: aead}
	n := copy(k.aad[:], recordLabel)
	copy(k.aad[n:], id[:])
	return k, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (k *FileKey) associated(seq uint64) [aadSize]byte {
	aad := k.aad
	binary.BigEndian.PutUint64(aad[len(recordLabel)+IDSize:], seq)
	return aad
}

// Seal appends the sealed record of the given seq to dst. It is safe for
// concurrent use.
func (k *FileKey) Seal(dst []byte, seq uint64, plaintext []byte) []byte {
	aad := k.associated(seq)
	return k.aead.Seal(dst, nil, plaintext, aad[:])
}

// Open appends the record that sealed holds to dst. It is safe for concurrent
// use.
func (k *FileKey) Open(dst []byte, seq uint64, sealed []byte) ([]byte, error) {
	aad := k.associated(seq)
	out, err := k.aead.Open(dst, nil, sealed, aad[:])
	if err != nil {
		return nil, fmt.Errorf("record of seq %d: %w", seq, ErrKey)
	}
	return out, nil
}
