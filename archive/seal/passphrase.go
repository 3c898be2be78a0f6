package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// ErrPassphraseFile is returned for a file that is no master key wrapped by a
// passphrase, whatever the passphrase.
var ErrPassphraseFile = errors.New("not a master key that a passphrase wraps")

// MaxPassphrase bounds a passphrase, in bytes.
const MaxPassphrase = 1024

// The first line of a passphrase file; the second is base64 (RFC 4648 section
// 4) of
//
//	passes (u32) ‖ memory in KiB (u32) ‖ lanes (u8) ‖ salt (16) ‖ nonce (12) ‖ AES-256-GCM(key, nonce, master (32), aad) with its tag (16)
//
// integers big-endian; key = Argon2id (RFC 9106, version 0x13) over the
// passphrase as UTF-8 in normalisation form C, 32 bytes; aad = label ‖ passes ‖
// memory ‖ lanes ‖ salt.
const (
	passphraseHeader = "Holdfast master key, wrapped by a passphrase, version 1\n"
	passphraseLabel  = "holdfast passphrase v1\x00"
	passphraseParams = 4 + 4 + 1 + 16
	passphraseSize   = passphraseParams + Overhead + MasterSize
)

// PassphraseFileSize is the size of a passphrase file, in bytes.
const PassphraseFileSize = len(passphraseHeader) + (passphraseSize+2)/3*4 + 1

// What deriving the key costs, and whoever tries passphrases for each of them:
// RFC 9106 section 4, second recommendation.
const (
	argonPasses = 3
	argonMemory = 64 << 10 // KiB
	argonLanes  = 4
)

// What a file may ask for: others, made by a later version, still open, and
// none makes the program take all memory.
const (
	maxArgonPasses = 64
	minArgonMemory = 8 << 10 // KiB
	maxArgonMemory = 2 << 20
	maxArgonLanes  = 16
)

// WrapPassphrase wraps the master key by a passphrase, as the content of a
// file.
func WrapPassphrase(master [MasterSize]byte, passphrase []byte) ([]byte, error) {
	return wrapPassphrase(master, passphrase, argonPasses, argonMemory, argonLanes)
}

func wrapPassphrase(master [MasterSize]byte, passphrase []byte, passes, memory uint32, lanes uint8) ([]byte, error) {
	if err := checkPassphrase(passphrase); err != nil {
		return nil, err
	}
	params := make([]byte, 0, passphraseSize)
	params = binary.BigEndian.AppendUint32(params, passes)
	params = binary.BigEndian.AppendUint32(params, memory)
	params = append(params, lanes)
	var salt [16]byte
	rand.Read(salt[:]) // never fails (crypto/rand)
	params = append(params, salt[:]...)
	aead, err := newAEAD(passphraseKey(params, passphrase))
	if err != nil {
		return nil, err
	}
	blob := aead.Seal(params, nil, master[:], passphraseAAD(params))
	out := append([]byte(passphraseHeader), base64.StdEncoding.EncodeToString(blob)...)
	return append(out, '\n'), nil
}

// UnwrapPassphrase opens what WrapPassphrase made: ErrPassphraseFile for
// another file, ErrKey for another passphrase.
func UnwrapPassphrase(file, passphrase []byte) (master [MasterSize]byte, err error) {
	blob, err := parsePassphrase(file)
	if err != nil {
		return master, err
	}
	if err := checkPassphrase(passphrase); err != nil {
		return master, err
	}
	params := blob[:passphraseParams]
	aead, err := newAEAD(passphraseKey(params, passphrase))
	if err != nil {
		return master, err
	}
	plain, err := aead.Open(nil, nil, blob[passphraseParams:], passphraseAAD(params))
	if err != nil {
		return master, ErrKey
	}
	return [MasterSize]byte(plain), nil
}

func checkPassphrase(passphrase []byte) error {
	if len(passphrase) == 0 || len(passphrase) > MaxPassphrase {
		return fmt.Errorf("a passphrase has 1 to %d bytes", MaxPassphrase)
	}
	return nil
}

// parsePassphrase returns the decoded second line of a passphrase file. Its
// bytes, written again, are the file.
func parsePassphrase(file []byte) ([]byte, error) {
	if len(file) != PassphraseFileSize {
		return nil, fmt.Errorf("%w: it has %d bytes, not %d", ErrPassphraseFile, len(file), PassphraseFileSize)
	}
	text, ok := bytes.CutPrefix(file, []byte(passphraseHeader))
	if !ok {
		return nil, fmt.Errorf("%w: the first line is another", ErrPassphraseFile)
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(string(bytes.TrimSuffix(text, []byte("\n"))))
	if err != nil || len(blob) != passphraseSize || base64.StdEncoding.EncodeToString(blob)+"\n" != string(text) {
		return nil, fmt.Errorf("%w: the second line is damaged", ErrPassphraseFile)
	}
	passes, memory, lanes := argonParams(blob)
	if passes < 1 || passes > maxArgonPasses || memory < minArgonMemory || memory > maxArgonMemory || lanes < 1 || lanes > maxArgonLanes {
		return nil, fmt.Errorf("%w: it asks for more than this program gives", ErrPassphraseFile)
	}
	return blob, nil
}

func argonParams(b []byte) (passes, memory uint32, lanes uint8) {
	return binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), b[8]
}

func passphraseKey(params, passphrase []byte) []byte {
	passes, memory, lanes := argonParams(params)
	return argon2.IDKey(norm.NFC.Bytes(passphrase), params[9:passphraseParams], passes, memory, lanes, KeySize)
}

func passphraseAAD(params []byte) []byte {
	return append([]byte(passphraseLabel), params[:passphraseParams]...)
}
