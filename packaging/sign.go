package main

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// signer signs packages with an OpenPGP key (RFC 9580, version 4).
type signer struct {
	key  *openpgp.Entity
	when time.Time
}

// minBits is the least that an RSA key has.
const minBits = 3072

// readSigner reads a secret key, armored or not; passphrase is the path of a
// file with its passphrase in the first line, or "".
//
// A signature is dated by the packages' epoch, so that signing twice gives the
// same bytes too; by a younger key's creation, before which it would be void.
func readSigner(path, passphrase string, epoch int64) (*signer, error) {
	text, err := os.ReadFile(path) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, fmt.Errorf("-sign: %w", err)
	}
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
	if err != nil {
		keys, err = openpgp.ReadKeyRing(bytes.NewReader(text))
	}
	if err != nil {
		return nil, fmt.Errorf("-sign %s: not an OpenPGP key as `gpg --export-secret-keys` writes it: %w", path, err)
	}
	if len(keys) != 1 || keys[0].PrivateKey == nil {
		return nil, fmt.Errorf("-sign %s: it has to hold one secret key and no other", path)
	}
	s := &signer{key: keys[0], when: time.Unix(epoch, 0)}
	if public, ok := s.key.PrimaryKey.PublicKey.(*rsa.PublicKey); !ok || public.N.BitLen() < minBits {
		return nil, fmt.Errorf("-sign %s: RPM's signatures take an RSA key of %d bits or more", path, minBits)
	}
	if passphrase != "" {
		word, err := os.ReadFile(passphrase) // #nosec G304 -- likewise
		if err != nil {
			return nil, fmt.Errorf("-passphrase: %w", err)
		}
		word, _, _ = bytes.Cut(word, []byte("\n"))
		if err := s.key.DecryptPrivateKeys(word); err != nil {
			return nil, errors.New("-passphrase: it does not open the key")
		}
	}
	if s.key.PrivateKey.Encrypted {
		return nil, fmt.Errorf("-sign %s: the key has a passphrase; name the file with it by -passphrase", path)
	}
	for _, k := range append([]openpgp.Subkey{}, s.key.Subkeys...) {
		if k.PublicKey.CreationTime.After(s.when) {
			s.when = k.PublicKey.CreationTime
		}
	}
	if s.key.PrimaryKey.CreationTime.After(s.when) {
		s.when = s.key.PrimaryKey.CreationTime
	}
	if _, ok := s.key.SigningKey(s.when); !ok {
		return nil, fmt.Errorf("-sign %s: the key does not sign, or had ended on %s, the packages' day", path, s.when.UTC().Format(time.DateOnly))
	}
	return s, nil
}

func (s *signer) settings() *packet.Config {
	random := false
	return &packet.Config{DefaultHash: crypto.SHA256, Time: func() time.Time { return s.when }, NonDeterministicSignaturesViaNotation: &random}
}

// binary returns a detached signature, as rpm and dpkg take it.
func (s *signer) binary(data io.Reader) ([]byte, error) {
	var b bytes.Buffer
	err := openpgp.DetachSign(&b, s.key, data, s.settings())
	return b.Bytes(), err
}

// armored returns a detached signature for `gpg --verify`.
func (s *signer) armored(data io.Reader) ([]byte, error) {
	var b bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&b, s.key, data, s.settings()); err != nil {
		return nil, err
	}
	return append(b.Bytes(), '\n'), nil
}
