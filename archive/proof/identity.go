package proof

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"holdfast/internal/ijson"
)

// ErrIdentity is returned for bytes that are not an archive's identity.
var ErrIdentity = errors.New("not an archive's identity")

// MaxIdentity bounds identity.json, in bytes.
const MaxIdentity = 64 << 10

// Identity is the content of identity.json, which is also the body of leaf 0:
// who this archive is, in public keys. It is made once, by init.
type Identity struct {
	Version     int    `json:"v"`            // 1
	ArchiveID   string `json:"archive_id"`   // [a-z0-9.-]{1,64}, AMX/1's arc
	Origin      string `json:"origin"`       // Origin(ArchiveID, identity key)
	IdentityKey string `json:"identity_key"` // Ed25519 public key, unpadded base64url: signs acks, keysets, productions
	LogKey      string `json:"log_key"`      // C2SP note verifier key of the checkpoints
	RecoveryKey string `json:"recovery_key"` // HPKE X-Wing public key, unpadded base64url: every keyring is sealed to it as well
	Created     string `json:"created"`      // RFC 3339, UTC
}

// Origin returns the log's origin, which is also its key's name:
// "holdfast.invalid/ARC/" ‖ hex of the first 8 bytes of SHA-256(identity key).
func Origin(arc string, identity ed25519.PublicKey) string {
	h := sha256.Sum256(identity)
	return "holdfast.invalid/" + arc + "/" + hex.EncodeToString(h[:8])
}

// Key returns the identity public key.
func (id *Identity) Key() (ed25519.PublicKey, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(id.IdentityKey)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: identity_key is no Ed25519 public key", ErrIdentity)
	}
	return b, nil
}

// LogVerifier returns the verifier of the log's checkpoints.
func (id *Identity) LogVerifier() (note.Verifier, error) {
	v, err := note.NewVerifier(id.LogKey)
	if err != nil {
		return nil, fmt.Errorf("%w: log_key: %w", ErrIdentity, err)
	}
	return v, nil
}

// Marshal returns identity.json's bytes.
func (id *Identity) Marshal() ([]byte, error) {
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// ParseIdentity reads identity.json and checks that its parts belong together:
// the origin binds the identity key, and the log key bears the origin's name.
func ParseIdentity(b []byte) (*Identity, error) {
	if len(b) > MaxIdentity {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrIdentity, MaxIdentity)
	}
	var id Identity
	if err := ijson.UnmarshalStrict(b, &id); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	if id.Version != 1 {
		return nil, fmt.Errorf("%w: version %d; this program knows version 1", ErrIdentity, id.Version)
	}
	key, err := id.Key()
	if err != nil {
		return nil, err
	}
	if id.Origin != Origin(id.ArchiveID, key) {
		return nil, fmt.Errorf("%w: its origin is not that of its archive id and key", ErrIdentity)
	}
	log, err := id.LogVerifier()
	if err != nil {
		return nil, err
	}
	if log.Name() != id.Origin {
		return nil, fmt.Errorf("%w: its log key bears another origin", ErrIdentity)
	}
	return &id, nil
}

// ParseLogKey reads what a person hands to `verify --log-key`: the text of a
// note verifier key, or a whole identity.json.
func ParseLogKey(b []byte) (note.Verifier, error) {
	if len(b) > MaxIdentity {
		return nil, fmt.Errorf("a log key file is smaller than %d bytes", MaxIdentity)
	}
	text := strings.TrimSpace(string(b))
	if strings.HasPrefix(text, "{") {
		id, err := ParseIdentity(b)
		if err != nil {
			return nil, err
		}
		return id.LogVerifier()
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		return nil, fmt.Errorf("not a log key: give the file that `holdfast checkpoint --log-key` printed, or the archive's identity.json: %w", err)
	}
	return v, nil
}
