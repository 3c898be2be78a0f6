package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
)

// ErrShare is returned for text that is not one of a recovery kit's shares, or
// for shares that do not belong together.
var ErrShare = errors.New("not a usable set of recovery shares")

// RecoveryKey opens keyring.recovery. It is never stored: it exists as shares
// only, and while `init` or a restore runs.
type RecoveryKey struct {
	secret  group.Scalar
	private hpke.PrivateKey
}

// The shares' arithmetic is that of Ristretto255's scalar field.
var shareGroup = group.Ristretto255

const shareLabel = "holdfast recovery v1\x00"

// NewRecoveryKey makes a recovery key.
func NewRecoveryKey() (*RecoveryKey, error) {
	return recoveryFromScalar(shareGroup.RandomNonZeroScalar(rand.Reader))
}

// recoveryFromScalar derives the X-Wing key: its 32-byte seed is
// HKDF-SHA256(scalar, info = label).
func recoveryFromScalar(secret group.Scalar) (*RecoveryKey, error) {
	b, err := secret.MarshalBinary()
	if err != nil {
		return nil, err
	}
	seed, err := hkdf.Key(sha256.New, b, nil, shareLabel, 32)
	if err != nil {
		return nil, err
	}
	private, err := hpke.MLKEM768X25519().NewPrivateKey(seed)
	if err != nil {
		return nil, err
	}
	return &RecoveryKey{secret: secret, private: private}, nil
}

// Public returns the recovery public key (X-Wing, 1,216 bytes).
func (r *RecoveryKey) Public() []byte { return r.private.PublicKey().Bytes() }

// Split returns n shares of which any k recover the key, each as text that a
// person can type: base32 in groups of four.
func (r *RecoveryKey) Split(k, n int) ([]string, error) {
	if k < 2 || n < k || n > 255 {
		return nil, fmt.Errorf("%d of %d shares: give 2 ≤ k ≤ n ≤ 255", k, n)
	}
	var set [4]byte
	rand.Read(set[:])
	// circl's threshold t means that t+1 shares are needed.
	scheme := secretsharing.New(rand.Reader, uint(k-1), r.secret) // #nosec G115 -- bounded above
	shares := scheme.Share(uint(n))                               // #nosec G115 -- bounded above
	out := make([]string, n)
	for i, s := range shares {
		value, err := s.Value.MarshalBinary()
		if err != nil {
			return nil, err
		}
		b := append([]byte{}, set[:]...)
		b = append(b, byte(k), byte(i+1)) // #nosec G115 -- bounded above
		b = append(b, value...)
		out[i] = groups(append(b, shareSum(b)...))
	}
	return out, nil
}

// shareSize is set id ‖ k ‖ index ‖ scalar ‖ checksum, in bytes.
const shareSize = 4 + 1 + 1 + 32 + 4

var shareText = base32.StdEncoding.WithPadding(base32.NoPadding)

func shareSum(b []byte) []byte {
	h := sha256.Sum256(append([]byte(shareLabel), b...))
	return h[:4]
}

func groups(b []byte) string {
	text := shareText.EncodeToString(b)
	var out strings.Builder
	for i, c := range text {
		if i > 0 && i%4 == 0 {
			out.WriteByte('-')
		}
		out.WriteRune(c)
	}
	return out.String()
}

func parseShare(text string) ([]byte, error) {
	clean := strings.ToUpper(strings.Map(func(c rune) rune {
		if c == '-' || c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			return -1
		}
		return c
	}, text))
	b, err := shareText.DecodeString(clean)
	if err != nil || len(b) != shareSize || shareText.EncodeToString(b) != clean {
		return nil, fmt.Errorf("%w: a share is %d letters and digits", ErrShare, shareText.EncodedLen(shareSize))
	}
	if subtle.ConstantTimeCompare(shareSum(b[:shareSize-4]), b[shareSize-4:]) != 1 {
		return nil, fmt.Errorf("%w: a share's checksum is wrong: look for a mistyped letter", ErrShare)
	}
	return b, nil
}

// Combine recovers the key from at least k shares of one set.
func Combine(texts []string) (*RecoveryKey, error) {
	var set []byte
	var k int
	byIndex := map[byte]secretsharing.Share{}
	for _, text := range texts {
		b, err := parseShare(text)
		if err != nil {
			return nil, err
		}
		if set == nil {
			set, k = b[:5], int(b[4])
		}
		if !bytes.Equal(set, b[:5]) {
			return nil, fmt.Errorf("%w: they come from different kits", ErrShare)
		}
		value := shareGroup.NewScalar()
		if err := value.UnmarshalBinary(b[6 : 6+32]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrShare, err)
		}
		byIndex[b[5]] = secretsharing.Share{ID: shareGroup.NewScalar().SetUint64(uint64(b[5])), Value: value}
	}
	if len(byIndex) < k || k < 2 {
		return nil, fmt.Errorf("%w: %d different shares were given, %d are needed", ErrShare, len(byIndex), k)
	}
	shares := make([]secretsharing.Share, 0, len(byIndex))
	for _, s := range byIndex {
		shares = append(shares, s)
	}
	secret, err := secretsharing.Recover(uint(k-1), shares) // #nosec G115 -- k is a byte ≥ 2
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShare, err)
	}
	return recoveryFromScalar(secret)
}
