package backup

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/archive"
	"holdfast/archive/proof"
	"holdfast/archive/seal"
	"holdfast/internal/ijson"
	"holdfast/internal/jws"
)

// SidecarType is the typ of a keyring copy's JWS.
const SidecarType = "holdfast+keys"

// MaxSidecar bounds a sidecar, in bytes.
const MaxSidecar = 16 << 20

// Errors of keyring copies.
var (
	ErrSidecar = errors.New("not the sidecar of a keyring copy")
	ErrNoKeys  = errors.New("there is no copy of the keyring in this folder; name the folder that `--keys-to` was given, and see that it is mounted")
)

// Sidecar says what a copy of the keyring is, without telling a key.
type Sidecar struct {
	V          int             `json:"v"` // 1
	ArchiveID  string          `json:"archive_id"`
	Origin     string          `json:"origin"`
	Generation uint64          `json:"generation"`
	Size       int64           `json:"size"`   // of the copy, bytes
	SHA256     string          `json:"sha256"` // of the copy, hex
	Keys       []archive.KeyID `json:"keys"`   // of body files and indexes in it, by name
	Created    string          `json:"created"`
}

// Sign returns the sidecar's file: a compact JWS by the archive's identity key.
func (s *Sidecar) Sign(key crypto.Signer) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	compact, err := jws.Sign(SidecarType, key, payload)
	if err == nil && len(compact) >= MaxSidecar {
		err = fmt.Errorf("%w: larger than %d bytes", ErrSidecar, MaxSidecar)
	}
	return compact, err
}

// VerifySidecar reads a sidecar, strictly, and checks its signature and origin
// against the archive's identity. One line feed may end it.
func VerifySidecar(compact []byte, id *proof.Identity) (*Sidecar, error) {
	s, c, err := parseSidecar(compact)
	if err != nil {
		return nil, err
	}
	if err := signedBy(c, id, s.ArchiveID, s.Origin); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSidecar, err)
	}
	return s, nil
}

func parseSidecar(compact []byte) (*Sidecar, *jws.Compact, error) {
	if len(compact) > MaxSidecar {
		return nil, nil, fmt.Errorf("%w: larger than %d bytes", ErrSidecar, MaxSidecar)
	}
	c, err := jws.Parse(bytes.TrimSuffix(compact, []byte("\n")), SidecarType)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSidecar, err)
	}
	var s Sidecar
	if err := ijson.UnmarshalStrict(c.Payload, &s); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSidecar, err)
	}
	return &s, c, s.check()
}

func (s *Sidecar) check() error {
	created, err := time.Parse(time.RFC3339, s.Created)
	switch {
	case s.V != 1:
		return fmt.Errorf("%w: version %d; this program knows version 1", ErrSidecar, s.V)
	case err != nil || created.UTC().Format("2006-01-02T15:04:05Z") != s.Created || s.Generation == 0 || s.Size <= 0 || s.Size > seal.MaxKeyring ||
		!hashText.MatchString(s.SHA256) || len(s.Keys) > maxKeys:
		return fmt.Errorf("%w: its parts", ErrSidecar)
	}
	if err := checkKeys(s.Keys); err != nil {
		return fmt.Errorf("%w: %w", ErrSidecar, err)
	}
	return nil
}

// Missing returns those of keys that the copy has not, by name and digest.
func (s *Sidecar) Missing(keys []archive.KeyID) []archive.KeyID {
	have := map[archive.KeyID]bool{}
	for _, k := range s.Keys {
		have[k] = true
	}
	return slices.DeleteFunc(slices.Clone(keys), func(k archive.KeyID) bool { return have[k] })
}

// OpenKeys reads a keyring copy and its sidecar from a folder that KeysDir
// named, and compares them: the bytes are what archive.Recover takes as
// keyring.recovery.
func OpenKeys(dir string, generation uint64, id *proof.Identity) ([]byte, *Sidecar, error) {
	compact, err := readSmall(SidecarPath(dir, generation), MaxSidecar)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, ErrNoKeys
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := VerifySidecar(compact, id)
	if err != nil {
		return nil, nil, err
	}
	text, err := readSmall(KeyCopyPath(dir, generation), seal.MaxKeyring)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: the keyring copy of generation %d is missing beside its sidecar", ErrDamaged, generation)
	}
	if err != nil {
		return nil, nil, err
	}
	if have := sha256.Sum256(text); s.Generation != generation || int64(len(text)) != s.Size || hex.EncodeToString(have[:]) != s.SHA256 {
		return nil, nil, fmt.Errorf("%w: the keyring copy of generation %d is not the one that its sidecar names", ErrDamaged, generation)
	}
	return text, s, nil
}

// Sidecars reads what is said of the keyring copies of an archive in a folder
// that KeysDir named, the newest last. What does not verify as said by the
// archive itself is none, and left out.
func Sidecars(dir string, id *proof.Identity) ([]*Sidecar, error) {
	generations, err := Generations(dir)
	if err != nil {
		return nil, err
	}
	var out []*Sidecar
	for _, n := range generations {
		compact, err := readSmall(SidecarPath(dir, n), MaxSidecar)
		if errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ELOOP) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if s, err := VerifySidecar(compact, id); err == nil && s.Generation == n {
			out = append(out, s)
		}
	}
	return out, nil
}

// NewestKeys reads the newest keyring copy of an archive in the folder keys.
func NewestKeys(keys string, id *proof.Identity) ([]byte, *Sidecar, error) {
	dir := KeysDir(keys, id.Origin)
	all, err := Sidecars(dir, id)
	if err != nil {
		return nil, nil, err
	}
	if len(all) == 0 {
		return nil, nil, fmt.Errorf("%s: %w", keys, ErrNoKeys)
	}
	return OpenKeys(dir, all[len(all)-1].Generation, id)
}

// keysFor reads the copy of the keyring that opens a backup best, and says of
// which generation the newest is. One that is damaged is not passed over.
func keysFor(keys string, id *proof.Identity, m *Manifest) (text []byte, s *Sidecar, newest uint64, err error) {
	dir := KeysDir(keys, id.Origin)
	all, err := Sidecars(dir, id)
	if err != nil {
		return nil, nil, 0, err
	}
	if len(all) == 0 {
		return nil, nil, 0, fmt.Errorf("%s: %w", keys, ErrNoKeys)
	}
	newest = all[len(all)-1].Generation
	text, s, err = OpenKeys(dir, opening(all, m)[0].Generation, id)
	return text, s, newest, err
}
